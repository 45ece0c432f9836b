"""FT710: a module that is defined by a `PyModuleDef`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit_rules.abi3t._migration import LINKS, find_in_abi3t

_DEFINITION = re.compile(
    r"\b(?:struct\s+)?PyModuleDef\s+(?P<definition>\w+)\s*(?:=|\{)"
    r"|\bPyMODINIT_FUNC\s+(?P<hook>PyInit_\w+)"
    r"|\bPyModule_Create2?\s*\("
)


class Abi3tModuleDefinition(CRule):
    """`PyModuleDef` begins with an object header, whose size is unknown in a build for `abi3t`. An `abi3t` module has
    an export hook, `PyModExport_NAME`, which returns a `PySlot` array (PEP 793, PEP 820). The array must contain
    `Py_mod_abi`: CPython rejects a module with an export hook but without this slot."""

    info = RuleInfo(
        code="FT710",
        name="abi3t-module-definition",
        summary="The module is defined by a `PyModuleDef`, which a build for abi3t does not have.",
        severity=Severity.INFO,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy=(
            "Under `#ifdef Py_TARGET_ABI3T`, define `PyModExport_NAME` and return a `PySlot` array: `Py_mod_abi` with "
            "`PyABIInfo_VAR`, `Py_mod_name`, `Py_mod_doc`, `Py_mod_methods`, `Py_mod_state_size`, `Py_mod_exec`, "
            "`Py_mod_gil`. Move the code of `PyInit_NAME` into a `Py_mod_exec` function, and keep the old form in "
            "`#else`."
        ),
        links=LINKS,
        default=False,
        migration=True,
    )
    words = ("PyModuleDef", "PyModule_Create", "PyInit_")
    VALID = (
        SourceExample(
            code="""\
PyABIInfo_VAR(abi_info);
static PySlot slots[] = {PySlot_STATIC_DATA(Py_mod_abi, &abi_info), PySlot_STATIC_DATA(Py_mod_name, "m"), PySlot_END};
PyMODEXPORT_FUNC PyModExport_m(void) { return slots; }
""",
            target="3.15t",
            instead=True,
        ),
        SourceExample(
            code="""\
#ifdef Py_TARGET_ABI3T
PyMODEXPORT_FUNC PyModExport_m(void) { return slots; }
#else
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, .m_name = "m"};
PyMODINIT_FUNC PyInit_m(void) { return PyModuleDef_Init(&def); }
#endif
""",
            target="3.15t",
        ),
        SourceExample(code="static PyModuleDef def = {PyModuleDef_HEAD_INIT};\n"),
    )
    INVALID = (
        SourceExample(
            code="""\
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, .m_name = "m"};
PyMODINIT_FUNC PyInit_m(void) { return PyModuleDef_Init(&def); }
""",
            lines=(1, 2),
            target="3.15t",
        ),
        SourceExample(
            code="""\
PyMODINIT_FUNC PyInit_m(void) {
    return PyModule_Create(&def);
}
""",
            lines=(1, 2),
            target="3.15t",
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for found in find_in_abi3t(unit, _DEFINITION):
            match found.lastgroup:
                case "definition":
                    message = f"`{found['definition']}` is a `PyModuleDef`, which a build for abi3t does not have"
                case "hook":
                    message = f"`{found['hook']}` is not the export hook that an abi3t module needs (`PyModExport_`)"
                case _:
                    message = (
                        "`PyModule_Create` creates a module from a `PyModuleDef`, which a build for abi3t does not have"
                    )
            yield self.finding(message, location=unit.place(found.start()))
