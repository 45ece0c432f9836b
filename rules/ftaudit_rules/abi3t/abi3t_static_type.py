"""FT712: a static type."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit_rules.abi3t._migration import LINKS, find_in_abi3t

_STATIC = re.compile(r"\bPyTypeObject\s+(?P<name>\w+)\s*(?:\[\s*\w*\s*\]\s*)?(?:=\s*\{|;)")
_READY = re.compile(r"\bextern\s[^;{}]*$")


class Abi3tStaticType(CRule):
    """A static type is a `PyTypeObject`, a struct that the limited API does not have. An `abi3t` module creates its
    types at run time from a `PyType_Spec` or a `PySlot` array, and keeps them in the module."""

    info = RuleInfo(
        code="FT712",
        name="abi3t-static-type",
        summary="A type is a static `PyTypeObject`, which the limited API does not have.",
        severity=Severity.INFO,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy=(
            "Describe the type with a `PyType_Spec` and `PyType_Slot` entries, create it in the module's `Py_mod_exec` "
            "function with `PyType_FromModuleAndSpec`, and keep it in the module's state."
        ),
        links=(*LINKS, "https://docs.python.org/3.15/howto/isolating-extensions.html"),
        default=False,
        migration=True,
    )
    words = ("PyTypeObject",)
    VALID = (
        SourceExample(
            code="""\
static PyType_Spec spec = {.name = "m.T", .slots = NULL};
static PyTypeObject *made;
""",
            target="3.15t",
            instead=True,
        ),
        SourceExample(code="static PyTypeObject T = {PyVarObject_HEAD_INIT(NULL, 0)};\n"),
        SourceExample(
            code="""\
#ifndef Py_LIMITED_API
static PyTypeObject T = {PyVarObject_HEAD_INIT(NULL, 0)};
#endif
""",
            target="3.15t",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static PyTypeObject T = {PyVarObject_HEAD_INIT(NULL, 0) .tp_name = "m.T"};
static PyTypeObject U;
""",
            lines=(1, 2),
            target="3.15t",
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for found in find_in_abi3t(unit, _STATIC):
            if not _READY.search(unit.code[max(0, found.start() - 80) : found.start()]):
                yield self.finding(
                    f"`{found['name']}` is a static type, which the limited API does not have",
                    location=unit.place(found.start()),
                )
