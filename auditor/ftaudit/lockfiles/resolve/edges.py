"""Finds the dependency edges for a lock file without them: uv reads the metadata of the pinned versions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName

from ftaudit.lockfiles.locked import pins_of_lock
from ftaudit.lockfiles.requirements import Edge, EdgeSource, InputRequirement, LockData, Requirements
from ftaudit.lockfiles.resolve.unpinned import resolve
from ftaudit.lockfiles.selection import ResolveOptions, Selection
from ftaudit.model import Location, Pin
from ftaudit.target import Platform, Target


def with_edges(
    requirements: Requirements,
    lock: LockData,
    selection: Selection,
    target: Target,
    platform: Platform,
    options: ResolveOptions,
) -> Selection:
    """Return the selection with the chains from the packages' metadata, or unchanged without metadata.

    The pins do not change. A dependency of a pin that is missing from the lock file makes the answer incomplete. Raise
    `ResolutionError` if uv cannot be run.
    """
    place = Location(path=str(requirements.path))
    roots = exact(selection.pins, place)
    if not roots:
        return selection
    asked = dataclasses.replace(requirements, roots=roots, lock=None)
    answer = resolve(asked, target, platform, options)
    # Every pin is a root, so that each package that needs it directly comes before it in a chain of two.
    edges: dict[str, set[NormalizedName]] = {}
    for pin in answer.pins:
        for chain in pin.required_by:
            if len(chain) == 2:
                edges.setdefault(chain[0], set()).add(pin.name)
    if not edges and answer.incomplete:
        return selection
    known = dataclasses.replace(
        lock,
        packages=tuple(
            dataclasses.replace(package, edges=tuple(Edge(name=name) for name in sorted(edges.get(package.name, ()))))
            for package in lock.packages
        ),
        edges_from=EdgeSource.SOME_METADATA if answer.incomplete else EdgeSource.METADATA,
    )
    return pins_of_lock(requirements, known, target, platform, no_deps=False)


def exact(pins: Iterable[Pin], place: Location) -> tuple[InputRequirement, ...]:
    """Return the pins that an index may have as exact requirements; `place` is for those without one."""
    return tuple(
        InputRequirement(
            name=pin.name,
            specifier=SpecifierSet(f"=={pin.version}"),
            extras=pin.extras,
            location=pin.source or place,
        )
        for pin in pins
        if pin.version is not None and pin.problem is None and pin.source_tree is None
    )
