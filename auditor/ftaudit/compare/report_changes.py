"""What changed from one report to the next, and whether anything got worse.

The order of verdicts is `ftaudit.verdict.ORDER`. Worse means: a verdict further down that order, a new package that
blocks, or a new finding of severity error or warning. A package that became unknown is neither better nor worse: it is
reported, and the exit code is 3. Verdicts and findings are compared whether accepted or not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, TypeVar

from ftaudit.compare.documents import Audit, ComparedFinding, ComparedPackage, Document, Scan
from ftaudit.errors import InputError
from ftaudit.judge.table import rank
from ftaudit.model import BLOCKING, StrEnum, Verdict


class ReportChangeKind(StrEnum):
    """What happened to a package or a finding."""

    WORSE = "worse"
    UNCLEAR = "unclear"
    BETTER = "better"
    CAME = "came"
    WENT = "went"
    CHANGED = "changed"
    """Another version, or another verdict of the same rank."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PackageState:
    """A package in one of the reports."""

    version: str | None
    verdict: Verdict
    reason: str | None = None
    accepted: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportChange:
    """The change of one thing; a package that changed alike on several platforms appears once."""

    kind: ReportChangeKind
    subject: str
    """The package, or the finding's place."""
    old: PackageState | None = None
    new: PackageState | None = None
    platforms: tuple[str, ...] = ()
    finding: ComparedFinding | None = None
    """For a change of a finding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The result of the comparison."""

    old: str
    new: str
    changes: tuple[ReportChange, ...]
    """By kind, the worst first, then by subject."""
    unchanged: int
    """Unchanged packages, one for each platform, and findings."""
    same_packages: int = 0
    """Packages without a change, each counted once."""
    same_findings: int = 0
    not_compared: tuple[str, ...]
    """What only one of the reports checked, in sentences."""
    unsure: tuple[str, ...] = ()
    """Why an answer of "nothing got worse" is not certain."""

    @property
    def exit_code(self) -> int:
        """`1` something got worse, `3` nothing is known to be worse but something is unknown, otherwise `0`."""
        kinds = {change.kind for change in self.changes}
        if ReportChangeKind.WORSE in kinds:
            return 1
        return 3 if ReportChangeKind.UNCLEAR in kinds or self.unsure else 0


Key: TypeAlias = tuple[str, str]
"""Name and platform."""
_KINDS: Final = list(ReportChangeKind)


def compare(old: Document, new: Document) -> Comparison:
    """Compare what both reports checked. Raise `InputError` if they have nothing in common."""
    made = _Made()
    several = max(len(old.audits), len(new.audits)) > 1
    for first, second in _pairs("packages", old.audits, new.audits, made):
        made.audits(first, second, several=several)
    for first_scan, second_scan in _pairs("source", old.scans, new.scans, made):
        made.scans(first_scan, second_scan)
    for what, mine, other in (("packages", old.audits, new.audits), ("source", old.scans, new.scans)):
        if bool(mine) != bool(other):
            made.not_compared.append(f"{what}: in {old.name if mine else new.name} only")
    made.unsure += (f"the new report is incomplete: {what}" for what in new.incomplete[:3])
    if not made.common:
        text = "; ".join(made.not_compared)
        raise InputError(
            f"{old.name} and {new.name} have nothing in common: {text}",
            hint="compare two reports of the same inputs, targets and platforms",
        )
    return Comparison(
        old=old.name,
        new=new.name,
        changes=tuple(sorted(made.changes, key=_order)),
        unchanged=made.unchanged,
        same_packages=len(made.same - {change.subject for change in made.changes}),
        same_findings=made.same_findings,
        not_compared=tuple(made.not_compared),
        unsure=tuple(made.unsure),
    )


Part = TypeVar("Part", Audit, Scan)


