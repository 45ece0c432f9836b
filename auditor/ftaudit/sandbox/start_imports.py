"""Imports the user's start points in the sandbox, each in its own process, and returns what each of them loads."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ftaudit.model import Interpreter
from ftaudit.sandbox.confined_process import can_protect_files, run_steps
from ftaudit.sandbox.contents import search_paths
from ftaudit.sandbox.environment import open_environment
from ftaudit.sandbox.failures import describe_exception, escape
from ftaudit.sandbox.launch import ImportStep
from ftaudit.sandbox.sandbox_settings import SandboxSettings, WheelToImport


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedInSandbox:
    """An extension module that an import loaded."""

    module: str
    requires_gil: bool
    chain: tuple[str, ...]
    """The imports that were in progress, the start point first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StartImport:
    """How the import of one start point ended."""

    start: str
    loads: tuple[LoadedInSandbox, ...] = ()
    error: str | None = None
    """Why it did not complete; what it had loaded by then is in `loads` if the process survived."""


def import_starts(
    interpreter: Interpreter,
    wheels: Sequence[WheelToImport],
    starts: Sequence[str],
    roots: Sequence[Path],
    *,
    settings: SandboxSettings,
) -> tuple[StartImport, ...]:
    """Import the start points with the wheels installed; the user's modules come from `roots`, as for `PYTHONPATH`.

    Raise `ResolutionError` if uv cannot be run.
    """
    if sys.platform == "win32" or not starts:
        return ()
    stop = threading.Event()
    protected = can_protect_files(Path(interpreter.path), settings=settings, stop=stop)
    with open_environment(interpreter, wheels, settings=settings, safe_to_link=protected) as environment:
        return tuple(_import(interpreter, environment.path, start, roots, settings, stop) for start in starts)


def _import(
    interpreter: Interpreter,
    environment: Path,
    start: str,
    roots: Sequence[Path],
    settings: SandboxSettings,
    stop: threading.Event,
) -> StartImport:
    ran = run_steps(
        Path(interpreter.path),
        environment,
        [ImportStep(name=start, loads=True)],
        settings=settings,
        stop=stop,
        deadline=time.monotonic() + settings.module_seconds,
        paths=search_paths(environment),
        roots=[str(root.absolute()) for root in roots],
        startup=True,
    )
    ending = ran.endings[0]
    if ending.report is None:
        return StartImport(start=start, error=ending.error or ending.outcome)
    return StartImport(
        start=start,
        loads=tuple(
            LoadedInSandbox(module=escape(name), requires_gil=guilty, chain=tuple(map(escape, chain)))
            for name, guilty, chain in ending.report.get("loads", ())
        ),
        error=None if ending.report["error"] is None else describe_exception(ending.report["error"]),
    )
