"""The director in the sandbox, watched from outside: its reports, its time, and its memory."""

from __future__ import annotations

import base64
import json
import os
import secrets
import selectors
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ftaudit.folders import size_of, temporary_folder
from ftaudit.sandbox.failures import escape
from ftaudit.sandbox.launch import end, memory_bytes, start_confined
from ftaudit.sandbox.protocol import FrameReader, ProtocolViolation
from ftaudit.sandbox.sandbox_settings import SandboxSettings
from ftaudit.sandbox.seccomp import make_worker_filter

BOOT: Final = Path(__file__).parent / "child" / "boot.py"
_TICK: Final = 0.1
_DISK_TICK: Final = 1.0
_STATUS: Final = 1 << 16


@dataclass(kw_only=True, slots=True)
class DirectorReport:
    """The reports of the director until its end."""

    coverage: dict[str, Any] | None = None
    """Its last report of results; `None` before its first report."""
    problem: str | None = None
    """Why it could not do all of its work."""
    notes: tuple[str, ...] = ()
    """What the sandbox could not block."""


def run_director(
    python: Path,
    job: dict[str, Any],
    *,
    settings: SandboxSettings,
    stop: threading.Event,
    wall_seconds: float,
) -> DirectorReport:
    """Run the director in the sandbox to its end, or until a limit or `stop` ends it; its reports are kept."""
    filters = [_encoded(make_worker_filter(forks=forks)) for forks in (False, True)]
    with temporary_folder() as folder:
        return _DirectorWatch(python, {**job, "filters": filters}, settings, stop, wall_seconds, folder.resolve()).run()


def _encoded(program: bytes | None) -> str | None:
    return None if program is None else base64.b64encode(program).decode("ascii")


class _DirectorWatch:
    def __init__(
        self,
        python: Path,
        job: dict[str, Any],
        settings: SandboxSettings,
        stop: threading.Event,
        wall_seconds: float,
        scratch: Path,
    ) -> None:
        self.python, self.job, self.settings, self.stop, self.scratch = python, job, settings, stop, scratch
        self.deadline = time.monotonic() + wall_seconds
        self.nonce = secrets.token_hex(16)
        self.frames = FrameReader(self.nonce)
        self.report = DirectorReport()
        self.status = b""
        self.printed = b""
        self.finished = False
        self.weighed = 0.0

    def run(self) -> DirectorReport:
        job = json.dumps({**self.job, "nonce": self.nonce}).encode() + b"\n"
        program = [str(self.python), "-I", "-S", str(BOOT), "director"]
        process, pipes = start_confined(program, job, settings=self.settings, scratch=self.scratch)
        try:
            with selectors.DefaultSelector() as selector:
                for name, descriptor in pipes.items():
                    os.set_blocking(descriptor, False)
                    selector.register(descriptor, selectors.EVENT_READ, name)
                self._watch(process, selector)
        finally:
            end(process)
            for descriptor in pipes.values():
                os.close(descriptor)
        self._conclude()
        return self.report

    def _watch(self, process: subprocess.Popen[bytes], selector: selectors.BaseSelector) -> None:
        measured = 0.0
        while selector.get_map() and not self.finished and self.report.problem is None:
            for key, _ in selector.select(_TICK):
                try:
                    data = os.read(key.fd, 1 << 16)
                except BlockingIOError:
                    continue
                if not data:
                    selector.unregister(key.fd)
                elif key.data == "results":
                    self._hear(data)
                elif key.data == "status":
                    self.status = (self.status + data)[:_STATUS]
                else:
                    self.printed = (self.printed + data)[-self.settings.output_chars :]
            now = time.monotonic()
            if now - measured >= _TICK:
                measured = now
                self._look(process, now)

    def _hear(self, data: bytes) -> None:
        try:
            for message in self.frames.feed(data):
                if isinstance(coverage := message.get("now", message.get("done")), dict):
                    self.report.coverage = coverage
                if "done" in message:
                    self.finished = True
                    problem = message.get("problem")
                    self.report.problem = escape(problem) if isinstance(problem, str) else None
        except ProtocolViolation as error:
            self.report.problem = f"the package interfered with the report: {error}"

    def _look(self, process: subprocess.Popen[bytes], now: float) -> None:
        if self.stop.is_set():
            self.report.problem = "interrupted"
        elif now > self.deadline:
            self.report.problem = "the wall-clock limit was reached"
        elif (used := memory_bytes(process.pid)) > self.settings.memory_bytes:
            limit = self.settings.memory_bytes >> 20
            self.report.problem = f"{used >> 20} MB of memory in use, more than the {limit} MB allowed"
        elif now - self.weighed >= _DISK_TICK:
            self.weighed = now
            if (written := size_of(self.scratch)) > self.settings.disk_bytes:
                limit = self.settings.disk_bytes >> 20
                self.report.problem = f"{written >> 20} MB written to disk, more than the {limit} MB allowed"

    def _conclude(self) -> None:
        for line in self.status.splitlines():
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if isinstance(said, dict) and "notes" in said:
                self.report.notes = tuple(map(str, said["notes"]))
        if not self.finished and self.report.problem is None:
            printed = escape(self.printed.decode("utf-8", "replace").strip())
            self.report.problem = "the process in the sandbox ended before its work was done"
            if printed:
                self.report.problem += f": {printed}"
