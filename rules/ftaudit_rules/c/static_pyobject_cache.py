"""FT320: Python objects in static variables that functions assign at run time."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.state import SharedWrite, find_shared_writes, holds_objects
from ftaudit.source.c.write_sites import sites_of

_IMPORTS = re.compile(r"(?:\([^()]*\)\s*)?PyImport_ImportModule\w*\s*\(")


_IMMORTAL = re.compile(
    r"(?:\([^()]*\)\s*)?(?:PyTuple_New\s*\(\s*0\s*\)|PyBytes_FromStringAndSize\s*\([^,()]*,\s*0\s*\)"
    r"|Py(?:Unicode|Bytes)_FromString\s*\(\s*\"\"\s*\)|PyUnicode_New\s*\(\s*0\s*,[^()]*\)"
    r"|PyLong_From\w+\s*\(\s*(?:-[1-5]|\d{1,2}|1\d\d|2[0-4]\d|25[0-6])\s*\)|Py_(?:True|False|None|Ellipsis|NotImplemented)\b"
    r"|Py_NewRef\s*\(\s*Py_(?:True|False|None|Ellipsis|NotImplemented)\s*\)|PyBool_From\w+\s*\(|NULL\Z|nullptr\Z|0\Z)"
)
"""Objects that CPython creates once and never frees: both threads store the same object."""


class StaticPyobjectCache(CRule):
    """Without the GIL the test and the assignment are not atomic. Two threads that find a static `PyObject *` empty
    both create the object, and one of the two is leaked, or released twice when the variable is replaced. Another
    thread may also see the pointer before the object is complete."""

    info = RuleInfo(
        code="FT320",
        name="static-pyobject-cache",
        summary=(
            "A static variable that holds a Python object is assigned without a lock outside module initialization."
        ),
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Create the object in the `Py_mod_exec` function, keep it in the module state, or guard the assignment "
            "with a `PyMutex` (Python 3.13), `std::call_once` or pybind11's `gil_safe_call_once_and_store`."
        ),
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://py-free-threading.github.io/porting-extensions/",
        ),
    )
    words = ("Py",)
    VALID = (
        SourceExample(
            code="""\
typedef struct { PyObject *s; } state;
static int mod_exec(PyObject *m) {
    state *st = PyModule_GetState(m);
    st->s = PyUnicode_InternFromString("x");
    return st->s ? 0 : -1;
}
""",
        ),
        SourceExample(
            code="""\
static PyObject *name;
PyMODINIT_FUNC PyInit_m(void) { name = PyUnicode_InternFromString("x"); return PyModule_Create(&def); }
""",
        ),
        SourceExample(
            code="""\
static PyObject *make(PyObject *m, PyObject *args);
static PyObject *cache;
static PyMutex mutex;
static PyObject *get(void) {
    PyMutex_Lock(&mutex);
    if (cache == NULL) cache = PyDict_New();
    PyMutex_Unlock(&mutex);
    return cache;
}
""",
            instead=True,
        ),
        SourceExample(
            code="""\
static PyObject *empty(void) {
    static PyObject *tuple = NULL;
    if (tuple == NULL) tuple = PyTuple_New(0);
    return Py_NewRef(tuple);
}
static thread_local PyObject *last;
static void note(PyObject *o) { Py_XSETREF(last, Py_NewRef(o)); }
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static PyObject *last;
NB_MODULE(ext, m) {
    m.def("note", [](nb::handle h) { Py_XSETREF(last, Py_NewRef(h.ptr())); });
}
""",
            lines=(1,),
            path="ext.cpp",
        ),
        SourceExample(
            code="""\
static PyObject *get(void) {
    static PyObject *s = NULL;
    if (s == NULL) s = PyUnicode_InternFromString("x");
    return Py_NewRef(s);
}
""",
            lines=(2,),
        ),
        SourceExample(
            code="""\
static PyObject *hook;

static PyObject *set_hook(PyObject *m, PyObject *f) {
    Py_INCREF(f);
    Py_XDECREF(hook);
    hook = f;
    Py_RETURN_NONE;
}
""",
            lines=(1,),
        ),
        SourceExample(
            code="""\
static struct {
    PyObject *name;
    PyObject *value;
} strings;

static PyObject *name_of(PyObject *m, PyObject *none) {
    if (strings.name == NULL)
        strings.name = PyUnicode_InternFromString("name");
    return Py_XNewRef(strings.name);
}
""",
            lines=(4,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for shared in find_shared_writes(unit, holds_objects):
            if _only_immortal(unit, shared):
                continue
            yield self.finding(
                self._message(unit, shared),
                location=unit.place(shared.variable.start),
                sites=sites_of(unit, shared),
                severity=Severity.ERROR if shared.lazy and not _only_imports(shared) else Severity.WARNING,
                confidence=Confidence.MEDIUM if shared.variable.sure else Confidence.LOW,
            )

    @staticmethod
    def _message(unit: CUnit, shared: SharedWrite) -> str:
        use, function = shared.first
        how = "fills it without a lock if it is empty" if shared.lazy else "assigns it without a lock"
        return (
            f"all threads share `{shared.variable.name}`, and `{function.short_name}` {how} (line "
            f"{unit.line_at(use.at)})"
        )


def _only_immortal(unit: CUnit, shared: SharedWrite) -> bool:
    """Return whether every write stores an immortal object: the empty tuple, a small number."""
    for use, _ in shared.writes:
        if use.element or not use.value:
            return False
        # Strings are blanked in the code; the original string shows whether the object is immortal.
        at = unit.code.find(use.value, use.at)
        if at < 0 or not _IMMORTAL.match(unit.text[at : at + len(use.value)]):
            return False
    return True


def _only_imports(shared: SharedWrite) -> bool:
    """Return whether every write stores an imported module: all threads get the same one from `sys.modules`."""
    return all(not use.element and _IMPORTS.match(use.value) for use, _ in shared.writes)
