"""FT370: the limited API, which a free-threaded build does not have before 3.15."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit

_STABLE_ABI_SINCE: Final = (3, 15)
_SWITCH: Final = re.compile(r"\b(?!Py_LIMITED_API\b)\w*(?:LIMITED|ABI3|STABLE_ABI)\w*")
"""A switch of the project's own: its build decides, and what it says is judged there."""


class LimitedApiMacro(CRule):
    """Headers of free-threaded CPython 3.13 and 3.14 refuse to compile with `Py_LIMITED_API`: there is no stable
    ABI for these builds (PEP 703; PEP 803 brings one in 3.15). A package that always defines it cannot be
    built for them."""

    info = RuleInfo(
        code="FT370",
        name="limited-api-macro",
        summary=("Py_LIMITED_API is defined for free-threaded builds too, which have no limited API before 3.15."),
        severity=Severity.ERROR,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Define Py_LIMITED_API under `#ifndef Py_GIL_DISABLED` (after including pyconfig.h), and build a "
            "version-specific wheel for free-threaded CPython."
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
        ),
        SourceExample(
            code="""\
#define Py_LIMITED_API 0x030F0000
#include <Python.h>
""",
            target="3.15t",
        ),
    )
    INVALID = (
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
        if macro is None or unit.target.version >= _STABLE_ABI_SINCE:
            return
        if any("GIL" in condition.upper() or _SWITCH.search(condition) for condition in macro.conditions):
            return
        yield self.finding(
            f"free-threaded CPython {unit.target.version[0]}.{unit.target.version[1]} has no limited API:"
            " this does not compile there",
            location=unit.place(macro.start),
        )
