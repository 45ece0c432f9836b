"""The layout of objects in the 64-bit builds of CPython (`Include/object.h`, `Include/moduleobject.h`).

`tests/cpython/test_facts.py` compares them with what a compiler makes of the headers.
"""

from __future__ import annotations

from typing import Final

from ftaudit.cpython.versions import Version

GIL_HEAD: Final = 16
"""Bytes of `PyObject` in a build with the GIL."""
FREE_THREADED_HEAD: Final = 32
"""Bytes of `PyObject` with `Py_GIL_DISABLED`."""

DEFINITION: Final = {
    "m_name": 24, "m_doc": 32, "m_size": 40, "m_methods": 48,
    "m_slots": 56, "m_traverse": 64, "m_clear": 72, "m_free": 80,
}  # fmt: skip
"""Offsets in `PyModuleDef` behind its `PyObject`: the rest of `PyModuleDef_Base` is three words."""


def object_head(*, free_threaded: bool) -> int:
    """Return the bytes of `PyObject`."""
    return FREE_THREADED_HEAD if free_threaded else GIL_HEAD


_STATIC, _LEGACY = 1 << 2, 1 << 1
"""`_Py_STATICALLY_ALLOCATED_FLAG` and `_Py_LEGACY_ABI_CHECK_FLAG` (`Include/object.h` of 3.15)."""
DEFINITION_CHECKED_SINCE: Final = (3, 15)


def is_own_definition(flags: int, version: Version) -> bool:
    """Return whether the free-threaded build of a version takes a `PyModuleDef` with these `ob_flags`.

    3.15 refuses those of builds with the GIL, and those that headers of 3.13 made (`PyModuleDef_Init`).
    """
    return version < DEFINITION_CHECKED_SINCE or flags & (_STATIC | _LEGACY) == _STATIC
