"""Learn a package, run units until the budget is used up, and report failures and coverage.

Started in the sandbox as `boot.py director RESULTS`: the job is one line of JSON on standard input, and reports go to
the descriptor RESULTS in frames of `ftaudit.sandbox.protocol`. The director never imports the package: hosts do.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
import time

from ftaudit.stress.child import schedule
from ftaudit.stress.child.hosts import TOLERANCE, Host, HostGone, Outcome, ProcessorBudget
from ftaudit.stress.child.learning import Learner
from ftaudit.stress.child.triage import Triage
from ftaudit.stress.child.units import ThreadedUnit, render

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

LEARNING = 0.35
"""The maximum part of the budget for learning."""
KEPT = 0.2
"""Seconds of processor time reserved for the end."""
MOST_FAILURES = 12
MOST_MODULES = 12
MOST_AGAIN = 4
"""Limit on the runs of a unit with many operations, each without those that failed before."""
_REPORT_EVERY = 1.0


def main(descriptors: list[int]) -> None:
    """Run the job."""
    job = json.loads(sys.stdin.buffer.readline())
    if "replay" in job:
        replay(job, descriptors[0])
        return
    director = Director(job, descriptors[0])
    try:
        director.run()
    except HostGone as error:
        director.problem = str(error)
    director.finish()


def send(descriptor: int, nonce: str, message: dict[str, Any]) -> None:
    """Write one frame."""
    payload = (nonce + json.dumps(message)).encode("ascii", "backslashreplace")
    frame = len(payload).to_bytes(4, "big") + payload
    while frame:
        frame = frame[os.write(descriptor, frame) :]


def replay(job: dict[str, Any], results: int) -> None:
    """Run a script several times without the GIL and with it, and report how often it failed."""
    os.set_inheritable(results, False)
    budget, counts = ProcessorBudget(job["budget"]), []
    problem = None
    try:
        for gil in (False, True):
            host = Host(job, budget, gil=gil, imports=[])
            counts.append(sum(host.fails(job["replay"], job["seconds"]) for _ in range(job["tries"])))
            host.close()
    except HostGone as error:
        problem = str(error)
    failed, control = (*counts, 0, 0)[:2]
    message = {"failed": failed, "control": control, "tries": job["tries"]}
    send(results, job["nonce"], {"done": message, "problem": problem})


class Director:
    """Manages the budget."""

    def __init__(self, job: dict[str, Any], results: int) -> None:
        self.job, self.results = job, results
        os.set_inheritable(results, False)
        self.budget = ProcessorBudget(job["budget"])
        self.problem: str | None = None
        self.free: Host | None = None
        self.with_gil: Host | None = None
        self.bares: dict[bool, Host] = {}
        self.learner: Learner | None = None
        self.triage: Triage | None = None
        self.units = self.calls = self.rounds = self.overlapped = 0
        self.reported = 0.0
        self.ended = ""
        """Why no more units ran."""

    # ------------------------------------------------------------------------------------- reports

    def send(self, message: dict[str, Any]) -> None:
        """Write one frame."""
        send(self.results, self.job["nonce"], message)

    def coverage(self) -> dict[str, Any]:
        """Return the results so far."""
        known = [] if self.learner is None else list(self.learner.callables.values())
        return {
            "callables": [
                {"name": each.name, "driven": each.driven, "recipe": each.recipe, "reason": each.reason}
                for each in known
            ][:2000],
            "types": 0 if self.learner is None else len(self.learner.subjects),
            "types_driven": sorted(
                {
                    subject.type
                    for subject in (() if self.learner is None else self.learner.subjects.values())
                    if any(self.learner.callables[each["name"]].driven for each in subject.operations)
                }
            )
            if self.learner is not None
            else [],
            "left_out": 0 if self.learner is None else self.learner.left_out,
            "units": self.units,
            "calls": self.calls,
            "rounds": self.rounds,
            "overlapped": self.overlapped,
            "cpu": round(self.budget.spent, 2),
            "wall": round(time.monotonic() - self.budget.began, 2),
            "alone": [] if self.learner is None else self.learner.alone[:20],
            "with_gil": [] if self.triage is None else self.triage.with_gil[:20],
            "interpreter": [] if self.triage is None else self.triage.interpreter[:20],
            "rare": [] if self.triage is None else self.triage.rare[:20],
            "ended": self.ended,
            "failures": [] if self.triage is None else [each.to_json() for each in self.triage.found],
        }

    def tell(self, *, now: bool = False) -> None:
        """Report the progress, so that nothing is lost if the process is killed."""
        if now or time.monotonic() - self.reported > _REPORT_EVERY:
            self.reported = time.monotonic()
            self.send({"now": self.coverage()})

    def finish(self) -> None:
        """Report the end, and stop the child processes."""
        self.send({"done": self.coverage(), "problem": self.problem})
        for host in (self.free, self.with_gil, *self.bares.values()):
            if host is not None:
                with contextlib.suppress(OSError):
                    host.close()

    # ------------------------------------------------------------------------------------- the work

    def run(self) -> None:
        """Run all phases."""
        self.send({"ready": sys.version})
        imports = [*self.job["toplevels"], *self.job["modules"]]
        self.free = Host(self.job, self.budget, gil=False, imports=imports)
        self.problem = self.free.started["problem"]
        if self.free.started["gil"]:
            self.problem = "the GIL is on once it is imported: nothing can run at the same time"
            return
        self.learner = Learner(self.free, self.job)
        self.triage = Triage(self.free, self.control, self.bare, lambda: self.budget.left - KEPT, self.is_over)
        entries = self.learner.describe()
        if entries:
            self.problem = None
        self.tell(now=True)
        self.learn(entries)
        self.tell(now=True)
        for unit in self.units_without_end():
            if self.budget.left <= KEPT + schedule.SLICE:
                self.ended = "clock" if self.budget.is_late else "budget"
                break
            if len(self.triage.found) >= MOST_FAILURES:
                self.ended = "failures"
                break
            # A unit in new processes may take longer than what is left, and usually takes a part of its time.
            self.drive(unit.changed(seconds=min(unit.seconds, self.budget.left - KEPT)))
            self.tell()
        for callable_ in self.learner.callables.values():
            if not callable_.driven and not callable_.reason:
                callable_.reason = "the budget was used up before it was driven"

    def is_over(self) -> bool:
        """Return whether nothing more may be confirmed: the budget is used up, and its tolerance too."""
        return self.budget.is_late or self.budget.spent > (1 + TOLERANCE) * self.budget.seconds

    def control(self) -> Host:
        """Return the host with the GIL, started on first use."""
        if self.with_gil is None:
            imports = [*self.job["toplevels"], *self.job["modules"]]
            self.with_gil = Host(self.job, self.budget, gil=True, imports=imports)
        return self.with_gil

    def bare(self, gil: bool) -> Host:
        """Return the host that has imported nothing, started on first use."""
        if gil not in self.bares:
            self.bares[gil] = Host(self.job, self.budget, gil=gil, imports=[])
        return self.bares[gil]

    def learn(self, entries: list[dict[str, Any]]) -> None:
        """Learn the callables, until their part of the budget is used."""
        if self.learner is None:
            return
        limit = LEARNING * self.budget.seconds
        self.learner.use_recipes(self.job["recipes"])
        again = []
        for entry in entries:
            if self.budget.spent > 0.6 * limit:
                break
            self.learner.try_callable(entry)
            known = self.learner.callables.get(entry["path"])
            if known is not None and not known.calls:
                again.append(entry)
        if self.learner.subjects:
            for entry in again:
                if self.budget.spent > 0.7 * limit:
                    break
                self.learner.try_callable(entry)
        tried: set[str] = set()
        while self.budget.spent <= limit:
            # Operations of one type may result in objects of another.
            waiting = [each for each in self.learner.subjects.values() if each.type not in tried]
            if not waiting:
                break
            subject = min(waiting, key=lambda each: not each.compiled)
            tried.add(subject.type)
            self.learner.try_subject(subject)

    def units_without_end(self) -> Iterator[ThreadedUnit]:
        """Yield all units repeatedly, each time with other threads, calls, and switch intervals."""
        for again in itertools.count():
            any_unit = False
            for unit in self.all_units(schedule.Chance(self.job["seed"] + 7919 * again, self.job["threads"])):
                any_unit = True
                yield unit
            if not any_unit:
                return

    def all_units(self, chance: schedule.Chance) -> Iterator[ThreadedUnit]:
        """Yield units, taking turns between types and functions."""
        if self.learner is None:
            return
        subjects = sorted(self.learner.subjects.values(), key=lambda each: not each.compiled)
        functions = [each for each in self.learner.callables.values() if each.calls]
        compiled = [each for each in functions if each.compiled]
        others = [each for each in functions if not each.compiled]
        lanes = [schedule.of_subject(subject, chance) for subject in subjects]
        lanes += list(schedule.of_functions([*compiled, *others], self.learner.subjects, chance))
        extra = [self.checked(schedule.checks_of(subject, chance)) for subject in subjects]
        extra += [schedule.first_uses(compiled, chance), self.imports()]
        # Many operations meet first. Checks, first uses, and imports then take turns with a round of everything else.
        together = [schedule.together_on(subject, chance) for subject in subjects]
        together.append(schedule.functions_together(compiled, self.learner.subjects, chance))
        together.append(schedule.functions_together(others, self.learner.subjects, chance))
        while together:
            for lane in list(together):
                unit = next(lane, None)
                if unit is None:
                    together.remove(lane)
                else:
                    yield unit
        waiting = list(lanes)
        while waiting or extra:
            for lanes_now in (waiting, extra):
                for lane in list(lanes_now):
                    unit = next(lane, None)
                    if unit is None:
                        lanes_now.remove(lane)
                    else:
                        yield unit

    def checked(self, asked: Iterator[tuple[str, ThreadedUnit]]) -> Iterator[ThreadedUnit]:
        """Yield the units whose check passes in one thread."""
        for question, unit in asked:
            if self.free is None or self.budget.left < 1:
                return
            if question == "recipe":
                yield unit
                continue
            script = render(unit)
            request = {"do": question, "script": script, "limit": 3, "wall": 6, "stall": 1.5, "busy": 1.0}
            answer = self.free.ask(request)
            if (answer["result"] or {}).get(question):
                yield unit

    def imports(self) -> Iterator[ThreadedUnit]:
        """Yield the unit in which several threads import the package at once."""
        names = self.job["toplevels"] + self.job["modules"]
        if self.free is None or float(self.free.started["cpu"]) > 1.0:
            return
        yield ThreadedUnit(
            kind="import",
            target="import",
            imports=(),
            shared={},
            operations=tuple(f'__import__("{name}")' for name in itertools.islice(names, MOST_MODULES)),
            threads=4,
            calls=1,
            rounds=1,
            seconds=5.0,
            processes=4,
        )

    def drive(self, unit: ThreadedUnit) -> None:
        """Run a unit, and triage its failure if it has one."""
        if self.free is None or self.triage is None or self.learner is None:
            return
        if not unit.rotating and any(known.is_same(unit, _NOTHING) for known in self.triage.found):
            self.mark(unit)
            return
        if unit.kind == "import":
            self.drive_imports(unit)
            return
        left: ThreadedUnit | None = unit
        for _ in range(MOST_AGAIN):
            left = self.triage.without_known(left) if unit.rotating and left is not None else left
            if left is None:
                return
            outcome = self.free.run(left, measured=True)
            self.count(left, outcome)
            if not outcome.kind:
                return
            known = len(self.triage.known)
            self.triage.settle(left, outcome)
            self.tell(now=True)
            # An operation that fails must not hide what the other operations of the unit do.
            if not unit.rotating or len(self.triage.known) == known or self.budget.left <= KEPT:
                return

    def drive_imports(self, unit: ThreadedUnit) -> None:
        """Import the package from several threads at once, in processes that have not imported it."""
        if self.triage is None:
            return
        outcome = self.bare(False).run(unit, measured=True)
        self.count(unit, outcome)
        if outcome.kind:
            triage = Triage(self.bare(False), lambda: self.bare(True), self.bare, self.triage.left, self.is_over)
            triage.settle(unit, outcome)
            self.triage.found += triage.found
            self.triage.with_gil += triage.with_gil
            self.triage.interpreter += triage.interpreter
            self.triage.rare += triage.rare

    def count(self, unit: ThreadedUnit, outcome: Outcome) -> None:
        """Add a run to the coverage."""
        self.units += 1
        self.rounds += outcome.rounds
        self.overlapped += outcome.overlaps
        self.calls += outcome.rounds * unit.calls * unit.threads
        if outcome.rounds or outcome.kind:
            self.mark(unit)

    def mark(self, unit: ThreadedUnit) -> None:
        """Record which callables were driven."""
        for name in unit.subjects:
            if self.learner is not None and name in self.learner.callables:
                self.learner.callables[name].driven = True


class _NoOutcome:
    kind = native = ""


_NOTHING: Any = _NoOutcome()
