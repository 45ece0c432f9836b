"""What a fleet's data set says, put together for its readers: packages, projects, and the headline of each target."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from ftaudit.errors import InputError
from ftaudit.fleet.dataset import read_rows, read_run
from ftaudit.fleet.schema import FINDINGS, MODULES, PACKAGES, PINS, PROJECTS, DataTable, Mode, RunInfo
from ftaudit.judge.table import rank
from ftaudit.model import GapKind, GilDeclaration, Severity, Status, Verdict, WheelKind

FREE_THREADED: Final = frozenset({WheelKind.FREE_THREADED, WheelKind.ABI3T})
"""The kinds of the wheels that are made for free-threaded builds."""
_EXIT_CODES: Final = {code: code for code in range(4)}
"""Those that `ftaudit check` can have."""


@dataclass(frozen=True, kw_only=True)
class JudgedRelease:
    """One judgment: a release on one platform."""

    key: str
    platform: str
    name: str
    version: str | None
    newest: bool
    verdict: Verdict
    blocks: bool
    reasons: tuple[str, ...]
    next_step: str | None
    fix_version: str | None
    wheel_kind: WheelKind
    wheel: str | None
    sha256: str | None
    guilty: tuple[str, ...]
    undetermined: tuple[str, ...]
    elsewhere: tuple[str, ...]
    """Platform tags of its free-threaded wheels for other platforms."""
    pre_release: str | None
    """The newest good pre-release, if no final release is good."""
    index_status: Status
    binary_gap: GapKind | None

    @property
    def is_free_threaded(self) -> bool:
        """Whether its wheel is made for the free-threaded build."""
        return self.wheel_kind in FREE_THREADED

    @property
    def may_have_wheel(self) -> bool:
        """Whether it is not known if it has such a wheel: its files could not be looked up."""
        known = self.is_free_threaded or self.index_status is Status.DONE
        return self.verdict is Verdict.UNKNOWN and not known

    @property
    def is_pure_by_tags(self) -> bool:
        """Whether it counts as pure only by the tags of its wheel, which could not be opened."""
        return self.binary_gap is GapKind.NOT_OPENED


@dataclass(frozen=True, kw_only=True)
class FleetModule:
    """One extension module of a wheel."""

    name: str
    declaration: GilDeclaration
    how: str
    framework: str | None


@dataclass(frozen=True, kw_only=True)
class FleetFinding:
    """One finding about a judged package."""

    code: str
    rule: str
    severity: Severity
    message: str
    module: str | None


@dataclass(frozen=True, kw_only=True)
class FleetPin:
    """One package that a project pins on one platform, with its judgment."""

    project: str
    judged: JudgedRelease
    direct: bool
    chain: tuple[str, ...]
    file: str | None
    line: int | None


@dataclass(frozen=True, kw_only=True)
class FleetProject:
    """One project, for one target."""

    id: str
    name: str
    owner: str | None
    input: str | None
    problem: str | None
    exit_code: int
    incomplete: tuple[str, ...]
    notes: tuple[str, ...]
    pins: tuple[FleetPin, ...]

    @property
    def is_checked(self) -> bool:
        """Whether it was read, and everything in it was checked."""
        unknown = any(pin.judged.verdict is Verdict.UNKNOWN for pin in self.pins)
        return self.problem is None and not self.incomplete and not unknown

    @cached_property
    def blockers(self) -> dict[str, tuple[FleetPin, ...]]:
        """The pins that block, by the name of the package."""
        return grouped((pin for pin in self.pins if pin.judged.blocks), lambda pin: pin.judged.name)


@dataclass(frozen=True, kw_only=True)
class FleetPackage:
    """One package, for one target."""

    name: str
    judged: tuple[JudgedRelease, ...]
    """Every judgment of the run."""
    counted: tuple[JudgedRelease, ...]
    """Those that count: of a survey the newest release, of a check every pinned release."""
    projects: tuple[str, ...]
    """The ids of the projects that pin it."""
    blocked: tuple[str, ...]
    """The ids of the projects that it blocks."""

    @cached_property
    def verdict(self) -> Verdict:
        """The worst verdict of the releases that count."""
        return max((row.verdict for row in self.counted), key=rank)

    @cached_property
    def versions(self) -> tuple[str, ...]:
        """The releases that count, in the order of the data set."""
        return tuple(dict.fromkeys(row.version or "no version" for row in self.counted))

    @cached_property
    def fixes(self) -> tuple[str, ...]:
        """The good later releases of what counts and does not work."""
        return tuple(dict.fromkeys(row.fix_version for row in self.counted if row.fix_version is not None))

    @cached_property
    def pre_releases(self) -> tuple[str, ...]:
        """The good pre-releases of what counts, where no final release is good."""
        return tuple(dict.fromkeys(row.pre_release for row in self.counted if row.pre_release is not None))

    @property
    def has_free_threaded_wheel(self) -> bool:
        """Whether a release that counts has a wheel for the free-threaded build, on any platform of the run."""
        return any(row.is_free_threaded for row in self.counted)

    @property
    def may_have_wheel(self) -> bool:
        """Whether it is not known if a release that counts has such a wheel."""
        return not self.has_free_threaded_wheel and any(row.may_have_wheel for row in self.counted)

    @property
    def enables_gil(self) -> bool:
        """Whether such a wheel enables the GIL, on any platform of the run."""
        return any(row.is_free_threaded and row.verdict is Verdict.REENABLES_GIL for row in self.counted)

    @property
    def unread(self) -> bool:
        """Whether such a wheel could not be judged, and no other one enables the GIL."""
        unknown = any(row.is_free_threaded and row.verdict is Verdict.UNKNOWN for row in self.counted)
        return unknown and not self.enables_gil


@dataclass(frozen=True, kw_only=True)
class FleetTarget:
    """What the data set says for one target."""

    name: str
    packages: tuple[FleetPackage, ...]
    """By name."""
    projects: tuple[FleetProject, ...]
    modules: Mapping[str, tuple[FleetModule, ...]]
    """By the digest of the wheel."""
    findings: Mapping[tuple[str, str], tuple[FleetFinding, ...]]
    """By the key and platform of the judgment."""

    @cached_property
    def with_judged_wheel(self) -> int:
        """How many packages have a wheel for the free-threaded build that was judged."""
        return sum(package.has_free_threaded_wheel and not package.unread for package in self.packages)

    @cached_property
    def enabling(self) -> int:
        """How many of them enable the GIL."""
        return sum(package.enables_gil for package in self.packages)

    @cached_property
    def unread(self) -> int:
        """How many packages have such a wheel that could not be judged."""
        return sum(package.unread for package in self.packages)

    @cached_property
    def unsought(self) -> int:
        """Of how many packages it is not known whether they have such a wheel."""
        return sum(package.may_have_wheel for package in self.packages)

    @cached_property
    def pure_by_tags(self) -> tuple[str, ...]:
        """The packages that count as pure only by the tags of their wheels, which could not be opened."""
        return tuple(package.name for package in self.packages if any(row.is_pure_by_tags for row in package.counted))


@dataclass(frozen=True, kw_only=True)
class FleetSummary:
    """A data set."""

    info: RunInfo
    targets: tuple[FleetTarget, ...]


def read_summary(folder: Path) -> FleetSummary:
    """Return what the data set in a folder says; raise `InputError` for one that ftaudit did not write."""
    info = read_run(folder)
    try:
        return FleetSummary(info=info, targets=tuple(_targets(folder, info)))
    except (KeyError, TypeError, ValueError) as error:
        what = f"{folder} was not written by ftaudit: {error!r:.200}"
        raise InputError(what, hint="create the data set again") from error


def _targets(folder: Path, info: RunInfo) -> Iterable[FleetTarget]:
    packages, pins, projects, modules, findings = (
        _by_target(folder, table, info) for table in (PACKAGES, PINS, PROJECTS, MODULES, FINDINGS)
    )
    for target in info.targets:
        judged = [_judged(row) for row in packages[target]]
        known = {(one.key, one.platform): one for one in judged}
        own = grouped((_pin(row, known) for row in pins[target]), lambda pin: pin.project)
        yield FleetTarget(
            name=target,
            packages=tuple(_packages(judged, own, info.mode)),
            projects=tuple(_project(row, own.get(row["project"], ())) for row in projects[target]),
            modules={
                digest: tuple(map(_module, rows))
                for digest, rows in grouped(modules[target], lambda row: row["sha256"]).items()
            },
            findings={
                key: tuple(map(_finding, rows))
                for key, rows in grouped(findings[target], lambda row: (row["key"], row["platform"])).items()
            },
        )


def _by_target(folder: Path, table: DataTable, info: RunInfo) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of a table for each target; raise `InputError` if they are not as many as the run wrote."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in read_rows(folder, table):
        found[row["target"]].append(row)
    count, written = sum(map(len, found.values())), info.rows.get(table.name)
    if written is not None and count != written:
        what = f"{folder / table.name} has {count} rows, and the run wrote {written}"
        raise InputError(what, hint="create the data set again")
    return found


def _packages(
    judged: Iterable[JudgedRelease], pins: Mapping[str, tuple[FleetPin, ...]], mode: Mode
) -> Iterable[FleetPackage]:
    pinned: dict[str, dict[str, None]] = defaultdict(dict)
    blocked: dict[str, dict[str, None]] = defaultdict(dict)
    for project, found in pins.items():
        for pin in found:
            pinned[pin.judged.name][project] = None
            if pin.judged.blocks:
                blocked[pin.judged.name][project] = None
    for name, rows in sorted(grouped(judged, lambda row: row.name).items()):
        counted = tuple(row for row in rows if row.newest) if mode is Mode.SURVEY else rows
        yield FleetPackage(
            name=name,
            judged=rows,
            counted=counted or rows,
            projects=tuple(pinned[name]),
            blocked=tuple(blocked[name]),
        )


def grouped(rows: Iterable[Any], key: Any) -> dict[Any, tuple[Any, ...]]:
    """Return the rows by a key, in their order."""
    found: dict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return {name: tuple(each) for name, each in found.items()}


def _judged(row: Mapping[str, Any]) -> JudgedRelease:
    return JudgedRelease(
        key=row["key"],
        platform=row["platform"],
        name=row["package"],
        version=row["version"],
        newest=row["newest"],
        verdict=Verdict(row["verdict"]),
        blocks=row["blocks"],
        reasons=tuple(row["reasons"]),
        next_step=row["next_step"],
        fix_version=row["fix_version"],
        wheel_kind=WheelKind(row["wheel_kind"]),
        wheel=row["wheel"],
        sha256=row["sha256"],
        guilty=tuple(row["guilty"]),
        undetermined=tuple(row["undetermined"]),
        elsewhere=tuple(row["other_platforms"]),
        pre_release=row.get("pre_release"),  # Older runs do not have it.
        index_status=Status(row["index_status"]),
        binary_gap=None if row["binary_gap"] is None else GapKind(row["binary_gap"]),
    )


def _pin(row: Mapping[str, Any], known: Mapping[tuple[str, str], JudgedRelease]) -> FleetPin:
    return FleetPin(
        project=row["project"],
        judged=known[row["key"], row["platform"]],
        direct=row["direct"],
        chain=tuple(row["chain"]),
        file=row["file"],
        line=row["line"],
    )


def _project(row: Mapping[str, Any], pins: tuple[FleetPin, ...]) -> FleetProject:
    return FleetProject(
        id=row["project"],
        name=row["name"],
        owner=row["owner"],
        input=row["input"],
        problem=row["problem"],
        exit_code=_EXIT_CODES[row["exit_code"]],
        incomplete=tuple(row["incomplete"]),
        notes=tuple(row["notes"]),
        pins=pins,
    )


def _module(row: Mapping[str, Any]) -> FleetModule:
    return FleetModule(
        name=row["module"],
        declaration=GilDeclaration(row["declaration"]),
        how=row["how"],
        framework=row["framework"],
    )


def _finding(row: Mapping[str, Any]) -> FleetFinding:
    return FleetFinding(
        code=row["code"],
        rule=row["rule"],
        severity=Severity(row["severity"]),
        message=row["message"],
        module=row["module"],
    )
