"""FT711: a struct that includes an object header."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit_rules.abi3t._migration import LINKS, find_in_abi3t

_HEAD = re.compile(
    r"\bPyObject_(?:VAR_)?HEAD\b(?!_)"
    r"|(?<=[{;])\s*(?P<embedded>Py(?:Var|Type|HeapType|List|Tuple|Dict|Set|BaseException|Long|Float|Bytes|Unicode|Module)?"
    r"Object)\s+\w+\s*;"
)


class Abi3tObjectStruct(CRule):
    """The size of `PyObject` differs between the builds of CPython, so a struct for `abi3t` cannot begin with one.
    CPython can store the fields of a type separately: you set a negative `basicsize` that counts only these fields, and
    `PyObject_GetTypeData` returns a pointer to them. For most projects this is the largest part of the migration."""

    info = RuleInfo(
        code="FT711",
        name="abi3t-object-struct",
        summary="A struct begins with an object header, whose size is unknown in a build for abi3t.",
        severity=Severity.INFO,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy=(
            "Remove the object header from the struct. In the `PyType_Spec`, set `.basicsize = -(int)sizeof(DATA)` and "
            "add `Py_RELATIVE_OFFSET` to the members. Get the data with `PyObject_GetTypeData(self, cls)`. If the "
            "class can be subclassed, get `cls` from a `METH_METHOD` function or with `PyType_GetBaseByToken`."
        ),
        links=LINKS,
        default=False,
        migration=True,
    )
    words = ("PyObject_HEAD", "PyObject_VAR_HEAD", "Object")
    VALID = (
        SourceExample(
            code="""\
typedef struct { int size; PyObject *owner; } CounterData;
static PyType_Spec spec = {.name = "m.Counter", .basicsize = -(int)sizeof(CounterData), .slots = NULL};
""",
            target="3.15t",
            instead=True,
        ),
        SourceExample(code="typedef struct { PyObject_HEAD int size; } Counter;\n"),
    )
    INVALID = (
        SourceExample(
            code="""\
typedef struct {
    PyObject_HEAD
    int size;
} Counter;
typedef struct { PyListObject list; int more; } Stack;
typedef struct {
    PyObject_VAR_HEAD
    char data[1];
} Buffer;
""",
            lines=(2, 5, 7),
            target="3.15t",
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for found in find_in_abi3t(unit, _HEAD):
            what = found["embedded"] or found[0]
            start = found.start() + len(found[0]) - len(found[0].lstrip())
            yield self.finding(
                f"a struct contains `{what}`, whose size is unknown in a build for abi3t", location=unit.place(start)
            )
