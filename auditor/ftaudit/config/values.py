"""Converts a value of a configuration file to the value that the command line would have made."""

from __future__ import annotations

import math
import os
import re
from argparse import ArgumentTypeError
from datetime import date, time
from pathlib import Path
from typing import Any, Final

from ftaudit.config.keys import Key, ValueKind
from ftaudit.errors import FtauditError

_NAMED_INDEX: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*=[a-z+]+://")
"""uv's syntax for a named index, for which the environment has a user and a password."""


class WrongValue(ValueError):
    """The value has the wrong type; the message names the right one."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def convert(value: object, key: Key, folder: Path, *, named: bool) -> Any:
    """Return the value for the command; relative paths are relative to `folder`, the file's own.

    Raise `WrongValue` for another type, for an unknown choice, and for a path outside the folder if the user did not
    name the file.
    """
    if not key.many:
        return _one(value, key, folder, named=named)
    if not isinstance(value, list):
        if key.bare:
            return [_one(value, key, folder, named=named)]
        raise WrongValue(f"must be {key.expected}, not {_shown(value)}")
    return [_one(item, key, folder, named=named) for item in value]


def _one(value: object, key: Key, folder: Path, *, named: bool) -> Any:
    match key.kind, value:
        case ValueKind.SWITCH, bool():
            return value
        case ValueKind.WHOLE, int() if not isinstance(value, bool):
            return value
        case ValueKind.NUMBER, int() | float() if not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        case ValueKind.PATH, str() if value and "\0" not in value:
            return Path(_path(value, key, folder, named=named))
        case ValueKind.TEXT, str() if "\0" not in value:
            return _text(value, key, folder, named=named)
        case ValueKind.TEXT, date() | time() if key.convert is not None:
            return _text(value.isoformat(), key, folder, named=named)
    raise WrongValue(f"must be {key.expected}, not {_shown(value)}")


def _text(value: str, key: Key, folder: Path, *, named: bool) -> Any:
    if key.choices and value not in key.choices:
        raise WrongValue(f"must be {key.expected}, not {_shown(value)}")
    if key.located and not named and _NAMED_INDEX.match(value):
        raise WrongValue(
            "names an index with NAME=URL, which uses credentials from the environment; only a file that you specify "
            "with --config can do that"
        )
    if key.located and "://" not in value and "==" not in value and not value.startswith("file:"):
        return _path(value, key, folder, named=named)
    if key.convert is None:
        return value
    try:
        return key.convert(value)
    except FtauditError as error:
        raise WrongValue(f"does not accept {_shown(value)}: {error.problem}", hint=error.hint) from error
    except (ArgumentTypeError, TypeError, ValueError) as error:
        raise WrongValue(f"does not accept {_shown(value)}: {error}") from error


def _path(value: str, key: Key, folder: Path, *, named: bool) -> str:
    """Return the path relative to the current folder, as short as the user would type it."""
    path = folder / Path(value).expanduser()
    if key.contained and not named and not path.resolve().is_relative_to(folder.resolve()):
        raise WrongValue(
            f"names {_shown(value)}, which is not inside {folder}; only a file that you specify with --config can "
            "do that"
        )
    if Path(value).expanduser().is_absolute():
        return str(path)
    try:
        return os.path.relpath(path)
    except ValueError:  # Another drive of Windows.
        return str(path)


def _shown(value: object) -> str:
    """Return a short form of a value in TOML syntax."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value[:60]}"'
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return str(value)[:60]
