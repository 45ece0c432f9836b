"""Triages a failure: whether it is real, new, and related to the GIL, and its smallest reproduction."""

from __future__ import annotations

from ftaudit.stress.child.units import ThreadedUnit, render

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ftaudit.stress.child.hosts import Host, Outcome

TRIES = 5
NEEDED = 3
"""Failures in `TRIES` runs from which a failure is reported."""
LEAST_ROUNDS = 300
SCRIPT_SECONDS = 1.5
"""Run time of a script that is expected to fail; the published script has more time."""
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
        if self.native and outcome.native == self.native and outcome.kind == self.kind:
            return True
        if unit.target != self.unit.target:
            return False
        return set(self.unit.operations) <= set(unit.operations)


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
        self.rare: list[dict[str, Any]] = []
        """Units that failed, but not often enough to be reported."""

    def settle(self, unit: ThreadedUnit, outcome: Outcome) -> SettledFailure | None:
        """Triage a failure: return it if it is new and real."""
        for known in self.found:
            if known.is_same(unit, outcome):
                known.also.update(unit.subjects)
                return None
        kind = outcome.kind
        unit = unit.changed(seconds=max(SHORT, unit.seconds))
        again = self._failures(unit, kind, 2, enough=1)
        if not again:
            again = self._failures(unit.changed(seconds=LONG), kind, 2, enough=1)
        if not again:
            self.rare.append(_told(unit, outcome))
            return None
        if self._is_elsewhere(unit, kind, 1):
            self.with_gil.append(_told(unit, outcome))
            return None
        whole = unit
        unit, least = self._smaller(unit, kind, again[-1])
        for known in self.found:
            if known.is_same(unit, least):
                known.also.update(unit.subjects)
                return None
        unit = unit.changed(rounds=unit.rounds if unit.rounds == 1 else max(10 * least.rounds, LEAST_ROUNDS))
        failed = self._script_fails(self.alone(False), unit)
        if failed < NEEDED:
            # A failure that needs much earlier activity needs the longer run.
            unit = unit.changed(rounds=unit.rounds if unit.rounds == 1 else max(100 * least.rounds, 20 * LEAST_ROUNDS))
            failed = self._script_fails(self.alone(False), unit, seconds=2 * SCRIPT_SECONDS)
        if failed < NEEDED and whole.operations != unit.operations:
            # The smallest unit may fail too rarely, where the one that was found does not.
            unit, least = whole, again[-1]
            failed = self._script_fails(self.alone(False), unit, seconds=2 * SCRIPT_SECONDS)
        if failed < NEEDED:
            self.rare.append(_told(unit, outcome))
            return None
        control = self._script_fails(self.alone(True), unit, needed=0)
        if control or self._is_elsewhere(unit, kind, 1):
            self.with_gil.append(_told(unit, outcome))
            return None
        if self.is_over():
            self.rare.append(_told(unit, outcome))
            return None
        failure = SettledFailure(unit, least if least.kind else outcome, failed, control)
        self.found.append(failure)
        return failure

    def _script_fails(
        self, host: Host, unit: ThreadedUnit, *, seconds: float = SCRIPT_SECONDS, needed: int = NEEDED
    ) -> int:
        """Return how often the published script fails in `TRIES` runs, each in a process that imports what it needs.

        End early if it cannot fail as often as needed, or the budget is over; the failure is not reported then.
        """
        script = render(unit.changed(seconds=seconds))
        failed = 0
        for number in range(TRIES):
            if self.is_over() or failed + TRIES - number < needed:
                break
            failed += host.fails(script, seconds)
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

    def _is_elsewhere(self, unit: ThreadedUnit, kind: str, tries: int) -> int:
        """Return how often the unit fails with the GIL or in one thread, in which case the GIL is not the cause."""
        count = 0
        for _ in range(tries):
            count += bool(self.control().run(unit).kind)
        if unit.processes == 1:
            count += bool(self.free.run(unit.changed(seconds=0.2, rounds=min(unit.rounds, 200)), alone=True).kind)
        return count

    def _smaller(self, unit: ThreadedUnit, kind: str, seen: Outcome) -> tuple[ThreadedUnit, Outcome]:
        """Return the smallest unit that still fails, by operations, threads, and calls, and its last failure."""
        last = seen
        for candidate in _fewer(unit, seen):
            if self.left() <= 0:
                return unit, last
            if found := self._failures(candidate, kind, 2, enough=1):
                unit, last = candidate, found[-1]
                break
        for threads in (2, 4):
            if threads < unit.threads and threads >= len(unit.operations):
                candidate = unit.changed(threads=threads)
                if len(found := self._failures(candidate, kind, 2, enough=2)) == 2:
                    unit, last = candidate, found[-1]
                    break
        for calls in (1, 5):
            if calls < unit.calls:
                candidate = unit.changed(calls=calls)
                if len(found := self._failures(candidate, kind, 2, enough=2)) == 2:
                    unit, last = candidate, found[-1]
                    break
        return unit, last


def _fewer(unit: ThreadedUnit, seen: Outcome) -> Iterator[ThreadedUnit]:
    """Yield the unit with one operation, then with two, those in the stack first."""
    places = list(range(len(unit.operations)))
    if len(places) == 1 or unit.state is not None:
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


def _told(unit: ThreadedUnit, outcome: Outcome) -> dict[str, Any]:
    return {"kind": outcome.kind, "target": unit.target, "operations": list(unit.operations), "what": unit.kind}
