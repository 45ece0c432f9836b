"""Walks a lock file's packages for one target and platform: no network, no resolver."""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from packaging.utils import NormalizedName

from ftaudit.errors import InputError
from ftaudit.lockfiles.dependencies.graph import find_chains
from ftaudit.lockfiles.dependencies.markers import Markers
from ftaudit.lockfiles.fields import listing, note_of_edges
from ftaudit.lockfiles.requirements import Edge, LockData, LockedPackage, Requirements
from ftaudit.lockfiles.selection import Selection
from ftaudit.lockfiles.trees import find_compiled
from ftaudit.model import Location, OnDisk, Pin
from ftaudit.target import Platform, Target, marker_environment

MOST_FORKS: Final = 200
"""How often one package can be in a lock file: each dependency on it is compared with each of them."""


def pins_of_lock(
    requirements: Requirements, lock: LockData, target: Target, platform: Platform, *, no_deps: bool
) -> Selection:
    """Return the packages that the lock file installs for the target on the platform.

    Raise `InputError` for a malformed marker, or for a missing dependency if the format does not allow one.
    """
    selections = [
        _pins_of_choice(requirements, each, target, platform, no_deps=no_deps) for each in lock.apart or (lock,)
    ]
    return selections[0] if len(selections) == 1 else _together(selections)


def _pins_of_choice(
    requirements: Requirements, lock: LockData, target: Target, platform: Platform, *, no_deps: bool
) -> Selection:
    place = Location(path=str(requirements.path))
    environment = marker_environment(target, platform)
    notes, incomplete = [], []
    ranges = lock.requires_python
    is_foreign = False
    remedy = f"; change {lock.remedy}, and lock again" if lock.remedy else ""
    if ranges and not any(each.contains(target.full_version, prereleases=True) for each in ranges):
        is_foreign = True
        text = " or ".join(map(str, ranges))
        incomplete.append(
            f"{place} is locked for Python {text}, so its list for {target.name} may be incomplete{remedy}"
        )
    is_elsewhere = bool(lock.platforms) and not any(_is_platform(each, platform) for each in lock.platforms)
    if is_elsewhere or not Markers(environment, lock.extras, lock.groups).any_hold(lock.environments, place):
        is_foreign = True
        incomplete.append(
            f"{place} is not locked for {target.name} on {platform.name}, so its list may be incomplete{remedy}"
        )
    absent = [str(package.name) for package in lock.packages if package.is_member and not _is_here(package)]
    if absent:
        notes.append(f"workspace members without files here were not checked: {', '.join(absent)}")
    if lock.single_environment and not is_foreign:
        notes.append(
            f"{place} lists the files for one environment only, so ftaudit asks the index for others; "
            f"to install from it on {target.name}, lock again"
        )
    extras, more = lock.extras, lock.extras
    while True:
        walk = _PackageWalk(lock, Markers(environment, more, lock.groups), place, is_foreign=is_foreign, target=target)
        roots = walk.from_roots(lock.roots) if lock.roots is not None else walk.from_markers()
        extras, more = more, more | (walk.activated & lock.conflicting)
        if more == extras:
            break
    if no_deps:
        walk.keep_only(roots)
    return Selection(
        pins=walk.pins(roots),
        notes=(*notes, *lock.notes, *walk.notes(), *note_of_edges(requirements.path, lock.edges_from)),
        incomplete=(*incomplete, *lock.incomplete, *walk.missing),
    )


_PLATFORM: Final = re.compile(r"(linux|manylinux|alpine|musllinux|macos|windows)(?:_\d+_\d+)?(?:_(\w+))?")
_SYSTEMS: Final = {"macos": "darwin", "windows": "win32"}
_USUAL_MACHINE: Final = {"macos": "arm64"}
"""Used if a platform is named without its machine (dep-logic's `Platform.parse`); otherwise x86_64."""


