"""FT356: a critical section that ends after its thread has detached."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.functions import Function

_DETACHES = re.compile(r"Py(?:GILState_Release|Eval_ReleaseThread|Eval_SaveThread|ThreadState_DeleteCurrent)\s*\(")
_BLOCK = re.compile(r"[{}]")
_KNOWN_GUARD = re.compile(
    r"\b(?:\w+\s*::\s*)*(?:scoped_critical_section\d?|ft_object_guard|ft_object2_guard)\s+\w+\s*[({]"
)


class SectionOutlivesAttachment(CRule):
    """`Py_END_CRITICAL_SECTION` needs the thread state that began the section. After `PyGILState_Release` or
    `PyEval_SaveThread`, the thread may have no thread state, or a different one: the lock stays locked, or the process
    crashes. A C++ guard object ends the section in its destructor, at the end of the block."""

    info = RuleInfo(
        code="FT356",
        name="section-outlives-attachment",
        summary="A critical section ends after `PyGILState_Release` or `PyEval_SaveThread` in the same block.",
        severity=Severity.ERROR,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Put the section into its own block that ends before the thread detaches.",
        links=("https://docs.python.org/3.14/c-api/synchronization.html",),
    )
    words = ("PyGILState_Release", "PyEval_ReleaseThread", "PyEval_SaveThread")
    VALID = (
        SourceExample(
            code="""\
struct Guard {
    PyCriticalSection cs;
    explicit Guard(PyObject *o) { PyCriticalSection_Begin(&cs, o); }
    ~Guard() { PyCriticalSection_End(&cs); }
};
void call(PyObject *self) {
    PyGILState_STATE state = PyGILState_Ensure();
    {
        Guard guard(self);
        PyObject_SetAttrString(self, "seen", Py_True);
    }
    PyGILState_Release(state);
}
""",
            path="a.cpp",
            instead=True,
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
struct Guard {
    PyCriticalSection cs;
    explicit Guard(PyObject *o) { PyCriticalSection_Begin(&cs, o); }
    ~Guard() { PyCriticalSection_End(&cs); }
};
void call(PyObject *self) {
    PyGILState_STATE state = PyGILState_Ensure();
    Guard guard(self);
    PyObject_SetAttrString(self, "seen", Py_True);
    PyGILState_Release(state);
}
""",
            lines=(8,),
            path="a.cpp",
        ),
        SourceExample(
            code="""\
void call(PyObject *self) {
    PyGILState_STATE state = PyGILState_Ensure();
    Py_BEGIN_CRITICAL_SECTION(self);
    PyObject_SetAttrString(self, "seen", Py_True);
    PyGILState_Release(state);
    Py_END_CRITICAL_SECTION();
}
""",
            lines=(3,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield the guard or begin of each section in which the thread detaches."""
        guards = _guards(unit)
        for detached in unit.calls("PyGILState_Release", "PyEval_ReleaseThread", "PyEval_SaveThread"):
            function = detached.function
            if function is None:
                continue
            for at in _sections(unit, function, guards):
                if at < detached.start and _same_block(unit.code, at, detached.start):
                    yield self.finding(
                        (
                            f"this critical section ends after `{detached.name}` (line {unit.line_at(detached.start)}) "
                            "has detached the thread"
                        ),
                        location=unit.place(at),
                    )


def _guards(unit: CUnit) -> re.Pattern[str] | None:
    """Return a pattern for declarations of guards, whose class in this file wraps a critical section."""
    names = {
        name
        for start, end, name in unit.syntax.classes
        if "PyCriticalSection" in unit.code[start : min(end, start + 2_000)]
    }
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(names)))})\s+\w+\s*[({{]") if names else None


def _sections(unit: CUnit, function: Function, guards: re.Pattern[str] | None) -> Iterator[int]:
    for pattern in (_KNOWN_GUARD, guards):
        if pattern is not None and unit.cpp:
            yield from (found.start() for found in pattern.finditer(unit.code, function.body, function.end))
    for section in unit.sections(function).sections:
        if "CRITICAL_SECTION" in section.name or "PyCriticalSection" in section.name:
            ends = unit.code[section.start : section.end]
            if _DETACHES.search(ends):
                yield section.opened


def _same_block(code: str, start: int, end: int) -> bool:
    """Return whether the block that holds the first place is still open at the second."""
    depth = 0
    for found in _BLOCK.finditer(code, start, end):
        depth += 1 if found[0] == "{" else -1
        if depth < 0:
            return False
    return True
