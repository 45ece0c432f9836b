"""One worker as its parent sees it: a process, and the pipes to it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, cast

from ftaudit.workers.allowance import Allowance
from ftaudit.workers.ending import Died, TaskEnding
from ftaudit.workers.frames import Packed, pack, receive_answer, send_tasks
from ftaudit.workers.worker_child import Limits, Work

STARTUP: Final = 60.0
"""Seconds that a worker may take until it is ready."""


@dataclass(eq=False, kw_only=True, slots=True)
class WorkerProcess:
    """One worker and the pipes to it. One thread talks to it; any thread may kill it."""

    kill_it: Callable[[], None]
    wait_for: Callable[[float | None], int | None]
    """Returns the exit code, negative for a signal, or `None` when it has not ended within so many seconds."""
    stdin: BinaryIO
    stdout: BinaryIO
    allowance: Allowance
    is_lost: bool = False
    seconds: float = 0.0
    """The processor time that a task may take."""
    expect: Callable[[float], None] = field(default=lambda _: None)
    """Is called with each new deadline."""
    _late: bool = False
    _ready: bool = False
    _shared: Packed | None = None

    def kill(self) -> None:
        """Kill it."""
        with contextlib.suppress(OSError, ValueError):
            self.kill_it()

    def kill_late(self) -> None:
        """Kill it because its time is up."""
        self._late = True
        self.kill()

    def end(self) -> None:
        """Kill it, collect it and close the pipes."""
        self.kill()
        self.wait_for(None)
        for stream in (self.stdin, self.stdout):
            with contextlib.suppress(OSError):  # Data that is still buffered for a dead process is useless.
                stream.close()

    def starts(self) -> bool:
        """Wait until it is ready; return whether it is. One that is not is lost."""
        if not self._ready and not self.is_lost:
            self._ready = self._within(STARTUP, lambda: receive_answer(self.stdout)) is not None
            if not self._ready:
                self._lost(Died(how=TaskEnding.NOT_STARTED))
        return self._ready

    def answers(self, tasks: Sequence[Packed], shared: Packed) -> Iterator[Any]:
        """Yield the answer to each task, in order; `Died` is the last if the process is lost."""
        if not self.starts():
            yield Died(how=TaskEnding.NOT_STARTED)
            return
        known, self._shared = shared is self._shared, shared
        sent = self._within(self.seconds, lambda: send_tasks(self.stdin, tasks, None if known else shared))
        for _ in tasks:
            answer = self._within(self.seconds, lambda: receive_answer(self.stdout)) if sent else None
            match answer:
                case None:
                    yield self._lost(self._ending())
                    return
                case {"answer": value}:
                    yield value
                case {"died": "memory" | "raised" as how, "detail": str(detail)}:
                    yield Died(how=TaskEnding(how), detail=detail)
                case _:
                    yield self._lost(Died(how=TaskEnding.NONSENSE))
                    return

    def _within(self, seconds: float, what: Callable[[], Any]) -> Any:
        """Run an operation on the pipes; if the process takes longer, it is killed, which ends the wait."""
        self.expect(self.allowance.begin(seconds))
        try:
            done = what()
        except OSError:
            done = None
        finally:
            self.allowance.end()
        return None if self._late else done

    def _lost(self, died: Died) -> Died:
        self.is_lost = True
        self.kill()
        return died

    def _ending(self) -> Died:
        """Return how the process ended by itself, or that its time was up."""
        if self._late or self.wait_for(0) == -getattr(signal, "SIGXCPU", 0):
            return Died(how=TaskEnding.TIMEOUT, detail=f"{self.seconds:g}")
        code = self.wait_for(5)
        if code is None:
            return Died(how=TaskEnding.CLOSED)
        if code >= 0:
            return Died(how=TaskEnding.EXIT, detail=str(code))
        try:
            return Died(how=TaskEnding.SIGNAL, detail=signal.Signals(-code).name)
        except ValueError:
            return Died(how=TaskEnding.SIGNAL, detail=f"signal {-code}")


def start_fresh(work: Work, prepare: Callable[[], object] | None, limits: Limits) -> WorkerProcess:
    """Return a fresh interpreter."""
    code = f"import sys; sys.path[:] = {sys.path!r}; from ftaudit.workers.worker_child import main; main({limits!r})"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )

    def wait_for(seconds: float | None) -> int | None:
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    stdin, stdout = cast(BinaryIO, process.stdin), cast(BinaryIO, process.stdout)
    with contextlib.suppress(OSError):  # A process that is already gone is noticed at the next question.
        send_tasks(stdin, [pack((work, prepare))], None)
    return WorkerProcess(
        kill_it=process.kill,
        wait_for=wait_for,
        stdin=stdin,
        stdout=stdout,
        allowance=Allowance(process.pid),
    )
