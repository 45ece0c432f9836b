"""Where a finding on a shared variable is reported: at its declaration, and where the first function changes it."""

from __future__ import annotations

from typing import Final

from ftaudit.source.c.state import SharedWrite
from ftaudit.source.c.unit import CUnit

_NEAR: Final = 3
"""Lines; a write this close to the declaration is not worth a finding of its own."""


def places_of(unit: CUnit, shared: SharedWrite) -> tuple[int, ...]:
    """Return the declaration, which is to be changed, and the first unguarded write where that stands elsewhere."""
    declared = shared.variable.start
    first = shared.first[0].at
    if abs(unit.line_at(first) - unit.line_at(declared)) < _NEAR or shared.variable.function is not None:
        return (declared,)
    return declared, first
