"""The choices of schedules: threads, calls, and switch intervals, varied from a seed."""

from __future__ import annotations

import random
import re

from ftaudit.stress.child import arguments_to_try

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


THREADS = (2, 4, 3, 2, 8)
CALLS = (100, 1000, 20, 300, 5)
INTERVALS = (1e-5, 1e-6, 1e-4, 1e-3)
SLICE = 0.2
"""Run time of a unit in seconds."""
SLICE_TOGETHER = 0.3
"""Run time of a unit with many operations."""
SLOW_TOGETHER = 0.02
"""Seconds: a call that takes longer would hold up all other operations of a unit."""
MOST_TOGETHER = 12
CALLBACK = re.compile("|".join(re.escape(text) for text in arguments_to_try.CALLBACKS))


class Chance:
    """Threads, calls, and switch intervals, varied from a seed."""

    def __init__(self, seed: int, threads: int | None) -> None:
        self.random = random.Random(seed)  # noqa: S311 - the same schedules for the same seed
        self.threads = threads
        self.turn = 0

    def options(self, operations: int) -> dict[str, Any]:
        """Return the options of the next unit."""
        self.turn += 1
        threads = self.threads or max(THREADS[self.turn % len(THREADS)], operations)
        calls = CALLS[(self.turn // 2) % len(CALLS)]
        return {
            "threads": max(threads, 2),
            "calls": calls,
            "interval": INTERVALS[(self.turn // 3) % len(INTERVALS)],
            "seconds": SLICE,
        }


def options_for_many(chance: Chance) -> dict[str, Any]:
    """Return the options of a unit in which many operations take turns."""
    options = chance.options(2)
    return {**options, "calls": (20, 200, 50)[chance.turn % 3], "seconds": SLICE_TOGETHER}


def shared_in(text: str) -> dict[str, str]:
    """Return the shared objects that an operation uses, in the order of creation."""
    return {name: made for name, made in arguments_to_try.SHARED.items() if re.search(rf"\b{name}\b", text)}


def with_callback(text: str, change: str) -> str:
    """Return an operation whose callback makes a change, and returns its first argument."""
    return text.replace(CALLBACK.findall(text)[0], f"(lambda *args, **options: ({change}, args[0] if args else 1)[1])")
