"""Search the usual places of a machine for a free-threaded interpreter, and say why one was chosen."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from packaging.version import InvalidVersion, Version

from ftaudit.errors import InterpreterError, ResolutionError
from ftaudit.interpreters.probe import probe_interpreter
from ftaudit.model import Interpreter
from ftaudit.processes import PYTHON_VARIABLE, find_uv, run_tool
from ftaudit.target import DEFAULT_TARGET, Target

VARIABLE: Final = PYTHON_VARIABLE

COMPLETE: Final = ".complete"
"""The marker that a finished build leaves in our prefix; without it the prefix is debris."""

UV_SECONDS: Final = 30.0


def find_interpreter(target: Target, *, explicit: Path | None = None, cache_dir: Path) -> Interpreter:
    """Return a free-threaded interpreter of the target's version.

    In this order: `explicit`, `$FTAUDIT_PYTHON`, PATH, the interpreters that uv manages, pyenv's versions, one
    that ftaudit put into `cache_dir` before. The first two are the user's choice: if they do not name such
    an interpreter, that is an `InterpreterError`, never a fallback. So is a search without a result.
    """
    if explicit is not None:
        return _named(explicit, target, "--python")
    if named := os.environ.get(VARIABLE):
        return _named(Path(named), target, VARIABLE)
    attempts: list[str] = []
    for where, candidates in (
        ("on PATH", _on_path(target)),
        ("managed by uv", _from_uv(target, attempts)),
        ("installed by pyenv", _from_pyenv(target)),
        ("provided by ftaudit", provided_interpreters(target, cache_dir)),
    ):
        seen = False
        for candidate in candidates:
            seen = True
            try:
                found = probe_interpreter(candidate, target)
            except InterpreterError as error:
                attempts.append(f"{where}: {error.problem}")
                continue
            return dataclasses.replace(found, source=f"{target.executable} {where}", attempts=tuple(attempts))
        if not seen:
            attempts.append(f"{where}: no {target.executable}")
    raise InterpreterError(
        f"no free-threaded CPython {target.name} was found ({'; '.join(attempts)})",
        hint=f"run `ftaudit python install{option_of(target)}`, or specify one with --python PATH",
    )


def option_of(target: Target) -> str:
    """Return the option that names the target, for a command in a hint; nothing for the default one."""
    return "" if target.name == DEFAULT_TARGET else f" --target {target.name}"


def provided_interpreters(target: Target, cache_dir: Path) -> list[Path]:
    """Return the executables that ftaudit built into its cache folder, the newest first."""
    prefixes = sorted(
        (marker.parent for marker in (cache_dir / "python").glob(f"{target.name.rstrip('t')}.*t/{COMPLETE}")),
        key=lambda prefix: _age(prefix.name),
        reverse=True,
    )
    return [prefix / "bin" / target.executable for prefix in prefixes]


def _named(path: Path, target: Target, by: str) -> Interpreter:
    """Return the interpreter that the user named: an executable, or the folder of an installation or environment."""
    executable = path.expanduser()
    if executable.is_dir():
        unix = (f"bin/{target.executable}", "bin/python3", "bin/python")
        inside = ("Scripts/python.exe", "python.exe") if sys.platform == "win32" else unix
        executable = next((executable / name for name in inside if (executable / name).is_file()), executable)
    elif not executable.exists() and executable.parent == Path() and (on_path := shutil.which(str(executable))):
        executable = Path(on_path)
    try:
        return probe_interpreter(executable.absolute(), target, source=f"named by {by}")
    except InterpreterError as error:
        raise InterpreterError(
            f"{by}: {error.problem}", hint=f"specify a free-threaded CPython {target.name}, or leave {by} out"
        ) from error


def _on_path(target: Target) -> Iterator[Path]:
    """Yield every executable of that name on PATH: a pyenv shim that does not run must not hide a real one."""
    name = target.executable + (".exe" if sys.platform == "win32" else "")
    for folder in os.get_exec_path():
        candidate = Path(folder or os.curdir, name).absolute()
        if candidate.is_file() and os.access(candidate, os.X_OK):
            yield candidate


def _from_uv(target: Target, attempts: list[str]) -> Iterator[Path]:
    try:
        uv = find_uv()
    except ResolutionError as error:
        attempts.append(f"managed by uv: {error.problem}")
        return
    # On Windows uv also reads the registry, which lists the installers' interpreters; elsewhere PATH was searched.
    managed = [] if sys.platform == "win32" else ["--managed-python"]
    ran = run_tool(
        [uv, "python", "find", "--no-python-downloads", "--no-project", *managed, target.name],
        timeout=UV_SECONDS,
    )
    if ran.ok and ran.output.strip():
        yield Path(ran.output.strip().splitlines()[-1])


def _from_pyenv(target: Target) -> list[Path]:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = sorted(
        root.glob(f"versions/{target.name.rstrip('t')}*t"), key=lambda folder: _numbers(folder.name), reverse=True
    )
    executables = [folder / "bin" / target.executable for folder in folders]
    return [executable for executable in executables if executable.is_file()]


def _age(name: str) -> Version:
    """Return the version of our prefix; `3.15.0~rc2t` comes before `3.15.0t`."""
    try:
        return Version(name.rstrip("t").replace("~", ""))
    except InvalidVersion:
        return Version("0")


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in name.rstrip("t").split(".") if part.isdecimal())


def find_in_environment(folder: Path, target: Target) -> Path:
    """Return the interpreter of the environment that a folder of packages belongs to; it is not started.

    Raise `InterpreterError` if the environment has none.
    """
    place = next((each for each in folder.absolute().parents if each.name.lower() in ("lib", "lib64")), None)
    prefix = folder.absolute() if place is None else place.parent
    names = (target.executable, f"python{target.version[0]}", "python")
    found = (path for name in names if (path := prefix / "bin" / name).is_file())
    python = next(found, None)
    if python is None:
        raise InterpreterError(f"{prefix} has no {target.executable} in its bin folder", hint="leave out --run-env")
    return python
