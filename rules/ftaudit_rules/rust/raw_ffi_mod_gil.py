"""FT433: a Rust extension module on the raw C API that declares the GIL used, or declares nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ftaudit.model import Confidence, Finding, GilDeclaration, NoFix, Obstacle, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import RustRule
from ftaudit.source.rust import RustUnit, find_silent_inits, find_used_slots


class RawFfiModGil(RustRule):
    """If a crate fills a `PyModuleDef` itself, no tool adds the `Py_mod_gil` slot, and importing the module turns the
    GIL on. The problem is the same as in C, so the findings have the names and codes of the rules for C,
    `missing-mod-gil` and `mod-gil-used`.
    """

    info = RuleInfo(
        code="FT433",
        name="raw-ffi-mod-gil",
        summary=(
            "A Rust module that uses the C API directly does not declare `Py_MOD_GIL_NOT_USED`, so importing it turns "
            "the GIL on."
        ),
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.1.0",
        asks_to_declare=True,
        remedy=(
            "Once the module is safe without the GIL, add the slot `{Py_mod_gil, Py_MOD_GIL_NOT_USED}` for Python 3.13 "
            "and later."
        ),
        links=("https://docs.python.org/3.14/howto/free-threading-extensions.html#module-initialization",),
        declares=GilDeclaration.UNDECLARED,
        speaks_as=("FT301", "FT302"),
    )
    VALID = (
        SourceExample(
            code='pub unsafe extern "C" fn PyInit_m() -> *mut PyModuleDef {\n'
            "    let slots = [PyModuleDef_Slot { slot: Py_mod_gil, value: Py_MOD_GIL_NOT_USED }];\n}\n",
            instead=True,
        ),
        SourceExample(code='extern "C" { pub fn PyInit_other() -> *mut PyObject; }\n'),
    )
    INVALID = (
        SourceExample(
            code='pub unsafe extern "C" fn PyInit_m() -> *mut PyModuleDef {\n'
            "    let slots = [PyModuleDef_Slot { slot: Py_mod_exec, value: exec }];\n}\n",
            lines=(1,),
        ),
        SourceExample(
            code='pub unsafe extern "C" fn PyInit_m() -> *mut PyModuleDef {\n    let slots = [\n'
            "        #[cfg(Py_3_13)]\n        PyModuleDef_Slot {\n            slot: Py_mod_gil,\n"
            "            value: Py_MOD_GIL_USED,\n        },\n    ];\n}\n",
            lines=(5,),
        ),
    )

    def check(self, unit: RustUnit) -> Iterator[Finding]:
        """Yield each init function without a declaration, and each slot that declares the GIL used."""
        for slot in find_used_slots(unit):
            found = self.finding(
                "the module declares `Py_MOD_GIL_USED`: importing it turns the GIL back on",
                location=unit.at(slot.offset),
                declares=GilDeclaration.USED,
            )
            yield replace(found, rule="mod-gil-used", code="FT302")
        for init in find_silent_inits(unit):
            found = self.finding(
                f"`{init.name}` creates a module without a `Py_mod_gil` slot: importing it turns the GIL back on",
                location=unit.at(init.offset),
            )
            yield replace(found, rule="missing-mod-gil", code="FT301")

    def fix(self, unit: RustUnit, finding: Finding) -> NoFix:
        """Offer no fix: each Rust crate for the C API writes slots differently."""
        if finding.declares is GilDeclaration.USED:
            return NoFix(obstacle=Obstacle.AUTHOR_SAYS_USED)
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
