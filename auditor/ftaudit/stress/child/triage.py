"""Triages a failure: whether it is real, new, and related to the GIL, and its smallest reproduction."""

from __future__ import annotations

import time

from ftaudit.stress.child.arguments_to_try import MUTATIONS
from ftaudit.stress.child.script_text import render
from ftaudit.stress.child.units import COLLECTION, FIRST_PROCESSES, FIRST_USE, TOGETHER, ThreadedUnit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ftaudit.stress.child.hosts import Host, Outcome

TRIES = 5
NEEDED = 3
"""Failures in `TRIES` runs from which a failure is reported."""
SCRIPT_SECONDS = 2.0
"""Most run time of a script that is expected to fail; the published script has more time."""
SCRIPT_SHARE = 0.05
"""Its run time as a part of the budget."""
MINIMIZING = 0.4
"""The part of the remaining budget that the reduction of one failure may use."""
MORE_PROCESSES = 5
SHORT = 0.6
LONG = 1.5


class SettledFailure:
    """One cause, with its smallest reproduction."""

    __slots__ = ("also", "control", "failed", "kind", "message", "native", "outcome", "signal", "stack", "unit")

    def __init__(self, unit: ThreadedUnit, outcome: Outcome, failed: int, control: int) -> None:
        self.unit, self.outcome = unit, outcome
        self.failed, self.control = failed, control
        self.kind, self.signal, self.message = outcome.kind, outcome.signal, outcome.failed
        self.stack, self.native = outcome.stack, outcome.native
        self.also: set[str] = set()
        """Other subjects that failed at the same place."""

    def to_json(self) -> dict[str, Any]:
        """Return the reports."""
        script = render(self.unit.changed(seconds=10.0))
        return {
            "kind": self.kind,
            "what": self.unit.kind,
            "target": self.unit.target,
            "operations": list(self.unit.operations),
            "subjects": list(self.unit.subjects),
            "also": sorted(self.also - set(self.unit.subjects))[:50],
            "signal": self.signal,
            "message": self.message,
            "native": self.native,
            "stack": self.stack[-6000:],
            "failed": self.failed,
            "control": self.control,
            "tries": TRIES,
            "threads": self.unit.threads,
            "recipe": self.unit.recipe,
            "script": script,
        }

    def is_same(self, unit: ThreadedUnit, outcome: Outcome) -> bool:
        """Return whether another failure appears to have the same cause."""
        if self.unit.growth and outcome.kind != self.kind:
            return False  # What loses memory may crash too.
        if self.native and outcome.native == self.native and outcome.kind == self.kind:
            return True
        if unit.target != self.unit.target:
            return False
        if set(self.unit.operations) <= set(unit.operations):
            return True
        # The same methods with other arguments, at a place that no stack names.
        names = {name for name in self.unit.subjects if name}
        return not unit.rotating and bool(names) and names == set(unit.subjects) and outcome.kind == self.kind


