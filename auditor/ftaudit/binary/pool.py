"""A pool of worker processes of which any may crash or hang at any time without loss but of what it was doing."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from ftaudit.binary.cache import parse_binary
from ftaudit.binary.worker import receive, send
from ftaudit.model import GilDeclaration, ModuleBinary

STARTUP: Final = 60.0
"""Seconds in which a worker must have imported what it needs."""
IDLE: Final = 0.02
"""Seconds of processor time; a worker that uses less in as many seconds as it may use in all hangs."""
WALL_PER_CPU: Final = 8
"""How much longer than its processor time a question may take where the system does not say what was used."""
HELD: Final = 384 << 20
"""Bytes of images that may wait for a worker; who brings more waits too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One module's image, to be read by a worker."""

    module: str
    path: str
    target: tuple[int, int]
    image: bytes
    holes: tuple[tuple[int, int], ...] = ()
    """Ranges of the image that were not read."""
    stable_abi: bool = False
    """Whether its wheel claims a stable ABI: what it takes from CPython is then kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a worker says, or why it could not."""

    binary: ModuleBinary
    lost: bool = False
    """The worker crashed, hung or could not be started: another day's answer may differ."""
    is_module: bool = True
    """Whether an import could make a module of it."""
    partial: bool = False
    """The holes kept it from being told."""
    missed: int | None = None
    """The offset in the file that was missed first."""
    missing: tuple[str, ...] = ()
    """File names of shared libraries that might tell more, were they among the kept images."""


@dataclass(kw_only=True, slots=True)
class _Batch:
    """Questions for one worker, which may look into `kept` images for each of them."""

    questions: Sequence[Question]
    kept: Mapping[str, bytes]
    answers: Sequence[Future[Answer]]
    size: int = field(default=0)


