"""FT341: memory that is freed by a different family of functions than the one that allocated it."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.memory import find_mismatches


class AllocDomainMismatch(CRule):
    """In the GIL-enabled build, `PyMem_` and `PyObject_` functions share one allocator, so a mismatch between them
    often goes unnoticed. The free-threaded build uses separate mimalloc heaps for objects and for other memory. Freeing
    memory with a function of another family is undefined behavior in every build. If one of the two functions is
    `malloc` or `free`, it usually corrupts the heap."""

    info = RuleInfo(
        code="FT341",
        name="alloc-domain-mismatch",
        summary="Memory is allocated by one family of functions and freed by another.",
        severity=Severity.ERROR,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Free memory from `PyObject_Malloc` with `PyObject_Free`, from `PyMem_Malloc` with `PyMem_Free`, and from "
            "`malloc` with `free`."
        ),
        links=(
            "https://docs.python.org/3.14/c-api/memory.html",
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
        ),
    )
    words = ("PyMem_", "PyObject_")
    VALID = (
        SourceExample(
            code="""\
void f(void) { char *b = PyMem_Malloc(9); PyMem_Free(b); }
""",
            instead=True,
        ),
        SourceExample(
            code="""\
static void swap(char *a) {
    char *b = malloc(9);
    free(b);
    b = PyMem_Malloc(9);
    PyMem_Free(b);
}
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
void f(void) { char *b = PyObject_Malloc(9); PyMem_Free(b); }
""",
            lines=(1,),
        ),
        SourceExample(
            code="""\
typedef struct { PyObject_HEAD char *buf; } Obj;
static int init(Obj *self) { self->buf = malloc(9); return 0; }
static void dealloc(Obj *self) {
    PyObject_Free(self->buf);
}
""",
            lines=(4,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for mismatch in find_mismatches(unit):
            yield self.finding(
                f"`{mismatch.what}` is allocated with `{mismatch.allocator}` but freed with `{mismatch.call.name}`",
                location=unit.place(mismatch.call.start),
            )
