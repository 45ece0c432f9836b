"""A scan as a worklist: crashes first, grouped by cause and type, and the declaration last."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from ftaudit.model import Finding, Severity, StrEnum
from ftaudit.source.tree_scan import ScanResult


class WorkStep(StrEnum):
    """A step of the work, in order."""

    CRASHES = "crashes and build failures"
    WRONG = "wrong results and exceptions"
    NOTES = "lost updates, and notes"
    DECLARE = "declaration, after the rest is done"
    MIGRATE = "migration to the stable ABI abi3t, in the order of CPython's guide"


_STEPS: Final = {
    Severity.ERROR: WorkStep.CRASHES,
    Severity.WARNING: WorkStep.WRONG,
    Severity.INFO: WorkStep.NOTES,
    Severity.PEDANTIC: WorkStep.NOTES,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Findings with one cause, or about one type."""

    step: WorkStep
    title: str
    """The type whose state they are about, or else the rule that found them."""
    findings: tuple[Finding, ...]
    """By severity, path and line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One line of the porting order."""

    step: WorkStep
    findings: int
    titles: tuple[str, ...]
    """The groups of the step, those with most findings first."""


NEXT: Final = (
    "Run the test suite in threads, with pytest-run-parallel, or with `python -X gil=0` and ftaudit's pytest plugin.",
    "Stress shared objects: let many threads use one object of each type, and change it while others read.",
    "Build with ThreadSanitizer, against a CPython that was configured with --with-thread-sanitizer --disable-gil.",
    "Build and test free-threaded wheels (the identifiers `cp314t-*` in cibuildwheel).",
    "Add the classifier `Programming Language :: Python :: Free Threading :: 2 - Beta`, or a later stage.",
)
"""The next step after a scan without findings: a scan shows known causes, not their absence."""


def groups(result: ScanResult) -> tuple[Group, ...]:
    """Return the findings in working order."""
    last = {info.code for info in result.rules if info.asks_to_declare}
    moves = {info.code for info in result.rules if info.migration}
    owners = _owners(result)
    found: dict[tuple[WorkStep, str], list[Finding]] = defaultdict(list)
    for finding in result.findings:
        step = WorkStep.DECLARE if finding.code in last else _STEPS[finding.severity]
        if finding.code in moves:
            step = WorkStep.MIGRATE
        place = _place(finding)
        found[step, finding.rule if place is None else owners.get(place, finding.rule)].append(finding)
    steps, severities = list(WorkStep), list(Severity)

    def order(item: tuple[tuple[WorkStep, str], list[Finding]]) -> tuple[int, str, int, int, str]:
        (step, title), some = item
        # The codes of the migration rules are in the order of the guide.
        first = some[0].code if step is WorkStep.MIGRATE else ""
        return steps.index(step), first, min(severities.index(f.severity) for f in some), -len(some), title

    return tuple(
        Group(
            step=step,
            title=title,
            findings=tuple(sorted(some, key=lambda f: (severities.index(f.severity), *_where(f), f.code))),
        )
        for (step, title), some in sorted(found.items(), key=order)
    )


def tasks(result: ScanResult) -> tuple[Task, ...]:
    """Return the porting order: one line for each step with work to do."""
    by_step: dict[WorkStep, list[Group]] = defaultdict(list)
    for group in groups(result):
        by_step[group.step].append(group)
    return tuple(
        Task(
            step=step,
            findings=sum(len(group.findings) for group in by_step[step]),
            titles=tuple(group.title for group in _listed(step, by_step[step])),
        )
        for step in WorkStep
        if by_step[step]
    )


def _listed(step: WorkStep, found: list[Group]) -> list[Group]:
    if step is WorkStep.MIGRATE:
        return found
    return sorted(found, key=lambda group: (-len(group.findings), group.title))


def _owners(result: ScanResult) -> dict[tuple[str, int, int], str]:
    """Return the type that owns the state of each place in the state table."""
    return {
        (access.location.path, access.location.line or 0, access.location.column or 0): row.state.owner
        for row in result.states
        for access in row.accesses
        if row.state.owner
    }


def _place(finding: Finding) -> tuple[str, int, int] | None:
    if not finding.sites:
        return None
    place = finding.sites[0].location
    return place.path, place.line or 0, place.column or 0


def _where(finding: Finding) -> tuple[str, int]:
    place = finding.location
    return ("", 0) if place is None else (place.path, place.line or 0)
