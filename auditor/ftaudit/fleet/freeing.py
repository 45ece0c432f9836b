"""In which order to fix packages so that projects are freed soonest."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ftaudit.fleet.fleet_summary import FleetPin, FleetProject


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetFix:
    """One package to move to its good release, in every project that it blocks."""

    name: str
    versions: tuple[str, ...]
    """The pinned versions that block."""
    releases: tuple[str, ...]
    """The good releases that they move to."""
    frees: int
    """Projects in which nothing blocks after this fix and those before it."""
    freed: int
    """Projects in which nothing blocks by then, in total."""
    blocks: int
    """Projects that the package blocks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unfixed:
    """One blocker without a good release."""

    name: str
    versions: tuple[str, ...]
    blocks: int
    """Projects that it blocks."""
    alone: int
    """Projects that only it blocks."""
    pre_releases: tuple[str, ...]
    """The good pre-releases."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Freeing:
    """What frees the projects of a fleet, for one target."""

    blocked: int
    """Projects in which something blocks."""
    fixes: tuple[FleetFix, ...]
    """The one that frees most projects first."""
    unfixed: tuple[Unfixed, ...]
    """What has no good release in at least one project, the one that blocks most projects first."""


def find_freeing(projects: Sequence[FleetProject]) -> Freeing:
    """Return the fixes in the order in which they free the most projects, and the blockers without one.

    A package is fixed in a project if each of its pins that block has a good later release. At each step, the package
    that frees the most projects is taken; if none frees a project by itself, the one that brings most projects closest.
    """
    blocked = [project for project in projects if project.blockers]
    pins: dict[str, list[FleetPin]] = defaultdict(list)
    stuck: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    open_in: dict[str, set[str]] = {}
    waiting: dict[str, set[str]] = defaultdict(set)
    for project in blocked:
        without = {name for name, found in project.blockers.items() if not _is_fixed(found)}
        for name, found in project.blockers.items():
            pins[name] += found
            if name in without:
                stuck[name] += 1
                alone[name] += len(project.blockers) == 1
            else:
                waiting[name].add(project.id)
        if not without:
            open_in[project.id] = set(project.blockers)
    blocks = Counter(name for project in blocked for name in project.blockers)
    fixes: list[FleetFix] = []
    freed = 0
    while waiting:
        name = _best(waiting, open_in)
        free = [one for one in waiting.pop(name) if one in open_in]
        for one in free:
            open_in[one].discard(name)
        frees = sum(not open_in[one] for one in free)
        freed += frees
        fixed = [pin for pin in pins[name] if pin.judged.fix_version is not None]
        fixes.append(
            FleetFix(
                name=name,
                versions=_unique(pin.judged.version for pin in fixed),
                releases=_unique(pin.judged.fix_version for pin in fixed),
                frees=frees,
                freed=freed,
                blocks=blocks[name],
            )
        )
    unfixed = (
        Unfixed(
            name=name,
            versions=_unique(pin.judged.version for pin in pins[name] if pin.judged.fix_version is None),
            blocks=number,
            alone=alone[name],
            pre_releases=_unique(pin.judged.pre_release for pin in pins[name] if pin.judged.fix_version is None),
        )
        for name, number in stuck.items()
    )
    return Freeing(
        blocked=len(blocked),
        fixes=tuple(fixes),
        unfixed=tuple(sorted(unfixed, key=lambda one: (-one.blocks, -one.alone, one.name))),
    )


def _is_fixed(pins: Sequence[FleetPin]) -> bool:
    return all(pin.judged.fix_version is not None for pin in pins)


def _best(waiting: dict[str, set[str]], open_in: dict[str, set[str]]) -> str:
    """Return the package whose fix frees most projects now, then the one that brings them closest, then by name."""
    frees: Counter[str] = Counter()
    closer: dict[str, Fraction] = defaultdict(Fraction)
    for left in open_in.values():
        for name in left:
            closer[name] += Fraction(1, len(left))
        if len(left) == 1:
            frees[next(iter(left))] += 1
    return min(waiting, key=lambda name: (-frees[name], -closer[name], -len(waiting[name]), name))


def _unique(texts: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({text for text in texts if text is not None}))
