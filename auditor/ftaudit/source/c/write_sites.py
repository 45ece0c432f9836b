"""The sites of a finding on a shared variable: it is reported once, at its declaration, with every unguarded write."""

from __future__ import annotations

from itertools import islice
from typing import Final

from ftaudit.model import Site
from ftaudit.source.c.state import SharedWrite
from ftaudit.source.c.unit import CUnit
from ftaudit.source.shared_state import AccessKind

_MOST: Final = 20


def sites_of(unit: CUnit, shared: SharedWrite) -> tuple[Site, ...]:
    """Return the unguarded writes of a variable, in order; for generated code only the first ones."""
    return tuple(
        Site(location=unit.place(use.at), access=AccessKind.WRITE.value, entry_point=function.short_name)
        for use, function in islice(shared.writes, _MOST)
    )
