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
from ftaudit.stress.child.unit_lanes import UnitLanes
from ftaudit.stress.child.units import ThreadedUnit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

LEARNING = 0.35
"""The maximum part of the time for learning, while there are units to run."""
IMPORTS = 1.0
"""The weight of the lane with the import of the package by several threads."""
KEPT = 0.2
"""Seconds of processor time reserved for the end."""
KNOWN = 3.0
"""By how much the weight of a lane falls with a failure."""
MOST_FAILURES = 12
MOST_MODULES = 12
MOST_AGAIN = 2
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
            self.problem = "importing it turns the GIL on, so nothing can run at the same time"
            return
        self.learner = Learner(self.free, self.job)
        self.triage = Triage(self.free, self.control, self.bare, lambda: self.budget.left - KEPT, self.is_over)
        entries = self.learner.describe()
        if entries:
            self.problem = None
        self.tell(now=True)
        self.work(UnitLanes(self.learner, self.free, self.job["seed"], self.job["threads"]), entries)
        for callable_ in self.learner.callables.values():
            if not callable_.driven and not callable_.reason:
                callable_.reason = "the time budget ended before it was called"

    def work(self, lanes: UnitLanes, entries: list[dict[str, Any]]) -> None:
        """Learn, and run units of the learned operations, until the budget is used up."""
        if self.learner is None or self.triage is None:
            return
        steps: Iterator[bool] | None = self.learner.steps(entries)
        learning, began = 0.0, self.budget.spent
        lanes.add(self.imports(), IMPORTS)
        while True:
            if self.budget.left <= KEPT + schedule.SLICE:
                self.ended = "clock" if self.budget.is_late else "budget"
                break
            if len(self.triage.found) >= MOST_FAILURES:
                self.ended = "failures"
                break
            before = self.budget.spent
            if steps is not None and (learning <= LEARNING * (before - began) or not lanes.types):
                if next(steps, None) is None:
                    steps = None
                lanes.follow()
                learning += self.budget.spent - before
                continue
            following = lanes.next()
            if following is None:
                if steps is None:
                    break
                learning = 0.0
                continue
            lane, unit = following
            # A unit in new processes may take longer than what is left, and usually takes a part of its time.
            known = len(self.triage.found)
            self.drive(unit.changed(seconds=max(min(unit.seconds, self.budget.left - KEPT), 0.0)))
            if len(self.triage.found) > known:
                # What is known to fail leaves time for what is not known yet.
                lane.weight /= KNOWN
            for suspected in self.triage.suspected:
                lanes.suspect(suspected)
            self.triage.suspected = []
            lane.spent += self.budget.spent - before
            self.tell()

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
        known = any(known.is_same(unit, _NOTHING) for known in self.triage.found) or self.triage.is_excluded(unit)
        if not unit.rotating and known:
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
            settled = len(self.triage.known)
            self.triage.settle(left, outcome)
            self.tell(now=True)
            # An operation that fails must not hide what the other operations of the unit do.
            if not unit.rotating or len(self.triage.known) == settled or self.budget.left <= KEPT:
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
        self.calls += outcome.calls
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