def _is_platform(name: str, platform: Platform) -> bool:
    """Return whether PDM's name of a platform matches the given one: its system, machine, and C library."""
    match = _PLATFORM.fullmatch(name)
    if match is None:
        return False
    system, machine = match[1], match[2] or _USUAL_MACHINE.get(match[1], "x86_64")
    if _SYSTEMS.get(system, "linux") != platform.sys_platform:
        return False
    same = {"amd64": "x86_64", "aarch64": "arm64"}
    found = platform.machine.lower()
    if same.get(machine.lower(), machine.lower()) != same.get(found, found):
        return False
    has_musl = any(tag.startswith("musllinux") for tag in platform.tags)
    return platform.sys_platform != "linux" or has_musl == (system in ("alpine", "musllinux"))


def _together(selections: Sequence[Selection]) -> Selection:
    """Return what mutually exclusive choices install, each separately: a package of both is one row."""
    pins: dict[tuple[object, ...], Pin] = {}
    for pin in (pin for selection in selections for pin in selection.pins):
        key = (pin.name, pin.version, pin.source, pin.source_tree, pin.problem)
        known = pins.get(key)
        if known is not None:
            chains = sorted(dict.fromkeys((*known.required_by, *pin.required_by)), key=len)
            extras = tuple(sorted({*known.extras, *pin.extras}))
            pin = replace(known, required_by=tuple(chains), extras=extras)
        pins[key] = pin
    return Selection(
        pins=tuple(sorted(pins.values(), key=lambda pin: (pin.name, str(pin.version)))),
        notes=tuple(dict.fromkeys(note for selection in selections for note in selection.notes)),
        incomplete=tuple(dict.fromkeys(text for selection in selections for text in selection.incomplete)),
    )


