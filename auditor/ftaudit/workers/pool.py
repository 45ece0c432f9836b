"""The pool: threads that pass tasks to workers, and replace lost workers."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from ftaudit.workers.ending import Died, TaskEnding
from ftaudit.workers.frames import Packed, pack
from ftaudit.workers.template import WorkerTemplate
from ftaudit.workers.worker_child import Work
from ftaudit.workers.worker_process import WorkerProcess, start_fresh


@dataclass(kw_only=True, slots=True)
class _Batch:
    """Tasks for one worker."""

    tasks: Sequence[Packed]
    futures: Sequence[Future[Any]]
    shared: Packed
    weight: int
    at_once: bool


class WorkerPool:
    """Worker processes, started as there are tasks for them. A context manager that ends them."""

    def __init__(
        self,
        work: Work,
        *,
        workers: int,
        seconds: float,
        memory: int,
        capacity: int | None = None,
        prepare: Callable[[], object] | None = None,
        preload: Callable[[], object] | None = None,
        fork: bool = False,
        may_write: bool = False,
    ) -> None:
        """Make a pool; a task that uses `seconds` of processor time, hangs, or needs more `memory` ends its worker.

        The kernel does so if this process is gone by then. `memory` is in bytes. `capacity` is the weight of the
        tasks that may wait. Each worker calls `prepare` first. With `fork`, `can_fork` must hold now, and workers are
        copies of a template, which calls `preload` once. Workers of our own code, which reads no hostile data itself,
        `may_write` files.
        """
        self.workers = workers
        self._work = work
        self._prepare = prepare
        self._seconds = seconds
        self._limits = (memory, int(seconds) + 1, may_write)
        self._capacity = capacity
        self._template = WorkerTemplate(work, prepare=prepare, preload=preload) if fork else None
        self._batches: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        """One for each worker."""
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._processes: set[WorkerProcess] = set()
        self._state = threading.Condition()
        self._clock = threading.Condition()
        self._starting = threading.Lock()
        self._wakes = math.inf
        self._waiting = 0
        """The weight of the tasks that are not finished."""
        self._unfinished = 0
        """How many batches are not finished."""
        self._closed = False

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the first worker now, so that it is ready when the first task comes."""
        with self._state:
            if self._threads or self._closed or not self.workers:
                return
            self._watcher.start()
            self._add_thread()

    def _add_thread(self) -> None:
        thread = threading.Thread(target=self._serve, daemon=True)
        self._threads.append(thread)
        thread.start()

    def submit(
        self, tasks: Sequence[Any], shared: object = None, *, weight: int = 0, at_once: bool = False
    ) -> list[Future[Any]]:
        """Pass tasks to one worker, and `shared` once with them; block while the waiting tasks weigh too much.

        `at_once` sends all of them together: faster for many small tasks. A future's result is the work's answer or
        `Died`; closing the pool cancels it.
        """
        self.start()
        futures: list[Future[Any]] = [Future() for _ in tasks]
        batch = _Batch(
            tasks=[pack(task) for task in tasks], futures=futures, shared=pack(shared), weight=weight, at_once=at_once
        )
        with self._state:
            self._state.wait_for(lambda: self._closed or not self._waiting or self._has_room(weight))
            if self._closed:
                for future in futures:
                    future.cancel()
                return futures
            self._waiting += weight
            self._unfinished += 1
            self._batches.put(batch)
            if len(self._threads) < min(self.workers, self._unfinished):
                self._add_thread()
        return futures

    def close(self) -> None:
        """End every worker, even in the middle of a task."""
        with self._state:
            self._closed = True
            self._state.notify_all()
            for process in self._processes:
                process.kill()
            for _ in self._threads:
                self._batches.put(None)
        with self._clock:
            self._clock.notify_all()
        for thread in self._threads:
            thread.join()
        if self._watcher.is_alive():
            self._watcher.join()
        if self._template is not None:
            self._template.close()

    def _has_room(self, weight: int) -> bool:
        return self._capacity is None or self._waiting + weight <= self._capacity

    def _serve(self) -> None:
        """Run batches with one process, which is replaced whenever it is lost."""
        process = None
        try:
            with contextlib.suppress(OSError):  # The next attempt is made when there is a task.
                process = self._alive(process)
            while (batch := self._batches.get()) is not None:
                waiting = deque(zip(batch.tasks, batch.futures, strict=True))
                while waiting:
                    if self._closed:
                        waiting.popleft()[1].cancel()
                        continue
                    process = self._ready(process)
                    if process is None:
                        waiting.popleft()[1].set_result(Died(how=TaskEnding.NOT_STARTED))
                        continue
                    sent = [task for task, _ in waiting] if batch.at_once else [waiting[0][0]]
                    for answer in process.answers(sent, batch.shared):
                        waiting.popleft()[1].set_result(answer)
                with self._state:
                    self._waiting -= batch.weight
                    self._unfinished -= 1
                    self._state.notify_all()
        finally:
            if process is not None:
                self._discard(process)

    def _ready(self, process: WorkerProcess | None) -> WorkerProcess | None:
        """Return a process that is ready, or `None` if none can be started.

        One that fails to start is replaced once, while no other one starts: a busy machine must not change an answer.
        """
        try:
            process = self._alive(process)
            if process.starts():
                return process
        except OSError:
            process = None
        with self._starting:
            try:
                process = self._alive(process)
            except OSError:
                return None
            if process.starts():
                return process
        self._discard(process)
        return None

    def _alive(self, process: WorkerProcess | None) -> WorkerProcess:
        """Return the process if it lives, else a new one."""
        if process is not None:
            if not process.is_lost and process.wait_for(0) is None:
                return process
            self._discard(process)
        return self._new()

    def _new(self) -> WorkerProcess:
        if self._template is not None:
            process = self._template.start(self._limits)
        else:
            process = start_fresh(self._work, self._prepare, self._limits)
        process.seconds, process.expect = self._seconds, self._expect
        with self._state:
            self._processes.add(process)
            if self._closed:
                process.kill()
        return process

    def _discard(self, process: WorkerProcess) -> None:
        with self._state:
            self._processes.discard(process)
        process.end()

    def _expect(self, deadline: float) -> None:
        """Make the watching thread check the deadlines at this time."""
        if deadline < self._wakes:
            with self._clock:
                self._clock.notify_all()

    def _watch(self) -> None:
        """Kill each process whose time is up."""
        with self._clock:
            while not self._closed:
                self._wakes = math.inf
                now = time.monotonic()
                with self._state:
                    watched = list(self._processes)
                for process in watched:
                    if process.allowance.is_over(now):
                        process.kill_late()
                    self._wakes = min(self._wakes, process.allowance.deadline)
                self._clock.wait(None if self._wakes == math.inf else self._wakes - now)
