"""FT370: the limited API, which a free-threaded build does not have before 3.15."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ftaudit.cpython.versions import ABI3T_SINCE
from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.conditions import evaluate, known_macros

_FIRST: Final = ABI3T_SINCE[0] << 24 | ABI3T_SINCE[1] << 16
"""The lowest value with which headers of free-threaded builds compile: 0x030F0000 (`Include/pyabi.h`)."""
_OLDEST: Final = 0x03020000
"""The meaning of an empty or a small value."""
_SWITCH: Final = re.compile(r"\b(?!Py_LIMITED_API\b)\w*(?:LIMITED|ABI3|STABLE_ABI)\w*")
"""A switch that the project defines: its build sets it, and the rules for the build check that."""


class LimitedApiMacro(CRule):
    """The headers of free-threaded CPython 3.13 and 3.14 do not compile with `Py_LIMITED_API`: these builds have no
    stable ABI (PEP 703). PEP 803 adds one in 3.15, whose headers reject any value lower than 0x030F0000. A package that
    always defines a lower value cannot be built for free-threaded CPython."""

    info = RuleInfo(
        code="FT370",
        name="limited-api-macro",
        summary="`Py_LIMITED_API` is also defined for free-threaded builds, which have no limited API before 3.15.",
        severity=Severity.ERROR,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Define `Py_LIMITED_API` under `#ifndef Py_GIL_DISABLED` (after you include `pyconfig.h`), and build a "
            "version-specific wheel for free-threaded CPython. From 3.15 on, you can define `Py_TARGET_ABI3T` as "
            "`0x030F0000` instead."
        ),
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://peps.python.org/pep-0803/",
        ),
    )
    generated = True

    words = ("Py_LIMITED_API",)
    VALID = (
        SourceExample(
            code="""\
#include <pyconfig.h>
#ifndef Py_GIL_DISABLED
#define Py_LIMITED_API 0x030A0000
#endif
#include <Python.h>
""",
            instead=True,
        ),
        SourceExample(
            code="""\
#define Py_LIMITED_API 0x030F0000
#include <Python.h>
""",
            target="3.15t",
        ),
        SourceExample(
            code="""\
#define Py_LIMITED_API 0x030A0000
#define Py_TARGET_ABI3T 0x030F0000
#include <Python.h>
""",
            target="3.15t",
        ),
        SourceExample(
            code="""\
#if PY_VERSION_HEX < 0x030F0000
#define Py_LIMITED_API 0x030A0000
#else
#define Py_LIMITED_API PY_VERSION_HEX
#endif
""",
            target="3.15t",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
#define Py_LIMITED_API 0x030E0000
#include <Python.h>
""",
            lines=(1,),
            target="3.15t",
        ),
        SourceExample(
            code="""\
#define Py_LIMITED_API
#include <Python.h>
""",
            lines=(1,),
            target="3.15t",
        ),
        SourceExample(
            code="""\
#define Py_LIMITED_API Py_PACK_VERSION(3, 12)
#include <Python.h>
""",
            lines=(1,),
            target="3.15t",
        ),
        SourceExample(
            code="""\
#define Py_LIMITED_API 0x030A0000
#include <Python.h>
""",
            lines=(1,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        macro = unit.preprocessed.macros.get("Py_LIMITED_API")
        if macro is None:
            return
        if any("GIL" in condition.upper() or _SWITCH.search(condition) for condition in macro.conditions):
            return
        here = f"free-threaded CPython {unit.target.version[0]}.{unit.target.version[1]}"
        if unit.target.version < ABI3T_SINCE:
            yield self.finding(
                f"`Py_LIMITED_API` is defined, but {here} has no limited API and the module does not compile there",
                location=unit.place(macro.start),
            )
        elif self._is_too_old(unit, macro.body):
            yield self.finding(
                f"`Py_LIMITED_API` is below `0x{_FIRST:08X}`, the first value that compiles on {here}",
                location=unit.place(macro.start),
            )

    @staticmethod
    def _is_too_old(unit: CUnit, body: str) -> bool:
        if "Py_TARGET_ABI3T" in unit.preprocessed.macros:
            return False
        value = evaluate(body, known_macros(unit.target, cpp=False)) if body.strip() else _OLDEST
        return value is not None and value < _FIRST
