"""The scan's cache: the findings of a file, by its content, path, rules, target and context."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

_SCHEMA: Final = "CREATE TABLE IF NOT EXISTS results (key BLOB PRIMARY KEY, value TEXT, used REAL) WITHOUT ROWID"
_KEPT: Final = 90 * 24 * 3600.0
"""Seconds after which an unused result is dropped."""
_BATCH: Final = 500


class ResultCache:
    """Results in one SQLite file. If the file is damaged, the scan goes on without it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "scan" / "results-1.sqlite3"

    def load(self, keys: Iterable[bytes]) -> dict[bytes, Any]:
        """Return the stored results of the keys."""
        wanted = list(keys)
        found: dict[bytes, Any] = {}
        with contextlib.suppress(sqlite3.Error, OSError, ValueError), self._open() as database:
            for start in range(0, len(wanted), _BATCH):
                batch = wanted[start : start + _BATCH]
                marks = ",".join("?" * len(batch))
                # Only question marks are put into the statement; the keys are bound.
                rows = database.execute(f"SELECT key, value FROM results WHERE key IN ({marks})", batch)  # noqa: S608
                found |= {bytes(key): json.loads(value) for key, value in rows}
        return found

    def store(self, results: Mapping[bytes, Any]) -> None:
        """Remember the results; forget those that were unused for a long time."""
        now = time.time()
        rows = [(key, json.dumps(value, separators=(",", ":")), now) for key, value in results.items()]
        if not rows:
            return
        try:
            with self._open() as database:
                database.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?)", rows)
                database.execute("DELETE FROM results WHERE used < ?", (now - _KEPT,))
        except sqlite3.DatabaseError:
            # A damaged file would stay useless.
            with contextlib.suppress(OSError):
                self._path.unlink()
        except OSError:
            return

    @contextlib.contextmanager
    def _open(self) -> Any:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self._path, timeout=5)
        try:
            database.execute("PRAGMA synchronous=OFF")
            database.execute(_SCHEMA)
            with database:
                yield database
        finally:
            database.close()
