"""The records of real runs as users name them: their errors are usage errors."""

from __future__ import annotations

from pathlib import Path

from ftaudit.errors import InputError, UsageError
from ftaudit.load_record import BadRecord, LoadRecord, add_to_file, read_record

_HINT = "specify a file that `ftaudit reach --run --record FILE` or `pytest --ftaudit-record FILE` wrote"


def read_recorded(path: Path) -> LoadRecord:
    """Return what a file holds. Raise `InputError` for anything but a record."""
    try:
        return read_record(path)
    except BadRecord as error:
        raise InputError(f"{path} is not a record of loads: {error}", hint=_HINT) from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint=_HINT) from error


def write_recorded(path: Path, record: LoadRecord) -> LoadRecord:
    """Merge a record into a file, and return what the file holds. Raise `UsageError` if it cannot be written."""
    try:
        return add_to_file(path, record)
    except BadRecord as error:
        raise InputError(f"{path} is not a record of loads: {error}", hint=_HINT) from error
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}", hint="specify a file in a folder that exists"
        ) from error