class _PackageWalk:
    """The packages reached so far, with their extras and dependents; packages are identified by position."""

    def __init__(self, lock: LockData, markers: Markers, place: Location, *, is_foreign: bool, target: Target) -> None:
        """`is_foreign`: the lock file was made for environments other than the given one."""
        self._abi = target.abi
        self._is_foreign = is_foreign
        self._lock, self._packages, self._markers, self._place = lock, lock.packages, markers, place
        self._by_name: dict[NormalizedName, list[int]] = defaultdict(list)
        for position, package in enumerate(self._packages):
            self._by_name[package.name].append(position)
        for name, positions in self._by_name.items():
            if len(positions) > MOST_FORKS:
                raise InputError(f"{place} contains {name} {len(positions):,} times, more than {MOST_FORKS}")
        self._children: dict[int, list[int]] = {}
        self._extras: dict[int, set[str]] = {}
        self._listed: set[int] = set()
        self._waiting: deque[tuple[int, str | None]] = deque()
        self.missing: dict[str, None] = {}
        """Dependencies that are missing, one sentence each."""
        self.activated: set[str] = set()
        """The choices that edges request, in the spelling of markers: `extra-3-app-fast`."""

    def from_roots(self, roots: Sequence[tuple[Edge, Location]]) -> list[int]:
        """Follow the project's own requirements; return the root packages."""
        found: dict[int, None] = {}
        for edge, place in roots:
            found |= dict.fromkeys(self._follow(edge, place, None, None))
        self._follow_all(None)
        self._listed |= set(found)
        return list(found)

    def from_markers(self) -> list[int]:
        """Select every package whose marker is true; return those that the project lists or that no other package
        needs.
        """
        taken = {i for i, p in enumerate(self._packages) if self._holds(p.marker, p.location, None)}
        for position in sorted(taken):
            self._children[position], self._extras[position] = [], set()
            self._waiting.append((position, None))
        roots: dict[int, None] = {}
        for edge in self._lock.direct:
            roots |= dict.fromkeys(self._follow(edge, self._place, None, taken))
        self._listed |= set(roots)
        self._follow_all(taken)
        if self._lock.tolerant and roots:
            self._adopt(taken)
        needed = {child for position in taken for child in self._children[position] if child != position}
        roots |= dict.fromkeys(position for position in sorted(taken) if position not in needed)
        reached = set(find_chains(roots, self._children, self._names()))
        # A cycle that nothing outside needs has no root: each of its members is one.
        roots |= dict.fromkeys(position for position in sorted(taken) if position not in reached)
        return list(roots)

    def _follow_all(self, taken: set[int] | None) -> None:
        """Process the queue, each package with each of its extras once."""
        done: set[tuple[int, str | None]] = set()
        while self._waiting:
            step = self._waiting.popleft()
            if step in done:
                continue
            done.add(step)
            position, extra = step
            package = self._packages[position]
            edges = package.edges if extra is None else package.extra_edges.get(extra, ())
            for edge in edges:
                self._children[position].extend(self._follow(edge, package.location, package, taken, extra))

    def _adopt(self, taken: set[int]) -> None:
        """Attribute a package that is not a root and that nothing needs to each package with an extra that needs it.

        If the lock file records the user's requirements, only such an extra can have added the package.
        """
        needed = {child for position in taken for child in self._children[position]}
        orphans = taken - needed - self._listed
        for position in sorted(taken):
            package = self._packages[position]
            for extra, edges in package.extra_edges.items():
                for edge in edges:
                    if self._holds(edge.marker, package.location, extra):
                        self._children[position] += [i for i in self._candidates(edge) if i in orphans]

    def keep_only(self, roots: Sequence[int]) -> None:
        """Remove everything that the roots pull in."""
        self._children = {position: [] for position in roots}

    def pins(self, roots: Sequence[int]) -> tuple[Pin, ...]:
        """Return a pin for each reached package, by name."""
        names = self._names()
        chains = find_chains(self._judged(roots), self._skipping_own(), names)
        pins = [_member(package) for package in self._packages if package.is_member and _is_compiled(package)]
        for position, found in chains.items():
            package = self._packages[position]
            is_known = self._lock.knows_edges or position in self._listed
            pins.append(
                Pin(
                    name=package.name,
                    version=package.version,
                    extras=tuple(sorted(self._extras.get(position, ()))),
                    required_by=tuple(tuple(names[node] for node in chain) for chain in found if is_known),
                    source=package.location,
                    files=None if self._proves_no_absence(package) else package.files,
                    allowed_hashes=package.allowed_hashes,
                    index_url=package.index_url,
                    problem=None if self._on_disk(package) else package.problem or _unjudgeable(package),
                    on_disk=self._on_disk(package),
                    source_tree=package.source_tree,
                )
            )
        return tuple(sorted(pins, key=lambda pin: (pin.name, str(pin.version))))

    def notes(self) -> Iterator[str]:
        """Yield which installed packages are judged by files of the index that are not those installed."""
        origins: dict[str, list[str]] = {}
        for package in self._packages:
            if package.origin is not None and self._on_disk(package) is None:
                origins.setdefault(package.origin, []).append(package.name)
        for origin, names in origins.items():
            yield f"{origin}; the index's files of the same version are checked instead: {listing(names)}"

    def _on_disk(self, package: LockedPackage) -> OnDisk | None:
        """Return the place where a package is installed, if that is in an environment of the target."""
        found = package.on_disk
        return found if found is not None and found.abi == self._abi and package.source_tree is None else None

    def _proves_no_absence(self, package: LockedPackage) -> bool:
        """Return whether the index may have files of the package that the lock file does not list.

        If all listed files are pure Python, the index most likely has no others.
        """
        if not package.from_index:
            return False
        if self._lock.single_environment:
            return True
        wheels = [file for file in package.files or () if file.filename.endswith(".whl")]
        return self._is_foreign and not (wheels and all(file.filename.endswith("-none-any.whl") for file in wheels))

    def _names(self) -> dict[int, NormalizedName]:
        return {position: package.name for position, package in enumerate(self._packages)}

    def _judged(self, positions: Sequence[int]) -> list[int]:
        """Replace the project's own packages among the positions with their dependencies."""
        found: dict[int, None] = {}
        waiting, seen = deque(positions), set()
        while waiting:
            position = waiting.popleft()
            if position in seen:
                continue
            seen.add(position)
            if self._packages[position].own:
                waiting.extend(self._children.get(position, ()))
            else:
                found[position] = None
        return list(found)

    def _skipping_own(self) -> dict[int, list[int]]:
        return {
            position: self._judged(children)
            for position, children in self._children.items()
            if not self._packages[position].own
        }

    def _follow(
        self,
        edge: Edge,
        place: Location,
        parent: LockedPackage | None,
        taken: set[int] | None,
        extra: str | None = None,
    ) -> list[int]:
        """Return the packages that an edge leads to, limited to `taken` if markers have selected packages."""
        asked = frozenset(f"extra-{len(edge.name)}-{edge.name}-{one}" for one in edge.extras) & self._lock.conflicting
        if not self._holds(edge.marker, place, extra, asked):
            return []
        self.activated |= asked
        positions = self._candidates(edge)
        if not positions:
            self._miss(edge, place, parent)
        if taken is not None:
            positions = [position for position in positions if position in taken]
        elif len(positions) > 1:
            positions = [position for position in positions if self._is_of_this_fork(self._packages[position])]
        for position in positions:
            self._children.setdefault(position, [])
            self._extras.setdefault(position, set()).update(edge.extras)
            self._waiting.extend((position, extra) for extra in (None, *edge.extras))
        return positions

    def _candidates(self, edge: Edge) -> list[int]:
        found = [i for i in self._by_name.get(edge.name, ()) if _is(edge, self._packages[i])]
        if edge.specifier is None or len(found) < 2:
            return found
        versions = [(i, self._packages[i].version) for i in found]
        fitting = [i for i, v in versions if v is not None and edge.specifier.contains(v, prereleases=True)]
        return fitting or found

    def _is_of_this_fork(self, package: LockedPackage) -> bool:
        forks = package.resolution_markers or tuple(filter(None, (package.marker,)))
        return self._markers.any_hold(forks, package.location)

    def _holds(
        self, marker: str | None, place: Location, extra: str | None, also: frozenset[str] = frozenset()
    ) -> bool:
        try:
            return self._markers.hold(marker, place, extra=extra, also=also)
        except InputError as error:
            if not self._lock.tolerant:
                raise
            self.missing[f"skipped an invalid requirement: {error.problem}"] = None
            return False

    def _miss(self, edge: Edge, place: Location, parent: LockedPackage | None) -> None:
        """Report a missing dependency; raise `InputError` if that is an error in the lock file."""
        version = f" {edge.version}" if edge.version else ""
        if self._lock.closed:
            raise InputError(
                f"{place}: the package {edge.name}{version}, which is needed here, is not in the lock file"
            )
        who = f"{parent.name} {parent.version or ''}".strip() if parent is not None else "the project"
        self.missing[f"{who} needs {edge.name}, which is not in {self._place.path}"] = None


