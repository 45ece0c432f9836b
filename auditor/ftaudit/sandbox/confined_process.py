"""One confined process: watch it run a list of imports, and return how each of them ended."""

from __future__ import annotations

import json
import os
import re
import secrets
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from ftaudit.folders import size_of, temporary_folder
from ftaudit.sandbox.failures import describe_signal, escape
from ftaudit.sandbox.launch import ImportStep, end, interpreter_of, launch, memory_bytes
from ftaudit.sandbox.open_walls import describe_open_walls
from ftaudit.sandbox.protocol import FrameReader, OutputSplitter, ProtocolViolation
from ftaudit.sandbox.sandbox_settings import SandboxSettings
from ftaudit.sandbox.witness import Witness, find_witness

TICK: Final = 0.1
"""Seconds between two checks of memory and clocks."""
DISK_TICK: Final = 1.0
"""Seconds between two checks of the written data."""
START_SECONDS: Final = 30.0
_LOST: Final = 113
"""The child's exit status if its descriptor was closed."""
_NOISE: Final = re.compile(
    r"^(?:# (?:destroy|cleanup|clear|extension module|loading module|restore|wiping|code object|zipimport)\b.*\n?"
    r"|.*RuntimeWarning: The global interpreter lock \(GIL\) has been enabled to load.*\n(?:  .*(?:\n|\Z))?)",
    re.MULTILINE,
)
"""The interpreter's own output under `-v`, and its warning about the GIL, which the facts report better."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportEnding:
    """How one import ended: with the child's report, or with the process."""

    outcome: str
    """As in `ModuleRuntime.outcome`; `imported` or `exception` come with a report."""
    report: dict[str, Any] | None = None
    error: str | None = None
    output: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StartedPython:
    """The description that the interpreter in the sandbox gave of itself."""

    version: tuple[int, ...]
    """`sys.version_info`, the first three."""
    free_threaded: bool
    build: str
    """`sys.version`, on one line."""


@dataclass(kw_only=True, slots=True)
class ConfinedRun:
    """The result of one process."""

    endings: dict[int, ImportEnding] = field(default_factory=dict)
    """By the step's position."""
    confined: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    python: StartedPython | None = None
    """`None` if it did not start."""


def run_steps(
    python: Path,
    environment: Path,
    steps: Sequence[ImportStep],
    *,
    settings: SandboxSettings,
    stop: threading.Event,
    deadline: float,
    pycache: Path | None = None,
    paths: Sequence[str] = (),
    roots: Sequence[str] = (),
    startup: bool = False,
) -> ConfinedRun:
    """Import the steps in one confined process until they are done or it ends; what is not reached is missing.

    `deadline` is a moment of `time.monotonic()`. `stop` ends the process early. `pycache` is a folder that the
    process may write to in addition to its scratch folder, for compiled Python code; no other distribution reads it.
    `paths`, `roots` and `startup` are as for `launch`.
    """
    with temporary_folder() as folder:
        watch = _Watch(python, environment, steps, settings, stop, deadline, folder, pycache)
        watch.paths, watch.roots, watch.startup = paths, roots, startup
        return watch.run()


def can_protect_files(python: Path, *, settings: SandboxSettings, stop: threading.Event) -> bool:
    """Return whether the sandbox of this system keeps a process from writing to other files; it is tried once."""
    deadline = time.monotonic() + settings.module_seconds
    walls = run_steps(python, settings.cache_dir, (), settings=settings, stop=stop, deadline=deadline)
    return bool(walls.confined.get("files"))


