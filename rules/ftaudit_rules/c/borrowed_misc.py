"""FT316: other functions that return a borrowed reference to an object that another thread may release."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit, api


class BorrowedMisc(CRule):
    """`PyCell_GET` reads a cell without synchronization. `PySys_GetObject` returns a borrowed reference to an attribute
    of `sys` that any thread can rebind. `PyEval_GetLocals` returns a borrowed reference to a dictionary of the
    frame."""

    info = RuleInfo(
        code="FT316",
        name="borrowed-misc",
        summary=(
            "`PyCell_GET`, `PySys_GetObject` or `PyEval_GetLocals` returns a borrowed reference that another thread "
            "can invalidate."
        ),
        severity=Severity.INFO,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy="Use `PyCell_Get`, `PySys_GetAttr` (Python 3.15) or `PyEval_GetFrameLocals` (Python 3.13).",
        links=("https://docs.python.org/3.14/howto/free-threading-extensions.html",),
        default=False,
        silenced_by=("borrowed-ref",),
    )
    words = api.REBINDABLE
    VALID = (
        SourceExample(
            code="""\
static PyObject *get(PyObject *cell) { return PyCell_Get(cell); }
""",
            instead=True,
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static PyObject *get(PyObject *cell) { PyObject *v = PyCell_GET(cell); return Py_XNewRef(v); }
""",
            lines=(1,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for call in unit.calls(*api.REBINDABLE):
            if not unit.at_import(call.function) and not unit.guarded(call.start):
                yield self.finding(
                    f"`{call.name}` returns a borrowed reference that another thread can invalidate",
                    location=unit.place(call.start),
                )
