"""FT717: a type whose objects have a variable size."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit_rules.abi3t._migration import GUIDE, LINKS, find_in_abi3t

_VARIABLE = re.compile(r"(?:\.\s*(?:tp_)?itemsize\s*=\s*|\bPy_tp_itemsize\b[^,}]*,\s*)(?!0\s*[,}])(?=\S)")


class Abi3tVariableSize(CRule):
    """If a type has an item size, its items are stored after the object. `abi3t` in 3.15 does not support such types,
    and CPython's guide says that you cannot port them. Check for this first."""

    info = RuleInfo(
        code="FT717",
        name="abi3t-variable-size",
        summary="The objects of a type have a variable size, which abi3t does not support in 3.15.",
        severity=Severity.INFO,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy=(
            "Allocate the items separately from the object, with `PyMem_Malloc`. If you cannot, build a wheel for each "
            "version of CPython instead."
        ),
        links=(f"{GUIDE}#avoiding-variable-sized-types", *LINKS[1:]),
        default=False,
        migration=True,
    )
    words = ("itemsize",)
    VALID = (
        SourceExample(
            code='static PyType_Spec spec = {.name = "m.T", .itemsize = 0, .slots = NULL};\n',
            target="3.15t",
            instead=True,
        ),
        SourceExample(code="static PyType_Spec spec = {.itemsize = sizeof(long), .slots = NULL};\n"),
    )
    INVALID = (
        SourceExample(
            code="""\
static PyType_Spec spec = {.name = "m.T", .itemsize = sizeof(long), .slots = NULL};
static PyTypeObject T = {.tp_itemsize = 1};
""",
            lines=(1, 2),
            target="3.15t",
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for found in find_in_abi3t(unit, _VARIABLE):
            yield self.finding(
                "the objects of this type have a variable size, which abi3t does not support in 3.15",
                location=unit.place(found.start()),
            )
