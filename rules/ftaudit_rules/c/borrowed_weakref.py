"""FT313: a weak reference whose referent is used through a borrowed reference."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Fix, NoFix, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit, api
from ftaudit.source.c.borrowed import only_tested
from ftaudit.source.c.locks import words
from ftaudit.source.c.owned_references import own_reference

_COMPARED = re.compile(r"\s*(?:==|!=)\s*(?:Py_None|NULL|nullptr|self|\(PyObject\s*\*\))")


class BorrowedWeakref(CRule):
    """`PyWeakref_GetObject` returns a borrowed reference, and nothing keeps the object alive: without the GIL another
    thread can release the last reference between the call and the use. No lock prevents this, because no container owns
    the object."""

    info = RuleInfo(
        code="FT313",
        name="borrowed-weakref",
        summary=(
            "`PyWeakref_GetObject` returns a borrowed reference to an object that another thread can free at any "
            "moment."
        ),
        severity=Severity.ERROR,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Use `PyWeakref_GetRef` (Python 3.13), and release the reference. It returns 1 if the object is alive, 0 "
            "if it is not, and -1 on error."
        ),
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://docs.python.org/3.14/c-api/weakref.html",
        ),
        silenced_by=("borrowed-ref",),
    )
    words = api.REFERENTS
    VALID = (
        SourceExample(
            code="""\
static int visit(PyObject *r) {
    PyObject *o;
    int rc = PyWeakref_GetRef(r, &o);
    if (rc == 1) { call(o); Py_DECREF(o); }
    return rc;
}
""",
            instead=True,
        ),
        SourceExample(
            code="""\
#if PY_VERSION_HEX < 0x030D0000
static int PyWeakref_GetRef(PyObject *r, PyObject **o) {
    *o = Py_XNewRef(PyWeakref_GetObject(r));
    return 1;
}
#endif
""",
        ),
        SourceExample(
            code="""\
static int dead(PyObject *r) { return PyWeakref_GET_OBJECT(r) == Py_None; }
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static void visit(PyObject *r) {
    PyObject *o = PyWeakref_GetObject(r);
    if (o != Py_None) call(o);
}
""",
            lines=(2,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for call in unit.calls(*api.REFERENTS):
            if call.function is None or {"get", "ref"} <= set(words(call.function.short_name)) & {"get", "ref"}:
                continue
            assigned = re.search(r"=\s*\(*\s*$", unit.code[max(0, call.start - 30) : call.start])
            if only_tested(unit, call) or (_COMPARED.match(unit.code, call.end) and not assigned):
                continue
            yield self.finding(
                f"`{call.name}` returns a borrowed reference to an object that another thread can free",
                location=unit.place(call.start),
            )

    def fix(self, unit: CUnit, finding: Finding) -> Fix | NoFix:
        """Take a strong reference, and release it on every path."""
        return own_reference(unit, finding)
