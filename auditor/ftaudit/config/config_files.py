"""Which configuration files apply: those of the user's current project, or the file that the user names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ftaudit.errors import UsageError

OWN: Final = "ftaudit.toml"
PROJECT: Final = "pyproject.toml"
MAX_BYTES: Final = 4 * 1024 * 1024
"""A configuration is written by hand; a longer file is something else."""
MARKS: Final = (".git", ".hg", ".jj", ".svn")
"""Names that mark the top folder of a checkout."""
HINT: Final = "fix the file, or ignore it with --no-config"


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """The settings of one file, unchecked."""

    path: Path
    values: Mapping[str, Any]
    """The table for ftaudit: `[tool.ftaudit]`, or all of `ftaudit.toml`."""
    prefix: tuple[str, ...]
    """The path of that table in the document: `("tool", "ftaudit")`, or empty."""
    text: str
    named: bool = False
    """Whether the user named the file, and so trusts it."""


def find_files(start: Path) -> tuple[File, ...]:
    """Return the files of the nearest folder that has any, from `start` up to the top of its project.

    The top is the folder of the checkout (`.git` and similar), or else the nearest folder with a `pyproject.toml`, or
    else `start` itself: files outside the project never count. In one folder, `ftaudit.toml` comes before
    `pyproject.toml`. A file in a folder above counts only if it belongs to the owner of `start`, to the user, or to
    root, so that other users cannot add one to a shared folder. Raise `UsageError` for a file that cannot be read.
    """
    start = start.absolute()
    for folder in _folders(start):
        found = [
            file
            for name in (OWN, PROJECT)
            if (folder == start or _is_ours(folder / name, start)) and (file := _read(folder / name)) is not None
        ]
        if found:
            return tuple(found)
    return ()


def read_file(path: Path) -> File:
    """Return the settings of a file that the user names; raise `UsageError` if it is missing or unreadable."""
    path = path.expanduser()
    if not path.is_file():
        raise UsageError(f"configuration file not found: {path}", hint="--config names a TOML file")
    return _read(path, named=True) or File(path=path, values={}, prefix=_prefix(path), text="", named=True)


def _folders(start: Path) -> Iterator[Path]:
    every = (start, *start.parents)
    top = next((folder for folder in every if any((folder / mark).exists() for mark in MARKS)), None)
    top = top or next((folder for folder in every if (folder / PROJECT).is_file()), start)
    for folder in every:
        yield folder
        if folder == top:
            return


def _is_ours(path: Path, start: Path) -> bool:
    if os.name != "posix":
        return True
    try:
        owner = path.stat().st_uid
        return owner in (0, os.geteuid(), start.stat().st_uid)
    except OSError:
        return False


def _prefix(path: Path) -> tuple[str, ...]:
    return ("tool", "ftaudit") if path.name == PROJECT else ()


def _read(path: Path, *, named: bool = False) -> File | None:
    """Return our table of a file, or `None` without one; a TOML file without our name in it is not parsed."""
    data = _bytes(path)
    prefix = _prefix(path)
    if data is None or (prefix and b"ftaudit" not in data):
        return None
    import tomli

    try:
        text = data.decode("utf-8-sig")
        values: Any = tomli.loads(text)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8, as TOML must be (byte {error.start})", hint=HINT) from error
    except tomli.TOMLDecodeError as error:
        raise UsageError(f"{path}: not valid TOML: {error}", hint=HINT) from error
    except (RecursionError, ValueError, OverflowError) as error:
        raise UsageError(f"{path}: nested too deeply, or an invalid number or date", hint=HINT) from error
    for part in prefix:
        if not isinstance(values, dict):
            raise UsageError(f"{path}: [{'.'.join(prefix)}] is not a table", hint=HINT)
        values = values.get(part)
        if values is None:
            return None
    if not isinstance(values, dict):
        raise UsageError(f"{path}: [{'.'.join(prefix)}] is not a table", hint=HINT)
    return File(path=path, values=values, prefix=prefix, text=text, named=named)


def _bytes(path: Path) -> bytes | None:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path}: not a regular file", hint=HINT)
        if status.st_size > MAX_BYTES:
            raise UsageError(f"{path}: {status.st_size:,} bytes is too large for a configuration file", hint=HINT)
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}", hint=HINT) from error
