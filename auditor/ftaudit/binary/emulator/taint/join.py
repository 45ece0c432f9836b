"""Static constructors in which unknowns decide: all their paths are followed in one run, and what differs is labeled.

Compilers put a constructor into many modules that asks the processor for its features, with dozens of branches, and
all constructors of a Windows module are one. None of the branches is worth a run of the whole module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from ftaudit.binary.emulator.taint.constructor_state import ConstructorLabels, Joins, Unknown
from ftaudit.binary.emulator.taint.flow import Flow


def joined(flow: Flow, joins: Joins, number: int, construct: Callable[[], None]) -> None:
    """Run a constructor, and label the memory whose content is undecided."""
    if flow.paused or flow.forks_of_constructor is None:
        construct()
        return
    followed = len(flow.trace)
    if (known := joins.constructors.get(number)) is not None:
        flow.paused = True
        construct()
        flow.paused = not known.complete
        _replay(flow, known)
    else:
        forks = flow.forks = flow.forks_of_constructor()
        try:
            construct()
        finally:
            flow.forks = None
            flow.constructing += forks.steps
        if forks.labels:
            joins.constructors[number] = _recorded(flow, forks.labels, complete=not forks.gave_up)
    flow.registers.clear()
    del flow.trace[followed:]


def _recorded(flow: Flow, deciding: int, *, complete: bool) -> ConstructorLabels:
    return ConstructorLabels(
        memory=tuple((start, size, _unknowns(flow, labels)) for start, size, labels in _runs(flow.memory.items())),
        regions=tuple((start, end, _unknowns(flow, labels)) for start, end, labels in flow.regions),
        deciding=tuple(name for name, _, _ in _unknowns(flow, deciding)),
        opaque=flow.opaque,
        complete=complete,
    )


def _runs(labels: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """Yield address, size and label of each stretch of bytes with one label."""
    for (_, label), group in groupby(enumerate(sorted(labels)), key=lambda item: (item[1][0] - item[0], item[1][1])):
        places = [place for _, (place, _) in group]
        yield places[0], len(places), label


def _unknowns(flow: Flow, labels: int) -> tuple[Unknown, ...]:
    return tuple(
        (name, bool(flow.weakly >> index & 1), bool(flow.by_python >> index & 1))
        for index, name in enumerate(flow.names)
        if labels >> index & 1
    )


def _replay(flow: Flow, known: ConstructorLabels) -> None:
    """Set the labels to those after another run of the constructor."""
    flow.memory.clear()
    flow.lines.clear()
    flow.regions = [(start, end, _labels(flow, unknowns)) for start, end, unknowns in known.regions]
    for start, size, unknowns in known.memory:
        flow.set_bytes(start, size, _labels(flow, unknowns))
    flow.opaque = flow.opaque or known.opaque


def _labels(flow: Flow, unknowns: Iterable[Unknown]) -> int:
    labels = 0
    for name, weak, by_python in unknowns:
        label = flow.label(name, weak=weak)
        labels |= label
        flow.by_python |= label if by_python else 0
    return labels
