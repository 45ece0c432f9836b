"""Where tasks run: in local processes, or on a Dask cluster (`dask_cluster`). Both give the same answers."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, Final, Protocol, TypeVar

from ftaudit.workers import WorkerPool

TASK_SECONDS: Final = 1200.0
"""Seconds of processor time that one task may use in its own process; reading wheels has limits of its own."""
WORKER_MEMORY: Final = 24 << 30
"""Bytes of address space of a worker; the processes that read wheels reserve much and use little."""


class KeyedTask(Protocol):
    """A task with a name, which depends only on what it says."""

    @property
    def key(self) -> str:
        """The name."""
        ...


K = TypeVar("K", bound=KeyedTask)
Outcome = Any
"""What a task answered: plain data, or `Died`."""


class Executor(Protocol):
    """Runs tasks somewhere. A context manager."""

    deaths: int
    """How many workers a task has ended if it is `Died`."""

    def check(self) -> None:
        """Raise `FtauditError` if tasks cannot run there. Nothing is left open."""
        ...

    def __enter__(self) -> object: ...

    def __exit__(self, *_: object) -> None: ...

    def run(self, work: Callable[[K, Any], Any], tasks: Iterable[K]) -> Iterator[tuple[K, Outcome]]:
        """Yield each task with its answer, or with `Died`, in any order.

        Tasks are taken as they are needed, so that a generator may add tasks while it runs.
        """
        ...


class LocalWorkers:
    """Processes of this machine: a lost one is replaced, and loses only its own task."""

    deaths = 1

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def check(self) -> None:
        """Return: a process can always be started."""

    def __enter__(self) -> LocalWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, work: Callable[[K, Any], Any], tasks: Iterable[K]) -> Iterator[tuple[K, Outcome]]:
        """Yield each task with its answer, as `Executor.run` says."""
        answered: queue.SimpleQueue[tuple[K, Future[Any]]] = queue.SimpleQueue()
        waiting = 0
        with WorkerPool(work, workers=self.workers, seconds=TASK_SECONDS, memory=WORKER_MEMORY, may_write=True) as pool:
            source = iter(tasks)
            while True:
                # One more than there are workers, so that none waits.
                while waiting <= self.workers and (task := next(source, None)) is not None:
                    (future,) = pool.submit([task])
                    future.add_done_callback(lambda done, task=task: answered.put((task, done)))  # type: ignore[misc]
                    waiting += 1
                if not waiting:
                    return
                task, future = answered.get()
                waiting -= 1
                yield task, future.result()
