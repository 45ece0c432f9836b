"""What has changed between two runs of a fleet, project by project: the comparison is that of `ftaudit watch`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from ftaudit.compare.documents import Audit, ComparedPackage
from ftaudit.compare.published import LaterAnswer, Published
from ftaudit.compare.watching import WatchedChanges, WatchedTarget, find_changes, keep
from ftaudit.errors import InputError
from ftaudit.fleet.fleet_summary import FleetProject, FleetSummary, FleetTarget, JudgedRelease
from ftaudit.fleet.schema import Mode
from ftaudit.model import Verdict, worst_exit_code

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
        return not self.number

    @property
    def number(self) -> int:
        """How many changes there are."""
        return len(self.changes.changes) + len(self.changes.upstream)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPart:
    """A target with some of its platforms."""

    target: str
    platforms: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetHistory:
    """What has changed between two runs."""

    old: FleetSummary
    new: FleetSummary
    came: tuple[str, ...]
    """Projects that only the new run has. Their blockers are listed as worse, as in a first run."""
    went: tuple[str, ...]
    """Projects that only the old run has."""
    failed: tuple[FleetProject, ...]
    """Projects that the new run could not read."""
    projects: tuple[ProjectHistory, ...]
    """Every project that the new run has judged, for each target. What the old run does not have has a first run."""

    @property
    def first(self) -> tuple[RunPart, ...]:
        """What only the new run has: its blockers are listed as worse, as in a first run."""
        return _parts(self.new, without=self.old)

    @property
    def dropped(self) -> tuple[RunPart, ...]:
        """What only the old run has, and so was not compared."""
        return _parts(self.old, without=self.new)

    @property
    def first_read(self) -> tuple[str, ...]:
        """Projects that the old run has and could not read: in the new run, they have a first run."""
        unread = {one.id for target in self.old.targets for one in target.projects if one.problem is not None}
        read = {one.project for one in self.projects}
        return tuple(sorted(unread & read))

    @property
    def loud(self) -> tuple[ProjectHistory, ...]:
        """The projects in which something has changed, those with most changes first."""
        found = (one for one in self.projects if not one.is_quiet)
        return tuple(sorted(found, key=lambda one: (-one.number, one.project, one.changes.target)))

    @property
    def exit_code(self) -> int:
        """`1` something has changed that may need you, `3` nothing is known to, but not all is known, else `0`."""
        code = worst_exit_code(one.changes.exit_code for one in self.projects)
        return 3 if code == 0 and self.failed else code


def find_history(old: FleetSummary, new: FleetSummary) -> FleetHistory:
    """Compare two runs. Raise `InputError` if they have nothing in common to compare."""
    if old.info.mode is not new.info.mode:
        what = f"one run is a {old.info.mode}, the other is a {new.info.mode}"
        raise InputError(what, hint="specify two runs of `ftaudit fleet check`, or two of `ftaudit fleet survey`")
    before = {(target.name, project): rows for target in old.targets for project, rows in _projects(target, old)}
    after = {(target.name, project): rows for target in new.targets for project, rows in _projects(target, new)}
    first, second = _ids(old), _ids(new)
    if not first & second:
        raise InputError("the two runs have no project in common", hint="specify two runs of the same projects")
    return FleetHistory(
        old=old,
        new=new,
        came=tuple(sorted(second - first)),
        went=tuple(sorted(first - second)),
        failed=tuple({one.id: one for target in new.targets for one in target.projects if one.problem}.values()),
        projects=tuple(
            ProjectHistory(project=key[1], changes=find_changes(_known(before.get(key)), rows))
            for key, rows in after.items()
        ),
    )


def _parts(run: FleetSummary, *, without: FleetSummary) -> tuple[RunPart, ...]:
    found = []
    for target in run.info.targets:
        other = without.info.platforms if target in without.info.targets else ()
        alone = tuple(platform for platform in run.info.platforms if platform not in other)
        if alone:
            found.append(RunPart(target=target, platforms=alone))
    return tuple(found)


def _known(rows: WatchedTarget | None) -> WatchedTarget | None:
    return None if rows is None else keep(None, rows)


def _ids(summary: FleetSummary) -> set[str]:
    if summary.info.mode is Mode.SURVEY:
        return {EVERYTHING}
    return {project.id for target in summary.targets for project in target.projects}


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
        early=row.pre_release,
        wheels=row.elsewhere,
    )
