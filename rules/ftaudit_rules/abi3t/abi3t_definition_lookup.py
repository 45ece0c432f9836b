"""FT715: a module that is looked up by its `PyModuleDef`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit_rules.abi3t._migration import GUIDE, LINKS, find_in_abi3t

_LOOKUP = re.compile(
    r"\b(?P<name>PyModule_GetDef|PyType_GetModuleByDef|PyState_(?:FindModule|AddModule|RemoveModule))\s*\("
)


class Abi3tDefinitionLookup(CRule):
    """A module with an export hook has no `PyModuleDef`, so these functions find nothing. It has a token instead: a
    pointer that you choose and store in the slot `Py_mod_token`."""

    info = RuleInfo(
        code="FT715",
        name="abi3t-definition-lookup",
        summary="The code looks up a module by its `PyModuleDef`, which an abi3t module does not have.",
        severity=Severity.INFO,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy=(
            "Add a `Py_mod_token` slot, and use `PyModule_GetToken` and `PyType_GetModuleByToken` (it returns a strong "
            "reference). Instead of calling `PyState_FindModule`, pass the module or its state as an argument."
        ),
        links=(f"{GUIDE}#associated-pymoduledef", *LINKS[1:]),
        default=False,
        migration=True,
    )
    words = ("PyModule_GetDef", "PyType_GetModuleByDef", "PyState_")
    VALID = (
        SourceExample(
            code="static PyObject *f(PyTypeObject *t) { return PyType_GetModuleByToken(t, &token); }\n",
            target="3.15t",
            instead=True,
        ),
        SourceExample(code="static PyObject *f(PyTypeObject *t) { return PyType_GetModuleByDef(t, &def); }\n"),
    )
    INVALID = (
        SourceExample(
            code="""\
static PyObject *f(PyTypeObject *t) {
    return PyType_GetModuleByDef(t, &def);
}
static PyObject *g(void) { return PyState_FindModule(&def); }
""",
            lines=(2, 4),
            target="3.15t",
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for found in find_in_abi3t(unit, _LOOKUP):
            yield self.finding(
                f"`{found['name']}` looks for a `PyModuleDef`, which a module with an export hook does not have",
                location=unit.place(found.start()),
            )
