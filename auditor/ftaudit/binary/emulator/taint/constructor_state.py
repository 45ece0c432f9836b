"""Facts that the followed runs of a module share: its instructions, and the constructors that unknowns decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ftaudit.binary.emulator.taint.instruction_effects import InstructionEffect


@dataclass(slots=True)
class Joins:
    """The facts about one module; those about its constructors by their number in the order of the run."""

    effects: dict[int, InstructionEffect | None] = field(default_factory=dict)
    """The effects of the module's instructions, by address."""
    wanted: set[int] = field(default_factory=set)
    """Those in which unknowns decide, and that have not yet run along all their paths."""
    open: dict[int, tuple[tuple[tuple[int, int], ...] | None, tuple[tuple[str, bool], ...]]] = field(
        default_factory=dict
    )
    """The undecided bytes of a constructor, as addresses and sizes, and the unknowns.

    An unknown is its name and whether it only decides.
    `None` means all writable memory: the constructor has more paths than are run.
    """
    started: Mapping[str, Any] | None = None
    """The labels after all constructors ran, if no unknown decides in them: they are the same in each run."""
