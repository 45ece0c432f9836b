"""The allowance of a task: seconds of processor time, because a busy machine must not change an answer."""

from __future__ import annotations

import math
import os
import threading
import time
from pathlib import Path
from typing import Final

IDLE: Final = 0.02
"""Seconds of processor time; a worker that uses less in as many seconds as it may use in all hangs."""
WALL_PER_CPU: Final = 8
"""How much longer than its processor time a task may take if the system does not report the time used."""
_SOON: Final = 0.01


class Allowance:
    """The time of one process. One thread begins and ends tasks; another asks whether one has used its time up."""

    def __init__(self, pid: int) -> None:
        self.deadline = math.inf
        """When to ask next, by `time.monotonic`."""
        self._pid = pid
        self._lock = threading.Lock()
        self._seconds = self._begun = self._seen_at = 0.0
        self._base = self._seen = _worked(pid)

    def begin(self, seconds: float) -> float:
        """Begin a task that may use so many seconds; return when to ask for the first time."""
        with self._lock:
            self._seconds = seconds
            self._begun = self._seen_at = time.monotonic()
            self._base = self._seen = _worked(self._pid)
            self.deadline = self._begun + seconds
            return self.deadline

    def end(self) -> None:
        """End the task."""
        with self._lock:
            self.deadline = math.inf

    def is_over(self, now: float) -> bool:
        """Return whether the task has used up its time or hangs; if not, `deadline` says when to ask again."""
        with self._lock:
            if self.deadline > now:
                return False
            worked = _worked(self._pid)
            if worked is None or self._base is None or self._seen is None:
                left = self._begun + self._seconds * WALL_PER_CPU - now
            else:
                if worked - self._seen >= min(IDLE, self._seconds):
                    self._seen, self._seen_at = worked, now
                left = min(self._base + self._seconds - worked, self._seen_at + self._seconds - now)
            self.deadline = math.inf if left <= 0 else now + max(left, _SOON)
            return left <= 0


def _worked(pid: int) -> float | None:
    """Return the seconds of processor time that a process has used (proc(5)), or `None` if unknown."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None
