"""FT353: locks that a preprocessor condition leaves out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit

_LOCKS = ("PyThread_acquire_lock", "PyMutex_Lock", "pthread_mutex_lock", "EnterCriticalSection", "mtx_lock")
_EXPECTED = re.compile(
    r"GIL_DISABLED|FREE_?THREAD|_WIN32|_MSC_VER|WIN32|__cplusplus|VERSION|_H_?\)?$|HAVE_|MS_WINDOWS|__linux|__APPLE__|POSIX",
    re.IGNORECASE,
)


class LockCompiledOut(CRule):
    """Code that compiles a lock only in some builds (`#ifdef WITH_THREAD`, `#if !PY3`) assumes that the GIL protects
    the other builds. In a free-threaded build nothing guards that code."""

    info = RuleInfo(
        code="FT353",
        name="lock-compiled-out",
        summary="A lock is taken only under a preprocessor condition that is not about free threading.",
        severity=Severity.INFO,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy="Compile the lock in free-threaded builds too.",
        links=("https://docs.python.org/3.14/howto/free-threading-extensions.html",),
        default=False,
    )
    VALID = (
        SourceExample(
            code="""\
static void f(void) {
#ifdef Py_GIL_DISABLED
    PyMutex_Lock(&m);
#endif
    work();
}
""",
            instead=True,
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
extern PyThread_type_lock lock;
static void f(void) {
#if !defined(USE_GIL_ONLY)
    PyThread_acquire_lock(lock, 1);
#endif
    work();
}
""",
            lines=(4,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for call in unit.calls(*_LOCKS):
            conditions = [c for c in unit.preprocessed.conditions_at(call.start) if not _EXPECTED.search(c)]
            if conditions:
                yield self.finding(
                    f"this lock exists only under `#if {conditions[-1]}`, and a free-threaded build may not have it",
                    location=unit.place(call.start),
                )
