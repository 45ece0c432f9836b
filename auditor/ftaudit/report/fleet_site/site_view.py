"""What the pages of a fleet's site show, and in which order: everything is computed before the templates print it."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ftaudit.compare.watching import WatchedChanges
from ftaudit.fleet.fleet_summary import (
    FleetFinding,
    FleetModule,
    FleetPackage,
    FleetPin,
    FleetProject,
    FleetSummary,
    FleetTarget,
    JudgedRelease,
    grouped,
)
from ftaudit.fleet.freeing import Freeing, find_freeing
from ftaudit.fleet.history import EVERYTHING, FleetHistory
from ftaudit.fleet.schema import Mode
from ftaudit.judge.table import rank
from ftaudit.model import BLOCKING, Verdict
from ftaudit.report import changed_projects
from ftaudit.report.fleet_site.headlines import headline, lede
from ftaudit.report.migration.html.pictures import Segment, bar
from ftaudit.report.migration.html.view import OF_THE_BAR, WORST_FIRST
from ftaudit.report.watched_changes import ChangeGroup, change_groups

_WORD: Final = re.compile(r"[^a-z0-9]+")
EXIT_WORDS: Final = {0: "free", 1: "blocked", 2: "failed", 3: "unsure"}


def page_of(kind: str, name: str) -> str:
    """Return the path of the page of a package or project: readable, and its own for any name on any file system."""
    word = _WORD.sub("-", name.lower())[:60].strip("-")
    digest = hashlib.sha256(name.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return f"{kind}/{word}-{digest}.html" if word else f"{kind}/{digest}.html"


@dataclass(frozen=True, kw_only=True)
class TargetOverview:
    """The part of the overview for one target."""

    target: FleetTarget
    headline: str
    lede: tuple[str, ...]
    bar: tuple[Segment, ...]
    freeing: Freeing
    worst: tuple[FleetPackage, ...]
    """In a survey: the packages that block, in the order of the table."""
    failed: tuple[FleetProject, ...]
    incomplete: tuple[FleetProject, ...]
    unknown: tuple[FleetPackage, ...]

    def verdict_link(self, verdict: Verdict) -> str:
        """Return the address of the packages with a verdict."""
        return f"packages.html#verdict={verdict.value}&target={self.target.name}"


def overview(summary: FleetSummary) -> list[TargetOverview]:
    """Return the overview, target by target."""
    return [_overview(target, summary) for target in summary.targets]


def _overview(target: FleetTarget, summary: FleetSummary) -> TargetOverview:
    tally = Counter(package.verdict for package in target.packages)
    freeing = find_freeing(target.projects)
    blocking = [package for package in target.packages if package.verdict in BLOCKING]
    return TargetOverview(
        target=target,
        headline=headline(target),
        lede=tuple(lede(target, freeing, summary.info.mode)),
        bar=bar({verdict: tally[verdict] for verdict in OF_THE_BAR}),
        freeing=freeing,
        worst=tuple(sorted(blocking, key=lambda package: (WORST_FIRST.index(package.verdict), package.name))),
        failed=tuple(project for project in target.projects if project.problem is not None),
        incomplete=tuple(project for project in target.projects if project.incomplete),
        unknown=tuple(package for package in target.packages if package.verdict is Verdict.UNKNOWN),
    )


def package_rows(summary: FleetSummary) -> list[list[Any]]:
    """Return the table of all packages: one row for each package and target, the columns as in `all_packages.html`."""
    return [
        [
            page_of("package", package.name),
            package.name,
            ", ".join(package.versions[:3]) + (" …" if len(package.versions) > 3 else ""),
            package.verdict.value,
            _platforms(package, summary),
            len(package.projects),
            len(package.blocked),
            ", ".join(package.fixes[:3]),
            target.name,
        ]
        for target in summary.targets
        for package in target.packages
    ]


def _platforms(package: FleetPackage, summary: FleetSummary) -> str:
    """Return the platforms with the worst verdict, or "all"."""
    worst = {row.platform for row in package.counted if row.verdict is package.verdict}
    every = [platform for platform in summary.info.platforms if platform in worst]
    return "all" if len(every) == len(summary.info.platforms) > 1 else ", ".join(every)


def project_rows(summary: FleetSummary) -> list[list[Any]]:
    """Return the table of all projects: one row for each project and target, the columns as in `all_projects.html`."""
    return [
        [
            page_of("project", project.id),
            project.name,
            project.id,
            project.owner or "",
            EXIT_WORDS.get(project.exit_code, "failed"),
            len(project.pins),
            len(project.blockers),
            sum(pin.judged.verdict is Verdict.UNKNOWN for pin in project.pins),
            target.name,
        ]
        for target in summary.targets
        for project in target.projects
    ]


@dataclass(frozen=True, kw_only=True)
class ReleasePart:
    """The judgments of one release that agree, for the page of its package."""

    row: JudgedRelease
    platforms: tuple[str, ...]
    modules: tuple[FleetModule, ...]
    findings: tuple[FleetFinding, ...]


@dataclass(frozen=True, kw_only=True)
class PackagePart:
    """One package for one target."""

    target: str
    package: FleetPackage
    releases: tuple[ReleasePart, ...]
    projects: tuple[tuple[str, str, bool], ...]
    """The id and name of each project that pins it, and whether it blocks there."""


@dataclass(frozen=True, kw_only=True)
class PackagePage:
    """The page of one package."""

    name: str
    parts: tuple[PackagePart, ...]


def package_pages(summary: FleetSummary) -> Iterator[PackagePage]:
    """Yield the pages of the packages, by name."""
    names = {target.name: {project.id: project.name for project in target.projects} for target in summary.targets}
    found = ((target, package) for target in summary.targets for package in target.packages)
    for name, pairs in sorted(grouped(found, lambda pair: pair[1].name).items()):
        yield PackagePage(
            name=name,
            parts=tuple(
                PackagePart(
                    target=target.name,
                    package=package,
                    releases=tuple(_releases(target, package)),
                    projects=tuple(
                        (project, names[target.name].get(project, project), project in set(package.blocked))
                        for project in _blocked_first(package)
                    ),
                )
                for target, package in pairs
            ),
        )


def _blocked_first(package: FleetPackage) -> list[str]:
    blocked = set(package.blocked)
    return [*package.blocked, *(project for project in package.projects if project not in blocked)]


def _releases(target: FleetTarget, package: FleetPackage) -> Iterator[ReleasePart]:
    """Yield what counts first, the worst verdict first; platforms that agree are merged."""

    def same(row: JudgedRelease) -> object:
        return row.version, row.verdict, row.reasons, row.wheel, row.next_step, row.wheel_kind

    counted = set(map(id, package.counted))
    ordered = sorted(package.judged, key=lambda row: (id(row) not in counted, -rank(row.verdict)))
    for rows in grouped(ordered, same).values():
        yield ReleasePart(
            row=rows[0],
            platforms=tuple(dict.fromkeys(row.platform for row in rows)),
            modules=target.modules.get(rows[0].sha256 or "", ()),
            findings=tuple(
                dict.fromkeys(each for row in rows for each in target.findings.get((row.key, row.platform), ()))
            ),
        )


@dataclass(frozen=True, kw_only=True)
class PinLine:
    """The pins of one package in a project that agree."""

    pin: FleetPin
    platforms: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ProjectPart:
    """One project for one target."""

    target: str
    project: FleetProject
    word: str
    lines: tuple[PinLine, ...]
    """Every pin, the worst verdict first."""

    @property
    def blockers(self) -> tuple[PinLine, ...]:
        """The pins that block."""
        return tuple(line for line in self.lines if line.pin.judged.blocks)

    @property
    def unknown(self) -> tuple[PinLine, ...]:
        """The pins that could not be judged."""
        return tuple(line for line in self.lines if line.pin.judged.verdict is Verdict.UNKNOWN)


@dataclass(frozen=True, kw_only=True)
class ProjectPage:
    """The page of one project."""

    id: str
    name: str
    owner: str | None
    parts: tuple[ProjectPart, ...]


def project_pages(summary: FleetSummary) -> Iterator[ProjectPage]:
    """Yield the pages of the projects."""
    found = ((target, project) for target in summary.targets for project in target.projects)
    for name, pairs in grouped(found, lambda pair: pair[1].id).items():
        yield ProjectPage(
            id=name,
            name=pairs[0][1].name,
            owner=pairs[0][1].owner,
            parts=tuple(
                ProjectPart(
                    target=target.name,
                    project=project,
                    word=EXIT_WORDS.get(project.exit_code, "failed"),
                    lines=tuple(_lines(project)),
                )
                for target, project in pairs
            ),
        )


def _lines(project: FleetProject) -> Iterator[PinLine]:
    def same(pin: FleetPin) -> object:
        row = pin.judged
        return row.name, row.version, row.verdict, row.reasons, row.next_step

    ordered = sorted(project.pins, key=lambda pin: (WORST_FIRST.index(pin.judged.verdict), pin.judged.name))
    for pins in grouped(ordered, same).values():
        yield PinLine(pin=pins[0], platforms=tuple(dict.fromkeys(pin.judged.platform for pin in pins)))


@dataclass(frozen=True, kw_only=True)
class ChangedProject:
    """What has changed in one project, for one target."""

    project: str
    name: str
    changes: WatchedChanges
    groups: tuple[ChangeGroup, ...]


@dataclass(frozen=True, kw_only=True)
class ChangesView:
    """The page of changes."""

    word: str
    """The answer as a word, and the rest of its sentence."""
    rest: str
    notes: tuple[str, ...]
    """What has a first run, and what was not compared."""
    gaps: tuple[str, ...]
    """What could not be checked in the new run."""
    old: str
    new: str
    figures: tuple[tuple[str, str, str], ...]
    """The headline of each target in the old and in the new run."""
    projects: tuple[ChangedProject, ...]
    quiet: int
    """Projects without a change, each target counted."""
    came: tuple[str, ...]
    went: tuple[str, ...]
    of_survey: bool


def look_back(history: FleetHistory) -> ChangesView:
    """Return the page of changes, the projects with most changes first."""
    before = {target.name: headline(target) for target in history.old.targets}
    names = {project.id: project.name for target in history.new.targets for project in target.projects}
    loud = history.loud
    word, rest = changed_projects.summary(history)
    return ChangesView(
        word=word,
        rest=rest,
        notes=tuple(changed_projects.notes_on_comparison(history)),
        gaps=tuple(changed_projects.notes_on_gaps(history)),
        old=history.old.info.ended,
        new=history.new.info.ended,
        figures=tuple(
            (target.name, before.get(target.name, "not in the old run"), headline(target))
            for target in history.new.targets
        ),
        projects=tuple(
            ChangedProject(
                project=one.project,
                name=names.get(one.project, one.project),
                changes=one.changes,
                groups=tuple(change_groups((one.changes,))),
            )
            for one in loud
        ),
        quiet=len(history.projects) - len(loud),
        came=tuple(project for project in history.came if project != EVERYTHING),
        went=tuple(project for project in history.went if project != EVERYTHING),
        of_survey=history.new.info.mode is Mode.SURVEY,
    )
