"""The hosts in which the director runs units, and their processor time."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import subprocess
import sys
import time

from ftaudit.stress.child.script_text import head_of, render
from ftaudit.stress.child.units import ThreadedUnit, picked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

START_SECONDS = 60.0
TOLERANCE = 0.06
"""The part of the budget that the confirmation of the last failure may take in addition."""
BUSY = 2.0
"""Seconds of processor time without progress that count as an endless loop: a round has hundredths of a second."""
WALL = 8
"""The wall time in budgets: hangs use no processor time, and other programs may use the processors."""
_UNIT_LINE = re.compile(r'File "<unit>", line (\d+) in <lambda>')
_NATIVE = re.compile(r'Binary file "([^"]*)", at (\S*?)(\+0x[0-9a-f]+) \[')


class ProcessorBudget:
    """The processor time limit, and the time at which everything must end."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.began = time.monotonic()
        self.wall = WALL * seconds + 60
        self.workers = 0.0
        self.hosts: dict[int, float] = {}

    @property
    def spent(self) -> float:
        """Seconds of processor time so far, of this process and its children."""
        return self.workers + sum(self.hosts.values()) + time.process_time()

    @property
    def is_late(self) -> bool:
        """Whether the wall time is over, although processor time may remain: other programs use the processors."""
        return time.monotonic() - self.began > self.wall

    @property
    def left(self) -> float:
        """Seconds of processor time that remain; zero if the wall time is over."""
        if self.is_late:
            return 0.0
        return max(self.seconds - self.spent, 0.0)


class HostGone(Exception):
    """The host ended: the package ended it during the import."""


