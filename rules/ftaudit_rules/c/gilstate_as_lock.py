"""FT350: the GIL used as a mutex, around code that does not call Python."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.state import find_shared_writes

_PYTHON = re.compile(r"\b_?Py[A-Z]\w*\s*\(|\bPy_\w+\s*\(")


class GilstateAsLock(CRule):
    """`PyGILState_Ensure` attaches a thread, and a free-threaded build needs it for that too. If the code between it
    and `PyGILState_Release` writes shared variables and does not call Python, the call was meant to exclude other
    threads. It no longer does."""

    info = RuleInfo(
        code="FT350",
        name="gilstate-as-lock",
        summary="The code takes the GIL only to write shared variables, and uses the GIL as a lock.",
        severity=Severity.PEDANTIC,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy="Protect the variables with a `PyMutex` (Python 3.13) or a platform mutex.",
        links=("https://docs.python.org/3.14/howto/free-threading-extensions.html",),
        default=False,
    )
    VALID = (
        SourceExample(
            code="""\
static PyMutex mutex;
static int n;
static void cb(void) {
    PyMutex_Lock(&mutex);
    n++;
    PyMutex_Unlock(&mutex);
}
""",
            instead=True,
        ),
        SourceExample(
            code="""\
extern PyObject *callback;
static int n;
static void cb(void) {
    PyGILState_STATE s = PyGILState_Ensure();
    n++;
    PyObject_CallNoArgs(callback);
    PyGILState_Release(s);
}
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static int n;
static void cb(void) {
    PyGILState_STATE s = PyGILState_Ensure();
    n++;
    PyGILState_Release(s);
}
""",
            lines=(3,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        released = unit.calls("PyGILState_Release")
        if not released:
            return
        written = [use.at for shared in find_shared_writes(unit) for use, _ in shared.writes]
        for call in unit.calls("PyGILState_Ensure"):
            end = next((r.start for r in released if r.start > call.end and r.function == call.function), None)
            if end is None or _PYTHON.search(unit.code, call.end, end):
                continue
            if any(call.end <= at < end for at in written):
                yield self.finding(
                    "the GIL is used as a lock, but a free-threaded build has no GIL", location=unit.place(call.start)
                )
