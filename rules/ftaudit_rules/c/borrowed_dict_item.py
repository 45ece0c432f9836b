"""FT311: a dict value that is used through a borrowed reference while another thread may release it."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Fix, NoFix, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit, api
from ftaudit.source.c.borrowed import find_borrowed
from ftaudit.source.c.owned_references import own_reference


class BorrowedDictItem(CRule):
    """`PyDict_GetItem` and similar functions return a borrowed reference: only the dict keeps the value alive. Without
    the GIL another thread can replace or delete the value between the call and the use. `PyDict_GetItemWithError`
    reports errors, but it also returns a borrowed reference."""

    info = RuleInfo(
        code="FT311",
        name="borrowed-dict-item",
        summary=(
            "`PyDict_GetItem` or a similar function returns a borrowed reference from a dict that other threads can "
            "change."
        ),
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Use `PyDict_GetItemRef` or `PyDict_GetItemStringRef` (Python 3.13), and release the reference. Both "
            "return 1 if the key exists, 0 if it does not, and -1 on error."
        ),
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://docs.python.org/3.14/library/threadsafety.html",
            "https://docs.python.org/3.14/c-api/dict.html",
        ),
        silenced_by=("borrowed-ref",),
    )
    words = api.DICT_VALUES
    VALID = (
        SourceExample(
            code="""\
static PyObject *get(Obj *self, PyObject *k) {
    PyObject *v;
    if (PyDict_GetItemRef(self->cache, k, &v) < 0) return NULL;
    return v;
}
""",
            instead=True,
        ),
        SourceExample(
            code="""\
static PyObject *call(PyObject *self, PyObject *args, PyObject *kwargs) {
    PyObject *v = PyDict_GetItemString(kwargs, "axis");
    return use(v);
}
""",
        ),
        SourceExample(
            code="""\
static int has(PyObject *d, PyObject *k) { return PyDict_GetItemWithError(d, k) != NULL; }
static int both(PyObject *d, PyObject *k, PyObject *l) {
    if (PyDict_GetItem(d, k) && PyDict_GetItem(d, l)) return 1;
    return 0;
}
""",
        ),
        SourceExample(
            code="""\
static PyObject *get(PyObject *d, PyObject *k) {
    PyObject *v;
#if SOME_LIMIT
    v = PyObject_GetItem(d, k);
#elif PY_VERSION_HEX >= 0x030d0000
    PyDict_GetItemRef(d, k, &v);
#else
    v = Py_XNewRef(PyDict_GetItemWithError(d, k));
#endif
    return v;
}
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static PyObject *get_module_dict(PyObject *m);
static PyObject *find(PyObject *m, PyObject *name) {
    PyObject *dict = get_module_dict(m);
    return Py_XNewRef(PyDict_GetItemWithError(dict, name));
}
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
typedef struct { PyObject_HEAD PyObject *cache; } Obj;
static PyObject *get(Obj *self, PyObject *k) {
    PyObject *v = PyDict_GetItem(self->cache, k);
    Py_XINCREF(v);
    return v;
}
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
static PyObject *table;
static PyObject *get(PyObject *m, PyObject *k) {
    PyObject *v = PyDict_GetItemWithError(table, k);
    return Py_XNewRef(v);
}
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
class dict : public object {
    object get(handle key, handle def) const {
        PyObject *o = PyDict_GetItem(m_ptr, key.ptr());
        return borrow(o ? o : def.ptr());
    }
    void clear() { PyDict_Clear(m_ptr); }
};
""",
            lines=(3,),
            path="dict.hpp",
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for found in find_borrowed(unit, *api.DICT_VALUES):
            yield self.finding(
                f"`{found.call.name}` returns a borrowed reference from `{found.container}`, {found.origin.value}",
                location=unit.place(found.call.start),
            )

    def fix(self, unit: CUnit, finding: Finding) -> Fix | NoFix:
        """Take a strong reference, and release it on every path."""
        return own_reference(unit, finding)
