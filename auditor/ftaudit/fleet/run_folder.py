"""The folder of a run: which folder a run may use, and which process writes to it."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Final

from ftaudit.errors import UsageError
from ftaudit.fleet.dataset import RUN_FILE

JOURNAL: Final = "journal.sqlite3"
UNFINISHED: Final = ".unfinished"
"""The folder in which the tables are written before they are put in place."""
_LOCK: Final = "lock.sqlite3"
_BUSY: Final = 5
"""SQLite's result code for a lock that another process holds; an extended code has it in its lowest byte."""
_OTHER: Final = "specify another folder with --output"


class FolderLock:
    """The right to write to the folder of a run; one process at a time has it.

    The file stays after an interrupted run. If a process removed it, two others could each lock a file of that name.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder if necessary, and lock it.

        Raise `UsageError` if another process writes to it, and as `check_folder`.
        """
        self._file = folder / _LOCK
        check_folder(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = sqlite3.connect(self._file, timeout=0)
        except (OSError, sqlite3.Error) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise UsageError(f"cannot write to {folder}: {why}", hint=_OTHER) from error
        try:
            self._lock.execute("BEGIN EXCLUSIVE")
            check_folder(folder)  # Another run can have finished in the meantime.
        except sqlite3.Error as error:
            self.release()
            if _is_locked(error):
                raise UsageError(
                    f"another run is writing to {folder} ({error})", hint=f"wait for it, or {_OTHER}"
                ) from error
            raise UsageError(f"cannot write to {self._file}: {error}", hint=_OTHER) from error
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let another process write to the folder."""
        self._lock.close()

    def remove(self) -> None:
        """Remove the file and release the lock: the run is finished, so no other run may use the folder."""
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)
        self.release()


def is_running(folder: Path) -> bool:
    """Return whether a process writes to the folder."""
    path = folder / _LOCK
    if not path.is_file():
        return False
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=0)) as lock:
            lock.execute("SELECT name FROM sqlite_master")
    except sqlite3.Error as error:
        return _is_locked(error)
    return False


def check_folder(folder: Path) -> None:
    """Raise `UsageError` for a folder that a run must not use.

    It has a finished run, or files that no run wrote, or a path that is not UTF-8, which Parquet cannot write to.
    """
    try:
        str(folder.absolute()).encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"cannot write to {folder}: its path is not UTF-8", hint=_OTHER) from error
    try:
        names = {path.name for path in folder.iterdir()}
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}", hint=_OTHER) from error
    if RUN_FILE in names:
        raise UsageError(f"{folder} has the data set of a finished run", hint=_OTHER)
    foreign = sorted(name for name in names if not name.startswith((_LOCK, UNFINISHED)))
    if foreign and JOURNAL not in names:
        raise UsageError(
            f"{folder} has files that are not from a run: {foreign[0]}",
            hint="specify a new or empty folder with --output",
        )


def _is_locked(error: sqlite3.Error) -> bool:
    """Return whether another process holds the lock; any other error is about the file."""
    # Python 3.10 does not say the code.
    return isinstance(error, sqlite3.OperationalError) and getattr(error, "sqlite_errorcode", _BUSY) % 256 == _BUSY
