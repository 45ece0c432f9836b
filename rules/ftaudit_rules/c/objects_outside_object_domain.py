"""FT342: objects in memory that does not belong to the heap of objects."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.memory import family_of, last_allocator


class ObjectsOutsideObjectDomain(CRule):
    """The garbage collector of the free-threaded build finds objects by walking its own heaps
    (`gc_visit_heaps_lock_held` in `Python/gc_free_threading.c`). It never finds an object in memory from `malloc` or a
    static arena. Lock-free reads also need these heaps: they keep the reference count of a freed object readable for a
    while (`tstate_mimalloc_bind` in `Python/pystate.c`). Other memory may disappear during a read."""

    info = RuleInfo(
        code="FT342",
        name="objects-outside-object-domain",
        summary="A Python object is created in memory that does not come from the object allocator.",
        severity=Severity.ERROR,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Allocate objects with `tp_alloc`, `PyObject_New` or `PyObject_GC_New`.",
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://docs.python.org/3.14/c-api/memory.html",
            "https://peps.python.org/pep-0703/",
        ),
    )
    words = ("PyObject_Init", "PyObject_INIT")
    VALID = (
        SourceExample(
            code="""\
static PyObject *make(PyTypeObject *T) { PyObject *o = T->tp_alloc(T, 0); return o; }
""",
            instead=True,
        ),
        SourceExample(
            code="""\
static PyObject *make(void) { return PyObject_Init(PyObject_Malloc(sizeof(Obj)), &T); }
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static PyObject *make(void) { PyObject *o = PyObject_Init(malloc(sizeof(Obj)), &T); return o; }
""",
            lines=(1,),
        ),
        SourceExample(
            code="""\
static PyObject *make(void) {
    Obj *o = (Obj *)PyMem_Malloc(sizeof(Obj));
    return PyObject_Init((PyObject *)o, &T);
}
""",
            lines=(3,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for call in unit.calls("PyObject_Init", "PyObject_INIT", "PyObject_InitVar", "PyObject_INIT_VAR"):
            if call.function is None or not call.arguments:
                continue
            allocator = last_allocator(unit, call.function, call.arguments[0], call.start)
            if allocator and family_of(allocator) not in (None, "PyObject"):
                yield self.finding(
                    f"`{call.name}` creates an object in memory from `{allocator}`", location=unit.place(call.start)
                )
