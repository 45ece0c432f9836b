"""What the rules of the migration share: which code an `abi3t` build compiles, and the links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ftaudit.cpython.versions import ABI3T_SINCE
from ftaudit.source.c import CUnit
from ftaudit.source.c.conditions import evaluate, known_macros

GUIDE: Final = "https://docs.python.org/3.15/howto/abi3t-migration.html"
LINKS: Final = (GUIDE, "https://peps.python.org/pep-0803/")
_FIRST: Final = ABI3T_SINCE[0] << 24 | ABI3T_SINCE[1] << 16


def find_in_abi3t(unit: CUnit, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
    """Yield the matches of a pattern in the code that a build for `abi3t` compiles, if the target has `abi3t`.

    Code for other builds, in the `#else` of `#ifdef Py_TARGET_ABI3T` or of `Py_LIMITED_API`, is left out.
    """
    if unit.target.version < ABI3T_SINCE:
        return
    macros = known_macros(unit.target, cpp=unit.cpp) | {"Py_TARGET_ABI3T": _FIRST, "Py_LIMITED_API": _FIRST}
    for found in pattern.finditer(unit.code):
        conditions = unit.preprocessed.conditions_at(found.start())
        if not any(evaluate(condition, macros) == 0 for condition in conditions if "A" in condition):
            yield found
