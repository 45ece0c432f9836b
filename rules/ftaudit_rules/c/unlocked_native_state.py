"""FT375: the handle of a C library that methods use with no lock."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.fields import instance_names

_HANDED = re.compile(
    r"\b(?!_?Py|if\b|while\b|for\b|return\b|sizeof\b|assert\b|switch\b|free\b|likely\b|unlikely\b)([a-zA-Z_]\w*)\s*\(\s*&?\s*(\w+)\s*->\s*(\w*(?:state|st|handle|ctx|context|stream|ptr|handler|db|conn|session|face|parser|obj)\w*)\s*[,)]"
)


class UnlockedNativeState(CRule):
    """Few C libraries allow two threads to use one handle at once. As long as every method ran under the GIL, one
    did. Whether this library minds is for its documentation to say."""

    info = RuleInfo(
        code="FT375",
        name="unlocked-native-state",
        summary="A method hands the native state of its object to a library with no lock.",
        severity=Severity.PEDANTIC,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy=(
            "Lock the object around the call (a PyMutex in it, or a critical section), or see that the "
            "library allows it."
        ),
        links=("https://docs.python.org/3.14/howto/free-threading-extensions.html",),
        default=False,
    )
    VALID = (
        SourceExample(
            code="""\
static PyObject *upd(Hash *self, PyObject *d) {
    PyMutex_Lock(&self->mu);
    lib_update(self->st, d);
    PyMutex_Unlock(&self->mu);
    Py_RETURN_NONE;
}
static PyMethodDef m[] = {{"upd", upd, METH_O, ""}, {NULL}};
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static PyObject *upd(Hash *self, PyObject *d) { lib_update(self->st, d); Py_RETURN_NONE; }
static PyMethodDef m[] = {{"upd", upd, METH_O, ""}, {NULL}};
""",
            lines=(1,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        if not unit.functions or "->" not in unit.code or "Py" not in unit.code:
            return
        defined = {function.short_name for function in unit.functions}
        for found in _HANDED.finditer(unit.code):
            function = unit.function_at(found.start())
            if function is None or function.body not in unit.reach.methods or found[1] in defined:
                continue
            if found[2] in instance_names(unit, function) and not unit.guarded(found.start()):
                yield self.finding(
                    f"{found[1]} is given `{found[2]}->{found[3]}` with no lock: two threads may be in it at once",
                    location=unit.place(found.start()),
                )
