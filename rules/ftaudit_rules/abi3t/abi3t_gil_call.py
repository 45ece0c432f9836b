"""FT716: `PyUnstable_Module_SetGIL`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit_rules.abi3t._migration import LINKS, find_in_abi3t

_CALL = re.compile(r"\bPyUnstable_Module_SetGIL\s*\(")


class Abi3tGilCall(CRule):
    """The function belongs to the unstable API, so a build for `abi3t` does not have it. The slot `Py_mod_gil` makes
    the same declaration."""

    info = RuleInfo(
        code="FT716",
        name="abi3t-gil-call",
        summary="`PyUnstable_Module_SetGIL` is not part of any stable ABI.",
        severity=Severity.INFO,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Put `PySlot_DATA(Py_mod_gil, Py_MOD_GIL_NOT_USED)` into the module's `PySlot` array.",
        links=LINKS,
        default=False,
        migration=True,
    )
    words = ("PyUnstable_Module_SetGIL",)
    VALID = (
        SourceExample(
            code="static PySlot slots[] = {PySlot_DATA(Py_mod_gil, Py_MOD_GIL_NOT_USED), PySlot_END};\n",
            target="3.15t",
            instead=True,
        ),
        SourceExample(code="static void f(PyObject *m) { PyUnstable_Module_SetGIL(m, Py_MOD_GIL_NOT_USED); }\n"),
    )
    INVALID = (
        SourceExample(
            code="static void f(PyObject *m) { PyUnstable_Module_SetGIL(m, Py_MOD_GIL_NOT_USED); }\n",
            lines=(1,),
            target="3.15t",
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for found in find_in_abi3t(unit, _CALL):
            yield self.finding(
                "`PyUnstable_Module_SetGIL` is not part of any stable ABI",
                location=unit.place(found.start()),
            )
