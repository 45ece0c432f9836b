"""FT355: a thread that attaches to the interpreter only in builds with the GIL."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit

_ATTACHES = re.compile(r"Py(?:GILState_Ensure|Eval_RestoreThread|Eval_AcquireThread|Eval_AcquireLock)\s*\(")
_API = re.compile(r"Py(?:Object|Dict|List|Tuple|Unicode|Long|Err|Bytes|Import|Eval|Call)?_[A-Z]?\w+\s*\(")


class AttachCompiledOut(CRule):
    """`PyGILState_Ensure` does more than take the GIL: it attaches the thread to the interpreter. A thread that is not
    attached must not call the C API, in a free-threaded build either: reference counts go to the wrong thread, the
    garbage collector does not see the thread, and a critical section crashes."""

    info = RuleInfo(
        code="FT355",
        name="attach-compiled-out",
        summary="`PyGILState_Ensure` or a similar call is not compiled in free-threaded builds, which also need it.",
        severity=Severity.ERROR,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Call `PyGILState_Ensure` and `PyGILState_Release` in every build: they attach and detach the thread.",
        links=("https://docs.python.org/3.14/howto/free-threading-extensions.html",),
    )
    words = ("PyGILState_Ensure", "PyEval_RestoreThread", "PyEval_Acquire")
    VALID = (
        SourceExample(
            code="""\
void call(PyObject *f) {
    PyGILState_STATE state = PyGILState_Ensure();
    Py_XDECREF(PyObject_CallNoArgs(f));
    PyGILState_Release(state);
}
""",
            instead=True,
        ),
        SourceExample(
            code="""\
#ifdef Py_GIL_DISABLED
#define ATTACH() PyGILState_Ensure()
#else
#define ATTACH() PyGILState_Ensure()
#endif
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
void call(PyObject *f) {
#ifndef Py_GIL_DISABLED
    PyGILState_STATE state = PyGILState_Ensure();
#endif
    Py_XDECREF(PyObject_CallNoArgs(f));
#ifndef Py_GIL_DISABLED
    PyGILState_Release(state);
#endif
}
""",
            lines=(3,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield the first such call of each region that a free-threaded build leaves out."""
        if "GIL_DISABLED" not in unit.text or not _API.search(unit.code) or _attached(unit):
            return
        for start, end in unit.preprocessed.dead:
            found = _ATTACHES.search(unit.uncommented, start, end)
            # In `#ifndef … #else` and `#ifdef … #else`, the directive before the region tests for the GIL.
            condition = unit.uncommented[max(0, start - 120) : start]
            around = condition + unit.uncommented[max(0, start - 4_000) : start]
            if found and "GIL_DISABLED" in around:
                yield self.finding(
                    (
                        f"`{found[0].rstrip('( ')}` is not compiled in free-threaded builds, where the thread must "
                        "also attach"
                    ),
                    location=unit.place(found.start()),
                )


def _attached(unit: CUnit) -> bool:
    """Return whether the code or macros of the free-threaded build attach in the same file."""
    bodies = (macro.body for macro in unit.preprocessed.macros.values())
    return _ATTACHES.search(unit.code) is not None or any(_ATTACHES.search(body + "(") for body in bodies)