def _pairs(what: str, old: Sequence[Part], new: Sequence[Part], made: _Made) -> Iterator[tuple[Part, Part]]:
    """Yield the shared part of both reports for each target, and note the targets that only one report has."""
    before, after = {part.target: part for part in old}, {part.target: part for part in new}
    if before and after and before.keys() != after.keys():
        targets = f"the targets differ: {', '.join(before)} and {', '.join(after)}"
        made.not_compared.append(f"{what}: {targets}")
    yield from ((before[target], after[target]) for target in before if target in after)


def _order(change: ReportChange) -> tuple[int, str, tuple[str, ...], str]:
    text = "" if change.finding is None else f"{change.finding.code} {change.finding.message}"
    return _KINDS.index(change.kind), change.subject, change.platforms, text


class _Made:
    """The comparison in progress."""

    def __init__(self) -> None:
        self.changes: list[ReportChange] = []
        self.unchanged = 0
        self.same: set[str] = set()
        self.same_findings = 0
        self.not_compared: list[str] = []
        self.unsure: list[str] = []
        self.common = False

    def audits(self, old: Audit, new: Audit, *, several: bool) -> None:
        """Compare two audits for one target; with `several` targets, platforms include the target's name."""
        both = frozenset(old.platforms) & frozenset(new.platforms)
        for platforms, of in ((old.platforms, "the old"), (new.platforms, "the new")):
            alone = [platform for platform in platforms if platform not in both]
            if alone:
                more = f" and {len(alone) - 10} more" if len(alone) > 10 else ""
                self.not_compared.append(f"{', '.join(alone[:10])}{more}: in {of} report only")
        if not both:
            return
        self.common = True
        before, after = _rows(old, both), _rows(new, both)
        found: list[ReportChange] = []
        for name, platform in sorted({*before, *after}):
            found += self._package(name, platform, before.get((name, platform), ()), after.get((name, platform), ()))
        changes = list(_together(found))
        if several:
            changes = [replace(one, platforms=tuple(f"{new.target} {p}" for p in one.platforms)) for one in changes]
        self.changes += changes
        if new.incomplete:
            self.unsure.append("the new report is incomplete: " + "; ".join(new.incomplete[:3]))
        if old.incomplete:
            self.not_compared.append("the old report is incomplete, so what is new here may have existed before")

    def _package(
        self, name: str, platform: str, before: tuple[ComparedPackage, ...], after: tuple[ComparedPackage, ...]
    ) -> Iterator[ReportChange]:
        old, new = _state(before), _state(after)
        kind = _kind(old, new)
        if kind is None:
            self.unchanged += 1
            self.same.add(name)
        else:
            yield ReportChange(kind=kind, subject=name, old=old, new=new, platforms=(platform,))
        if before and after:
            whole = all(row.source_scanned for row in (*before, *after))
            if not whole and any(row.source_scanned for row in (*before, *after)):
                text = "the findings in source distributions: only one of the reports scanned them (--source)"
                self.not_compared += [text] if text not in self.not_compared else []
            # A changed verdict already covers these findings, module by module.
            judged = kind in (ReportChangeKind.WORSE, ReportChangeKind.BETTER, ReportChangeKind.UNCLEAR)
            first, second = (
                [
                    finding
                    for row in rows
                    for finding in row.findings
                    if (whole or not finding.in_source) and not (judged and finding.restates_verdict)
                ]
                for rows in (before, after)
            )
            for change in self._findings(first, second, marks=False):
                yield replace(change, subject=name, platforms=(platform,))

    def scans(self, old: Scan, new: Scan) -> None:
        """Compare two scans for one target."""
        self.common = True
        every = (*old.findings, *new.findings)
        marks = all(finding.fingerprint is not None for finding in every)
        self.changes += self._findings(old.findings, new.findings, marks=marks)
        unread = sorted(new.unread - old.unread)
        if unread:
            self.unsure.append("checked only in the old report: " + ", ".join(unread[:5]))

    def _findings(
        self, before: Iterable[ComparedFinding], after: Iterable[ComparedFinding], *, marks: bool
    ) -> Iterator[ReportChange]:
        old, new = _by_identity(before, marks=marks), _by_identity(after, marks=marks)
        for key in sorted({*old, *new}):
            gone, come = old.get(key, []), new.get(key, [])
            same = min(len(gone), len(come))
            self.unchanged += same
            self.same_findings += same
            for finding in come[same:]:
                yield ReportChange(
                    kind=ReportChangeKind.WORSE if finding.counts else ReportChangeKind.CAME,
                    subject=_place(finding),
                    finding=finding,
                )
            for finding in gone[same:]:
                yield ReportChange(
                    kind=ReportChangeKind.BETTER if finding.counts else ReportChangeKind.WENT,
                    subject=_place(finding),
                    finding=finding,
                )


