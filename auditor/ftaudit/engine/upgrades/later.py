"""Finds the later release of a blocker whose wheel the target installs and that leaves the GIL disabled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ftaudit.engine.rows import Judged
from ftaudit.engine.upgrades.surveyor import Surveyor
from ftaudit.engine.upgrades.surveys import Survey, SurveyQuestion
from ftaudit.model import BLOCKING, Pin, Verdict
from ftaudit.model.plans import Candidate, Fate
from ftaudit.model.steps import GoodRelease, Lead, NoGoodRelease, NoLead
from ftaudit.progress import ProgressListener
from ftaudit.target import Platform

WHEEL: Final = frozenset({Fate.UNDETERMINED, Fate.REENABLES_GIL, Fate.BROKEN, Fate.NOT_LOOKED_INTO})
"""The fates of releases with a compiled wheel that the target installs, except the good ones."""


def find_later(
    judged: Sequence[Judged],
    *,
    platforms: Sequence[Platform],
    surveyor: Surveyor,
    progress: ProgressListener,
) -> dict[tuple[str, str], Lead]:
    """Map (name, platform) of each package that blocks or falls back to the index and binary facts about later
    versions.

    This is a hint, not a verdict: nothing is imported, and other pins of the package are not checked. An index that
    does not answer adds no entry.
    """
    by_name = {platform.name: platform for platform in platforms}
    questions = [
        SurveyQuestion(pin=facts.pin, platform=by_name[facts.platform])
        for facts, verdict, _ in judged
        if verdict in (*BLOCKING, Verdict.FALLBACK) and is_listed(facts.pin)
    ]
    surveys = surveyor.survey(questions, progress=progress)
    leads = {(str(q.pin.name), q.platform.name): _lead(str(q.pin.name), survey) for q, survey in surveys.items()}
    return {key: lead for key, lead in leads.items() if lead is not None}


def is_listed(pin: Pin) -> bool:
    """Return whether an index lists the package, so that it is not a file or folder of the user."""
    return pin.version is not None and pin.source_tree is None


def _lead(name: str, survey: Survey) -> Lead | None:
    """Return the first later release that the verdict table accepts, or the best alternative."""
    if survey.problem is not None:
        return NoLead(gap=survey.problem)
    first, newest, fallback = survey.first_good, survey.newest_good, survey.fallback
    if first is not None and newest is not None:
        nearer = fallback is not None and fallback.version < first.version
        slower = fallback.version if fallback is not None and nearer else None
        return GoodRelease(first=first.version, newest=newest.version, slower=slower)
    compiled = next((one for one in reversed(survey.releases) if one.fate in WHEEL), None)
    early = next((one for one in reversed(survey.releases) if one.fate is Fate.PRE_RELEASE and one.is_good), None)
    if compiled is None and fallback is None and early is None:
        return None
    # Without the names of wheels, which differ between platforms.
    return NoGoodRelease(
        name=name,
        newest=None if compiled is None else Candidate(version=compiled.version, fate=compiled.fate),
        slower=None if fallback is None else fallback.version,
        early=None if early is None else replace(early, wheel=None),
    )
