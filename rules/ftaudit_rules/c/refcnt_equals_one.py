"""FT331: a reference count of one that the code takes as proof that the object has no other owner."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.locks import words

_AFTER = re.compile(r"\s*(?:[=!]=|<=?|>=?)\s*[12]\b")
_BEFORE = re.compile(r"\b[12]\s*(?:[=!]=|<=?|>=?)\s*$")
_KEPT = re.compile(r"\b([A-Za-z_]\w*)\s*=\s*(?:\(\s*\w+\s*\)\s*)?\Z")
_STATEMENT_ENDS = re.compile(r"\s*;")
_UNIQUE = frozenset({"unique", "uniquely", "refcnt"})
_ASSERTION = re.compile(r"\b\w*(?:assert|ASSERT)\w*\s*\([^;{}]*$")


class RefcntEqualsOne(CRule):
    """In the free-threaded build the count is split in two, and another thread can take a reference after the test, so
    a count of one does not rule out other threads. From 3.14 on, the test is also wrong for arguments, even with the
    GIL, because references on the stack may be borrowed."""

    info = RuleInfo(
        code="FT331",
        name="refcnt-equals-one",
        summary="`Py_REFCNT` is compared with 1 to decide whether an object can be changed in place.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Use `PyUnstable_Object_IsUniquelyReferenced` (Python 3.14). For arguments, use "
            "`PyUnstable_Object_IsUniqueReferencedTemporary`."
        ),
        links=(
            "https://docs.python.org/3.14/c-api/refcounting.html",
            "https://docs.python.org/3.14/c-api/object.html",
        ),
    )
    words = ("Py_REFCNT",)
    VALID = (
        SourceExample(
            code="""\
static void f(PyObject *arr) { if (PyUnstable_Object_IsUniquelyReferenced(arr)) mutate_in_place(arr); }
""",
            instead=True,
        ),
        SourceExample(
            code="""\
static void f(PyObject *o) { assert(Py_REFCNT(o) == 1); }
""",
        ),
        SourceExample(
            code="""\
#ifndef Py_GIL_DISABLED
static int unique(PyObject *o) { return Py_REFCNT(o) == 1; }
#endif
""",
        ),
        SourceExample(
            code="""\
static int PyUnstable_Object_IsUniquelyReferenced(PyObject *o) { return Py_REFCNT(o) == 1; }
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static void f(PyObject *arr) { if (Py_REFCNT(arr) == 1) mutate_in_place(arr); }
""",
            lines=(1,),
        ),
        SourceExample(
            code="""\
static int g(PyObject *o) { return 1 < Py_REFCNT(o) && Py_REFCNT(o) != 2; }
""",
            lines=(1,),
        ),
        SourceExample(
            code="""\
static int resize(PyObject *self) {
    int count;
    count = Py_REFCNT(self);
    if (count > 2) return -1;
    return grow(self);
}
""",
            lines=(3,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for call in unit.calls("Py_REFCNT"):
            code = unit.code
            if call.function is not None and _compared_later(unit, call.start, call.end, call.function.end):
                yield self.finding(
                    (
                        "this reference count is compared with 1 below, but a count of 1 does not mean that no other "
                        "thread has the object"
                    ),
                    location=unit.place(call.start),
                )
                continue
            if not (_AFTER.match(code, call.end) or _BEFORE.search(code, max(0, call.start - 20), call.start)):
                continue
            if _ASSERTION.search(code[max(0, call.start - 200) : call.start]):
                continue
            name = call.function.short_name if call.function else ""
            if name.startswith(("PyUnstable_", "_Py")) and _UNIQUE & set(words(name)):
                continue
            yield self.finding(
                "a reference count of 1 does not mean that no other thread has the object",
                location=unit.place(call.start),
            )


def _compared_later(unit: CUnit, start: int, end: int, last: int) -> bool:
    """Return whether a variable holds the count and is compared with one or two further down."""
    kept = _KEPT.search(unit.code, max(0, start - 80), start)
    if kept is None or not _STATEMENT_ENDS.match(unit.code, end):
        return False
    return bool(re.compile(rf"\b{kept[1]}\s*(?:[=!]=|<=?|>=?)\s*[12]\b").search(unit.code, end, last))
