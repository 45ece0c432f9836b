"""One pool of worker processes; any of them may crash, hang or run out of memory, and only its own task is lost.

Tasks go to a worker as pickles; answers come back as JSON, because a worker that read hostile data is not trusted.
Workers are copies of a template, which is a copy of this process, if that is possible (`can_fork`): they have all its
imports. Elsewhere they are fresh interpreters.
"""

from __future__ import annotations

import contextlib
import gc
import queue
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from ftaudit.cores import count_cores
from ftaudit.workers.ending import Died, TaskEnding
from ftaudit.workers.pool import WorkerPool
from ftaudit.workers.template import can_fork

__all__ = ["Died", "TaskEnding", "WorkerPool", "can_fork", "run_tasks"]

PATIENCE: Final = 60.0
"""Seconds of processor time that one task may take."""


MEMORY: Final = 6 << 30
"""Bytes that a worker may use."""


_BATCH_BYTES: Final = 100_000


def run_tasks(
    function: Callable[[Any], Any],
    tasks: Sequence[Any],
    *,
    sizes: Sequence[int],
    jobs: int | None = None,
    patience: float = PATIENCE,
) -> Iterator[tuple[int, Any]]:
    """Yield the index of each task and `function(task)`, in any order; `Died` for a task that ended its worker.

    `function` answers with what JSON can hold. `jobs=0` runs everything in this thread. On an interpreter that runs
    without the GIL the tasks run in threads of this process. Neither survives a crash. `sizes` are the tasks' costs,
    in bytes.
    """
    jobs = count_cores() if jobs is None else jobs
    order = sorted(range(len(tasks)), key=lambda index: -sizes[index])
    if jobs == 0:
        yield from ((index, function(tasks[index])) for index in order)
        return
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        with ThreadPoolExecutor(jobs) as threads, _without_collector():
            yield from zip(order, threads.map(function, [tasks[index] for index in order]), strict=True)
        return
    if not tasks:
        return
    batches = list(_batches(order, sizes))
    answered: queue.SimpleQueue[tuple[int, Future[Any]]] = queue.SimpleQueue()
    with WorkerPool(
        _Alone(function),
        workers=min(jobs, len(batches)),
        seconds=patience,
        memory=MEMORY,
        prepare=gc.disable,  # Trees have no cycles, and the search for cycles adds half of the time.
        fork=can_fork(),
    ) as pool:
        for batch in batches:
            for index, future in zip(batch, pool.submit([tasks[index] for index in batch], at_once=True), strict=True):
                future.add_done_callback(lambda done, index=index: answered.put((index, done)))  # type: ignore[misc]
        for _ in tasks:
            index, future = answered.get()
            yield index, future.result()


@dataclass(frozen=True, slots=True)
class _Alone:
    """The work of tasks that share nothing."""

    function: Callable[[Any], Any]

    def __call__(self, task: Any, shared: object) -> Any:
        return self.function(task)


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Keep the cycle collector from stopping all threads too often."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _batches(order: Sequence[int], sizes: Sequence[int]) -> Iterator[list[int]]:
    current: list[int] = []
    weight = 0
    for index in order:
        current.append(index)
        weight += sizes[index] + 500
        if weight >= _BATCH_BYTES:
            yield current
            current, weight = [], 0
    if current:
        yield current
