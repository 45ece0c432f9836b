"""Results by key in one SQLite file of the cache: small, shared by processes, and never trusted if it is damaged."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

_SCHEMA: Final = "CREATE TABLE IF NOT EXISTS results (key BLOB PRIMARY KEY, value BLOB, used REAL) WITHOUT ROWID"
_KEPT: Final = 90 * 24 * 3600.0
"""Seconds after which a result is dropped that was not stored again."""
_BATCH: Final = 500
_PATIENCE: Final = 5.0
"""Seconds to wait for another process."""
_CHECK: Final = 8
"""Bytes of the digest in front of each value."""


class ResultFile:
    """Results, each whole or not at all. Usable from many threads and processes.

    A result that is not what was written is ignored and counted. A file that is damaged as a whole is removed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.damaged = 0
        """Results, and files, that were not what was written."""

    def load(self, keys: Iterable[bytes]) -> dict[bytes, Any]:
        """Return the stored results of the keys."""
        wanted = list(keys)
        found: dict[bytes, Any] = {}
        if not wanted or not self._path.is_file():
            return found

        def read(database: sqlite3.Connection) -> None:
            for start in range(0, len(wanted), _BATCH):
                batch = wanted[start : start + _BATCH]
                marks = ",".join("?" * len(batch))
                # Only question marks are put into the statement; the keys are bound.
                rows = database.execute(f"SELECT key, value FROM results WHERE key IN ({marks})", batch)  # noqa: S608
                for key, value in rows:
                    try:
                        found[bytes(key)] = _unpack(bytes(key), value)
                    except (ValueError, TypeError, zlib.error, RecursionError):
                        self.damaged += 1

        self._with_file(read)
        return found

    def store(self, results: Mapping[bytes, Any]) -> None:
        """Store results; drop those that are old. A file that cannot be written is not a failure."""
        if not results:
            return
        now = time.time()
        rows = [(key, _pack(key, value), now) for key, value in results.items()]

        def write(database: sqlite3.Connection) -> None:
            database.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?)", rows)
            database.execute("DELETE FROM results WHERE used < ?", (now - _KEPT,))

        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._with_file(write)

    def _with_file(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Do the work in one transaction; what fails is as if it had not been asked for."""
        try:
            with contextlib.closing(sqlite3.connect(self._path, timeout=_PATIENCE)) as database, database:
                database.execute("PRAGMA synchronous=OFF")
                database.execute(_SCHEMA)
                work(database)
        except sqlite3.OperationalError:
            return  # Another process holds it for too long, or the disk is full.
        except sqlite3.DatabaseError:
            # A damaged file would stay useless.
            self.damaged += 1
            with contextlib.suppress(OSError):
                self._path.unlink()


def _pack(key: bytes, value: Any) -> bytes:
    data = zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 1)
    return hashlib.sha256(key + data).digest()[:_CHECK] + data


def _unpack(key: bytes, value: bytes) -> Any:
    """Return what `_pack` packed for that key; raise `ValueError`, `TypeError`, `zlib.error` or `RecursionError`."""
    check, data = value[:_CHECK], value[_CHECK:]
    if hashlib.sha256(key + data).digest()[:_CHECK] != check:
        raise ValueError("not what was written")
    return json.loads(zlib.decompress(data))
