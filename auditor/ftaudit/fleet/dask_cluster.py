"""Runs tasks on a Dask cluster, through the client of `dask.distributed`.

The scheduler only passes tasks on: every finished answer is taken from the cluster at once, and forgotten there. If the
scheduler is lost, the tasks that were under way are submitted again as soon as it is back.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import logging
import queue
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from ftaudit.errors import FtauditError, UsageError
from ftaudit.fleet.executors import K, Outcome
from ftaudit.workers import Died, TaskEnding

IN_FLIGHT: Final = 2
"""Tasks for each thread of the cluster that are submitted at a time: submitted ones are in memory."""
ABSENCE: Final = 300.0
"""Seconds without a scheduler after which the run ends; the same command resumes it."""
_COUNT: Final = 5.0
"""Seconds after which the threads of the cluster are counted again."""
_CHECK: Final = 1.0
"""Seconds between looks at the connection while no answer comes."""


class DaskWorkers:
    """The workers of a cluster. They need nothing but ftaudit. A context manager."""

    deaths = 3
    """A task that Dask gives up has ended at least so many workers (`distributed.scheduler.allowed-failures`)."""

    def __init__(self, address: str) -> None:
        """Raise `UsageError` if `dask.distributed` is not installed."""
        if importlib.util.find_spec("distributed") is None:
            raise UsageError("--dask needs dask.distributed", hint="pip install 'ftaudit[fleet]'")
        self._address = address
        self._client: Any = None
        self._threads = 0
        self._counted = -_COUNT

    def __enter__(self) -> DaskWorkers:
        try:
            self._client = _connect(self._address)
        except (OSError, TimeoutError, ValueError) as error:
            raise UsageError(
                f"there is no Dask scheduler at {self._address} ({error or type(error).__name__})",
                hint="start one with `dask scheduler`, or leave out --dask",
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    def run(self, work: Callable[[K, Any], Any], tasks: Iterable[K]) -> Iterator[tuple[K, Outcome]]:
        """Yield each task with its answer, as `Executor.run` says; raise `FtauditError` if the scheduler stays away."""
        source = iter(tasks)
        numbers = itertools.count()
        ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        under_way: dict[str, tuple[K, Any]] = {}

        def submit(task: K) -> None:
            # A name is used once: the scheduler may still remember how an earlier attempt ended.
            name = f"{task.key}-{next(numbers)}"
            future = self._client.submit(work, task, None, key=name, pure=False)
            under_way[name] = task, future
            future.add_done_callback(lambda done: ended.put(done.key))

        while True:
            while len(under_way) < self._room() and (task := next(source, None)) is not None:
                submit(task)
            if not under_way:
                return
            try:
                name = ended.get(timeout=_CHECK)
            except queue.Empty:
                name = ""
            if name not in under_way or under_way[name][1].status not in ("finished", "error"):
                if self._client.status != "running" or (name in under_way):
                    lost = [task for task, _ in under_way.values()]
                    under_way.clear()
                    self._come_back()
                    for task in lost:
                        submit(task)
                continue
            task, future = under_way[name]
            outcome = _outcome(future)
            if outcome is None:
                continue  # The connection was lost meanwhile; the next look notices.
            del under_way[name]
            future.release()
            yield task, outcome

    def _room(self) -> int:
        """Return how many tasks may be under way."""
        now = time.monotonic()
        if now > self._counted + _COUNT:
            self._counted = now
            with contextlib.suppress(OSError, TimeoutError):
                self._threads = sum(self._client.nthreads().values())
        return max(2, IN_FLIGHT * self._threads)

    def _come_back(self) -> None:
        """Connect again; raise `FtauditError` if that fails for too long."""
        self._leave()
        deadline = time.monotonic() + ABSENCE
        while True:
            try:
                self._client = _connect(self._address)
            except (OSError, TimeoutError, ValueError) as error:
                if time.monotonic() > deadline:
                    raise FtauditError(
                        f"the Dask scheduler at {self._address} no longer responds",
                        hint="start it again, then run the same command to resume",
                    ) from error
                time.sleep(_CHECK)
            else:
                return

    def _leave(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):  # Whatever the dead connection says does not matter any more.
                client.close(timeout=2)


def _connect(address: str) -> Any:
    from distributed import Client

    # It prints a trace whenever the connection is lost, which is handled here.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    make: Any = Client
    return make(address, timeout=5, set_as_default=False)


def _outcome(future: Any) -> Outcome:
    """Return a task's answer, `Died`, or `None` if it cannot be fetched any more."""
    from distributed import KilledWorker

    if future.status == "error":
        error = future.exception(timeout=10)
        if isinstance(error, KilledWorker):
            return Died(how=TaskEnding.CLOSED)
        return Died(how=TaskEnding.RAISED, detail=type(error).__name__)
    try:
        return future.result(timeout=60)
    except Exception:  # The scheduler or the worker that held it is gone.
        return None
