"""The findings in the project's own source, by rule, with as many lines of code as fit on a page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ftaudit.model import Finding, Severity
from ftaudit.report.package.agreeing_rows import counted
from ftaudit.rule import RuleInfo
from ftaudit.source.tree_scan import ScanResult

FRAMES_OF_RULE: Final = 30
"""Findings of one rule that are shown with code."""
FRAMES: Final = 400
"""Findings of all rules that are shown with code: the page stays small enough to open at once."""
MOST_SKIPPED: Final = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Hazard:
    """One finding in the project's own source, with the lines around it."""

    finding: Finding
    frame: tuple[tuple[int, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleHazards:
    """The findings of one rule in the project's own source."""

    info: RuleInfo | None
    """`None` if the rule was not among those that ran."""
    finding: Finding
    """The first finding, which has the worst severity."""
    count: int
    hazards: tuple[Hazard, ...]
    """The findings that are shown with code."""


def by_rule(scan: ScanResult) -> Iterator[RuleHazards]:
    """Yield the findings of each rule, the worst rules first."""
    severities = list(Severity)
    groups: dict[str, list[Finding]] = {}
    for finding in scan.findings:
        groups.setdefault(finding.code, []).append(finding)
    infos = {info.code: info for info in scan.rules}
    room = FRAMES
    made = []
    for code, found in groups.items():
        found.sort(key=lambda finding: severities.index(finding.severity))
        made.append((severities.index(found[0].severity), code, found))
    for _, code, found in sorted(made, key=lambda item: item[:2]):
        shown = found[: min(FRAMES_OF_RULE, room)]
        room -= len(shown)
        hazards = tuple(Hazard(finding=finding, frame=_frame(scan, finding)) for finding in shown)
        yield RuleHazards(info=infos.get(code), finding=found[0], count=len(found), hazards=hazards)


def _frame(scan: ScanResult, finding: Finding) -> tuple[tuple[int, str], ...]:
    """Return the numbered lines around a finding, without their common indentation."""
    place = finding.location
    lines = () if place is None or place.line is None else scan.frames.get((place.path, place.line), ())
    expanded = [(number, text.expandtabs(4)) for number, text in lines]
    shared = min((len(text) - len(text.lstrip()) for _, text in expanded if text.strip()), default=0)
    return tuple((number, text[shared:]) for number, text in expanded)


def unscanned(scan: ScanResult) -> Iterator[str]:
    """Yield the parts of the source that were not checked, one line each."""
    for skip in scan.skipped[:MOST_SKIPPED]:
        yield f"{skip.path}{'' if skip.line is None else f':{skip.line}'}: {skip.reason}"
    if len(scan.skipped) > MOST_SKIPPED:
        yield f"{len(scan.skipped) - MOST_SKIPPED} more, which `ftaudit scan --format json` lists"
    yield from scan.notes
    yield from (f"{counted(count, 'file')} left out as {role}" for role, count in sorted(scan.left_out.items()))
