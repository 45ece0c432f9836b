"""FT317: a caller's list that is walked through `PySequence_Fast` with no lock."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.borrowed import find_borrowed


class SequenceFastUnlocked(CRule):
    """`PySequence_Fast` makes no copy of a list: it returns the caller's own, and the item macros that follow read
    its array with no lock. Without the GIL another thread can shrink the list or drop an item meanwhile."""

    info = RuleInfo(
        code="FT317",
        name="sequence-fast-unlocked",
        summary="PySequence_Fast hands back the caller's own list, whose items are then read with no lock.",
        severity=Severity.WARNING,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy=(
            "Make a tuple of it with PySequence_Tuple, or hold Py_BEGIN_CRITICAL_SECTION_SEQUENCE_FAST on the"
            " argument from before the call to the last use."
        ),
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://docs.python.org/3.14/library/threadsafety.html",
        ),
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
            yield self.finding(
                f"PySequence_Fast may return `{found.container}` itself, {found.origin.value}; its items are lent",
                location=unit.place(found.call.start),
            )
