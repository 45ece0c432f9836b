"""Walks a lock file's packages for one target and platform: no network, no resolver."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from pathlib import Path

from packaging.utils import NormalizedName

from ftaudit.errors import InputError
from ftaudit.lockfiles.graph import find_chains
from ftaudit.lockfiles.markers import Markers
from ftaudit.lockfiles.requirements import Edge, Lock, LockedPackage, Requirements
from ftaudit.lockfiles.selection import Selection
from ftaudit.model import Location, Pin
from ftaudit.target import Platform, Target, marker_environment


def pins_of_lock(
    requirements: Requirements, lock: Lock, target: Target, platform: Platform, *, no_deps: bool
) -> Selection:
    """Return what the lock file installs for the target on the platform.

    Raise `InputError` for a marker that is malformed or a need of a package that is not there.
    """
    place = Location(path=str(requirements.path))
    markers = Markers(marker_environment(target, platform), lock.extras, lock.groups)
    notes, incomplete = [], []
    if lock.requires_python is not None and not lock.requires_python.contains(target.full_version, prereleases=True):
        incomplete.append(
            f"{place} is locked for Python {lock.requires_python}: what it lists for {target.name} may not be all"
        )
    if not markers.any_hold(lock.environments, place):
        incomplete.append(f"{place} is locked for other environments than {platform.name} with {target.name}")
    if lock.single_environment:
        notes.append(
            f"{place} lists the files for one environment alone: the index is asked which others there are; "
            f"installing from it on {target.name} needs a new lock"
        )
    walk = _Walk(lock.packages, markers)
    roots = walk.from_roots(lock.roots) if lock.roots is not None else walk.from_markers()
    if no_deps:
        walk.keep_only(roots)
    return Selection(pins=walk.pins(roots, lock), notes=tuple(notes), incomplete=tuple(incomplete))


class _Walk:
    """The packages that are reached, with their extras and who needs them; packages go by position."""

    def __init__(self, packages: Sequence[LockedPackage], markers: Markers) -> None:
        self._packages, self._markers = packages, markers
        self._by_name: dict[NormalizedName, list[int]] = defaultdict(list)
        for position, package in enumerate(packages):
            self._by_name[package.name].append(position)
        self._children: dict[int, list[int]] = {}
        self._extras: dict[int, set[str]] = {}

    def from_roots(self, roots: Sequence[tuple[Edge, Location]]) -> dict[int, Location]:
        """Follow the project's own requirements; return the root packages with their places."""
        found: dict[int, Location] = {}
        waiting: deque[tuple[int, str | None]] = deque()
        for edge, place in roots:
            for position in self._follow(edge, place, waiting):
                found.setdefault(position, place)
        done: set[tuple[int, str | None]] = set()
        while waiting:
            step = waiting.popleft()
            if step in done:
                continue
            done.add(step)
            position, extra = step
            package = self._packages[position]
            edges = package.edges if extra is None else package.extra_edges.get(extra, ())
            for edge in edges:
                self._children[position].extend(self._follow(edge, package.location, waiting))
        return found

    def from_markers(self) -> dict[int, Location]:
        """Take every package whose marker holds; return those that none of them needs."""
        taken = [i for i, p in enumerate(self._packages) if self._markers.hold(p.marker, p.location)]
        for position in taken:
            self._children[position], self._extras[position] = [], set()
        for position in taken:
            for edge in self._packages[position].edges:
                self._children[position] += [
                    i for i in self._by_name[edge.name] if i in self._children and _is(edge, self._packages[i])
                ]
        needed = {child for position in taken for child in self._children[position] if child != position}
        roots = [position for position in taken if position not in needed]
        reached = set(find_chains(roots, self._children, self._names()))
        # A circle that nothing outside needs has no root of its own: each of its members is one.
        roots += [position for position in taken if position not in reached]
        return {position: self._packages[position].location for position in roots}

    def keep_only(self, roots: dict[int, Location]) -> None:
        """Forget what the roots pull in."""
        self._children = {position: [] for position in roots}

    def pins(self, roots: dict[int, Location], lock: Lock) -> tuple[Pin, ...]:
        """Return a pin for each package reached, by name."""
        names = self._names()
        chains = find_chains(self._judged(list(roots)), self._skipping_own(), names)
        pins = []
        for position, found in chains.items():
            package = self._packages[position]
            pins.append(
                Pin(
                    name=package.name,
                    version=package.version,
                    extras=tuple(sorted(self._extras.get(position, ()))),
                    required_by=tuple(tuple(names[node] for node in chain) for chain in found),
                    source=package.location,
                    files=None if lock.single_environment and package.source is None else package.files,
                    index_url=package.index_url,
                    problem=package.problem or _unjudgeable(package),
                    source_tree=package.source_tree,
                )
            )
        return tuple(sorted(pins, key=lambda pin: (pin.name, str(pin.version))))

    def _names(self) -> dict[int, NormalizedName]:
        return {position: package.name for position, package in enumerate(self._packages)}

    def _judged(self, positions: Sequence[int]) -> list[int]:
        """Replace the project's own packages among the positions by what they need."""
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

    def _follow(self, edge: Edge, place: Location, waiting: deque[tuple[int, str | None]]) -> list[int]:
        if not self._markers.hold(edge.marker, place):
            return []
        positions = [i for i in self._by_name.get(edge.name, ()) if _is(edge, self._packages[i])]
        if not positions:
            version = f" {edge.version}" if edge.version else ""
            raise InputError(
                f"{place}: the package {edge.name}{version}, which is needed here, is not in the lock file"
            )
        if len(positions) > 1:
            packages = self._packages
            positions = [
                i for i in positions if self._markers.any_hold(packages[i].resolution_markers, packages[i].location)
            ]
        for position in positions:
            self._children.setdefault(position, [])
            self._extras.setdefault(position, set()).update(edge.extras)
            waiting.extend((position, extra) for extra in (None, *edge.extras))
        return positions


def _is(edge: Edge, package: LockedPackage) -> bool:
    if edge.source is not None and package.source is not None and edge.source != package.source:
        return False
    return (
        edge.version is None
        or edge.version == str(package.version)
        or (package.version is not None and package.version == _version(edge.version))
    )


def _version(text: str) -> object:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(text)
    except InvalidVersion:
        return None


def _unjudgeable(package: LockedPackage) -> str | None:
    """Say why a package cannot be looked up or looked at; a folder is looked at as files and needs no version."""
    if package.source_tree is not None:
        return None if Path(package.source_tree).is_dir() else f"the folder does not exist: {package.source_tree}"
    return "the lock file gives no version" if package.version is None else None