class Outcome:
    """How one run of a unit ended."""

    __slots__ = (
        "calls",
        "cpu",
        "failed",
        "kind",
        "memory",
        "native",
        "operations",
        "overlaps",
        "rounds",
        "signal",
        "stack",
    )

    def __init__(self, answer: dict[str, Any], unit: ThreadedUnit, site: str) -> None:
        result = answer.get("result") or {}
        self.signal = answer.get("signal", 0)
        self.stack = answer.get("stack", "")
        self.cpu = answer.get("cpu", 0.0)
        self.memory = answer.get("memory", 0)
        self.rounds = max(int(result.get("rounds", (answer.get("progress") or [0])[0] // 3)), 0)
        self.overlaps = int(result.get("overlaps", 0))
        self.calls = int(result.get("calls", 0)) or self.rounds
        """The calls that were made, or as many as are certain if the process did not report them."""
        self.failed = str(result.get("failed", ""))
        self.kind = str(result.get("kind", "")) if self.failed else _kind_of(answer)
        """`""` if nothing failed; `crash`, `hang`, `wrong result`, `error`, or `memory growth`."""
        first = len(head_of(unit)) + 1
        at = [int(line) - first for line in _UNIT_LINE.findall(self.stack)]
        self.operations = [index for index in at if 0 <= index < len(unit.operations)]
        """The operations in the stack; those of the other threads follow in a rotating unit."""
        if unit.rotating and (progress := answer.get("progress")):
            turn = max(progress) // 3
            # Threads that did not finish their calls in a round come first.
            threads = sorted(range(unit.threads), key=lambda number: progress[number])
            self.operations += [picked(number, turn, len(unit.operations)) for number in threads]
            self.operations = list(dict.fromkeys(self.operations))
        self.native = _native(self.stack, site)


def _kind_of(answer: dict[str, Any]) -> str:
    if answer.get("hung") in ("deadlock", "endless"):
        return "hang"
    number = answer.get("signal", 0)
    # A process that the kernel ends because of a limit is not a failure of the package.
    return "crash" if number in (4, 5, 6, 7, 8, 11) else ""


def _native(stack: str, site: str) -> str:
    """Return the innermost function of the package's images in a faulthandler stack, if any."""
    for path, symbol, offset in _NATIVE.findall(stack):
        if path.startswith(site):
            return f"{os.path.basename(path)}:{symbol or offset}"  # noqa: PTH119 - quick
    return ""


class Host:
    """One interpreter that has imported the package, with or without the GIL."""

    def __init__(self, job: dict[str, Any], budget: ProcessorBudget, *, gil: bool, imports: list[str]) -> None:
        self.budget, self.site = budget, job["site"]
        mine_read, its_write = os.pipe()
        its_read, mine_write = os.pipe()
        boot = os.path.join(os.path.dirname(os.path.abspath(__file__)), "boot.py")  # noqa: PTH100, PTH118, PTH120
        options = ["-X", "gil=1"] if gil else []
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", *options, boot, "forking_host", str(its_read), str(its_write)],
            pass_fds=[its_read, its_write],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(its_read)
        os.close(its_write)
        self.reading, self.writing = mine_read, mine_write
        self.buffer = b""
        told = {name: job[name] for name in ("site", "paths", "memory", "filters")}
        self.send({**told, "imports": imports})
        self.started = self.hear(START_SECONDS)
        self.budget.hosts[self.process.pid] = float(self.started.get("cpu", 0))

    @property
    def has_images(self) -> bool:
        """Whether compiled code of the environment was loaded with the package."""
        return bool(self.started.get("images", True))

    def send(self, message: dict[str, Any]) -> None:
        """Write one request."""
        data = json.dumps(message).encode("ascii", "backslashreplace") + b"\n"
        try:
            while data:
                data = data[os.write(self.writing, data) :]
        except OSError as error:
            raise HostGone("the process that imported the package ended") from error

    def hear(self, seconds: float) -> dict[str, Any]:
        """Return one answer; raise `HostGone` if no answer arrives in time."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self.buffer:
            ready, _, _ = select.select([self.reading], [], [], max(deadline - time.monotonic(), 0))
            data = os.read(self.reading, 1 << 16) if ready else b""
            if not data:
                self.close()
                why = "ended" if ready else "did not answer"
                raise HostGone(f"the process that imports the package {why}")
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        answer = json.loads(line)
        if not isinstance(answer, dict):
            raise HostGone("the process that imports the package does not answer as it should")
        return answer

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return its answer; count its cost, which the rest of the budget limits."""
        rest = (1 + TOLERANCE) * self.budget.seconds - self.budget.spent
        self.send({**request, "limit": min(request["limit"], max(rest, 0.0))})
        answer = self.hear(request["wall"] + 30)
        self.budget.workers += float(answer.get("cpu", 0))
        self.budget.hosts[self.process.pid] = float(answer.get("host", 0))
        return answer

    def patience(self) -> dict[str, float]:
        """Return the seconds without progress after which a run counts as a hang, idle and busy ones."""
        return {"stall": 2.5, "busy": BUSY}

    def run(self, unit: ThreadedUnit, *, alone: bool = False, measured: bool = False) -> Outcome:
        """Run a unit for its own time, in its number of processes; the first failure is the outcome.

        `measured` also counts the rounds in which threads overlapped.
        """
        script = render(unit, measured=measured)
        outcome = None
        for _ in range(unit.processes):
            request = {
                "do": "run",
                "script": script,
                "alone": alone,
                "limit": unit.seconds * max(unit.threads, 1) + 10,
                "wall": unit.seconds * 3 + 25,
                **self.patience(),
            }
            outcome = Outcome(self.ask(request), unit, self.site)
            if outcome.kind:
                break
        if outcome is None:
            raise HostGone("a unit without a process")
        return outcome

    def fails(self, script: str, seconds: float) -> bool:
        """Return whether a complete script ends with a signal or a nonzero exit code, or never ends."""
        answer = self.ask(
            {
                "do": "script",
                "script": script,
                "limit": 8 * seconds + 10,
                "wall": 4 * seconds + 20,
                **self.patience(),
            }
        )
        return bool(answer["hung"] or answer["signal"] or answer["exit"])

    def close(self) -> None:
        """Stop the host."""
        for descriptor in (self.reading, self.writing):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self.process.kill()
        self.process.wait()