class _Watch:
    def __init__(
        self,
        python: Path,
        environment: Path,
        steps: Sequence[ImportStep],
        settings: SandboxSettings,
        stop: threading.Event,
        deadline: float,
        scratch: Path,
        pycache: Path | None,
    ) -> None:
        self.python, self.environment, self.steps = python, environment, steps
        self.settings, self.stop, self.deadline, self.scratch = settings, stop, deadline, scratch.resolve()
        self.pycache = pycache
        self.paths: Sequence[str] = ()
        self.roots: Sequence[str] = ()
        self.startup = False
        self.keeper = 0
        self.weighed = 0.0
        self.witness: Witness | None = None
        self.seen_on = False
        """Whether the GIL was seen to be on permanently, from outside, before the report that comes next."""
        self.suspect: int | None = None
        """The step whose report said that the GIL was off when it was seen to be on."""
        self.nonce = secrets.token_hex(16)
        self.frames = FrameReader(self.nonce)
        self.outcome = ConfinedRun()
        self.mark = secrets.token_hex(16)
        self.printed = OutputSplitter(self.mark, 4 * settings.output_chars)
        self.status = b""
        self.current: int | None = None
        self.next = 0
        self.ready = self.finished = False
        self.limit = time.monotonic() + START_SECONDS
        self.verdict: tuple[str, str] | None = None

    def run(self) -> ConfinedRun:
        process, pipes = launch(
            self.python,
            self.environment,
            self.steps,
            settings=self.settings,
            scratch=self.scratch,
            pycache=self.pycache,
            nonce=self.nonce,
            mark=self.mark,
            paths=self.paths,
            roots=self.roots,
            startup=self.startup,
        )
        self.keeper = process.pid
        try:
            with selectors.DefaultSelector() as selector:
                for name, descriptor in pipes.items():
                    os.set_blocking(descriptor, False)
                    selector.register(descriptor, selectors.EVENT_READ, name)
                self._watch(process, selector, pipes)
        finally:
            end(process)
            for descriptor in pipes.values():
                os.close(descriptor)
        self._conclude(process)
        return self.outcome

    def _watch(self, process: subprocess.Popen[bytes], selector: selectors.BaseSelector, pipes: dict[str, int]) -> None:
        measured = 0.0
        while selector.get_map():
            for key, _ in selector.select(TICK):
                try:
                    data = os.read(key.fd, 1 << 16)
                except BlockingIOError:
                    continue  # It was read along with a report of this same round.
                if not data:
                    selector.unregister(key.fd)
                elif key.data == "results":
                    self._hear(data, pipes["output"])
                elif key.data == "status":
                    self.status += data[:65536]
                else:
                    self.printed.feed(data)
            if self.verdict is None:
                now = time.monotonic()
                if now - measured >= TICK:
                    measured = now
                    self._look(process, now)
            if self.verdict is not None or self.finished or b'"ended"' in self.status:
                # A process that still holds a pipe open is a straggler; only the data written so far is read.
                self._drain(pipes, selector)
                return
            if process.poll() is not None:
                self._drain(pipes, selector)
                return

    def _drain(self, pipes: dict[str, int], selector: selectors.BaseSelector) -> None:
        open_now = {key.data for key in selector.get_map().values()}
        for name in ("results", "output", "status"):
            for _ in range(64 if name in open_now else 0):
                try:
                    data = os.read(pipes[name], 1 << 16)
                except BlockingIOError:
                    break
                if not data:
                    break
                if name == "results":
                    self._hear(data, pipes["output"])
                elif name == "status":
                    self.status += data
                else:
                    self.printed.feed(data)

    def _look(self, process: subprocess.Popen[bytes], now: float) -> None:
        if self.stop.is_set():
            self.verdict = "not-run", "interrupted"
        elif now > self.deadline:
            self.verdict = "timeout", f"the distribution took longer than {self.settings.distribution_seconds:g} s"
        elif now > self.limit:
            seconds = self.settings.module_seconds if self.ready else START_SECONDS
            self.verdict = "timeout", f"no answer within {seconds:g} s"
        elif (used := memory_bytes(process.pid)) > self.settings.memory_bytes:
            limit = self.settings.memory_bytes >> 20
            self.verdict = "memory", f"{used >> 20} MB of memory in use, more than the {limit} MB allowed"
        elif now - self.weighed >= DISK_TICK:
            self.weighed = now
            written = sum(size_of(folder) for folder in (self.scratch, self.pycache) if folder is not None)
            if written > self.settings.disk_bytes:
                limit = self.settings.disk_bytes >> 20
                self.verdict = "memory", f"{written >> 20} MB written to disk, more than the {limit} MB allowed"

    def _hear(self, data: bytes, output: int) -> None:
        """Follow the child's reports, which have one possible order; any other order is not from our child."""
        if self.verdict is not None:
            return
        try:
            for message in self.frames.feed(data):
                self._take(message, output)
        except ProtocolViolation as error:
            self.verdict = "exit", f"the module interfered with the report: {error}"

    def _take(self, message: dict[str, Any], output: int) -> None:
        if not self.ready:
            if "ready" not in message:
                raise ProtocolViolation("the first message is missing")
            self.ready, self.outcome.python = True, _started(message["ready"])
            pid = interpreter_of(self.keeper)
            self.witness = None if pid is None else find_witness(pid)
            self.limit = time.monotonic() + self.settings.module_seconds
        elif message.get("begin") == self.next and self.current is None and self.next < len(self.steps):
            self.current = self.next
            self.limit = time.monotonic() + self.settings.module_seconds
        elif message.get("end") == self.current and self.current is not None:
            _check(message)
            self._catch_up(output)
            self._hold_against_memory(message)
            kind = "imported" if message["error"] is None else "exception"
            self.outcome.endings[self.current] = ImportEnding(
                outcome=kind, report=message, output=self._output(self.current + 1)
            )
            self.next, self.current = self.current + 1, None
        elif message.get("done") == self.next == len(self.steps):
            self.finished = True
            self._look_again()
        else:
            raise ProtocolViolation("a message is out of order")

    def _is_on(self) -> bool | None:
        return None if self.witness is None else self.witness.gil_is_on()

    def _hold_against_memory(self, message: dict[str, Any]) -> None:
        """Mark reports that deny what the interpreter's memory shows.

        The next import may be under way when this one's report is read. Where the GIL is seen on, and this report says
        that it is off, the next report decides: it must say what turned it on.
        """
        message["denied"] = self.seen_on and not message["gil"]
        if self.suspect is not None and not (message["gil"] and (message["chains"] or message["requires_gil"])):
            self._deny(self.suspect)
        self.suspect = None
        self.seen_on = self.seen_on or self._is_on() is True
        if self.seen_on and not message["gil"]:
            self.suspect = self.current

    def _deny(self, index: int) -> None:
        ending = self.outcome.endings[index]
        if ending.report is not None:
            self.outcome.endings[index] = replace(ending, report={**ending.report, "denied": True})

    def _look_again(self) -> None:
        """Compare the last report with the process, which waits to be ended."""
        if self.witness is None or not self.outcome.endings:
            return
        index = self.next - 1
        last = self.outcome.endings[index]
        if last.report is None:
            return
        match self._is_on():
            case None:
                self.outcome.endings[index] = replace(
                    last, outcome="exit", report=None, error="the process ended before its state could be checked"
                )
            case True if not last.report["gil"]:
                self._deny(index)

    def _catch_up(self, output: int) -> None:
        for _ in range(64):
            try:
                data = os.read(output, 1 << 16)
            except BlockingIOError:
                return
            if not data:
                return
            self.printed.feed(data)

    def _output(self, part: int) -> str | None:
        """Return the printed text: part 0 before the start, under `-v`, part 1 during the first import."""
        text = _NOISE.sub("", self.printed.part(part).decode("utf-8", "replace")).strip()
        return escape(text, self.settings.output_chars) or None

    def _conclude(self, process: subprocess.Popen[bytes]) -> None:
        """Record how the current import ended if the process ended first."""
        ended: int | None = None
        for line in self.status.splitlines():
            try:
                said = json.loads(line)
            except ValueError:
                continue
            ended = said.get("ended", ended)
            if "confined" in said:
                self.outcome.confined = said["confined"]
                self.outcome.notes = tuple(describe_open_walls(said["open"]))
        if self.finished:
            return
        index = self.next if self.current is None else self.current
        if index >= len(self.steps):
            return
        outcome, error = self.verdict or self._end_of(ended, process)
        if not self.ready and self.verdict is None:
            outcome = "not-run"
            error = f"the interpreter did not start in the sandbox: {error}"
        self.outcome.endings[index] = ImportEnding(
            outcome=outcome, error=error, output=self._output(index + 1 if self.ready else 0)
        )

    def _end_of(self, ended: int | None, process: subprocess.Popen[bytes]) -> tuple[str, str]:
        if ended is None:
            return "exit", f"the process was lost (its keeper ended with {process.returncode})"
        if os.WIFSIGNALED(ended):
            number = os.WTERMSIG(ended)
            if number == signal.SIGXCPU:
                return "timeout", f"more than {self.settings.cpu_seconds} s of CPU time"
            return "signal", describe_signal(number)
        code = os.WEXITSTATUS(ended)
        if code == _LOST:
            return "exit", "the module closed descriptors that are not its own"
        return "exit", f"the module ended the process with exit code {code}"