class Triage:
    """Triages failures, within the remaining budget."""

    def __init__(
        self,
        free: Host,
        control: Callable[[], Host],
        alone: Callable[[bool], Host],
        left: Callable[[], float],
        is_over: Callable[[], bool],
    ) -> None:
        self.free, self.control, self.left = free, control, left
        self.is_over = is_over
        """Returns whether nothing more may be confirmed."""
        self.alone = alone
        """Returns a host that has imported nothing, with or without the GIL."""
        self.found: list[SettledFailure] = []
        self.with_gil: list[dict[str, Any]] = []
        """Units that also fail with the GIL, or in one thread."""
        self.interpreter: list[dict[str, Any]] = []
        """Units that end the process although no compiled code of a package is loaded: the interpreter fails."""
        self.rare: list[dict[str, Any]] = []
        """Units that failed, but not often enough to be reported."""
        self.excluded: set[tuple[str, frozenset[str], bool]] = set()
        """Targets and operations that do not run again, and whether that is a check of the memory."""
        self.suspected: list[ThreadedUnit] = []
        """Units that failed once and deserve more runs."""
        self.completed = False
        self.slowest = 0.0
        """Seconds on the clock until the last script failed, at most."""
        self.known: list[tuple[str, frozenset[str], str]] = []
        """Targets and operations that are settled, with the one to leave out of units with many operations."""

    def without_known(self, unit: ThreadedUnit) -> ThreadedUnit | None:
        """Return a rotating unit without operations that are known to fail; `None` if fewer than two remain."""
        dropped: set[str] = set()
        for target, operations, culprit in self.known:
            if target == unit.target or unit.kind == TOGETHER:
                dropped |= {culprit} if operations <= set(unit.operations) - dropped else set()
        kept = [place for place, operation in enumerate(unit.operations) if operation not in dropped]
        if len(kept) == len(unit.operations):
            return unit
        return unit.with_operations(kept) if len(kept) >= 2 else None

    def _know(self, unit: ThreadedUnit, outcome: Outcome) -> None:
        """Remember what failed, so that it does not hide other failures."""
        if unit.growth:
            return  # It ends no other unit.
        own = [text for text in unit.operations if text not in MUTATIONS]
        seen = [unit.operations[place] for place in outcome.operations if place < len(unit.operations)]
        culprit = next((text for text in seen if text in own), (own or list(unit.operations))[0])
        operations = frozenset((culprit,) if unit.rotating else unit.operations)
        self.known.append((unit.target, operations, culprit))

    def settle(self, unit: ThreadedUnit, outcome: Outcome) -> SettledFailure | None:
        """Triage a failure: return it if it is new and real."""
        for known in self.found:
            if known.is_same(unit, outcome):
                known.also.update(_ran(unit, outcome))
                self._know(unit, outcome)
                return None
        kind = outcome.kind
        if kind in ("crash", "error") and not self.free.has_images:
            self._elsewhere_too(self.interpreter, unit, outcome)
            self._know(unit, outcome)
            return None
        unit = unit.changed(seconds=max(SHORT, unit.seconds))
        if unit.processes > 1:
            # Each process has one chance only.
            unit = unit.changed(processes=MORE_PROCESSES * unit.processes)
        again = self._failures(unit, kind, 2, enough=1)
        if not again:
            again = self._failures(unit.changed(seconds=LONG), kind, 2, enough=1)
        if not again and unit.processes == 1 and not unit.rotating and outcome.rounds <= 1:
            # What failed in the first round of a process, and not in others, may fail at the first use only.
            unit = unit.changed(kind=FIRST_USE, rounds=1, processes=MORE_PROCESSES * FIRST_PROCESSES)
            again = self._failures(unit, kind, 1, enough=1)
        if not again:
            self._rarely(unit, outcome)
            return None
        same = self._elsewhere(unit)
        # Where many operations meet, one can hang everywhere, and another one can crash without the GIL only.
        if same is not None and (same.kind == kind or not unit.rotating):
            self._elsewhere_too(self.with_gil, unit, same)
            self._know(unit, same)
            return None
        whole = unit
        unit, least = self._smaller(unit, kind, again[-1])
        natives = {each.native for each in (outcome, *again, least)}
        if kind == "crash" and not unit.compiled and natives == {""}:
            # Python code that crashes, and no compiled code of a package on any stack.
            natives |= {each.native for each in self._failures(unit, kind, 4, enough=4)}
            if natives == {""}:
                self._elsewhere_too(self.interpreter, unit, outcome)
                self._know(unit, least)
                return None
        for known in self.found:
            if known.is_same(unit, least):
                known.also.update(_ran(unit, least))
                self._know(unit, least)
                return None
        failed = self._script_fails(self.alone(False), unit, longer=2 if unit.kind == COLLECTION else 1)
        if failed < NEEDED and whole.operations != unit.operations:
            # The smallest unit may fail too rarely, where the one that was found does not.
            unit, least = whole, again[-1]
            failed = self._script_fails(self.alone(False), unit, longer=2)
        if failed < NEEDED:
            self._rarely(unit, outcome)
            if not unit.rotating:
                self._know(unit, least)
            return None
        # The control has much more time than any failure took.
        control = self._script_fails(self.alone(True), unit, needed=0, most=max(0.5, 3 * self.slowest))
        complete = self.completed
        if control or (same := self._elsewhere(unit)) is not None:
            self._elsewhere_too(self.with_gil, unit, outcome)
            self._know(unit, same or least)
            return None
        if not complete:
            self.rare.append(_told(unit, outcome))
            return None
        failure = SettledFailure(unit, least if least.kind else outcome, failed, control)
        self.found.append(failure)
        self._know(unit, failure.outcome)
        return failure

    def _elsewhere_too(self, rows: list[dict[str, Any]], unit: ThreadedUnit, outcome: Outcome) -> None:
        """Record a failure that is not a matter of the package without the GIL; its unit does not run again."""
        row = _told(unit, outcome)
        if row not in rows:
            rows.append(row)
        self.excluded.add((unit.target, frozenset(unit.operations), unit.growth > 0))

    def is_excluded(self, unit: ThreadedUnit) -> bool:
        """Return whether the operations of a unit also fail with the GIL, in one thread, or in the interpreter."""
        return (unit.target, frozenset(unit.operations), unit.growth > 0) in self.excluded

    def _rarely(self, unit: ThreadedUnit, outcome: Outcome) -> None:
        """Record a unit that did not fail again, or not often enough, and run it again later."""
        row = _told(unit, outcome)
        if row not in self.rare:
            self.rare.append(row)
            self.suspected.append(unit)

    def _script_fails(
        self, host: Host, unit: ThreadedUnit, *, longer: float = 1, needed: int = NEEDED, most: float = SCRIPT_SECONDS
    ) -> int:
        """Return how often the published script fails in `TRIES` runs, each in a process that imports what it needs.

        End early if it cannot fail as often as needed, or the budget is over; the failure is not reported then.
        `completed` is whether all runs were made.
        """
        self.completed = False
        seconds = longer * min(max(SCRIPT_SHARE * host.budget.seconds, 0.5), most)
        if unit.growth:
            seconds = unit.seconds  # It always ends at the end.
        self.slowest = 0.0
        script = render(unit.changed(seconds=seconds))
        failed = 0
        for number in range(TRIES):
            if self.is_over() or failed + TRIES - number < needed:
                break
            began = time.monotonic()
            if host.fails(script, seconds):
                failed += 1
                self.slowest = max(self.slowest, time.monotonic() - began)
        else:
            self.completed = True
        return failed

    def _failures(self, unit: ThreadedUnit, kind: str, tries: int, *, enough: int) -> list[Outcome]:
        found = []
        for _ in range(tries):
            if self.left() <= 0:
                break
            outcome = self.free.run(unit)
            if outcome.kind == kind:
                found.append(outcome)
                if len(found) >= enough:
                    break
        return found

    def _elsewhere(self, unit: ThreadedUnit) -> Outcome | None:
        """Return how the unit fails with the GIL or in one thread, in which case the GIL is not the cause."""
        outcome = self.control().run(unit)
        if not outcome.kind and unit.processes == 1:
            less = {} if unit.growth else {"seconds": 0.2, "rounds": min(unit.rounds, 200)}
            outcome = self.free.run(unit.changed(**less), alone=True)
        return outcome if outcome.kind else None

    def _smaller(self, unit: ThreadedUnit, kind: str, seen: Outcome) -> tuple[ThreadedUnit, Outcome]:
        """Return the smallest unit that still fails, by operations, threads, and calls, and its last failure."""
        last = seen
        reserve = self.left() * (1 - MINIMIZING)
        if unit.growth:
            return self._half(unit, kind, last, reserve)
        for candidate in _rotating_fewer(unit, seen) if unit.rotating else _fewer(unit, seen):
            if self.left() <= reserve:
                break
            if found := self._failures(candidate, kind, 2, enough=1):
                unit, last = candidate, found[-1]
                break
        step = len(unit.operations) // 2
        while unit.rotating and step and self.left() > reserve:
            # No pair is enough: leave out as many operations as possible.
            for start in range(0, len(unit.operations), step):
                kept = [place for place in range(len(unit.operations)) if not start <= place < start + step]
                if len(kept) < 2 or self.left() <= reserve:
                    continue
                if found := self._failures(candidate := unit.with_operations(kept), kind, 2, enough=1):
                    unit, last = candidate, found[-1]
                    break
            else:
                step //= 2
        if unit.rotating or unit.kind == COLLECTION:
            return unit, last
        return self._best(unit, kind, last, reserve)

    def _half(self, unit: ThreadedUnit, kind: str, last: Outcome, reserve: float) -> tuple[ThreadedUnit, Outcome]:
        """Return the fewest methods that still lose memory, by leaving out one half again and again."""
        while len(unit.operations) > 1 and self.left() > reserve:
            places = list(range(len(unit.operations)))
            middle = len(places) // 2
            for kept in (places[:middle], places[middle:]):
                candidate = unit.with_operations(kept)
                if found := self._failures(candidate, kind, 2, enough=1):
                    unit, last = candidate, found[-1]
                    break
            else:
                break
        return unit.changed(rotating=len(unit.operations) > 1), last

    def _best(self, unit: ThreadedUnit, kind: str, last: Outcome, reserve: float) -> tuple[ThreadedUnit, Outcome]:
        """Return the unit with the fewest threads and calls for which it fails in two of two runs, or most often."""
        least = max(2, len(unit.operations))
        numbers = dict.fromkeys(
            [(least, 1), (least, unit.calls), (unit.threads, unit.calls), (max(4, least), 100), (max(8, least), 100)]
        )
        best, most = unit, 0
        for threads, calls in numbers:
            if self.left() <= reserve:
                break
            if unit.rounds == 1 and calls != unit.calls:
                continue
            candidate = unit.changed(threads=threads, calls=calls)
            found = self._failures(candidate, kind, 1, enough=1)
            found += self._failures(candidate, kind, 1, enough=1) if found else []
            if len(found) > most:
                best, most, last = candidate, len(found), found[-1]
            if most == 2:
                break
        return best, last


