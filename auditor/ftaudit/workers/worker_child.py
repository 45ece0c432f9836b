"""The worker: it runs tasks, within limits, until its input ends. It may be killed at any time."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias

from ftaudit.workers.ending import Died, TaskEnding
from ftaudit.workers.frames import Packed, receive_tasks, send_answer

Work: TypeAlias = "Callable[[Any, Any], Any]"
"""The work: a function of a module, or a `partial` of one. It gets a task and its batch's shared value."""


Limits: TypeAlias = "tuple[int, int, bool]"
"""Bytes of memory for a worker, seconds of processor time for a task, and whether it may write files."""


_GARBAGE: Final = 100_000
"""New objects after which garbage is collected: a task that parses a large file makes so many, and keeps them."""


def main(limits: Limits) -> None:
    """Work in a fresh interpreter until stdin ends. The first task is the work itself."""
    answers = os.fdopen(os.dup(1), "wb")
    discard_output()
    received = receive_tasks(sys.stdin.buffer)
    if received is not None:
        work, prepare = received[0][0].unpack()
        _serve(sys.stdin.buffer, answers, work, prepare, limits)


def be_a_copy(
    down: int, up: int, ours: Sequence[int], work: Work, prepare: Callable[[], object] | None, limits: Limits
) -> None:
    """Work in a copy of the template; `ours` are the descriptors that only the template uses."""
    for descriptor in ours:
        os.close(descriptor)
    discard_output()
    _serve(os.fdopen(down, "rb"), os.fdopen(up, "wb"), work, prepare, limits)


def discard_output() -> None:
    """Discard the output of native code: it must not be taken for an answer, or mix with a report."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _serve(
    tasks: BinaryIO, answers: BinaryIO, work: Work, prepare: Callable[[], object] | None, limits: Limits
) -> None:
    memory, cpu_seconds, may_write = limits
    _limit(memory, may_write=may_write)
    if prepare is not None:
        prepare()
    # Loaded modules stay: without these two lines, each garbage collection walks all their objects again.
    gc.freeze()
    gc.set_threshold(_GARBAGE)
    with contextlib.suppress(OSError):
        send_answer(answers, b"{}")
        shared: object = None
        while (received := receive_tasks(tasks)) is not None:
            batch, news = received
            if news is not None:
                shared = None  # Frees the old value before the new one exists.
                shared = news.unpack()
            for task in batch:
                _allow(cpu_seconds)
                send_answer(answers, _done(work, task, shared, memory))
    # This process must not run the parent's exit actions (its atexit hooks, its buffers).
    os._exit(0)


def _done(work: Work, task: Packed, shared: object, memory: int) -> bytes:
    try:
        return json.dumps({"answer": work(task.unpack(), shared)}).encode()
    except MemoryError:
        died = Died(how=TaskEnding.MEMORY, detail=str(memory >> 20))
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        told = f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}"
        died = Died(how=TaskEnding.RAISED, detail=told)
    return json.dumps({"died": died.how.value, "detail": died.detail}).encode()


def _limit(memory: int, *, may_write: bool) -> None:
    """Limit memory, core files and written files, if the system can (POSIX)."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if not may_write:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        if sys.platform != "darwin":  # There a process maps more than any useful limit.
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _allow(seconds: int) -> None:
    """Let the kernel end this process after so much more processor time."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds + 1, hard))
