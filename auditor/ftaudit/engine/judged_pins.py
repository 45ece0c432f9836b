"""Verdicts on facts, and on pins that were read elsewhere: the part of an audit that follows the inputs."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from ftaudit.engine.ahead import Ahead
from ftaudit.engine.build_forecast import find_forecasts
from ftaudit.engine.evidence import find_evidence
from ftaudit.engine.given import find_lacking
from ftaudit.engine.rows import judge_all, make_rows, with_elsewhere
from ftaudit.engine.session import AuditSession
from ftaudit.engine.tiers.collect import Key
from ftaudit.engine.upgrades.later import find_later
from ftaudit.index.client import ProjectPages
from ftaudit.model import Package, PackageFacts, Status
from ftaudit.rule import PackageRule


def judge_facts(
    session: AuditSession, every: Sequence[PackageFacts], rules: Sequence[PackageRule]
) -> tuple[tuple[Package, ...], tuple[str, ...]]:
    """Return the rows of packages, and a sentence for each rule that failed.

    Each name must have one version: what is known about later releases is found by name.
    """
    judged = judge_all(with_elsewhere(every))
    platforms, index = session.platforms, session.index
    later = find_later(judged, platforms=platforms, surveyor=session.surveyor, progress=session.progress)
    lacking = find_lacking(judged, target=session.target, platforms=platforms, index=index)
    forecasts = find_forecasts(session, judged, later)
    return make_rows(judged, rules=rules, later=later, lacking=lacking, forecasts=forecasts)


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedPins:
    """The rows of one question, on its platforms, and what they depend on."""

    rows: tuple[Package, ...]
    failures: tuple[str, ...]
    """A sentence for each rule that failed on them."""
    depends_on: Mapping[ProjectPages, str] | None
    """The pages of the index that were consulted, with their fingerprints. While they, the question, the settings, the
    rules and ftaudit are the same, so are the rows. `None` means that another run may give other rows all the same.
    """


def judge_pins(session: AuditSession, questions: Sequence[Sequence[Key]]) -> list[JudgedPins]:
    """Judge questions, each the keys of one pin on its platforms; nothing is imported.

    Wheels are read together, whatever question needs them.
    """
    ahead = Ahead(target=session.target, index=session.index, reader=session.reader, surveyor=session.surveyor)
    rules, _ = session.rules(PackageRule)
    keys = list(dict.fromkeys(key for question in questions for key in question))
    facts = dict(zip(keys, find_evidence(session, keys, on_found=ahead.hear).facts, strict=True))
    found = [judge_facts(session, [facts[key] for key in question], rules) for question in questions]
    unsettled = session.reader.unsettled | session.sdists.unsettled
    return [
        JudgedPins(rows=rows, failures=failures, depends_on=_dependencies(session, rows, failures, unsettled))
        for rows, failures in found
    ]


def _dependencies(
    session: AuditSession, rows: Sequence[Package], failures: Sequence[str], unsettled: Container[str]
) -> dict[ProjectPages, str] | None:
    every = [row.facts for row in rows]
    if failures or any(Status.FAILED in (facts.index.status, facts.binary.status) for facts in every):
        return None
    pages: dict[ProjectPages, str] = {}
    for name in {facts.pin.name for facts in every}:
        consulted = session.index.consulted(name)
        if name in unsettled or consulted is None:
            return None
        pages |= consulted
    return pages
