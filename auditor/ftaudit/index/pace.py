"""How fast hosts are asked: a rate for all processes that share a folder, and the pauses that servers ask for."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from weakref import WeakSet

FILE: Final = "pace.sqlite3"
_PATIENCE: Final = 30.0
"""Seconds to wait for the file; without it a process keeps to the rate alone."""
_LONGEST: Final = 120.0
"""The longest pause in seconds that counts: a server, or a wrong clock, must not stop a run."""

_every: Final[WeakSet[Pace]] = WeakSet()
_held: Final[dict[str, float]] = {}
"""Until when other machines were asked to pause, by host: for those that are made later."""
_told: Final[list[Callable[[str, float], object]]] = []


def tell_holds(tell: Callable[[str, float], object]) -> None:
    """Call `tell` with the host and the seconds of each pause that a server asks this process for, from any thread."""
    _told[:] = [tell]


def obey_hold(host: str, seconds: float) -> None:
    """Send a host no request for so long, because it asked another machine for that."""
    _held[host] = max(_held.get(host, 0.0), time.time() + min(seconds, _LONGEST))
    for pace in list(_every):
        pace.obey(host, seconds)


class Pace:
    """Gives each request to a host its time. Usable from many threads.

    The file holds, for each host, when the next request may be sent, by the clock of the machine.
    """

    def __init__(self, folder: Path | None, rate: float | None) -> None:
        """`rate` is the most requests to one host in a second; `None` only obeys pauses."""
        self._path = None if folder is None else folder / FILE
        self._gap = 0.0 if rate is None else 1.0 / rate
        self._lock = threading.Lock()
        self._next: dict[str, float] = dict(_held)
        _every.add(self)

    def wait(self, host: str) -> None:
        """Return when a request to the host may be sent."""
        while (pause := self._reserve(host, self._gap, 0.0) - time.time()) > 0:
            time.sleep(pause)
            if self._gap:
                return  # The slot is ours, unless a pause came meanwhile: then the next request waits.

    def hold(self, host: str, seconds: float) -> None:
        """Send the host no request for so long: it asks for that (`Retry-After`)."""
        self.obey(host, seconds)
        for tell in _told:
            tell(host, seconds)

    def obey(self, host: str, seconds: float) -> None:
        """Send the host no request for so long."""
        self._reserve(host, 0.0, min(seconds, _LONGEST))

    def _reserve(self, host: str, gap: float, hold: float) -> float:
        """Return when the host may be asked, and move that on by `gap`, or to the end of a pause of `hold` seconds."""
        with self._lock, contextlib.ExitStack() as stack:
            now = time.time()
            data = self._open(stack)
            known = self._next.get(host, 0.0)
            if data is not None:
                found = data.execute("SELECT next FROM hosts WHERE host = ?", (host,)).fetchone()
                known = max(known, found[0] if found else 0.0)
            slot = max(now, min(known, now + _LONGEST))
            following = max(slot + gap, now + hold)
            if gap or hold:
                self._next[host] = following
                if data is not None:
                    data.execute("INSERT OR REPLACE INTO hosts VALUES (?, ?)", (host, following))
                    data.execute("COMMIT")
            return slot

    def _open(self, stack: contextlib.ExitStack) -> sqlite3.Connection | None:
        """Return the file, locked until the stack is left; `None` without a usable file."""
        if self._path is None:
            return None
        try:
            data = stack.enter_context(
                contextlib.closing(sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None))
            )
            data.execute("PRAGMA synchronous = OFF")
            data.execute("CREATE TABLE IF NOT EXISTS hosts (host TEXT PRIMARY KEY, next REAL)")
            data.execute("BEGIN IMMEDIATE")
        except sqlite3.Error:
            return None
        return data
