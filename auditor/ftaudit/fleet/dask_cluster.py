"""Runs tasks on a Dask cluster, through the client of `dask.distributed`.

The scheduler only passes tasks on: every finished answer is taken from the cluster at once, and forgotten there. If the
scheduler is lost, the tasks that were under way are submitted again as soon as it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import itertools
import logging
import queue
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from ftaudit.errors import FtauditError, UsageError
from ftaudit.fleet.executors import K, Outcome, Share, limited
from ftaudit.fleet.worker_identity import worker_identity
from ftaudit.index.pace import obey_hold, tell_holds
from ftaudit.workers import Died, TaskEnding

IN_FLIGHT: Final = 2
"""Tasks for each thread of the cluster that are submitted at a time: submitted ones are in memory."""
ABSENCE: Final = 300.0
"""Seconds without a scheduler after which the run ends; the same command resumes it."""
_COUNT: Final = 5.0
"""Seconds after which the threads of the cluster are counted again."""
_CHECK: Final = 1.0
"""Seconds between looks at the connection while no answer comes."""
PATIENCE: Final = 15.0
"""Seconds without a worker after which the user is told."""
_HANDSHAKE: Final = 5.0
"""Seconds that a scheduler has to answer."""
_DESCRIBED: Final = 60.0
"""Seconds that new workers have to import ftaudit."""
_DESCRIBE: Final = "__import__('ftaudit.fleet.worker_identity', fromlist=['_']).describe_worker()"
_HOLDS: Final = "ftaudit-holds"
"""The topic of the pauses that servers ask workers for."""
_INSTALL: Final = "install this version of ftaudit, with the same rules, for every worker"
_UNREACHED: Final = (
    OSError,
    TimeoutError,
    ValueError,
    TypeError,
    ImportError,
    RuntimeError,
    LookupError,
    AttributeError,
)
"""What Dask raises for an address that is malformed, or where nothing answers."""


class DaskWorkers:
    """The workers of a cluster. They need nothing but ftaudit. A context manager."""

    deaths = 3
    """A task that Dask gives up has ended at least so many workers (`distributed.scheduler.allowed-failures`)."""

    def __init__(self, address: str, *, most: int, say: Callable[[str], None]) -> None:
        """`most` tasks are under way at a time. `say` shows the user a sentence.

        Raise `UsageError` if `dask.distributed` is not installed.
        """
        if importlib.util.find_spec("distributed") is None:
            raise UsageError("--dask needs dask.distributed", hint="pip install 'ftaudit[fleet]'")
        self._address = address
        self._most = most
        self._say = say
        self._client: Any = None
        self._threads = 0
        self._counted = -_COUNT
        self._places: dict[str, tuple[str, str]] = {}
        """For each worker that was checked, the host and the cache folder, through which it shares a rate."""
        self._manned = time.monotonic()
        self._warned = self._is_limited = False

    def check(self) -> None:
        """Raise `UsageError` if there is no Dask scheduler at the address.

        It is asked again when the tasks begin: to read the projects first can take minutes.
        """
        try:
            _find_scheduler(self._address)
        except _UNREACHED as error:
            raise self._missing(error) from error

    def __enter__(self) -> DaskWorkers:
        try:
            self._join()
        except _UNREACHED as error:
            raise self._missing(error) from error
        self._manned = time.monotonic()
        return self

    def _join(self) -> None:
        self._client = _connect(self._address)
        self._client.subscribe_topic(_HOLDS, self._spread)

    async def _spread(self, event: tuple[float, tuple[str, float]]) -> None:
        """Let every worker of the cluster obey a pause that a server asked one of them for."""
        _, (host, seconds) = event
        with contextlib.suppress(*_UNREACHED):  # Workers come and go.
            await self._client._run(obey_hold, host, seconds, on_error="ignore")

    def _missing(self, error: Exception) -> UsageError:
        return UsageError(
            f"there is no Dask scheduler at {self._address} ({error or type(error).__name__})",
            hint="start one with `dask scheduler`, or leave out --dask",
        )

    def __exit__(self, *_: object) -> None:
        self._leave()

    def run(self, work: Callable[[K, Any], Any], tasks: Iterable[K]) -> Iterator[tuple[K, Outcome]]:
        """Yield each task with its answer, as `Executor.run` says; raise `FtauditError` if the scheduler stays away."""
        source = iter(tasks)
        numbers = itertools.count()
        ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        under_way: dict[str, tuple[K, Any]] = {}
        following: K | None = None

        def submit(task: K) -> None:
            # A name is used once: the scheduler may still remember how an earlier attempt ended.
            name = f"{task.key}-{next(numbers)}"
            share = Share(
                workers=max(1, min(self._threads, self._most)), machines=max(1, len(set(self._places.values())))
            )
            future = self._client.submit(answer_of, work, task, share, worker_identity().digest, key=name, pure=False)
            under_way[name] = task, future
            future.add_done_callback(lambda done: ended.put(done.key))

        while True:
            while True:
                following = next(source, None) if following is None else following
                if following is None or len(under_way) >= self._room():
                    break
                submit(following)
                following = None
            if not under_way:
                if following is None:
                    return
                if self._client.status != "running":
                    self._come_back()
                time.sleep(_CHECK)
                continue
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
            outcome = self._outcome(future)
            if outcome is None:
                continue  # The connection was lost meanwhile; the next look notices.
            del under_way[name]
            future.release()
            yield task, outcome

    def _room(self) -> int:
        """Return how many tasks may be under way. Raise `UsageError` for workers that cannot run them."""
        now = time.monotonic()
        if now > self._counted + _COUNT or not self._threads:
            self._counted = now
            with contextlib.suppress(OSError, TimeoutError):
                threads = self._client.nthreads()
                self._check_workers(frozenset(threads))
                self._threads = sum(threads.values())
            self._wait_for_workers(now)
            if self._threads > self._most and not self._is_limited:
                self._is_limited = True
                self._say(limited(self._most))
        return min(IN_FLIGHT * self._threads, self._most)

    def _check_workers(self, workers: frozenset[str]) -> None:
        """Raise `UsageError` if a new worker lacks ftaudit, or has another one."""
        self._places = {worker: place for worker, place in self._places.items() if worker in workers}
        new = sorted(workers - self._places.keys())
        if not new:
            return
        # A builtin function and text: what a worker without ftaudit can read.
        asked = self._client.sync(
            self._client._run, eval, _DESCRIBE, workers=new, on_error="return", callback_timeout=_DESCRIBED
        )
        for worker, told in sorted(asked.items()):
            if isinstance(told, OSError):
                continue  # It has ended since.
            if isinstance(told, Exception):
                raise UsageError(
                    f"the Dask worker {worker} cannot import ftaudit ({type(told).__name__}: {told})",
                    hint=_INSTALL,
                )
            version, digest, *folder = told
            if digest != worker_identity().digest:
                raise self._differs(f"the Dask worker {worker}", version)
            self._places[worker] = urlsplit(worker).hostname or worker, str(folder)

    def _differs(self, worker: str, version: str) -> UsageError:
        own = worker_identity().version
        how = f"has ftaudit {version}" if version != own else f"has ftaudit {version} with different code or rules"
        return UsageError(f"{worker} {how}, and this is ftaudit {own}", hint=_INSTALL)

    def _wait_for_workers(self, now: float) -> None:
        """Raise `FtauditError` if the cluster has no workers for too long; a message comes before that."""
        if self._threads:
            self._manned, self._warned = now, False
        elif now > self._manned + ABSENCE:
            raise FtauditError(
                f"the Dask cluster at {self._address} has no workers",
                hint="start one with `dask worker`, and repeat the command: it resumes",
            )
        elif now > self._manned + PATIENCE and not self._warned:
            self._warned = True
            self._say(
                f"waiting for workers: the Dask cluster at {self._address} has none (start one with `dask worker`)"
            )

    def _come_back(self) -> None:
        """Connect again; raise `FtauditError` if that fails for too long."""
        self._leave()
        deadline = time.monotonic() + ABSENCE
        while True:
            try:
                self._join()
            except _UNREACHED as error:
                if time.monotonic() > deadline:
                    raise FtauditError(
                        f"the Dask scheduler at {self._address} no longer responds",
                        hint="start it again, then run the same command to resume",
                    ) from error
                time.sleep(_CHECK)
            else:
                return

    def _outcome(self, future: Any) -> Outcome:
        """Return a task's answer, `Died`, or `None` if it cannot be fetched any more.

        Raise `FtauditError` for a worker that cannot run tasks.
        """
        from distributed import KilledWorker
        from distributed.scheduler import NoValidWorkerError

        if future.status == "error":
            error = future.exception(timeout=10)
            if isinstance(error, KilledWorker):
                return Died(how=TaskEnding.CLOSED)
            if isinstance(error, NoValidWorkerError):
                raise FtauditError(
                    f"no worker of the Dask cluster at {self._address} takes tasks",
                    hint="start one with `dask worker`, and repeat the command: it resumes",
                )
            return Died(how=TaskEnding.RAISED, detail=type(error).__name__)
        try:
            outcome = future.result(timeout=60)
        except Exception:  # The scheduler or the worker that held it is gone.
            return None
        if isinstance(outcome, OtherIdentity):
            raise self._differs(f"a worker of the Dask cluster at {self._address}", outcome.version)
        return outcome

    def _leave(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):  # Whatever the dead connection says does not matter any more.
                client.close(timeout=2)


def answer_of(work: Callable[[K, Any], Any], task: K, share: Share, digest: str) -> Any:
    """Run a task on a worker. The answer is a `OtherIdentity` if it has another identity than the one that asks."""
    from distributed import get_worker

    own = worker_identity()
    if own.digest != digest:
        return OtherIdentity(version=own.version)
    worker: Any = get_worker()

    def tell(host: str, seconds: float) -> None:
        with contextlib.suppress(*_UNREACHED):  # The worker is about to end.
            worker.log_event(_HOLDS, [host, seconds])

    tell_holds(tell)
    return work(task, share)


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherIdentity:
    """The answer of a worker whose answers can differ."""

    version: str
    """Its version of ftaudit."""


def _connect(address: str) -> Any:
    from distributed import Client

    _find_scheduler(address)
    make: Any = Client
    return make(address, timeout=_HANDSHAKE, set_as_default=False)


def _find_scheduler(address: str) -> None:
    """Raise one of `_UNREACHED` unless a Dask scheduler is at the address: a client would wait for anything else."""
    import distributed  # noqa: F401 - it sets up its loggers.

    # They print a trace whenever a connection fails or is lost, which is handled here.
    for name in ("client", "comm", "core"):
        logging.getLogger(f"distributed.{name}").setLevel(logging.CRITICAL)
    try:
        told = asyncio.run(asyncio.wait_for(_ask_identity(address), _HANDSHAKE))
    except asyncio.TimeoutError as error:
        raise TimeoutError(f"it did not answer as Dask does within {_HANDSHAKE:.0f} s") from error
    kind = told.get("type") if isinstance(told, dict) else None
    if kind != "Scheduler":
        raise ValueError("a Dask worker is there" if kind == "Worker" else "something else is there")


async def _ask_identity(address: str) -> Any:
    from distributed.comm.core import connect
    from distributed.security import Security

    ask: Any = connect
    settings: Any = Security
    comm = await ask(address, timeout=_HANDSHAKE, **settings().get_connection_args("client"))
    try:
        await comm.write({"op": "identity", "reply": True})
        return await comm.read()
    finally:
        comm.abort()
