"""FT340: memory from the heap of Python objects that is used for something else."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.memory import holds_object


class ObjectMallocNonobject(CRule):
    """CPython's documentation requires that in the free-threaded build `PyObject_Malloc` is used only for Python
    objects. Lock-free reads of dicts and lists rely on that. Such a read may access, and increment, the reference count
    of an object that was freed a moment ago, so "ob_tid and the refcount fields [...] must remain valid for a while
    after deallocation" (`tstate_mimalloc_bind` in `Python/pystate.c`; `_Py_TryIncrefCompare` in `pycore_object.h`). If
    your buffer reuses the block of that object, it overwrites these fields, and the read may change a word of your
    buffer. This takes unlucky timing."""

    info = RuleInfo(
        code="FT340",
        name="object-malloc-nonobject",
        summary="`PyObject_Malloc` or a similar function allocates memory that is not for a Python object.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Use `PyMem_Malloc` or `PyMem_RawMalloc` (and the matching `Free` function) for memory that is not a "
            "Python object."
        ),
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://docs.python.org/3.14/c-api/memory.html",
            "https://peps.python.org/pep-0703/",
        ),
    )
    words = (
        "PyObject_Malloc",
        "PyObject_Calloc",
        "PyObject_Realloc",
        "PyObject_MALLOC",
        "PyObject_CALLOC",
        "PyObject_REALLOC",
    )
    VALID = (
        SourceExample(
            code="""\
typedef struct { int n; } node;
node *make(void) { node *n = (node *)PyMem_Malloc(sizeof(node)); return n; }
""",
            instead=True,
        ),
        SourceExample(
            code="""\
static PyObject *alloc(PyTypeObject *type) {
    PyObject *o = (PyObject *)PyObject_Malloc(type->tp_basicsize);
    return PyObject_Init(o, type);
}
""",
        ),
        SourceExample(
            code="""\
typedef struct { PyObject_HEAD int n; } Thing;
static Thing *alloc(PyTypeObject *type) {
    Thing *o = PyObject_Malloc(sizeof(Thing));
    return (Thing *)PyObject_Init((PyObject *)o, type);
}
""",
        ),
        SourceExample(
            code="""\
#ifndef Py_GIL_DISABLED
static char *buffer(void) { char *b = PyObject_Malloc(9); return b; }
#endif
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
typedef struct { int n; } node;
node *make(void) { node *n = (node *)PyObject_Malloc(sizeof(node)); return n; }
""",
            lines=(2,),
        ),
        SourceExample(
            code="""\
template <class T> struct Allocator {
    T *allocate(size_t count) {
        void *p;
        if (count == 1)
            p = PyObject_Malloc(sizeof(T));
        else
            p = PyMem_Malloc(sizeof(T) * count);
        return static_cast<T *>(p);
    }
};
""",
            lines=(5,),
            path="allocator.hpp",
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for call in unit.calls(
            "PyObject_Malloc",
            "PyObject_Calloc",
            "PyObject_Realloc",
            "PyObject_MALLOC",
            "PyObject_CALLOC",
            "PyObject_REALLOC",
        ):
            if call.arguments and not holds_object(unit, call):
                yield self.finding(
                    f"`{call.name}` allocates memory for `{' '.join(call.arguments[-1].split())}` from the heap that "
                    "is only for Python objects",
                    location=unit.place(call.start),
                )
