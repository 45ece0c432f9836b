"""What is known of the static constructors of a module in which unknowns decide."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Joins:
    """What is known of the constructors of one module, by their number in the order of the run."""

    wanted: set[int] = field(default_factory=set)
    """Those in which unknowns decide, and that were not run in all their ways yet."""
    open: dict[int, tuple[tuple[tuple[int, int], ...] | None, tuple[tuple[str, bool], ...]]] = field(
        default_factory=dict
    )
    """The bytes that a constructor leaves open, as addresses and sizes, and the unknowns.

    An unknown is its name and whether it only decides.
    `None` is all that is writable: it has more ways than are run.
    """
