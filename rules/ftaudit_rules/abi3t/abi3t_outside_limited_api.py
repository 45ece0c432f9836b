"""FT714: a function, macro or type that the limited API of 3.15 does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ftaudit.cpython.stable_abi import outside_abi3t
from ftaudit.cpython.stable_replacements import find_replacement
from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit_rules.abi3t._migration import LINKS, find_in_abi3t

_NAME = re.compile(r"\b_?Py[A-Z_]\w*")
_OTHERS: Final = re.compile(
    r"PyObject_(?:VAR_)?HEAD|Py\w*_HEAD_INIT|PyUnstable_Module_SetGIL|PyModule_GetDef|PyType_GetModuleByDef"
)
"""Names that other rules of the group report."""


class Abi3tOutsideLimitedApi(CRule):
    """A build for `abi3t` can use only the limited API: the headers hide all other names. The rule's list of names
    comes from the headers of CPython 3.15."""

    info = RuleInfo(
        code="FT714",
        name="abi3t-outside-limited-api",
        summary="The code uses a part of the C API that is not in the limited API.",
        severity=Severity.INFO,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Use a function of the limited API, or compile this code only in builds without `Py_TARGET_ABI3T`.",
        links=(*LINKS, "https://docs.python.org/3.15/c-api/stable.html#limited-api-list"),
        default=False,
        migration=True,
    )
    words = ("Py",)
    VALID = (
        SourceExample(
            code="""\
static PyObject *f(PyObject *list) { return PyList_GetItemRef(list, 0); }
""",
            target="3.15t",
            instead=True,
        ),
        SourceExample(
            code="""\
#ifdef Py_LIMITED_API
#define FIRST(list) PyList_GetItem(list, 0)
#else
static PyObject *first(PyObject *list) { return PyList_GET_ITEM(list, 0); }
#endif
""",
            target="3.15t",
        ),
        SourceExample(code="static PyObject *f(PyObject *list) { return PyList_GET_ITEM(list, 0); }\n"),
    )
    INVALID = (
        SourceExample(
            code="""\
static PyObject *f(PyObject *list) {
    Py_ssize_t n = PyList_GET_SIZE(list);
    const char *text = PyUnicode_AsUTF8(list);
    return PyTuple_GET_ITEM(list, 0);
}
""",
            lines=(2, 3, 4),
            target="3.15t",
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield each line that uses a name, once for each name."""
        outside, seen = outside_abi3t(), set()
        for found in find_in_abi3t(unit, _NAME):
            name = found[0]
            if name not in outside or _OTHERS.fullmatch(name) or name in unit.preprocessed.macros:
                continue
            line = name, unit.line_at(found.start())
            if line in seen:
                continue
            seen.add(line)
            replacement = find_replacement(name)
            yield self.finding(
                f"`{name}` is not in the limited API of 3.15",
                location=unit.place(found.start()),
                remedy=None if replacement is None else f"Use {replacement}.",
            )
