"""Which packages are installed only because the user requests an extra: leaving it out leaves them out too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from packaging.utils import NormalizedName, canonicalize_name

from ftaudit.errors import InputError
from ftaudit.lockfiles.dependencies.markers import Markers
from ftaudit.lockfiles.dependencies.needs import Needs, parse_needs
from ftaudit.model import Location, Pin
from ftaudit.model.reachability import RequestedExtra
from ftaudit.wheel import parse_headers

_Node = tuple[NormalizedName, str | None]
"""A package, or one of its extras."""


def packages_of_extras(
    pins: Sequence[Pin], metadata: Iterable[bytes], environment: Mapping[str, str]
) -> dict[NormalizedName, tuple[RequestedExtra, ...]]:
    """Return the packages that are not installed if an extra of a requirement is left out, and these extras.

    `metadata` are the METADATA files of the packages. Without those of every package the answer is empty: another
    package could need them as well.
    """
    roots = {pin.name: pin.extras for pin in pins if (pin.name,) in pin.required_by}
    if not any(roots.values()):
        return {}
    needs = dict(_needs(metadata))
    if any(pin.name not in needs for pin in pins):
        return {}
    markers = Markers(environment)
    edges = {node: tuple(_next(node, needs, markers)) for node in _nodes(needs)}
    every: set[_Node] = {(name, extra) for name, extras in roots.items() for extra in (None, *extras)}
    installed = _reachable(every, edges)
    found: dict[NormalizedName, list[RequestedExtra]] = {}
    for name, extra in sorted((name, extra) for name, extra in every if extra is not None):
        for lost in installed - _reachable(every - {(name, extra)}, edges):
            found.setdefault(lost, []).append(RequestedExtra(package=str(name), extra=extra))
    return {name: tuple(extras) for name, extras in found.items()}


def _needs(metadata: Iterable[bytes]) -> Iterator[tuple[NormalizedName, Needs]]:
    for data in metadata:
        headers = parse_headers(data.decode("utf-8", "replace"))
        yield canonicalize_name(str(headers["Name"])), parse_needs(map(str, headers.get_all("Requires-Dist", [])))


def _nodes(needs: Mapping[NormalizedName, Needs]) -> Iterator[_Node]:
    for name, each in needs.items():
        yield name, None
        yield from ((name, extra) for extra in each.extra_edges)


def _next(node: _Node, needs: Mapping[NormalizedName, Needs], markers: Markers) -> Iterator[_Node]:
    """Yield what a package, or one of its extras, needs."""
    name, extra = node
    each = needs[name]
    place = Location(path=f"METADATA of {name}")
    for edge in each.edges if extra is None else each.extra_edges[extra]:
        try:
            holds = markers.hold(edge.marker, place, extra=extra)
        except InputError:
            holds = True  # Installers refuse it; what it would need stays.
        if holds:
            yield edge.name, None
            yield from ((edge.name, one) for one in edge.extras)


def _reachable(roots: Iterable[_Node], edges: Mapping[_Node, Sequence[_Node]]) -> set[NormalizedName]:
    seen = set(roots)
    waiting = list(seen)
    while waiting:
        for node in edges.get(waiting.pop(), ()):
            if node not in seen:
                seen.add(node)
                waiting.append(node)
    return {name for name, _ in seen}