def _is_table(rows: Any) -> bool:
    return isinstance(rows, list) and all(
        isinstance(row, list) and len(row) == 2 and all(isinstance(part, str) for part in row) for row in rows
    )


def _are_loads(rows: Any) -> bool:
    return isinstance(rows, list) and all(
        isinstance(row, list)
        and len(row) == 3
        and isinstance(row[0], str)
        and isinstance(row[1], bool)
        and isinstance(row[2], list)
        and all(isinstance(part, str) for part in row[2])
        for row in rows
    )


def _started(said: object) -> StartedPython:
    match said:
        case {"version": [int(major), int(minor), int(micro)], "free_threaded": bool(free), "build": str(build)}:
            return StartedPython(
                version=(major, minor, micro), free_threaded=free, build=escape(" ".join(build.split()), 200)
            )
    raise ProtocolViolation("the first message does not describe the interpreter")


def _check(message: dict[str, Any]) -> None:
    """Validate a report's form: the process that wrote it is not trusted."""
    error, chains = message.get("error", 0), message.get("chains")
    good = (
        (error is None or (isinstance(error, dict) and isinstance(error.get("kinds"), list) and "message" in error))
        and isinstance(chains, list)
        and all(isinstance(chain, list) and chain and all(isinstance(part, str) for part in chain) for chain in chains)
        and message.get("requires_gil", 0) in (True, False, None)
        and isinstance(message.get("loaded"), bool)
        and isinstance(message.get("explained"), bool)
        and message.get("gil") in (True, False)
        and _is_table(message.get("guilty"))
        and _are_loads(message.get("loads", []))
    )
    if not good:
        raise ProtocolViolation("a message has an unexpected form")
