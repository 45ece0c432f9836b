"""Since when CPython has what differs between the versions that ftaudit audits."""

from __future__ import annotations

from typing import Final

Version = tuple[int, int]

ABI3T_SINCE: Final[Version] = (3, 15)
"""The first version whose builds load the stable ABI for free-threaded builds (PEP 803)."""

EXPORT_HOOK_SINCE: Final[Version] = (3, 15)
"""The first version that searches for `PyModExport_…` (PEP 793, `Python/importdl.c`)."""

SLOT_ARRAYS_SINCE: Final[Version] = (3, 15)
"""The first version with `PySlot` and its numbers (PEP 820, `Python/slots.toml`)."""

LAZY_IMPORTS_SINCE: Final[Version] = (3, 15)
"""The first version with `lazy import` (PEP 810)."""


def gil_slot(version: Version) -> int:
    """Return the number that the headers of a version give `Py_mod_gil`: 4 up to 3.14, 87 from 3.15 on (PEP 820)."""
    return 87 if version >= SLOT_ARRAYS_SINCE else 4


def gil_is_used(value: int, version: Version) -> bool:
    """Return whether a `Py_mod_gil` of this value turns the GIL on.

    `Py_MOD_GIL_USED` is 0 and `Py_MOD_GIL_NOT_USED` 1. Up to 3.14 CPython compares with the former, from 3.15 on with
    the latter (`Objects/moduleobject.c`).
    """
    return value != 1 if version >= SLOT_ARRAYS_SINCE else value == 0
