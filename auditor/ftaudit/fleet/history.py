"""What has changed between two runs of a fleet, project by project: the comparison is that of `ftaudit watch`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from ftaudit.compare.documents import Audit, ComparedPackage
from ftaudit.compare.published import LaterAnswer, Published
from ftaudit.compare.watching import WatchedChanges, WatchedTarget, find_changes, keep
from ftaudit.errors import InputError
from ftaudit.fleet.fleet_summary import FleetSummary, FleetTarget, JudgedRelease
from ftaudit.fleet.schema import Mode
from ftaudit.model import Verdict

EVERYTHING: Final = ""
"""The id of the only project of a survey: all packages."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectHistory:
    """What has changed in one project, for one target; for a survey, in all packages."""

    project: str
    """Its id, or `EVERYTHING`."""
    changes: WatchedChanges

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has changed as far as is known."""
        return not self.changes.changes and not self.changes.upstream


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetHistory:
    """What has changed between two runs."""

    old: FleetSummary
    new: FleetSummary
    came: tuple[str, ...]
    """Projects that only the new run has."""
    went: tuple[str, ...]
    """Projects that only the old run has."""
    projects: tuple[ProjectHistory, ...]
    """Every project of both runs, for each target of both."""


def find_history(old: FleetSummary, new: FleetSummary) -> FleetHistory:
    """Compare two runs. Raise `InputError` if they have nothing in common to compare."""
    if old.info.mode is not new.info.mode:
        what = f"one run is a {old.info.mode}, the other one a {new.info.mode}"
        raise InputError(what, hint="compare like with like")
    before = {(target.name, project): rows for target in old.targets for project, rows in _projects(target, old)}
    after = {(target.name, project): rows for target in new.targets for project, rows in _projects(target, new)}
    both = [key for key in after if key in before]
    if not both:
        raise InputError("the two runs have no target and project in common", hint="compare like with like")
    first, second = {project for _, project in before}, {project for _, project in after}
    return FleetHistory(
        old=old,
        new=new,
        came=tuple(sorted(second - first)),
        went=tuple(sorted(first - second)),
        projects=tuple(
            ProjectHistory(project=key[1], changes=find_changes(keep(None, before[key]), after[key])) for key in both
        ),
    )


def _projects(target: FleetTarget, summary: FleetSummary) -> Iterator[tuple[str, WatchedTarget]]:
    platforms = summary.info.platforms
    if summary.info.mode is Mode.SURVEY:
        rows = [row for package in target.packages for row in package.counted]
        yield EVERYTHING, _watched(target.name, platforms, rows, ())
        return
    for project in target.projects:
        if project.problem is None:
            judged = dict.fromkeys(pin.judged for pin in project.pins)
            yield project.id, _watched(target.name, platforms, judged, project.incomplete)


def _watched(
    target: str, platforms: tuple[str, ...], rows: Iterable[JudgedRelease], incomplete: tuple[str, ...]
) -> WatchedTarget:
    found = tuple(rows)
    return WatchedTarget(
        audit=Audit(target=target, platforms=platforms, rows=tuple(map(_row, found)), incomplete=incomplete),
        published=tuple(_published(row) for row in found if row.verdict is not Verdict.PURE),
    )


def _row(row: JudgedRelease) -> ComparedPackage:
    return ComparedPackage(
        name=row.name,
        version=row.version,
        platform=row.platform,
        verdict=row.verdict,
        reason=row.reasons[0] if row.reasons else None,
        accepted=False,
        source_scanned=False,
        findings=(),
    )


def _published(row: JudgedRelease) -> Published:
    later = LaterAnswer.NOT_NEEDED
    if row.blocks:
        # The data set does not say whether the index answered, so a missing release is not a release that is gone.
        later = LaterAnswer.UNKNOWN if row.fix_version is None else LaterAnswer.GOOD
    return Published(
        name=row.name,
        version=row.version,
        platform=row.platform,
        verdict=row.verdict,
        later=later,
        fix=row.fix_version,
        wheels=row.elsewhere,
    )
