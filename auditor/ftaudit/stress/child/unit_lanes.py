"""Which unit runs next: lanes of units that share the processor time by how likely their units fail."""

from __future__ import annotations

import itertools

from ftaudit.stress.child import function_units, type_units
from ftaudit.stress.child.schedule import Chance
from ftaudit.stress.child.script_text import render

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from ftaudit.stress.child.hosts import Host
    from ftaudit.stress.child.learning import Learner
    from ftaudit.stress.child.subjects import KnownCallable, SharedType
    from ftaudit.stress.child.units import ThreadedUnit

HEAD_START = 0.3
"""Seconds for each unit of weight that a new lane may use before the others continue."""
FUNCTIONS, PER_FUNCTION = 6.0, 0.3
PYTHON_FUNCTIONS = 0.5
FIRST_USES = 1.5
SUSPECTS = 4.0
MEMORY_EVERY = 4
"""Repetitions of the units of a type, one of which checks the memory."""
MEMORY_AFTER = 12
"""Units of a type before that check."""
CHECK_EVERY = 3
"""Units without a check between two with one."""
MOST_SUSPECTED = 3
"""Runs of a unit that failed once and was not confirmed."""


class UnitLane:
    """Units about one type, or of one kind."""

    __slots__ = ("spent", "units", "weight")

    def __init__(self, units: Iterator[ThreadedUnit], weight: float) -> None:
        self.units, self.weight = units, weight
        """Its share of the processor time, in relation to the other lanes."""
        self.spent = 0.0
        """Seconds of processor time that its units used."""


class UnitLanes:
    """The lanes of a package. Types get theirs as soon as their operations are known."""

    def __init__(self, learner: Learner, host: Host, seed: int, threads: int | None) -> None:
        self.learner, self.host, self.seed, self.threads = learner, host, seed, threads
        self.open: list[UnitLane] = []
        self.types: set[str] = set()
        self.suspected: list[ThreadedUnit] = []
        self.functions: dict[bool, UnitLane] = {}

    def add(self, units: Iterator[ThreadedUnit], weight: float) -> UnitLane:
        """Open a lane."""
        lane = UnitLane(units, weight)
        now = min((each.spent / each.weight for each in self.open), default=0.0)
        lane.spent = weight * max(now - HEAD_START, 0.0)
        self.open.append(lane)
        return lane

    def follow(self) -> None:
        """Open lanes for the types and functions that were learned since the last call."""
        for subject in self.learner.subjects.values():
            if subject.operations and subject.type not in self.types:
                self.types.add(subject.type)
                self.add(self._of_subject(subject), weight_of(subject))
        for compiled in (True, False):
            number = len(self._callables(compiled))
            if not number:
                continue
            weight = FUNCTIONS + PER_FUNCTION * number if compiled else PYTHON_FUNCTIONS
            if compiled not in self.functions:
                self.functions[compiled] = self.add(self._of_functions(compiled), weight)
                if compiled:
                    self.add(self._first_uses(), FIRST_USES)
            self.functions[compiled].weight = weight

    def suspect(self, unit: ThreadedUnit) -> None:
        """Run a unit again for longer, because it failed once."""
        if not self.suspected:
            self.add(self._suspects(), SUSPECTS)
        self.suspected += [unit] * MOST_SUSPECTED

    def next(self) -> tuple[UnitLane, ThreadedUnit] | None:
        """Return the next unit, and its lane, which must be charged; `None` if no lane has a unit."""
        while self.open:
            lane = min(self.open, key=lambda each: each.spent / each.weight)
            unit = next(lane.units, None)
            if unit is not None:
                return lane, unit
            self.open.remove(lane)
        return None

    # ------------------------------------------------------------------------------------- the units of a lane

    def _chances(self) -> Iterator[Chance]:
        """Yield the choices of each repetition."""
        for again in itertools.count():
            yield Chance(self.seed + 7919 * again, self.threads)

    def _callables(self, compiled: bool) -> list[KnownCallable]:
        return [each for each in self.learner.callables.values() if each.calls and each.compiled is compiled]

    def _of_subject(self, subject: SharedType) -> Iterator[ThreadedUnit]:
        for again, chance in enumerate(self._chances()):
            count = 0
            memory = iter(()) if again % MEMORY_EVERY else type_units.of_memory(subject, chance)
            checks = self._checked(type_units.checks_of(subject, chance))
            units = itertools.chain(type_units.together_on(subject, chance), type_units.of_subject(subject, chance))
            for count, unit in enumerate(units, start=1):
                yield unit
                if count % CHECK_EVERY == 0 and (check := next(checks, None)) is not None:
                    yield check
                if count == MEMORY_AFTER:
                    yield from memory
            yield from memory
            for check in checks:
                count += 1
                yield check
            if not count:
                return

    def _of_functions(self, compiled: bool) -> Iterator[ThreadedUnit]:
        """Yield the units of functions; those that are learned meanwhile join."""
        for chance in self._chances():
            joined: set[str] = set()
            waiting: list[Iterator[ThreadedUnit]] = []
            count = 0
            while True:
                new = [each for each in self._callables(compiled) if each.name not in joined]
                joined.update(each.name for each in new)
                yield from function_units.functions_together(new, self.learner.subjects, chance)
                waiting += function_units.of_functions(new, self.learner.subjects, chance)
                for lane in list(waiting):
                    unit = next(lane, None)
                    if unit is None:
                        waiting.remove(lane)
                    else:
                        count += 1
                        yield unit
                if not waiting:
                    break
            if not count:
                return

    def _first_uses(self) -> Iterator[ThreadedUnit]:
        for chance in self._chances():
            count = 0
            for unit in function_units.first_uses(self._callables(True), chance):
                count += 1
                yield unit
            if not count:
                return

    def _suspects(self) -> Iterator[ThreadedUnit]:
        while self.suspected:
            unit = self.suspected.pop(0)
            yield unit.changed(seconds=3 * unit.seconds, calls=max(unit.calls, 100))

    def _checked(self, asked: Iterable[tuple[str, ThreadedUnit]]) -> Iterator[ThreadedUnit]:
        """Yield the units whose check passes in one thread."""
        for question, unit in asked:
            if question == "recipe":
                yield unit
                continue
            script = render(unit)
            request: dict[str, Any] = {"do": question, "script": script, "limit": 3, "wall": 6, "stall": 1.5}
            answer = self.host.ask({**request, "busy": 1.0})
            if (answer["result"] or {}).get(question):
                yield unit


def weight_of(subject: SharedType) -> float:
    """Return how much of the processor time a type gets: compiled objects that change fail most often."""
    weight = 4.0 if subject.compiled else 0.3
    if any(each["mutates"] for each in subject.operations):
        weight *= 3
    return weight * 1.5 if subject.iterator else weight
