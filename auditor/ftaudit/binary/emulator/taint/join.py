"""Static constructors in which unknowns decide: each runs along all its paths, and their writes are labelled.

Compilers put a constructor into many modules that asks the processor for its features, with dozens of branches. None of
them is worth a run of the whole module: only the constructor runs again, and its memory is restored in between.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from ftaudit.binary.emulator.taint.constructor_state import Joins
from ftaudit.binary.emulator.taint.flow import FastFailed, Flow

_LONG = 4_000
"""Instructions of a constructor above which it is run along only one path."""
_MOST_STEPS = 40_000
"""Instructions of all the paths through one constructor."""
_MOST = 512
"""Paths through one constructor."""


def joined(flow: Flow, joins: Joins, number: int, construct: Callable[[], None]) -> None:
    """Run a constructor, and label the memory whose content is undecided."""
    before = len(flow.decisions)
    if flow.paused:
        construct()
        return
    if number in joins.open:
        _construct_once(flow, construct)
        _forget(flow, before)
        _label(flow, *joins.open[number])
        return
    if number not in joins.wanted:
        begun = flow.steps
        _construct_once(flow, construct)
        made = flow.decisions[before:]
        if made and flow.steps - begun > _LONG:
            labels = 0
            for decision in made:
                labels |= decision.labels
            _forget(flow, before)
            joins.open[number] = (None, ((flow.name(labels), False),))
            _label(flow, *joins.open[number])
        elif made:
            joins.wanted.add(number)
        return
    joins.wanted.discard(number)
    start = flow.snapshot()
    journal: list[tuple[int, bytes]] = []
    written: set[tuple[int, int]] = set()
    labels = 0
    turned, asked = flow.turned, len(flow.questions)
    ways: set[tuple[int, bool]] = set()
    runs, begun, complete = 0, flow.steps, True
    ways_left: list[tuple[int, ...]] = [()]
    while ways_left:
        way = ways_left.pop(0)
        runs += 1
        if runs > _MOST or flow.steps - begun > _MOST_STEPS:
            complete = False
            break
        flow.restore(start)
        del flow.questions[asked:]
        flow.turned = frozenset(before + index for index in way)
        flow.journal = journal
        with contextlib.suppress(FastFailed):
            construct()
        flow.journal = None
        made = flow.decisions[before:]
        for index, decision in enumerate(made):
            labels |= decision.labels
            ways.add((decision.address, decision.taken))
            other = (decision.address, not decision.taken)
            if index > max(way, default=-1) and other not in ways:
                ways.add(other)
                ways_left.append((*way, index))
        for address, content in reversed(journal):
            written.add((address, len(content)))
            flow.engine.mem_write(address, content)
        journal.clear()
    flow.restore(start)
    del flow.questions[asked:]  # What follows is numbered as in a run without these.
    flow.turned = turned
    flow.steps = begun
    _construct_once(flow, construct)
    _forget(flow, before)
    names = tuple(
        (name, bool(flow.weakly >> index & 1)) for index, name in enumerate(flow.names) if labels >> index & 1
    )
    joins.open[number] = (tuple(written) if complete else None, names)
    _label(flow, *joins.open[number])


def _construct_once(flow: Flow, construct: Callable[[], None]) -> None:
    """Run a constructor without inverting its decisions: the numbers are those of the decisions that follow it."""
    turned, flow.turned = flow.turned, frozenset()
    construct()
    flow.turned = turned


def _forget(flow: Flow, before: int) -> None:
    """Drop the decisions of a constructor: the undecided memory is labelled."""
    del flow.decisions[before:]


def _label(flow: Flow, places: tuple[tuple[int, int], ...] | None, names: tuple[tuple[str, bool], ...]) -> None:
    if places is None:
        name, weak = names[0] if names else ("a static constructor", False)
        flow.open(flow.data, name, weak=weak)
        flow.paused = True
        return
    labels = 0
    for name, weak in names:
        labels |= flow.label(name, weak=weak)
    for address, size in places:
        flow.mark(address, size, labels | flow.of_memory(address, size))