class WorkerPool:
    """Worker processes, started when the first question comes. A context manager that ends them."""

    def __init__(self, *, workers: int, seconds: float, memory: int) -> None:
        self.workers = workers
        self._seconds = seconds
        self._memory = memory
        self._batches: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._state = threading.Condition()
        self._held = 0
        self._closed = False

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the workers now, so that they are ready when the first question comes."""
        with self._state:
            if self._threads or self._closed:
                return
            self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self.workers)]
        for thread in self._threads:
            thread.start()

    def ask(self, questions: Sequence[Question], kept: Mapping[str, bytes] | None = None) -> list[Future[Answer]]:
        """Hand questions to one worker; block while too many images wait already."""
        self.start()
        answers: list[Future[Answer]] = [Future() for _ in questions]
        size = sum(len(question.image) for question in questions)
        with self._state:
            self._state.wait_for(lambda: self._closed or self._held == 0 or self._held + size <= HELD)
            if self._closed:
                for answer in answers:
                    answer.cancel()
                return answers
            self._held += size
            self._batches.put(_Batch(questions=questions, kept=kept or {}, answers=answers, size=size))
        return answers

    def close(self) -> None:
        """End every worker, in the middle of whatever it does."""
        with self._state:
            self._closed = True
            self._state.notify_all()
            for process in self._processes:
                process.kill()
            for _ in self._threads:
                self._batches.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        """Serve batches with one process, replaced whenever it is lost."""
        worker: _Worker | None = None
        try:
            worker = self._started(worker)
            while (batch := self._batches.get()) is not None:
                if self._closed:
                    for future in batch.answers:
                        future.cancel()
                    continue
                for index, (question, future) in enumerate(zip(batch.questions, batch.answers, strict=True)):
                    fresh = worker is None or not worker.alive
                    worker = self._started(worker)
                    answer = worker.ask(question, batch.kept if fresh or index == 0 else None)
                    future.set_result(answer)
                with self._state:
                    self._held -= batch.size
                    self._state.notify_all()
        finally:
            if worker is not None:
                worker.end()

    def _started(self, worker: _Worker | None) -> _Worker:
        """Return the worker if it lives, else a new one."""
        if worker is not None:
            if worker.alive:
                return worker
            worker.end()
        new = _Worker(seconds=self._seconds, memory=self._memory)
        with self._state:
            if worker is not None:
                self._processes.discard(worker.process)
            self._processes.add(new.process)
            if self._closed:
                new.process.kill()
        return new


class _Worker:
    """One process and the pipes to it."""

    def __init__(self, *, seconds: float, memory: int) -> None:
        self._seconds = seconds
        self._ready = False
        self._late = False
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; from ftaudit.binary.worker import main; "
            f"main({memory}, {int(seconds) + 1})"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def end(self) -> None:
        """Kill it and give back its pipes."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                _close(cast(BinaryIO, stream))

    def ask(self, question: Question, kept: Mapping[str, bytes] | None) -> Answer:
        """Return the answer; a process that crashes or takes too long is lost, and the answer says so."""
        stdin, stdout = cast(BinaryIO, self.process.stdin), cast(BinaryIO, self.process.stdout)
        try:
            if not self._ready:
                if self._within(STARTUP, lambda: receive(stdout)) is None:
                    return self._lost("could not be started")
                self._ready = True
            answer = self._within(self._seconds, lambda: self._exchange(stdin, stdout, question, kept))
        except (OSError, ValueError):
            answer = None
        if answer is None:
            return self._lost(f"was ended after {self._seconds:g} s of work" if self._late else self._ending())
        try:
            binary = parse_binary(answer[0].get("binary"))
            missing = tuple(str(name) for name in answer[0].get("missing", ()))
        except (ValueError, TypeError, KeyError):
            return self._lost("gave an answer that makes no sense")
        if binary is None:
            return Answer(binary=_undetermined(str(answer[0].get("error"))))
        return Answer(
            binary=binary,
            missing=missing,
            is_module=answer[0].get("is_module") is not False,
            partial=answer[0].get("partial") is True,
            missed=answer[0].get("missed"),
        )

    def _exchange(
        self, stdin: BinaryIO, stdout: BinaryIO, question: Question, kept: Mapping[str, bytes] | None
    ) -> tuple[dict[str, Any], bytes] | None:
        if kept is not None:
            send(stdin, {"forget": True})
            for name, image in kept.items():
                send(stdin, {"keep": name}, image)
        head = {
            "module": question.module,
            "path": question.path,
            "target": question.target,
            "holes": question.holes,
            "stable_abi": question.stable_abi,
        }
        send(stdin, head, question.image)
        return receive(stdout)

    def _within(self, seconds: float, what: Any) -> tuple[dict[str, Any], bytes] | None:
        """Do something with the pipes; kill the process when it works longer or hangs, which ends the waiting.

        What counts is the processor time of the process: a busy machine must not change an answer.
        """
        over = threading.Event()
        watch = threading.Thread(target=self._watch, args=(seconds, over), daemon=True)
        watch.start()
        try:
            done = cast("tuple[dict[str, Any], bytes] | None", what())
        finally:
            over.set()
        return None if self._late else done

    def _watch(self, seconds: float, over: threading.Event) -> None:
        """Wait until the question is answered; kill the process once it has worked too long, or does not work."""
        begun, known = time.monotonic(), _worked(self.process.pid)
        limit = (known or 0.0) + seconds
        while not over.wait(max(seconds, 0.001)):
            worked = _worked(self.process.pid)
            if worked is None or known is None:
                if time.monotonic() - begun < seconds * WALL_PER_CPU:
                    continue
            elif worked < limit and worked - known >= min(IDLE, seconds):
                known = worked
                continue
            self._late = True
            self.process.kill()
            return

    def _lost(self, how: str) -> Answer:
        self.process.kill()
        self.process.wait()
        return Answer(binary=_undetermined(f"the inspection process {how}"), lost=True)

    def _ending(self) -> str:
        """Say how the process ended by itself."""
        try:
            code = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "closed its pipes"
        if code < 0:
            try:
                return f"crashed ({signal.Signals(-code).name})"
            except ValueError:
                return f"crashed (signal {-code})"
        return f"ended with exit code {code}"


def _worked(pid: int) -> float | None:
    """Return the seconds of processor time that a process has used (proc(5)), or `None` where nothing tells."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None


def _undetermined(how: str) -> ModuleBinary:
    return ModuleBinary(declaration=GilDeclaration.UNDETERMINED, how=how)


def _close(stream: BinaryIO) -> None:
    try:
        stream.close()
    except OSError:
        # What was still buffered for a dead process is of no use to anybody.
        return


def default_workers() -> int:
    """Return one worker for each core that this process may use."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:
        return max(1, os.cpu_count() or 1)
