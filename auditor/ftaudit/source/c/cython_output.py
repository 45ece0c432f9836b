"""C and C++ that a generator wrote: what Cython's declares by default, and whether the tree has its source."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from ftaudit.source.base import Room
from ftaudit.source.build.build_facts import BuildContext, FactKind

if TYPE_CHECKING:
    from ftaudit.source.c.unit import CUnit

_DEFAULT: Final = re.compile(
    r"^[ \t]*#[ \t]*else[ \t]*\n[ \t]*#[ \t]*define[ \t]+__Pyx_FREETHREADING_COMPATIBLE[ \t]+Py_MOD_GIL_(NOT_)?USED\b",
    re.MULTILINE,
)
"""The last branch is the one without the macro `CYTHON_FREETHREADING_COMPATIBLE` (Cython 3.2.3 and later)."""
_BANNER: Final = 400
"""Characters in which a generator names itself."""
_WORD: Final = "__Pyx_FREETHREADING_COMPATIBLE"


def declared_by_default(text: str) -> tuple[int, bool] | None:
    """Return where C code from Cython 3.2.3 or later declares its use of the GIL, and whether it uses none."""
    if _WORD not in text:
        return None
    branches = [*_DEFAULT.finditer(text)]
    return (branches[-1].end(), branches[-1][1] is not None) if branches else None


def has_source_in_tree(unit: CUnit) -> bool:
    """Return whether the tree holds what a generated file was made from, so that the rules for that speak."""
    banner = unit.text[:_BANNER]
    if "Cython" in banner:
        names = {PurePosixPath(unit.path).with_suffix(suffix).name for suffix in (".pyx", ".pyx.in", ".py")}
        return any(PurePosixPath(path).name in names for path in unit.context.paths)
    return "SWIG" in banner and any(True for _ in unit.context.of(Room.BUILD, BuildContext).of(FactKind.SWIG))
