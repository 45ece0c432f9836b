"""Provide a free-threaded interpreter: find one, else let uv install one, else build it from source."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ftaudit.errors import InterpreterError, ResolutionError
from ftaudit.interpreters.build import build_interpreter
from ftaudit.interpreters.find import VARIABLE, find_interpreter
from ftaudit.interpreters.probe import probe_interpreter
from ftaudit.model import Interpreter
from ftaudit.processes import find_uv, run_tool
from ftaudit.target import Target

UV_INSTALL_SECONDS: Final = 180.0
"""A download of some 35 MB; without a route, uv gives up within seconds."""


def provide_interpreter(target: Target, *, cache_dir: Path, progress: Callable[[str], None]) -> Interpreter:
    """Return a free-threaded interpreter of the target's version, installing or building one if necessary.

    `uv python install` puts its own into uv's place; our build goes to `<cache_dir>/python/`. `progress` receives
    the current step, one sentence at a time. Raise `InterpreterError` with all attempts if
    neither works, and at once if `$FTAUDIT_PYTHON` names something unsuitable.
    """
    try:
        return find_interpreter(target, cache_dir=cache_dir)
    except InterpreterError as error:
        if os.environ.get(VARIABLE):
            raise
        tried = [error.problem]
    progress(f"uv python install {target.name}")
    try:
        return _install_with_uv(target, tuple(tried))
    except (InterpreterError, ResolutionError) as error:
        tried.append(error.problem)
        progress(error.problem)
    try:
        return build_interpreter(target, cache_dir=cache_dir, progress=progress, attempts=tuple(tried))
    except InterpreterError as error:
        tried.append(error.problem)
        raise InterpreterError(
            f"no free-threaded CPython {target.name} could be provided: " + "; ".join(tried),
            hint=error.hint or _elsewhere(target),
        ) from error


def _install_with_uv(target: Target, attempts: tuple[str, ...]) -> Interpreter:
    uv = find_uv()
    # One retry is enough for a short failure; uv's own default of three turns "no route" into a long wait.
    env = os.environ | {"UV_HTTP_RETRIES": "1", "UV_HTTP_TIMEOUT": os.environ.get("UV_HTTP_TIMEOUT", "20")}
    installed = run_tool([uv, "python", "install", target.name], timeout=UV_INSTALL_SECONDS, env=env)
    if not installed.ok:
        causes = [line.strip() for line in installed.errors.splitlines() if line.strip()]
        raise InterpreterError(
            f"`uv python install {target.name}` failed: {causes[-1] if causes else 'no reason given'}"
        )
    found = run_tool(
        [uv, "python", "find", "--no-python-downloads", "--no-project", "--managed-python", target.name], timeout=30
    )
    if not found.ok or not found.output.strip():
        raise InterpreterError(f"uv installed {target.name} but cannot find it")
    probed = probe_interpreter(Path(found.output.strip().splitlines()[-1]), target)
    return dataclasses.replace(probed, source="installed by uv just now", attempts=attempts)


def _elsewhere(target: Target) -> str:
    """Return a hint on what a user of this system can do by hand."""
    version = target.name.rstrip("t")
    match sys.platform:
        case "darwin":
            return (
                "install the free-threaded build with Homebrew (`brew install python-freethreading`) or the installer "
                f"of CPython {version}, then specify it with --python PATH"
            )
        case "win32":
            return f"run `py install {target.name}`, then specify it with --python PATH"
        case _:
            return f"build CPython {version} with `./configure --disable-gil`, then specify it with --python PATH"
