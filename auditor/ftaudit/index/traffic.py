"""Counts the network traffic and the savings of the cache."""

from __future__ import annotations

import threading


class Traffic:
    """Counters for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = {"requests": 0, "received": 0, "saved": 0}

    def add(self, *, requests: int = 0, received: int = 0, saved: int = 0) -> None:
        """Add requests sent, bytes of bodies received, and bytes that the cache or a range request saved."""
        with self._lock:
            self._counts["requests"] += requests
            self._counts["received"] += received
            self._counts["saved"] += saved

    @property
    def counts(self) -> tuple[tuple[str, int], ...]:
        """Pairs of name and count, in the form of `Report.traffic`."""
        with self._lock:
            return tuple(self._counts.items())
