"""The content of the pre-migration report in any format: the audit, the plan, the project's own source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ftaudit.model import Severity, Verdict
from ftaudit.report.package.agreeing_rows import counted
from ftaudit.report.package.readiness import Readiness, count_ready

if TYPE_CHECKING:
    from ftaudit.engine.reproduce import Reproduction
    from ftaudit.model import Report
    from ftaudit.model.outlook import Outlook
    from ftaudit.model.plans import Plan
    from ftaudit.source.tree_scan import ScanResult

READY: Final = frozenset({Verdict.READY, Verdict.PURE})
"""The verdicts that need no action."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Migration:
    """The content of the pre-migration report. A missing part has its reason instead."""

    report: Report
    project: str | None = None
    """The name of the project that the inputs belong to, if it is one project with a name."""
    plan: Plan | None = None
    no_plan: str | None = None
    """The reason for a missing plan, in one sentence."""
    scan: ScanResult | None = None
    scanned: tuple[str, ...] = ()
    """The folders and files of the project that were scanned, as the user named them."""
    no_scan: str | None = None
    """Why the project's own source was not scanned, in one sentence."""
    outlook: Outlook | None = None
    """What the next release of CPython has for the packages, at the versions that the plan proposes."""
    reproduction: Reproduction | None = None
    incomplete: tuple[str, ...] = ()
    """What was not checked, except what the report or the scan already names."""

    @property
    def exit_code(self) -> int:
        """The exit code of `ftaudit check`; also `3` if a source file of the project could not be read."""
        code = self.report.exit_code
        unread = self.scan is not None and self.scan.unread
        return 3 if code == 0 and (unread or self.incomplete) else code


def sums(migration: Migration) -> Iterator[str]:
    """Yield the lines below the headline: the ready count, the effect of the plan, the findings in the source."""
    counts = count_ready(migration.report)
    ready, slower, through = (counts[each] for each in (Readiness.READY, Readiness.SLOWER, Readiness.NEEDS_BLOCKED))
    tail = f"; {counted(slower, 'other')} {'works' if slower == 1 else 'work'} without compiled code" if slower else ""
    tail += f"; {counted(through, 'other')} {'needs' if through == 1 else 'need'} a blocked package" if through else ""
    total = sum(counts.values())
    yield f"{ready} of {counted(total, 'package')} {'is' if 1 in (ready, total) else 'are'} ready{tail}."
    plan = migration.plan
    if plan is not None and plan.blocked:
        blockers, left = counted(len(plan.blocked), "blocker"), len(plan.still_blocked)
        changes = counted(len(plan.changes), "version change")
        if plan.changes:
            yield f"{changes} would remove {len(plan.blocked) - left} of {blockers}."
        if left:
            yield f"{left} of {blockers} {'has' if left == 1 else 'have'} no working final release yet."
    if migration.scan is not None:
        found = Counter(finding.severity for finding in migration.scan.findings)
        hazards = f"{counted(found[Severity.ERROR], 'error')} and {counted(found[Severity.WARNING], 'warning')}"
        yield f"The project's own source has {hazards}."
