"""What has changed in a project since the last run of `ftaudit watch`, and what the next run compares with.

An answer that a run did not get is never recorded as an answer: the next run compares with the last one that is known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ftaudit.compare.documents import Audit, ComparedPackage, Document
from ftaudit.compare.published import Published, UpstreamChange, compare_published, keep_published
from ftaudit.compare.report_changes import Key, ReportChange, ReportChangeKind, compare
from ftaudit.model import BLOCKING, Verdict

LAST, THIS = "the last run", "this run"


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchedTarget:
    """A project for one target: its judged packages, and what upstream has published for them."""

    audit: Audit
    published: tuple[Published, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchedChanges:
    """What has changed for one target."""

    target: str
    packages: int
    """How many packages the project has."""
    blocking: int
    """How many of them block and are not accepted."""
    first: tuple[str, ...]
    """The platforms that the last run does not have. Their blockers are listed, and nothing else is compared."""
    changes: tuple[ReportChange, ...]
    """What happened to packages and findings, the worst first."""
    upstream: tuple[UpstreamChange, ...]
    unchecked: tuple[ComparedPackage, ...]
    """The rows that could not be checked in this run and are not accepted."""
    unanswered: tuple[Published, ...]
    """The packages with a verdict whose later releases or wheels could not be looked up in this run."""
    unsure: tuple[str, ...]
    """Why else an answer of "nothing has changed" is not certain."""
    not_compared: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """`1` something has changed that may need you, `3` nothing is known to, but not all is known, else `0`."""
        kinds = {change.kind for change in self.changes}
        if self.upstream or kinds & {ReportChangeKind.WORSE, ReportChangeKind.BETTER}:
            return 1
        return 3 if self.unchecked or self.unanswered or self.unsure else 0


def find_changes(old: WatchedTarget | None, new: WatchedTarget, *, stale: tuple[str, ...] = ()) -> WatchedChanges:
    """Return what has changed since the last run, for one target; `old` is `None` if no run had this target.

    `stale` has the reasons why the answers in `new` may be old.
    """
    seen = () if old is None else old.audit.platforms
    first = tuple(platform for platform in new.audit.platforms if platform not in seen)
    changes: list[ReportChange] = []
    not_compared: tuple[str, ...] = ()
    if old is not None and len(first) < len(new.audit.platforms):
        compared = compare(_document(LAST, old.audit, seen), _document(THIS, new.audit, seen))
        changes += compared.changes
        not_compared = compared.not_compared
    elif seen:
        not_compared = (f"{', '.join(seen)}: in the old report only",)
    if first:
        nothing = replace(new.audit, rows=(), incomplete=())
        compared = compare(_document(LAST, nothing, first), _document(THIS, new.audit, first))
        changes += (change for change in compared.changes if _counts_at_first(change))
    if new.audit.incomplete:
        # A package that is not there may only not have been found.
        changes = [change for change in changes if change.kind is not ReportChangeKind.WENT]
    blocking = {row.name for row in new.audit.rows if row.verdict in BLOCKING and not row.accepted}
    return WatchedChanges(
        target=new.audit.target,
        packages=len({row.name for row in new.audit.rows}),
        blocking=len(blocking),
        first=first,
        changes=tuple(change for change in changes if change.kind is not ReportChangeKind.UNCLEAR),
        upstream=compare_published(() if old is None else old.published, new.published),
        unchecked=tuple(row for row in new.audit.rows if row.verdict is Verdict.UNKNOWN and not row.accepted),
        unanswered=tuple(row for row in new.published if row.gap is not None and row.verdict is not Verdict.UNKNOWN),
        unsure=(*stale, *new.audit.incomplete),
        not_compared=not_compared,
    )


def _document(name: str, audit: Audit, platforms: Sequence[str]) -> Document:
    shared = tuple(platform for platform in audit.platforms if platform in platforms)
    return Document(name=name, audits=(replace(audit, platforms=shared, incomplete=()),))


def _counts_at_first(change: ReportChange) -> bool:
    """Return whether a first run lists it: a package that blocks and is not accepted."""
    return change.kind is ReportChangeKind.WORSE and change.new is not None and not change.new.accepted


def keep(old: WatchedTarget | None, new: WatchedTarget) -> WatchedTarget:
    """Return what the next run compares with: the new answers, and the old ones where a new answer is missing.

    Platforms that only the last run has are kept too.
    """
    if old is None:
        old = WatchedTarget(audit=replace(new.audit, rows=()), published=())
    before, after = _by_key(old.audit), _by_key(new.audit)
    alone = [platform for platform in old.audit.platforms if platform not in new.audit.platforms]
    whole = not new.audit.incomplete
    rows = tuple(row for key, found in after.items() for row in _known_rows(before.get(key, ()), found))
    missed = tuple(
        row for key, found in before.items() if key not in after and (not whole or key[1] in alone) for row in found
    )
    apart = tuple(row for row in old.published if row.platform in alone)
    here = [row for row in old.published if row.platform not in alone]
    return WatchedTarget(
        audit=replace(new.audit, platforms=(*new.audit.platforms, *alone), rows=(*rows, *missed), incomplete=()),
        published=(*keep_published(here, new.published, whole=whole), *apart),
    )


def _by_key(audit: Audit) -> dict[Key, tuple[ComparedPackage, ...]]:
    found: dict[Key, tuple[ComparedPackage, ...]] = defaultdict(tuple)
    for row in audit.rows:
        found[row.name, row.platform] += (row,)
    return dict(found)


def _known_rows(old: Sequence[ComparedPackage], new: Sequence[ComparedPackage]) -> tuple[ComparedPackage, ...]:
    """Return the last known rows of a package on a platform; there are several if a lock file forks."""
    before = {row.version: row for row in old}
    known = []
    for row in new:
        last = before.get(row.version)
        if row.verdict is not Verdict.UNKNOWN:
            known.append(_with_source(last, row))
        elif last is not None:
            known.append(last)
    return tuple(known) or tuple(old)


def _with_source(old: ComparedPackage | None, new: ComparedPackage) -> ComparedPackage:
    """Return the row with the findings of the last scan of its source, if this run did not scan it."""
    if old is None or new.source_scanned or not old.source_scanned:
        return new
    mine = tuple(finding for finding in new.findings if not finding.in_source)
    theirs = tuple(finding for finding in old.findings if finding.in_source)
    return replace(new, source_scanned=True, findings=(*mine, *theirs))
