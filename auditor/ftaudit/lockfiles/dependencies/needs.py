"""Turns requirement lines (`Requires-Dist`, those of a lock file) into edges, separately for extras."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ftaudit.lockfiles.dependencies.markers import extras_of
from ftaudit.lockfiles.fields import read_range
from ftaudit.lockfiles.requirements import Edge


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """The dependencies of a package."""

    edges: tuple[Edge, ...] = ()
    extra_edges: Mapping[str, tuple[Edge, ...]] = field(default_factory=dict)
    """Per extra, by its normalized name."""
    malformed: tuple[str, ...] = ()
    """Lines that are not requirements, shortened."""


def parse_edge(line: str) -> Edge | None:
    """Return the edge for a requirement line, or `None` for a malformed line."""
    try:
        parsed = Requirement(line)
        specifier = read_range(str(parsed.specifier)) if parsed.specifier else None
    except (InvalidRequirement, RecursionError, ValueError):
        return None
    return Edge(
        name=canonicalize_name(parsed.name),
        extras=tuple(sorted(map(canonicalize_name, parsed.extras))),
        marker=str(parsed.marker) if parsed.marker else None,
        specifier=specifier,
    )


def parse_needs(lines: Iterable[str]) -> Needs:
    """Return the edges of requirement lines; an edge whose marker names extras also counts for those extras."""
    parsed = [(line, parse_edge(line)) for line in lines]
    return sort_edges(
        (edge for _, edge in parsed if edge is not None),
        malformed=tuple(line[:120] for line, edge in parsed if edge is None),
    )


def sort_edges(edges: Iterable[Edge], *, malformed: tuple[str, ...] = ()) -> Needs:
    """Add the edges whose markers name extras to those extras: a marker can be true without any extra."""
    always = tuple(edges)
    by_extra: dict[str, list[Edge]] = {}
    for edge in always:
        for extra in extras_of(edge.marker):
            by_extra.setdefault(extra, []).append(edge)
    return Needs(
        edges=always,
        extra_edges={extra: tuple(found) for extra, found in by_extra.items()},
        malformed=malformed,
    )
