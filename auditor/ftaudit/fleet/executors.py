"""Where tasks run: in local processes, or on a Dask cluster (`dask_cluster`). Both give the same answers."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeVar

from ftaudit.settings import Settings
from ftaudit.workers import WorkerPool

TASK_SECONDS: Final = 1200.0
"""Seconds of processor time that one task may use in its own process; reading wheels has limits of its own."""
FEWEST_CONNECTIONS: Final = 4
"""A worker has one for pages, and three for wheels."""
WORKER_MEMORY: Final = 24 << 30
"""Bytes of address space of a worker; the processes that read wheels reserve much and use little."""


class KeyedTask(Protocol):
    """A task with a name, which depends only on what it says."""

    @property
    def key(self) -> str:
        """The name."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """How many share what the fleet as a whole may ask of a host."""

    workers: int
    machines: int = 1
    """Those of one machine keep to one rate, through a file."""

    def of(self, settings: Settings) -> Settings:
        """Return the settings of one worker, from those of the fleet."""
        connections, rate = settings.connections, settings.rate
        return replace(
            settings,
            connections=None if connections is None else max(FEWEST_CONNECTIONS, connections // self.workers),
            rate=None if rate is None else rate / self.machines,
        )


def limited(most: int) -> str:
    """Return a sentence about a run that has fewer workers than there could be."""
    run = "worker runs" if most == 1 else "workers run"
    return f"at most {most} {run} at a time: each needs {FEWEST_CONNECTIONS} connections (see --connections)"


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
        """Yield each task with its answer, or with `Died`, in any order; `work` gets the task and the worker's `Share`.

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
        share = Share(workers=self.workers)
        with WorkerPool(work, workers=self.workers, seconds=TASK_SECONDS, memory=WORKER_MEMORY, may_write=True) as pool:
            source = iter(tasks)
            while True:
                # One more than there are workers, so that none waits.
                while waiting <= self.workers and (task := next(source, None)) is not None:
                    (future,) = pool.submit([task], share)
                    future.add_done_callback(lambda done, task=task: answered.put((task, done)))  # type: ignore[misc]
                    waiting += 1
                if not waiting:
                    return
                task, future = answered.get()
                waiting -= 1
                yield task, future.result()
