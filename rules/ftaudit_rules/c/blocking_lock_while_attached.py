"""FT352: a lock that the thread waits for while it is attached, and then holds over Python calls."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit

_BLOCKING = re.compile(
    r"^(?:pthread_(?:mutex|rwlock)_\w*lock|mtx_lock|PyThread_acquire_lock|EnterCriticalSection|AcquireSRWLock\w+|guard)$"
)
_CALLS_PYTHON = re.compile(
    r"\bPy(?:Object_(?:Call|GetAttr|SetAttr|RichCompare|Str|Repr|IsTrue|GetItem|SetItem)|Import_|Eval_|Dict_(?:Set|Get)|Err_)\w*\s*\("
)


class BlockingLockWhileAttached(CRule):
    """The interpreter cannot pause an attached thread that waits for a platform mutex. If the garbage collector stops
    the world while the owner of the mutex is inside a Python call, neither thread can continue. `PyMutex` detaches the
    thread while it waits."""

    info = RuleInfo(
        code="FT352",
        name="blocking-lock-while-attached",
        summary=("An attached thread waits for a lock and calls Python while it holds the lock."),
        severity=Severity.WARNING,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy="Use `PyMutex` (3.13), or take the lock between `Py_BEGIN_ALLOW_THREADS` and `Py_END_ALLOW_THREADS`.",
        links=(
            "https://docs.python.org/3.14/c-api/synchronization.html",
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
        ),
        default=False,
    )
    VALID = (
        SourceExample(
            code="""\
static void f(PyObject *o) { PyMutex_Lock(&m); PyObject_CallNoArgs(o); PyMutex_Unlock(&m); }
""",
            instead=True,
        ),
        SourceExample(
            code="""\
static void f(PyObject *o) {
    Py_BEGIN_ALLOW_THREADS
    pthread_mutex_lock(&m);
    Py_END_ALLOW_THREADS
    PyObject_CallNoArgs(o);
    pthread_mutex_unlock(&m);
}
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static void f(PyObject *o) { pthread_mutex_lock(&m); PyObject_CallNoArgs(o); pthread_mutex_unlock(&m); }
""",
            lines=(1,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        if "Py" not in unit.code:
            return
        for function in unit.functions:
            for section in unit.sections(function).sections:
                if not _BLOCKING.match(section.name) or not _CALLS_PYTHON.search(unit.code, section.start, section.end):
                    continue
                before = unit.code[max(function.body, section.opened - 200) : section.opened]
                if before.rfind("Py_BEGIN_ALLOW_THREADS") > before.rfind("Py_END_ALLOW_THREADS"):
                    continue
                yield self.finding(
                    (
                        f"`{function.short_name}` waits for a lock while attached, and calls Python while it holds the "
                        "lock"
                    ),
                    location=unit.place(section.opened),
                )
