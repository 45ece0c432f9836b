"""Run a build in the sandbox: without network, writing only to its own folder, within limits, its output in a log."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ftaudit.cores import count_cores
from ftaudit.folders import size_of
from ftaudit.model import StrEnum
from ftaudit.sandbox.launch import end, memory_bytes, start_keeper
from ftaudit.sandbox.open_walls import describe_open_walls

_HERE: Final = Path(__file__).parent
_NEEDS: Final = ("network_cut", "files")
"""The walls that `confine.py` must report as cut off; otherwise no build starts."""
_TICK: Final = 0.2
_DISK_TICK: Final = 2.0
_CHUNK: Final = 1 << 16
_INHERITED: Final = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ")
_EPOCH: Final = "315532800"
"""1980, the first year that a zip archive can store: a build does not depend on when it runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildLimits:
    """Limits of one build."""

    seconds: float = 1200.0
    """Wall time."""
    memory_bytes: int = 6 << 30
    """Resident memory of all its processes, as measured."""
    disk_bytes: int = 6 << 30
    """The most that it may write in total, as measured."""
    file_bytes: int = 2 << 30
    """Size of one file (`RLIMIT_FSIZE`)."""
    output_bytes: int = 100 << 20
    """The most that it may print."""
    log_bytes: int = 2 << 20
    """How much of the output is kept, half of it from the beginning and half from the end."""


class BuildEnd(StrEnum):
    """How a build ended."""

    DONE = "done"
    FAILED = "failed"
    TIME = "time"
    MEMORY = "memory"
    DISK = "disk"
    OUTPUT = "output"
    NOT_CONFINED = "not-confined"


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfinedBuild:
    """The result of a confined build."""

    end: BuildEnd
    code: int | None
    """Its exit code, negative for a signal."""
    log: str
    """Its output, without the middle if it is long. Control characters are not removed."""
    seconds: float
    notes: tuple[str, ...] = ()


def run_build(
    argv: Sequence[str], *, scratch: Path, cwd: Path, variables: Mapping[str, str], limits: BuildLimits
) -> ConfinedBuild:
    """Run a program in the sandbox, which writes only below `scratch`, and wait for its end.

    Everything that it starts ends with it. A system that cannot cut it off from the network and from other files gets
    `BuildEnd.NOT_CONFINED`: the program is not started.
    """
    for name in ("home", "tmp"):
        (scratch / name).mkdir(exist_ok=True)
    output_read, output_write = os.pipe()
    status_read, status_write = os.pipe()
    try:
        process = start_keeper(
            argv,
            environment=_variables(scratch) | dict(variables),
            cwd=cwd,
            writable=(scratch,),
            output=output_write,
            status=status_write,
            needs=_NEEDS,
            limits={
                "RLIMIT_CPU": int(limits.seconds) * count_cores(),
                "RLIMIT_FSIZE": limits.file_bytes,
                "RLIMIT_DATA": 2 * limits.memory_bytes,
            },
        )
    except BaseException:
        os.close(output_read)
        os.close(status_read)
        raise
    finally:
        os.close(output_write)
        os.close(status_write)
    return _BuildWatch(process, output_read, status_read, scratch, limits).run()


def _variables(scratch: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    rustup = Path(os.environ.get("RUSTUP_HOME") or Path.home() / ".rustup")
    if rustup.is_dir():
        kept["RUSTUP_HOME"] = str(rustup)
    jobs = str(count_cores())
    return kept | {
        "HOME": str(scratch / "home"),
        "TMPDIR": str(scratch / "tmp"),
        "USER": "nobody",
        "LOGNAME": "nobody",
        "SOURCE_DATE_EPOCH": _EPOCH,
        "CARGO_HOME": str(scratch / "home" / "cargo"),
        "CARGO_NET_OFFLINE": "true",
        "CARGO_BUILD_JOBS": jobs,
        "CMAKE_BUILD_PARALLEL_LEVEL": jobs,
        "MAKEFLAGS": f"-j{jobs}",
        "PIP_NO_INDEX": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }


@dataclass(slots=True)
class _BuildWatch:
    process: subprocess.Popen[bytes]
    output: int
    status: int
    scratch: Path
    limits: BuildLimits
    head: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)
    printed: int = 0
    said: bytes = b""
    confined: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    ended: int | None = None

    def run(self) -> ConfinedBuild:
        start = time.monotonic()
        try:
            stopped = self.watch(start)
        finally:
            end(self.process)
            self.drain()
            os.close(self.output)
            os.close(self.status)
        code = None if self.ended is None else os.waitstatus_to_exitcode(self.ended)
        if stopped is None:
            stopped = BuildEnd.DONE if code == 0 else BuildEnd.FAILED
        return ConfinedBuild(end=stopped, code=code, log=self.log(), seconds=time.monotonic() - start, notes=self.notes)

    def watch(self, start: float) -> BuildEnd | None:
        """Wait for the end of the build; return the limit that it reached, if it did."""
        weighed = start
        with selectors.DefaultSelector() as selector:
            selector.register(self.output, selectors.EVENT_READ)
            selector.register(self.status, selectors.EVENT_READ)
            while self.ended is None:
                for key, _ in selector.select(_TICK):
                    chunk = os.read(key.fd, _CHUNK)
                    if not chunk:
                        selector.unregister(key.fd)
                        if key.fd == self.status:
                            return None
                    elif key.fd == self.output:
                        self.keep(chunk)
                    else:
                        self.hear(chunk)
                now = time.monotonic()
                if self.confined is not None and not self.is_confined():
                    return BuildEnd.NOT_CONFINED
                if self.printed > self.limits.output_bytes:
                    return BuildEnd.OUTPUT
                if now - start > self.limits.seconds:
                    return BuildEnd.TIME
                if now - weighed > _DISK_TICK:
                    weighed = now
                    if memory_bytes(self.process.pid) > self.limits.memory_bytes:
                        return BuildEnd.MEMORY
                    if size_of(self.scratch) > self.limits.disk_bytes:
                        return BuildEnd.DISK
        return None

    def is_confined(self) -> bool:
        return self.confined is not None and all(self.confined.get(name) for name in _NEEDS)

    def hear(self, chunk: bytes) -> None:
        self.said += chunk
        *lines, self.said = self.said.split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError):
                told = json.loads(line)
                if "confined" in told:
                    self.confined, self.notes = told["confined"], tuple(describe_open_walls(told["open"]))
                if "ended" in told:
                    self.ended = int(told["ended"])

    def keep(self, chunk: bytes) -> None:
        half = self.limits.log_bytes // 2
        self.printed += len(chunk)
        room = half - len(self.head)
        self.head += chunk[:room] if room > 0 else b""
        self.tail += chunk[max(room, 0) :]
        if len(self.tail) > 2 * half:
            del self.tail[:-half]

    def drain(self) -> None:
        """Take what is left in the pipe; everything that could write to it has ended."""
        os.set_blocking(self.output, False)
        with contextlib.suppress(BlockingIOError):
            while self.printed <= self.limits.output_bytes and (chunk := os.read(self.output, _CHUNK)):
                self.keep(chunk)

    def log(self) -> str:
        half = self.limits.log_bytes // 2
        left_out = self.printed - len(self.head) - len(self.tail[-half:])
        middle = f"\n[{left_out} bytes left out]\n".encode() if left_out else b""
        return (bytes(self.head) + middle + bytes(self.tail[-half:])).decode("utf-8", "replace")
