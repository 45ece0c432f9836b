"""FT317: a caller's list that is walked through `PySequence_Fast` without a lock."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.borrowed import BorrowedCall, find_borrowed

_NEAR = 200
"""Characters before the call that can contain the name to which the result is assigned."""
_RESULT = re.compile(r"(?<![\w.>])(\w+)\s*=\s*(?:\([^()]*\)\s*)?\Z")
_HARMLESS_BEFORE = re.compile(
    r"(?:\bPy_(?:X?DECREF|CLEAR|BEGIN_CRITICAL_SECTION\w*)\s*\(\s*(?:\([^()]*\)\s*)?|!\s*|\b(?:NULL|nullptr)\s*[=!]=\s*)\Z"
)
"""What can precede the result without a read of it: it is released, locked, or compared with NULL."""
_HARMLESS_AFTER = re.compile(r"\s*(?:[=!]=\s*(?:NULL|nullptr|0)\b)")
_ASSIGNED = re.compile(r"\s*=(?!=)")


class SequenceFastUnlocked(CRule):
    """`PySequence_Fast` does not copy a list: it returns the list itself, and the item macros read its array without a
    lock. Without the GIL another thread can shrink the list or release an item at the same time."""

    info = RuleInfo(
        code="FT317",
        name="sequence-fast-unlocked",
        summary=(
            "`PySequence_Fast` returns a list itself instead of a copy, and the code reads its items without a lock."
        ),
        severity=Severity.WARNING,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy=(
            "Copy the list with `PySequence_Tuple`, or put all code that reads its size and items into a critical "
            "section on the argument (`Py_BEGIN_CRITICAL_SECTION`, Python 3.13)."
        ),
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://docs.python.org/3.14/library/threadsafety.html",
        ),
        silenced_by=("borrowed-ref",),
    )
    words = ("PySequence_Fast",)
    VALID = (
        SourceExample(
            code="""\
static int each(PyObject *m, PyObject *arg) {
    PyObject *f = PySequence_Tuple(arg);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(f); i++) use(PyTuple_GET_ITEM(f, i));
    return 0;
}
""",
            instead=True,
        ),
        SourceExample(
            code="""\
static int each(PyObject *m, PyObject *arg) {
    Py_BEGIN_CRITICAL_SECTION(arg);
    PyObject *f = PySequence_Fast(arg, "seq");
    walk(PySequence_Fast_GET_ITEM(f, 0));
    Py_END_CRITICAL_SECTION();
    return 0;
}
""",
        ),
        SourceExample(
            code="""\
static PyObject *each(PyObject *m, PyObject *arg) {
    PyObject *f = PySequence_Fast(arg, "seq");
    if (f == NULL) return NULL;
    Py_BEGIN_CRITICAL_SECTION_SEQUENCE_FAST(arg);
    PyObject **items = PySequence_Fast_ITEMS(f);
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(f); i++) use(items[i]);
    Py_END_CRITICAL_SECTION_SEQUENCE_FAST();
    Py_DECREF(f);
    Py_RETURN_NONE;
}
""",
        ),
        SourceExample(
            code="""\
static PyObject *call(PyObject *self, PyObject *args) {
    PyObject *f = PySequence_Fast(args, "args");
    return Py_NewRef(PySequence_Fast_GET_ITEM(f, 0));
}
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static int each(PyObject *m, PyObject *arg) {
    PyObject *f = PySequence_Fast(arg, "seq");
    Py_ssize_t n = PySequence_Fast_GET_SIZE(f);
    Py_BEGIN_CRITICAL_SECTION_SEQUENCE_FAST(arg);
    for (Py_ssize_t i = 0; i < n; i++) use(PySequence_Fast_GET_ITEM(f, i));
    Py_END_CRITICAL_SECTION_SEQUENCE_FAST();
    return 0;
}
""",
            lines=(2,),
        ),
        SourceExample(
            code="""\
static int each(PyObject *m, PyObject *arg) {
    PyObject *f = PySequence_Fast(arg, "seq");
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(f); i++) use(PySequence_Fast_GET_ITEM(f, i));
    return 0;
}
""",
            lines=(2,),
        ),
        SourceExample(
            code="""\
static int each(PyObject *m, PyObject *arg) {
    if (PyTuple_Check(arg) || PyList_Check(arg)) {
        PyObject *f = PySequence_Fast(arg, "seq");
        return walk(PySequence_Fast_ITEMS(f));
    }
    return 0;
}
""",
            lines=(3,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for found in find_borrowed(unit, "PySequence_Fast", private_tuples=True):
            if _read_under_lock(unit, found):
                continue
            yield self.finding(
                (
                    f"`PySequence_Fast` may return `{found.container}` itself, {found.origin.value}, and its items are "
                    "borrowed"
                ),
                location=unit.place(found.call.start),
            )


def _read_under_lock(unit: CUnit, found: BorrowedCall) -> bool:
    """Return whether every read of the result is in a critical section, and there is at least one read."""
    function = found.call.function
    result = (
        None
        if function is None
        else _RESULT.search(unit.code, max(function.body, found.call.start - _NEAR), found.call.start)
    )
    if function is None or result is None:
        return False
    read = False
    for use in re.compile(rf"(?<![\w.>]){result[1]}\b").finditer(unit.code, found.call.end, function.end):
        if _ASSIGNED.match(unit.code, use.end()):
            break
        if any("CRITICAL_SECTION" in section.name for section in unit.sections_at(use.start())):
            read = True
        elif not (
            _HARMLESS_BEFORE.search(unit.code, max(found.call.end, use.start() - 80), use.start())
            or _HARMLESS_AFTER.match(unit.code, use.end())
        ):
            return False
    return read
