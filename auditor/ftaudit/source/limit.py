"""A limit on the processor time of one file, so that no text delays a scan."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

SECONDS_PER_FILE: Final = 5.0
"""Processor time of one look at one file. The slowest files in use (SQLite's 9 MB in one) take about two."""


class TooSlow(BaseException):
    """A file took longer than the limit. Not an `Exception`, so that no rule's failure row swallows it."""


@contextmanager
def processor_time(seconds: float = SECONDS_PER_FILE) -> Iterator[None]:
    """Raise `TooSlow` in the block when it has used that much processor time.

    Python's patterns and code are interrupted, a parser in C at its end. Only the main thread of a process can be
    interrupted, and only if the system has interval timers: other systems have no limit.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGVTALRM, _raise)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _raise(_number: int, _frame: FrameType | None) -> None:
    raise TooSlow
