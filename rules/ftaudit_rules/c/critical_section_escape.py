"""FT354: control flow that leaves a critical section locked."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.critical import find_escapes


class CriticalSectionEscape(CRule):
    """`Py_BEGIN_CRITICAL_SECTION` opens a block and takes a lock; only `Py_END_CRITICAL_SECTION` releases it. After a
    `return`, a `goto` out of the block or a C++ exception, the section stays on the thread's list although its memory
    is gone: the next section crashes or deadlocks. In the GIL-enabled build the macros do nothing, so the fault never
    appears there."""

    info = RuleInfo(
        code="FT354",
        name="critical-section-escape",
        summary="A `return`, `goto`, `break` or `throw` leaves a critical section without ending it.",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy=("Keep the result in a variable, and return after `Py_END_CRITICAL_SECTION` (Python 3.13)."),
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://docs.python.org/3.14/c-api/synchronization.html",
        ),
    )
    words = ("CRITICAL_SECTION",)
    VALID = (
        SourceExample(
            code="""\
#define Py_EXIT_CRITICAL_SECTION() PyCriticalSection_End(&_py_cs)
int f(PyObject *d) {
    Py_BEGIN_CRITICAL_SECTION(d);
    if (bad(d)) {
        Py_EXIT_CRITICAL_SECTION();
        return -1;
    }
    Py_END_CRITICAL_SECTION();
    return 0;
}
""",
        ),
        SourceExample(
            code="""\
int f(PyObject *d) {
    int rc = 0;
    Py_BEGIN_CRITICAL_SECTION(d);
    if (bad(d)) rc = -1;
    Py_END_CRITICAL_SECTION();
    return rc;
}
""",
            instead=True,
        ),
        SourceExample(
            code="""\
int f(PyObject *d) {
    Py_BEGIN_CRITICAL_SECTION(d);
    while (next(d)) { if (bad(d)) break; }
    for (int i = 0; i < 3; i++) if (bad(d)) continue;
    if (bad(d)) goto done;
    use(d);
done:
    ;
    Py_END_CRITICAL_SECTION();
    return 0;
}
""",
        ),
        SourceExample(
            code="""\
int f(PyObject *d) {
  Py_BEGIN_CRITICAL_SECTION(d);
  apply([](int x) { return x; });
  Py_END_CRITICAL_SECTION();
  return 0;
}
""",
            path="a.cpp",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
int f(PyObject *d) { Py_BEGIN_CRITICAL_SECTION(d); if (bad(d)) return -1; Py_END_CRITICAL_SECTION(); return 0; }
""",
            lines=(1,),
        ),
        SourceExample(
            code="""\
int f(PyObject *list) {
    for (;;) {
        Py_BEGIN_CRITICAL_SECTION(list);
        if (bad(list)) break;
        if (worse(list)) goto error;
        Py_END_CRITICAL_SECTION();
    }
    return 0;
error:
    return -1;
}
""",
            lines=(
                4,
                5,
            ),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        if "CRITICAL_SECTION" not in unit.code:
            return
        for escape in find_escapes(unit):
            yield self.finding(
                f"`{escape.how}` leaves the critical section from line {unit.line_at(escape.opened)} without ending it",
                location=unit.place(escape.at),
            )
