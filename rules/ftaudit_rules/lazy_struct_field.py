"""FT376: a field that the first thread to find it empty fills."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.reach import is_lifecycle

_LAZY = re.compile(
    r"\bif\s*\(\s*(?:!\s*(?P<a>\w+\s*->\s*\w+)|(?P<b>\w+\s*->\s*\w+)\s*==\s*(?:NULL|nullptr|-\s*1|0))\s*\)\s*(?P<then>\{[^{}]*\}|[^;{}]*;)"
)


class LazyStructField(CRule):
    """Two threads find the field empty, both compute it, and one result is lost or freed under the other. A number
    can be an atomic; a pointer needs a lock."""

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
        default=False,
    )
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
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for found in _LAZY.finditer(unit.code):
            field = "".join((found["a"] or found["b"]).split())
            base, _, member = field.partition("->")
            if not re.search(rf"\b{re.escape(base)}\s*->\s*{re.escape(member)}\s*=(?!=)", found["then"]):
                continue
            function = unit.function_at(found.start())
            if function is None or is_lifecycle(function) or unit.at_import(function) or unit.guarded(found.start()):
                continue
            if base in {parameter.name for parameter in function.parameters}:
                yield self.finding(
                    f"two threads can both find `{field}` empty and fill it", location=unit.place(found.start())
                )
