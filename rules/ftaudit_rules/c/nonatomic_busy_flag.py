"""FT373: a flag against re-entrance that two threads can both find clear."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit

_TESTED = re.compile(
    r"if\s*\(\s*(?P<flag>\w+(?:\s*->\s*\w+)+)\s*(?:(?:!=|>)\s*0|==\s*(?:1|true|TRUE|Py_True))?\s*\)\s*(?P<then>\{[^{}]*\}|[^;{}]*;)"
)
_LEAVES = re.compile(
    r"\b(?:return|goto\s+\w*(?:err|ERR|fail|FAIL|out|done|busy)\w*|throw|PyErr_\w+|Py_RETURN_\w+|raise\w*)\b"
)


class NonatomicBusyFlag(CRule):
    """Under the GIL no other thread ran between the test and the assignment. Without it two threads can both find the
    flag clear, both set it, and both run the code that only one thread should run at a time."""

    info = RuleInfo(
        code="FT373",
        name="nonatomic-busy-flag",
        summary="A busy flag is tested and then set without a lock.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Test and set the flag inside one critical section or with an atomic exchange, or use a `PyMutex` "
            "(Python 3.13)."
        ),
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://docs.python.org/3.14/c-api/synchronization.html",
        ),
    )
    words = ("->",)
    VALID = (
        SourceExample(
            code="""\
typedef struct { PyObject_HEAD int busy; } Obj; PyObject *busy_error(void), *work(Obj *self);
static PyObject *run(Obj *self) {
    int go;
    Py_BEGIN_CRITICAL_SECTION(self);
    go = !self->busy;
    if (go) self->busy = 1;
    Py_END_CRITICAL_SECTION();
    if (!go) return busy_error();
    return work(self);
}
""",
            instead=True,
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
typedef struct { PyObject_HEAD int busy; } Obj; PyObject *busy_error(void), *work(Obj *self);
static PyObject *run(Obj *self) {
    if (self->busy) return busy_error();
    self->busy = 1;
    PyObject *r = work(self);
    self->busy = 0;
    return r;
}
""",
            lines=(3,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for found in _TESTED.finditer(unit.code) if "->" in unit.code else ():
            function = unit.function_at(found.start())
            if function is None or not _LEAVES.search(found["then"]) or unit.guarded(found.start()):
                continue
            flag = r"\s*->\s*".join(re.escape(part.strip()) for part in found["flag"].split("->"))
            set_ = re.compile(rf"\b{flag}\s*(?:=\s*(?:1|true|TRUE)\b|\+\+)|\+\+\s*{flag}\b").search(
                unit.code, found.end(), function.end
            )
            if set_ is None or unit.guarded(set_.start()):
                continue
            cleared = re.compile(rf"\b{flag}\s*(?:=\s*(?:0|false|FALSE)\b|--)|--\s*{flag}\b").search(
                unit.code, set_.end(), function.end
            )
            if cleared is None:
                continue
            yield self.finding(
                f"two threads can both find `{''.join(found['flag'].split())}` clear before either sets it",
                location=unit.place(found.start()),
            )
