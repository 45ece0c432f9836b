"""FT376: a field that the first thread to find it empty fills."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.fields import instance_names
from ftaudit.source.c.reach import is_lifecycle
from ftaudit.source.c.text import closing

_LAZY = re.compile(
    # Plain letters first: what may not stand before is asked afterwards, which is quicker.
    r"if(?<!\wif)\s*\(\s*(?:\w{0,20}(?i:likely)\w{0,20}\s*\(\s*)?"
    r"(?:!\s*(?P<a>\w+\s*->\s*\w+)|(?P<b>\w+\s*->\s*\w+)\s*==\s*(?:NULL|nullptr|-\s*1|0))\s*\)\s*\)?\s*(?P<block>\{)?"
)
_LONGEST = 400
"""Characters of what the condition governs in which the field must be filled."""
_CALLS = re.compile(r"\s*(?:\([^()]*\)\s*)?[A-Za-z_]\w*\s*\(")


class LazyStructField(CRule):
    """Two threads find the field empty, both compute it, and one result is lost or freed under the other. A number
    can be an atomic; a pointer needs a lock.

    A method of an object that stores what a call returns is reported; numbers, and structs that may be one function's
    own, are left to `--pedantic`."""

    info = RuleInfo(
        code="FT376",
        name="lazy-struct-field",
        summary="A field of an object is filled when it is found empty, with no lock.",
        severity=Severity.WARNING,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy=("Test and fill inside a critical section on the object, or publish with an atomic exchange."),
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://docs.python.org/3.14/c-api/synchronization.html",
        ),
    )
    words = ("->",)
    VALID = (
        SourceExample(
            code="""\
static void *get(Obj *self) {
    Py_BEGIN_CRITICAL_SECTION(self);
    if (self->idx == NULL) self->idx = build(self);
    Py_END_CRITICAL_SECTION();
    return self->idx;
}
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static void *get(Obj *self) {
    if (self->idx == NULL) self->idx = build(self);
    return self->idx;
}
""",
            lines=(2,),
        ),
        SourceExample(
            code="""\
static PyObject *get_name(PyObject *op, void *context) {
    Function *func = (Function *)op;
    if (unlikely(func->name == NULL)) {
        func->name = PyUnicode_InternFromString(func->def->ml_name);
        if (func->name == NULL) {
            return NULL;
        }
    }
    return Py_NewRef(func->name);
}
static PyGetSetDef getset[] = {{"__name__", get_name}, {NULL}};
""",
            lines=(3,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        code = unit.code
        instances: dict[int, frozenset[str]] = {}
        for found in _LAZY.finditer(code) if "->" in code else ():
            base, _, member = "".join((found["a"] or found["b"]).split()).partition("->")
            value = _filled(code, found, base, member)
            if value < 0:
                continue
            function = unit.function_at(found.start())
            if function is None or is_lifecycle(function) or unit.at_import(function) or unit.guarded(found.start()):
                continue
            if function.body not in instances:
                instances[function.body] = instance_names(unit, function)
            own = base in instances[function.body]
            if own or base in {parameter.name for parameter in function.parameters}:
                shared = own and function.body in unit.reach.methods and _CALLS.match(code, value)
                yield self.finding(
                    f"two threads can both find `{base}->{member}` empty and fill it",
                    location=unit.place(found.start()),
                    severity=None if shared else Severity.PEDANTIC,
                )


def _filled(code: str, found: re.Match[str], base: str, member: str) -> int:
    """Return where the value stands that the condition's statement or block sets the field to, or -1."""
    start = found.end()
    end = closing(code, start - 1, start + _LONGEST) if found["block"] else code.find(";", start, start + _LONGEST)
    stored = re.compile(rf"\b{re.escape(base)}\s*->\s*{re.escape(member)}\s*=(?!=)")
    filled = stored.search(code, start, end if end > 0 else start + _LONGEST)
    return -1 if filled is None else filled.end()
