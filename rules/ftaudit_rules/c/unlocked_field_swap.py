"""FT371: a field of an object that is replaced and released with no lock."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.fields import find_swaps


class UnlockedFieldSwap(CRule):
    """Two threads that replace the same field both read the old value, and both release it: it is freed while it
    is in use. `Py_XSETREF` and `Py_CLEAR` are safe against re-entrance, not against other threads."""

    info = RuleInfo(
        code="FT371",
        name="unlocked-field-swap",
        summary="A field of an object is replaced and its old value released, with no lock, in a method.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Put the exchange between Py_BEGIN_CRITICAL_SECTION(self) and Py_END_CRITICAL_SECTION().",
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://docs.python.org/3.14/c-api/synchronization.html",
        ),
    )
    words = ("SETREF", "Py_CLEAR", "DECREF")
    VALID = (
        SourceExample(
            code="""\
static int set_cb(Obj *self, PyObject *v, void *c) {
    Py_INCREF(v);
    Py_BEGIN_CRITICAL_SECTION(self);
    Py_XSETREF(self->cb, v);
    Py_END_CRITICAL_SECTION();
    return 0;
}
""",
        ),
        SourceExample(
            code="""\
static int Obj_clear(Obj *self) { Py_CLEAR(self->cb); return 0; }
""",
        ),
        SourceExample(
            code="""\
static int Obj_init(Obj *self, PyObject *args, PyObject *kwds) { Py_XSETREF(self->cb, make()); return 0; }
""",
        ),
        SourceExample(
            code="""\
static PyObject *build(void) { Obj *o = PyObject_New(Obj, &T); Py_CLEAR(o->cb); return (PyObject *)o; }
""",
        ),
        SourceExample(
            code="""\
static int set_dict(Obj *self, PyObject *v, void *c) {
    PyCriticalObjectSection section(self);
    PyObject *old = self->dict;
    self->dict = Py_NewRef(v);
    Py_XDECREF(old);
    return 0;
}
""",
            path="object.cpp",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static int set_cb(Obj *self, PyObject *v, void *c) { Py_INCREF(v); Py_XSETREF(self->cb, v); return 0; }
""",
            lines=(1,),
        ),
        SourceExample(
            code="""\
static PyObject *reset(PyObject *op, PyObject *v) {
    Obj *self = (Obj *)op;
    PyObject *old = self->cb;
    self->cb = Py_NewRef(v);
    Py_XDECREF(old);
    Py_RETURN_NONE;
}
static PyMethodDef methods[] = {{"reset", reset, METH_O, ""}, {NULL}};
""",
            lines=(4,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        if not any(word in unit.code for word in ("SETREF", "Py_CLEAR", "DECREF")):
            return
        for swap in find_swaps(unit):
            yield self.finding(
                f"two threads in {swap.function.short_name} can both release the old value of `{swap.field}`",
                location=unit.place(swap.at),
            )