def _rows(audit: Audit, platforms: Iterable[str]) -> Mapping[Key, tuple[ComparedPackage, ...]]:
    wanted = frozenset(platforms)
    rows: dict[Key, list[ComparedPackage]] = {}
    for row in audit.rows:
        if row.platform in wanted:
            rows.setdefault((row.name, row.platform), []).append(row)
    return {key: tuple(found) for key, found in rows.items()}


def _state(rows: tuple[ComparedPackage, ...]) -> PackageState | None:
    """Return the combined rows of a package on a platform; there are several if a lock file forks."""
    if not rows:
        return None
    worst = max(rows, key=lambda row: rank(row.verdict))
    versions = sorted({row.version for row in rows if row.version is not None})
    return PackageState(
        version=", ".join(versions) or None,
        verdict=worst.verdict,
        reason=worst.reason,
        accepted=all(row.accepted for row in rows),
    )


def _kind(old: PackageState | None, new: PackageState | None) -> ReportChangeKind | None:
    match old, new:
        case None, None:
            return None
        case _, PackageState(verdict=Verdict.UNKNOWN) if old is None or old.verdict is not Verdict.UNKNOWN:
            return ReportChangeKind.UNCLEAR
        case None, PackageState(verdict=verdict):
            return ReportChangeKind.WORSE if verdict in BLOCKING else ReportChangeKind.CAME
        case PackageState(), None:
            return ReportChangeKind.WENT
        case PackageState(), PackageState():
            if rank(old.verdict) != rank(new.verdict):
                return ReportChangeKind.WORSE if rank(new.verdict) > rank(old.verdict) else ReportChangeKind.BETTER
            same = (old.version, old.verdict) == (new.version, new.verdict)
            return None if same else ReportChangeKind.CHANGED
    return None


def _together(changes: Iterable[ReportChange]) -> Iterator[ReportChange]:
    """Merge changes that are the same on several platforms."""
    groups: dict[tuple[object, ...], list[ReportChange]] = defaultdict(list)
    for change in changes:
        old = None if change.old is None else replace(change.old, reason=None)
        new = None if change.new is None else replace(change.new, reason=None)
        finding = None
        if change.finding is not None:
            finding = (change.finding.code, change.finding.module, change.finding.path)
        groups[change.kind, change.subject, old, new, finding].append(change)
    for group in groups.values():
        yield replace(group[0], platforms=tuple(dict.fromkeys(p for change in group for p in change.platforms)))


def _by_identity(findings: Iterable[ComparedFinding], *, marks: bool) -> dict[tuple[str, ...], list[ComparedFinding]]:
    """Return the findings by their key: the fingerprint, or else everything except the line."""
    known: dict[tuple[str, ...], list[ComparedFinding]] = defaultdict(list)
    for finding in findings:
        if marks:
            key: tuple[str, ...] = (finding.path or "", finding.code, finding.fingerprint or "")
        else:
            what = finding.message if finding.module is None and finding.in_source else ""
            key = (finding.path or "", finding.code, finding.module or "", what)
        known[key].append(finding)
    return known


def _place(finding: ComparedFinding) -> str:
    where = finding.path or finding.module or ""
    return where if finding.line is None else f"{where}:{finding.line}"
