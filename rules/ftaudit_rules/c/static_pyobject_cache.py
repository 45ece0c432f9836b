"""FT320: Python objects in static variables that functions assign while the program runs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.places import places_of
from ftaudit.source.c.state import SharedWrite, find_shared_writes, holds_objects

_IMPORTS = re.compile(r"(?:\([^()]*\)\s*)?PyImport_ImportModule\w*\s*\(")


class StaticPyobjectCache(CRule):
    """Two threads that find a static `PyObject *` empty both make the object; one of them is lost, or released
    twice when the variable is replaced. Without the GIL nothing makes the test and the assignment one step,
    and another thread may see the pointer before the object behind it is complete."""

    info = RuleInfo(
        code="FT320",
        name="static-pyobject-cache",
        summary=(
            "A static variable that holds Python objects is assigned with no guard outside module initialisation."
        ),
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Fill it when the module is executed (Py_mod_exec), keep it in the module state, or guard it: "
            "PyMutex, std::call_once, pybind11's gil_safe_call_once_and_store."
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
        ),
        SourceExample(
            code="""\
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
            lines=(
                1,
                6,
            ),
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
            lines=(4, 8),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for shared in find_shared_writes(unit, holds_objects):
            for at in places_of(unit, shared):
                yield self.finding(
                    self._message(unit, shared),
                    location=unit.place(at),
                    declared=unit.place(shared.variable.start),
                    severity=Severity.ERROR if shared.lazy and not _only_imports(shared) else Severity.WARNING,
                    confidence=Confidence.MEDIUM if shared.variable.sure else Confidence.LOW,
                )

    @staticmethod
    def _message(unit: CUnit, shared: SharedWrite) -> str:
        use, function = shared.first
        how = "is filled by the first thread that finds it empty" if shared.lazy else "is assigned with no guard"
        return f"`{shared.variable.name}` {how}, in {function.short_name} (line {unit.line_at(use.at)})"


def _only_imports(shared: SharedWrite) -> bool:
    """Tell whether it is only ever set to an imported module: the same for all threads, which `sys.modules` keeps."""
    return all(not use.element and _IMPORTS.match(use.value) for use, _ in shared.writes)
