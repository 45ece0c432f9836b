"""The programs that ftaudit starts: finds uv, and runs a tool with a time limit and without leftover children."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ftaudit.errors import ResolutionError

PYTHON_VARIABLE = "FTAUDIT_PYTHON"
"""The environment variable that names the interpreter; like `--python`, it is used or it is an error."""

TAIL = 2000
"""Number of characters to keep from the end of a tool's output."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed:
    """How a tool ended."""

    code: int | None
    """Its exit code, negative for a signal; `None` if it could not start or timed out."""
    output: str
    """Its standard output."""
    errors: str
    """The end of its standard error, or the reason why it is missing."""

    @property
    def ok(self) -> bool:
        """Whether its exit code was 0."""
        return self.code == 0


def find_uv() -> Path:
    """Return the uv executable: the one installed with ftaudit, or else the one on PATH.

    Raise `ResolutionError` if uv is not installed.
    """
    try:
        from uv import find_uv_bin

        return Path(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if found is None:
        raise ResolutionError("uv cannot be found", hint="install it: pip install uv")
    return Path(found)


def run_tool(
    command: Sequence[str | Path],
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    log: Path | None = None,
    every: float | None = None,
    waiting: Callable[[float], None] | None = None,
) -> Completed:
    """Run a tool and return its result; with `log`, append both of its streams to that file.

    With `every`, call `waiting` at that interval in seconds with the elapsed time. The tool runs in a separate process
    group, which is killed after `timeout` seconds or on an interrupt.
    """
    try:
        with contextlib.ExitStack() as stack:
            sink = subprocess.PIPE if log is None else stack.enter_context(log.open("ab"))
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.PIPE if log is None else subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=cwd,
                start_new_session=True,
                encoding="utf-8",
                errors="replace",
            )
    except OSError as error:
        return Completed(code=None, output="", errors=str(error))
    try:
        output, errors = _communicate(process, timeout, every, waiting)
    except subprocess.TimeoutExpired:
        _kill(process)
        return Completed(code=None, output="", errors=f"no answer within {timeout:g} s")
    except BaseException:
        _kill(process)
        raise
    return Completed(code=process.returncode, output=output or "", errors=(errors or "").strip()[-TAIL:])


def _communicate(
    process: subprocess.Popen[str], timeout: float, every: float | None, waiting: Callable[[float], None] | None
) -> tuple[str, str]:
    """Wait for the process and report meanwhile; raise `TimeoutExpired`."""
    start = time.monotonic()
    while True:
        left = timeout - (time.monotonic() - start)
        try:
            return process.communicate(timeout=left if every is None else min(every, max(left, 0)))
        except subprocess.TimeoutExpired:
            passed = time.monotonic() - start
            if every is None or passed >= timeout:
                raise
            if waiting is not None:
                waiting(passed)


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.communicate()
