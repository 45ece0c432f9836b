"""The limits of a stress run, and the run that it repeats."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

DEFAULT_BUDGET: Final = 60.0
"""Seconds of processor time for one package."""
LEAST_BUDGET: Final = 2.0
MOST_BUDGET: Final = 86400.0
MOST_THREADS: Final = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class StressSettings:
    """Limits and seeds of one stress run of one package."""

    budget: float = DEFAULT_BUDGET
    """Seconds of processor time."""
    threads: int | None = None
    """Threads of every unit; `None` varies them."""
    seed: int = 1
    recipes: dict[str, Any] = field(default_factory=dict)
    """The recipes, as returned by `read_recipes`."""

    @property
    def wall_seconds(self) -> float:
        """The wall time after which the run is killed from outside."""
        return 10 * self.budget + 120
