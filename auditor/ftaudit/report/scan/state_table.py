"""The state table of a scan: the state of each type, the code that reads and writes it, and the locks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from ftaudit.source.shared_state import StateRow


def under(row: StateRow) -> str:
    """Return what separates the accesses of a state: the locks that all of them hold, or what is missing."""
    if row.locks:
        return ", ".join(row.locks)
    shared = [access for access in row.accesses if not access.alone]
    if not any(access.writes for access in shared):
        return "never written after construction"
    held = sorted({lock.name for access in shared for lock in access.locks})
    bare = any(not access.locks for access in shared)
    if held and bare:
        return f"{', '.join(held)} in places, no lock in others"
    return f"different locks: {', '.join(held)}" if held else "no lock"


def by_type(rows: Sequence[StateRow]) -> Iterator[tuple[str, tuple[StateRow, ...]]]:
    """Yield each type, or the empty name for static variables, with its state."""
    for owner, some in groupby(sorted(rows, key=lambda row: row.state), key=lambda row: row.state.owner):
        yield owner, tuple(some)


def as_dict(row: StateRow) -> dict[str, Any]:
    """Return a row as plain JSON values."""
    return {
        "owner": row.state.owner,
        "name": row.state.name,
        "kind": row.state.kind.value,
        "writers": list(row.writers),
        "readers": list(row.readers),
        "locks": list(row.locks),
        "accesses": [
            {
                "path": access.location.path,
                "line": access.location.line,
                "column": access.location.column,
                "access": access.kind.value,
                "entry_point": access.entry_point.name,
                "entry_kind": access.entry_point.kind.value,
                "locks": sorted(lock.name for lock in access.locks),
            }
            for access in row.accesses
        ],
    }
