"""Runs a command of the user with the recording hook, and returns what its Python processes loaded."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

from ftaudit.errors import UsageError
from ftaudit.folders import temporary_folder
from ftaudit.load_events import SUFFIX, VARIABLE
from ftaudit.load_record import LoadRecord, read_spool, record_of_processes

HOOK: Final = Path(__file__).resolve().parent.parent / "recording_hook"
_SIGNALLED: Final = 128
"""A shell adds this to the number of the signal that ended a command."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedRun:
    """The result of a command."""

    exit_code: int
    """As a shell reports it."""
    record: LoadRecord
    """What its Python processes loaded; empty if none reported."""


def record_run(command: Sequence[str]) -> RecordedRun:
    """Run a command, with its standard streams, and record it. Raise `UsageError` if it cannot be started."""
    with temporary_folder() as folder:
        code = _run(command, _environment(folder))
        record = record_of_processes(read_spool(folder, SUFFIX), Path.cwd())
    return RecordedRun(exit_code=code, record=record)


def _environment(folder: Path) -> dict[str, str]:
    path = os.environ.get("PYTHONPATH")
    return {
        **os.environ,
        VARIABLE: str(folder),
        "PYTHONPATH": f"{HOOK}{os.pathsep}{path}" if path else str(HOOK),
    }


def _run(command: Sequence[str], environment: dict[str, str]) -> int:
    try:
        process = subprocess.Popen(command, env=environment)
    except OSError as error:
        raise UsageError(
            f"cannot run {command[0]}: {error.strerror}",
            hint="write the command as in a shell: ftaudit reach --run -- python app.py",
        ) from error
    before = _forward(process)
    try:
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else _SIGNALLED - code


def _forward(process: subprocess.Popen[bytes]) -> dict[signal.Signals, Any]:
    """Let the command decide about signals: a terminal sends Ctrl-C to it too, and others are passed on."""
    if threading.current_thread() is not threading.main_thread():
        return {}

    def forward(number: int, frame: FrameType | None) -> None:
        process.send_signal(number)

    handlers: dict[signal.Signals, Any] = {signal.SIGINT: signal.SIG_IGN, signal.SIGTERM: forward}
    if hasattr(signal, "SIGHUP"):
        handlers[signal.SIGHUP] = forward
    return {number: signal.signal(number, handler) for number, handler in handlers.items()}
