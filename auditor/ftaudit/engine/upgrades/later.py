"""For what blocks: which later release has a wheel that the target installs and that leaves the GIL off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ftaudit.engine.rows import Judged
from ftaudit.engine.upgrades.surveyor import Surveyor, is_worth_a_try
from ftaudit.engine.upgrades.surveys import Question, Survey
from ftaudit.model import BLOCKING, Pin
from ftaudit.model.plans import Fate
from ftaudit.progress import Progress
from ftaudit.target import Platform

WHEEL: Final = frozenset({Fate.GOOD, Fate.UNDETERMINED, Fate.REENABLES_GIL, Fate.NOT_LOOKED_INTO})
"""The fates of releases with a compiled wheel that the target installs."""


def find_later(
    judged: Sequence[Judged],
    *,
    platforms: Sequence[Platform],
    surveyor: Surveyor,
    progress: Progress,
) -> dict[tuple[str, str], str]:
    """Map (name, platform) of what blocks to what the index and the wheels' binaries say of later versions.

    A lead, not a verdict: nothing is imported, and what else pins the package is not asked. An index that does
    not answer gives no lead.
    """
    by_name = {platform.name: platform for platform in platforms}
    questions = [
        Question(pin=facts.pin, platform=by_name[facts.platform])
        for facts, verdict, _ in judged
        if verdict in BLOCKING and is_listed(facts.pin)
    ]
    surveys = surveyor.survey(questions, progress=progress)
    leads = {
        (str(q.pin.name), q.platform.name): _lead(str(q.pin.name), survey, q.platform) for q, survey in surveys.items()
    }
    return {key: lead for key, lead in leads.items() if lead is not None}


def is_listed(pin: Pin) -> bool:
    """Tell whether the package is one that an index lists, and not a file or a folder of the user's."""
    return pin.version is not None and pin.source_tree is None


def _lead(name: str, survey: Survey, platform: Platform) -> str | None:
    """Say which later release is the first that is no worse than it should be."""
    if survey.problem is not None:
        return f"later versions could not be looked up: {survey.problem}"
    first, newest, fallback = survey.first, survey.newest, survey.fallback
    if first is None or newest is None:
        return _without_good(name, survey, platform)
    sure = "leaves the GIL off" if first.fate is Fate.GOOD else "does not turn the GIL on, as far as it could be read"
    told = f"{first.version} is the first later version whose wheel for {platform.name} {sure}"
    if newest.version != first.version:
        told += f", {newest.version} the newest"
    if fallback is not None and fallback.version < first.version:
        told += f" ({fallback.version} falls back to pure Python)"
    return f"{told}; `ftaudit plan` says what else has to change"


def _without_good(name: str, survey: Survey, platform: Platform) -> str | None:
    """Say what there is where no final release leaves the GIL off; `None` where there is nothing at all."""
    fallback, told = survey.fallback, []
    worst = next((one for one in reversed(survey.releases) if one.fate in WHEEL), None)
    if worst is not None:
        told.append(f"{worst.version}, the newest with a wheel for {platform.name}, turns the GIL on too")
    if fallback is not None:
        told.append(f"{fallback.version} is the first with a pure-Python wheel: it works, slower")
    early = next((one for one in reversed(survey.releases) if is_worth_a_try(one)), None)
    if early is not None:
        told.append(f"{early.version} is {early.reason}; to try it: {name}=={early.version}")
    if len(told) == 1 and worst is not None:
        told.append("ask upstream, and name the modules above")
    return "; ".join(told) or None
