"""Turns requirement lines (`Requires-Dist`, those of a lock file) into edges, those of extras apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ftaudit.lockfiles.fields import read_range
from ftaudit.lockfiles.requirements import Edge
from ftaudit.lockfiles.resolve.markers import extras_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What a package needs of others."""

    edges: tuple[Edge, ...] = ()
    extra_edges: Mapping[str, tuple[Edge, ...]] = field(default_factory=dict)
    """Per extra, by its normalised name."""
    malformed: tuple[str, ...] = ()
    """Lines that are not requirements, shortened."""


def parse_edge(line: str) -> Edge | None:
    """Return the edge that a requirement line is, or `None` for one that is malformed."""
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
    """Return the edges of requirement lines; one whose marker names extras counts for those extras, too."""
    parsed = [(line, parse_edge(line)) for line in lines]
    return sort_edges(
        (edge for _, edge in parsed if edge is not None),
        malformed=tuple(line[:120] for line, edge in parsed if edge is None),
    )


def sort_edges(edges: Iterable[Edge], *, malformed: tuple[str, ...] = ()) -> Needs:
    """Put the edges whose markers name extras under those extras as well: a marker may hold without any."""
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
