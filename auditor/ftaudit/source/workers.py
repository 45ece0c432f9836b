"""Run a function over many tasks in worker processes that may crash or hang; in threads where there is no GIL."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import connection
from multiprocessing.connection import Connection
from typing import Any, Final

PATIENCE: Final = 60.0
"""Seconds that one task may take."""
_MEMORY: Final = 6 << 30
"""Bytes that a worker may use."""
_BATCH_BYTES: Final = 100_000
_TICK: Final = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Died:
    """What is returned for a task whose worker ended."""

    reason: str


@dataclass(kw_only=True, slots=True)
class _Worker:
    process: Any
    pipe: Connection[Any, Any]
    waiting: deque[int] = field(default_factory=deque)
    """The tasks that it was handed and has not answered, in order: the first is the one that it is at."""
    heard: float = 0.0


def default_jobs() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def run_tasks(
    function: Callable[[Any], Any],
    tasks: Sequence[Any],
    *,
    sizes: Sequence[int],
    jobs: int | None = None,
    patience: float = PATIENCE,
) -> Iterator[tuple[int, Any]]:
    """Yield the index of each task and `function(task)`, in any order; `Died` where a worker crashed or hung.

    `jobs=0` runs everything here and now, without that protection. `sizes` are the tasks' costs, in bytes.
    """
    jobs = default_jobs() if jobs is None else jobs
    order = sorted(range(len(tasks)), key=lambda index: -sizes[index])
    if jobs == 0:
        yield from ((index, function(tasks[index])) for index in order)
    elif not _has_gil():
        with ThreadPoolExecutor(jobs) as pool, _without_collector():
            yield from zip(order, pool.map(function, [tasks[index] for index in order]), strict=True)
    else:
        yield from _run_in_processes(function, tasks, _batches(order, sizes), jobs, patience)


def can_fork() -> bool:
    """Tell whether workers are copies of this process: quick to make, but not to be made while other threads run."""
    return sys.platform == "linux" and threading.active_count() == 1


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Keep the collector of cycles from stopping all threads at every turn: trees have none."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _has_gil() -> bool:
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def _batches(order: list[int], sizes: Sequence[int]) -> deque[list[int]]:
    batches: deque[list[int]] = deque()
    current: list[int] = []
    weight = 0
    for index in order:
        current.append(index)
        weight += sizes[index] + 500
        if weight >= _BATCH_BYTES:
            batches.append(current)
            current, weight = [], 0
    if current:
        batches.append(current)
    return batches


def _run_in_processes(
    function: Callable[[Any], Any], tasks: Sequence[Any], batches: deque[list[int]], jobs: int, patience: float
) -> Iterator[tuple[int, Any]]:
    context = multiprocessing.get_context("fork" if can_fork() else "spawn")
    workers: list[_Worker] = []
    try:
        workers += (_start(context, function, tasks) for _ in range(min(jobs, len(batches))))
        for worker in workers:
            _hand_out(worker, batches)
        while workers:
            ready = connection.wait([worker.pipe for worker in workers], timeout=_TICK)
            for worker in [w for w in workers if w.pipe in ready]:
                answer = _receive(worker)
                if answer is None:
                    worker.process.join()
                    yield worker.waiting.popleft(), Died(reason=_ending(worker.process.exitcode))
                    _replace(worker, workers, batches, context, function, tasks)
                else:
                    index, result = answer
                    worker.waiting.remove(index)
                    worker.heard = time.monotonic()
                    yield index, result
                    if len(worker.waiting) <= 1:
                        _hand_out(worker, batches)
                    if not worker.waiting:
                        _stop(worker)
                        workers.remove(worker)
            for worker in [w for w in workers if w.waiting and time.monotonic() - w.heard > patience]:
                worker.process.kill()
                worker.process.join()
                yield worker.waiting.popleft(), Died(reason=f"took longer than {patience:g} s")
                _replace(worker, workers, batches, context, function, tasks)
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()


def _start(context: Any, function: Callable[[Any], Any], tasks: Sequence[Any]) -> _Worker:
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, ours, function, tasks), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process=process, pipe=ours, heard=time.monotonic())


def _receive(worker: _Worker) -> tuple[int, Any] | None:
    try:
        answer: tuple[int, Any] = worker.pipe.recv()
    except (EOFError, OSError):
        return None
    return answer


def _hand_out(worker: _Worker, batches: deque[list[int]]) -> None:
    if not batches:
        return
    if not worker.waiting:
        worker.heard = time.monotonic()
    batch = batches.popleft()
    # A pipe that broke is noticed when it is read.
    with contextlib.suppress(OSError):
        worker.pipe.send(batch)
    worker.waiting.extend(batch)


def _replace(
    worker: _Worker,
    workers: list[_Worker],
    batches: deque[list[int]],
    context: Any,
    function: Callable[[Any], Any],
    tasks: Sequence[Any],
) -> None:
    """Put a new worker in the place of one that ended; it gets the tasks that were left, one by one."""
    worker.pipe.close()
    batches.extendleft([index] for index in reversed(worker.waiting))
    workers.remove(worker)
    if batches:
        fresh = _start(context, function, tasks)
        _hand_out(fresh, batches)
        workers.append(fresh)


def _stop(worker: _Worker) -> None:
    with contextlib.suppress(OSError):
        worker.pipe.send(None)
    worker.pipe.close()
    worker.process.join()


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return f"the process that looked at it was ended by {signal.Signals(-code).name}"
    return f"the process that looked at it ended with exit code {code}"


def _serve(
    pipe: Connection[Any, Any], parents: Connection[Any, Any], function: Callable[[Any], Any], tasks: Sequence[Any]
) -> None:
    parents.close()
    # Ctrl-C reaches the whole group; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _limit_memory()
    # Trees have no cycles, and looking for some takes half as long again as making them.
    gc.disable()
    with contextlib.suppress(EOFError, OSError):
        while (batch := pipe.recv()) is not None:
            for index in batch:
                pipe.send((index, function(tasks[index])))
    pipe.close()
    # What the parent would do at its exit (its atexit hooks, its buffers) is not this process's to do.
    os._exit(0)


def _limit_memory() -> None:
    if sys.platform == "linux":
        import resource

        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