def _member(package: LockedPackage) -> Pin:
    return Pin(
        name=package.name,
        version=package.version,
        required_by=((package.name,),),
        source=package.location,
        source_tree=package.source_tree,
    )


def _is_compiled(package: LockedPackage) -> bool:
    """Return whether a member of the workspace exists locally and would contain compiled code."""
    return _is_here(package) and find_compiled(Path(package.source_tree or "")) is not None


def _is_here(package: LockedPackage) -> bool:
    return package.source_tree is not None and Path(package.source_tree).is_dir()


def _is(edge: Edge, package: LockedPackage) -> bool:
    if edge.source is not None and package.source is not None and edge.source != package.source:
        return False
    return (
        edge.version is None
        or edge.version == str(package.version)
        or (package.version is not None and package.version == _version(edge.version))
    )


def _version(text: str) -> object:
    from packaging.version import Version

    try:
        return Version(text)
    except ValueError:  # InvalidVersion, or more digits than Python converts.
        return None


def _unjudgeable(package: LockedPackage) -> str | None:
    """Return why a package cannot be looked up or checked; a folder is read as files and needs no version."""
    if package.source_tree is not None:
        return None if Path(package.source_tree).is_dir() else f"the folder does not exist: {package.source_tree}"
    return "the lock file has no version" if package.version is None else None
