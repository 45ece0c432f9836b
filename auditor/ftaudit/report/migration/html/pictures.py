"""The geometry of the report's pictures: the bar of packages and the tree of packages that pull in blockers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from ftaudit.model import Package, Verdict
from ftaudit.report.package.readiness import Readiness

ROW: Final = 26
"""Pixels from one row of the tree to the next."""
INDENT: Final = 22
CHARACTER: Final = 8.0
"""Pixels for a character of the tree's fixed-width font, with a margin."""
LONGEST: Final = 40
"""Characters of a name that are drawn; the row's title has the complete name."""
MOST_ROWS: Final = 400


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """A part of the bar, in percent of its width: the packages with one verdict, or those that need a blocked one."""

    state: Verdict | Readiness
    count: int
    x: float
    width: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Branch:
    """One row of the tree, with the line that leads to it. Lengths are in pixels."""

    name: str
    label: str
    """The name, shortened to fit."""
    verdict: Verdict | None
    """`None` for the root, which is not a package."""
    x: float
    y: float
    line: str
    """The path of the line from the parent, in SVG syntax; empty for the root."""
    verdict_x: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TreePicture:
    """A dependency tree, drawn as an indented list."""

    rows: tuple[Branch, ...]
    width: int
    height: int
    left_out: int
    """Rows that do not fit."""


@dataclass(slots=True)
class _Node:
    children: dict[str, _Node] = field(default_factory=dict)


def bar(counts: Mapping[Verdict, int] | Mapping[Verdict | Readiness, int]) -> tuple[Segment, ...]:
    """Return the parts of a bar in the order of the mapping; a state without a package has no part."""
    total = sum(counts.values())
    segments = []
    done = 0
    for state, count in counts.items():
        if count:
            x, end = 100 * done / total, 100 * (done + count) / total
            segments.append(Segment(state=state, count=count, x=round(x, 3), width=round(end - x, 3)))
            done += count
    return tuple(segments)


def tree(root: str, chains: Iterable[tuple[str, ...]], verdicts: Mapping[str, Verdict]) -> TreePicture:
    """Return the tree in which each chain is a path from the root; equal beginnings are shared."""
    top = _Node()
    for chain in chains:
        node = top
        for name in chain:
            node = node.children.setdefault(name, _Node())
    every = list(_walk(root, top, 0))
    rows: list[Branch] = []
    parents: dict[int, float] = {}
    for number, (name, depth) in enumerate(every[:MOST_ROWS]):
        x, y = 10 + depth * INDENT, ROW // 2 + number * ROW
        label = name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
        rows.append(
            Branch(
                name=name,
                label=label,
                verdict=None if depth == 0 else verdicts.get(name),
                x=x,
                y=y,
                line="" if depth == 0 else f"M{x - INDENT} {parents[depth - 1] + 8}V{y}H{x - 9}",
                verdict_x=x + 16 + len(label) * CHARACTER + 8,
            )
        )
        parents[depth] = y
    widest = max(row.verdict_x + 14 * CHARACTER for row in rows)
    return TreePicture(rows=tuple(rows), width=int(widest), height=len(rows) * ROW, left_out=len(every) - len(rows))


def _walk(name: str, node: _Node, depth: int) -> Iterator[tuple[str, int]]:
    waiting = [(name, node, depth)]
    while waiting:
        name, node, depth = waiting.pop()
        yield name, depth
        waiting.extend((child, below, depth + 1) for child, below in reversed(node.children.items()))


def chains_of(packages: Iterable[Package], most: int) -> Iterator[tuple[str, ...]]:
    """Yield the first chains of each package, ending with the package; a listed package is its own chain."""
    for package in packages:
        pin = package.facts.pin
        yield from (pin.required_by or ((str(pin.name),),))[:most]
