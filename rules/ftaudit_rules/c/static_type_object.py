"""FT324: static types; they work, but all interpreters and threads share their state."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit


class StaticTypeObject(CRule):
    """CPython supports static types without the GIL, but all threads and interpreters share them and everything that
    you store on them. Use this list when you move a module to heap types."""

    info = RuleInfo(
        code="FT324",
        name="static-type-object",
        summary="A type is a static variable.",
        severity=Severity.PEDANTIC,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy=(
            "You do not have to change anything. Heap types (`PyType_Spec`) can keep separate state for each module."
        ),
        links=("https://docs.python.org/3.14/howto/free-threading-extensions.html",),
        default=False,
    )
    VALID = (
        SourceExample(
            code="""\
static PyType_Slot type_slots[] = {{0, NULL}};
static PyType_Spec spec = {.name = "m.T", .slots = type_slots};
""",
            instead=True,
        ),
        SourceExample(
            code="""\
extern PyTypeObject T;
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static PyTypeObject T = {PyVarObject_HEAD_INIT(NULL, 0)};
""",
            lines=(1,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        if "PyTypeObject" not in unit.code:
            return
        for variable in unit.syntax.variables:
            if (
                "PyTypeObject" in variable.words
                and not variable.pointer
                and "extern" not in variable.words
                and variable.initializer
            ):
                yield self.finding(f"`{variable.name}` is a static type", location=unit.place(variable.start))
