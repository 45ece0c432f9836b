"""FT357: frames and thread states of other threads that are read while those threads run."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit

_WALKS = (
    "PyThreadState_Next",
    "PyInterpreterState_ThreadHead",
    "_PyThread_CurrentFrames",
    "_PyThread_CurrentExceptions",
)
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
        since="0.2.0",
        remedy="Let each thread inspect its own frames, or use `sys._current_frames()`, which stops the other threads.",
        links=("https://docs.python.org/3.14/c-api/init.html",),
    )
    words = _WALKS
    VALID = (
        SourceExample(
            code="""\
static PyObject *mine(PyObject *m, PyObject *unused) {
    return Py_XNewRef(PyThreadState_GetFrame(PyThreadState_Get()));
}
""",
        ),
    )
    INVALID = (
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
        """Yield the step to the next thread of each walk."""
        for call in unit.calls(*_WALKS):
            if call.function is None or call.name == "PyInterpreterState_ThreadHead":
                continue
            if not _STOPPED.search(unit.code, call.function.body, call.function.end):
                yield self.finding(
                    f"`{call.name}` reads the state of another thread, which may be running or end at any moment",
                    location=unit.place(call.start),
                )
