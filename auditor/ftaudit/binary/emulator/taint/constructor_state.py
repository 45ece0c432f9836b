"""Facts that the followed runs of a module share: its instructions, and what its static constructors leave unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ftaudit.binary.emulator.taint.instruction_effects import InstructionEffect
from ftaudit.binary.emulator.taint.meeting_point import Meeting

Unknown = tuple[str, bool, bool]
"""The name of an unknown, whether it only decides, and whether it is an answer of the C API."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConstructorLabels:
    """The labels after a constructor in which unknowns decide: the same whenever it gets the same answers."""

    memory: tuple[tuple[int, int, tuple[Unknown, ...]], ...]
    """Addresses and sizes, with their unknowns."""
    regions: tuple[tuple[int, int, tuple[Unknown, ...]], ...]
    """The beginning and the end of ranges that are unknown except where `memory` says otherwise."""
    deciding: tuple[str, ...]
    """The unknowns that decided."""
    opaque: str
    """Why later results cannot be trusted."""
    complete: bool
    """Whether the constructor was followed to its end; if not, all that later ones write is unknown too."""


@dataclass(slots=True)
class Joins:
    """The facts about one module."""

    effects: dict[int, InstructionEffect | None] = field(default_factory=dict)
    """The effects of the module's instructions, by address."""
    meeting_points: dict[int, Meeting] = field(default_factory=dict)
    """Where both paths of a branch meet, by the branch's address."""
    constructors: dict[int, ConstructorLabels] = field(default_factory=dict)
    """What constructors leave unknown, by their number in the order of the run, if unknowns decide in them."""
    started: Mapping[str, Any] | None = None
    """The labels after all constructors ran: they are the same in each run."""
