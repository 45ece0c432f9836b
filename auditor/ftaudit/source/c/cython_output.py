"""C and C++ that Cython wrote: what it declares by default."""

from __future__ import annotations

import re
from typing import Final

_DEFAULT: Final = re.compile(
    r"^[ \t]*#[ \t]*else[ \t]*\n[ \t]*#[ \t]*define[ \t]+__Pyx_FREETHREADING_COMPATIBLE[ \t]+Py_MOD_GIL_(NOT_)?USED\b",
    re.MULTILINE,
)
"""The last branch is the one without the macro `CYTHON_FREETHREADING_COMPATIBLE` (Cython 3.2.3 and later)."""
_WORD: Final = "__Pyx_FREETHREADING_COMPATIBLE"


def declared_by_default(text: str) -> tuple[int, bool] | None:
    """Return where C code from Cython 3.2.3 or later declares its use of the GIL, and whether it uses none."""
    if _WORD not in text:
        return None
    branches = [*_DEFAULT.finditer(text)]
    return (branches[-1].end(), branches[-1][1] is not None) if branches else None