def _fewer(unit: ThreadedUnit, seen: Outcome) -> Iterator[ThreadedUnit]:
    """Yield the unit with one operation, then with two, those in the stack first."""
    places = list(range(len(unit.operations)))
    if len(places) == 1 or unit.state is not None:
        return
    if unit.kind == COLLECTION:
        yield from (unit.with_operations([place, places[-1]]) for place in places[:-1] if len(places) > 2)
        return
    if unit.checked:
        if len(places) > 2:
            yield from (unit.with_operations([place for place in places if place != left]) for left in (1, 0))
        return
    order = [*dict.fromkeys(seen.operations), *[place for place in places if place not in seen.operations]]
    yield from (unit.with_operations([place]) for place in order)
    if len(places) > 2:
        pairs = [(one, other) for number, one in enumerate(order) for other in order[number + 1 :]]
        yield from (unit.with_operations(sorted(pair)) for pair in pairs)
    if len(places) > 3:
        yield from (unit.with_operations([place for place in places if place != left]) for left in places)


def _rotating_fewer(unit: ThreadedUnit, seen: Outcome) -> Iterator[ThreadedUnit]:
    """Yield units with one or two operations: those that ran at the failure, then one of them with each other one."""
    ran = [place for place in seen.operations if place < len(unit.operations)]
    if not ran:
        return
    yield from (unit.with_operations([place]).fixed() for place in ran[:2])
    # Changes come first in such units. One of them may have damaged what another operation uses.
    changes = [place for place in range(len(unit.operations) // 2) if place not in ran[:2]]
    pairs = [(one, other) for number, one in enumerate(ran) for other in ran[number + 1 :]]
    rest = [place for place in range(len(unit.operations)) if place not in ran]
    rest.sort(key=lambda place: unit.operations[place] not in MUTATIONS)
    yield from (unit.with_operations(sorted(pair)).fixed() for pair in pairs[:3])
    yield from (unit.with_operations([place]).fixed().changed(threads=4, calls=100) for place in changes)
    pairs += [(ran[0], place) for place in rest]
    yield from (unit.with_operations(sorted(pair)).fixed() for pair in pairs[3:])


def _ran(unit: ThreadedUnit, outcome: Outcome) -> set[str]:
    """Return the names of the callables that ran when a unit failed."""
    if not unit.rotating:
        return set(unit.subjects)
    return {unit.subjects[place] for place in outcome.operations[:1] if place < len(unit.subjects)}


def _told(unit: ThreadedUnit, outcome: Outcome) -> dict[str, Any]:
    return {"kind": outcome.kind, "target": unit.target, "operations": list(unit.operations), "what": unit.kind}
