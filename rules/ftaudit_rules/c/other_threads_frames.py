"""FT357: frames and thread states of other threads that are read while those threads run."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.functions import Function

_WALKS = (
    "PyThreadState_Next",
    "PyInterpreterState_ThreadHead",
    "_PyThread_CurrentFrames",
    "_PyThread_CurrentExceptions",
)
_LIST = re.compile(r"\bthreads\s*\.\s*head\b|\btstate_head\b")
"""The fields of CPython's internal structures where the list of thread states begins."""
_STOPPED = re.compile(r"StopTheWorld|HEAD_LOCK|PyUnstable_\w*Stop")


class OtherThreadsFrames(CRule):
    """Under the GIL no other thread ran, so the frames and thread states of other threads did not change. Without the
    GIL the other threads continue to run: they pop and free their frames, and their thread states disappear when they
    end."""

    info = RuleInfo(
        code="FT357",
        name="other-threads-frames",
        summary="The code walks the thread states or frames of other threads while those threads run.",
        severity=Severity.ERROR,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Let each thread inspect its own frames, or use `sys._current_frames()`, which stops the other threads.",
        links=("https://docs.python.org/3.14/c-api/init.html",),
    )
    words = (*_WALKS, "threads.head", "tstate_head")
    VALID = (
        SourceExample(
            code="""\
static void dump_threads(PyInterpreterState *interp) {
    for (PyThreadState *t = PyInterpreterState_ThreadHead(interp); t != NULL; t = PyThreadState_Next(t)) note(t);
}
static void dump(PyInterpreterState *interp) {
    HEAD_LOCK(&_PyRuntime);
    dump_threads(interp);
    HEAD_UNLOCK(&_PyRuntime);
}
""",
        ),
        SourceExample(
            code="""\
static PyObject *mine(PyObject *m, PyObject *unused) {
    return Py_XNewRef(PyThreadState_GetFrame(PyThreadState_Get()));
}
""",
            instead=True,
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static int count(PyInterpreterState *interp) {
    int n = 0;
    for (PyThreadState *t = interp->threads.head; t != NULL; t = t->next) n++;
    return n;
}
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
static void dump(PyInterpreterState *interp) {
    PyThreadState *t = PyInterpreterState_ThreadHead(interp);
    while (t != NULL) {
        note(PyThreadState_GetFrame(t));
        t = PyThreadState_Next(t);
    }
}
""",
            lines=(5,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield the step to the next thread of each walk, and each place that takes the list's first item by itself."""
        for call in unit.calls(*_WALKS):
            if call.function is None or call.name == "PyInterpreterState_ThreadHead":
                continue
            if not _is_stopped(unit, call.function):
                yield self.finding(
                    f"`{call.name}` reads the state of another thread, which may be running or end at any moment",
                    location=unit.place(call.start),
                )
        for found in _LIST.finditer(unit.code):
            function = unit.function_at(found.start())
            if function is not None and not _is_stopped(unit, function):
                yield self.finding(
                    "the list of thread states is read without its lock: a thread that starts or ends changes it",
                    location=unit.place(found.start()),
                )


def _is_stopped(unit: CUnit, function: Function) -> bool:
    """Return whether a function, or each of its callers in the file, stops other threads or locks their list."""
    if _STOPPED.search(unit.code, function.body, function.end):
        return True
    callers = [call.function for call in unit.calls(function.short_name) if call.function not in (None, function)]
    return bool(callers) and all(
        _STOPPED.search(unit.code, caller.body, caller.end) is not None for caller in callers if caller is not None
    )
