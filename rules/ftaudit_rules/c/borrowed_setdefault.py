"""FT315: a borrowed reference from `PyDict_SetDefault`, in a dict that another thread may change."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Fix, NoFix, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit, api
from ftaudit.source.c.borrowed import find_borrowed
from ftaudit.source.c.owned_references import own_reference


class BorrowedSetdefault(CRule):
    """`PyDict_SetDefault` returns a borrowed reference to the value that the dict holds after the call. Without the
    GIL another thread can replace that value before the code uses it."""

    info = RuleInfo(
        code="FT315",
        name="borrowed-setdefault",
        summary="`PyDict_SetDefault` returns a borrowed reference from a dict that other threads can change.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Use `PyDict_SetDefaultRef` (Python 3.13), and release the reference.",
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://docs.python.org/3.14/c-api/dict.html",
        ),
        silenced_by=("borrowed-ref",),
    )
    words = api.DICT_DEFAULTS
    VALID = (
        SourceExample(
            code="""\
static PyObject *get(Obj *self, PyObject *k, PyObject *d) {
    PyObject *v;
    if (PyDict_SetDefaultRef(self->cache, k, d, &v) < 0) return NULL;
    return v;
}
""",
            instead=True,
        ),
        SourceExample(
            code="""\
typedef struct { PyObject_HEAD PyObject *cache; } Obj;
static int put(Obj *self, PyObject *k, PyObject *d) {
    if (PyDict_SetDefault(self->cache, k, d) == NULL) return -1;
    return 0;
}
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
typedef struct { PyObject_HEAD PyObject *cache; } Obj;
static PyObject *get(Obj *self, PyObject *k, PyObject *d) {
    PyObject *v = PyDict_SetDefault(self->cache, k, d);
    Py_INCREF(v);
    return v;
}
""",
            lines=(3,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for found in find_borrowed(unit, *api.DICT_DEFAULTS):
            yield self.finding(
                f"`{found.call.name}` returns a borrowed reference from `{found.container}`, {found.origin.value}",
                location=unit.place(found.call.start),
            )

    def fix(self, unit: CUnit, finding: Finding) -> Fix | NoFix:
        """Take a strong reference, and release it on every path."""
        return own_reference(unit, finding)
