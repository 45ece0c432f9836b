"""FT303: a GIL declaration that older or GIL-enabled builds of CPython cannot compile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ftaudit.model import Applicability, Confidence, Finding, Fix, NoFix, Obstacle, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule, Room
from ftaudit.source.build import BuildContext, FactKind
from ftaudit.source.build.required_versions import admits_python_before
from ftaudit.source.c import CUnit

_DECLARATION = re.compile(
    r"Py_(?<!\wPy_)(?P<slot>mod_gil)\s*,|PyUnstable_(?<!\wPyUnstable_)(?P<call>Module_SetGIL)\s*\("
)
_CONDITION = re.compile(
    r"GIL|VERSION|Py_mod_|PySlot|LIMITED_API|ABI3T|FREE_?THREAD|PY_?3_?1[3-9]|PY31[3-9]", re.IGNORECASE
)
_SINCE_3_15 = re.compile(r"\b(?:PySlot(?:_\w+)?|PyModExportU?_\w+|PyMODEXPORT_FUNC|PyABIInfo(?:_\w+)?|Py_mod_abi)\b")
"""Names from PEP 793, 803 and 820: no older CPython compiles a file that uses them without a condition."""
_SINCE_3_13 = ("PyMutex_Lock", "Py_BEGIN_CRITICAL_SECTION")
"""Names that no older CPython has. `PyDict_GetItemRef` proves nothing: pythoncapi-compat provides it."""


class ModGilUnguarded(CRule):
    """`Py_mod_gil` exists since CPython 3.13, and `PyUnstable_Module_SetGIL` exists only in the free-threaded build.
    Without a preprocessor condition the module does not compile elsewhere."""

    info = RuleInfo(
        code="FT303",
        name="mod-gil-unguarded",
        summary=(
            "`Py_mod_gil` or `PyUnstable_Module_SetGIL` has no preprocessor condition, so the module does not compile "
            "on builds without it."
        ),
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy=(
            "Put the slot under `#ifdef Py_mod_gil` (or a check of `PY_VERSION_HEX`), and the call under `#ifdef "
            "Py_GIL_DISABLED`."
        ),
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://docs.python.org/3.14/c-api/module.html",
        ),
    )
    words = ("Py_mod_gil", "SetGIL")
    VALID = (
        SourceExample(
            code="""\
static PySlot slots[] = {
    PySlot_STATIC_DATA(Py_mod_abi, &abi_info),
    PySlot_DATA(Py_mod_gil, Py_MOD_GIL_NOT_USED),
    PySlot_END};
PyMODEXPORT_FUNC PyModExport_m(void) { return slots; }
""",
            target="3.15t",
        ),
        SourceExample(
            code="""\
static PyModuleDef_Slot s[] = {
#ifdef Py_mod_gil
  {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
  {0, NULL}};
""",
            instead=True,
        ),
        SourceExample(
            code="""\
int exec(PyObject *m) {
#ifdef Py_GIL_DISABLED
    PyUnstable_Module_SetGIL(m, Py_MOD_GIL_NOT_USED);
#endif
    return 0;
}
""",
        ),
        SourceExample(
            path="m.c",
            code="""\
static PyModuleDef_Slot s[] = {{Py_mod_gil, Py_MOD_GIL_NOT_USED}, {0, NULL}};
""",
            others=(("pyproject.toml", '[project]\nname = "m"\nrequires-python = ">=3.13"\n'),),
        ),
        SourceExample(
            code="""\
static PyMutex mutex;
static void work(void) { PyMutex_Lock(&mutex); step(); PyMutex_Unlock(&mutex); }
static PyModuleDef_Slot s[] = {{Py_mod_gil, Py_MOD_GIL_NOT_USED}, {0, NULL}};
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
#include "pythoncapi_compat.h"
static int find(PyObject *d, PyObject *k, PyObject **v) { return PyDict_GetItemRef(d, k, v); }
static PyModuleDef_Slot s[] = {{Py_mod_gil, Py_MOD_GIL_NOT_USED}, {0, NULL}};
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
#if PY_VERSION_HEX >= 0x030F0000
static PySlot modern[] = {PySlot_STATIC_DATA(Py_mod_slots, s), PySlot_END};
#endif
static PyModuleDef_Slot s[] = {{Py_mod_gil, Py_MOD_GIL_NOT_USED}, {0, NULL}};
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
static PyModuleDef_Slot s[] = {{Py_mod_gil, Py_MOD_GIL_NOT_USED}, {0, NULL}};
""",
            lines=(1,),
        ),
        SourceExample(
            code="""\
int exec(PyObject *m) {
    PyUnstable_Module_SetGIL(m, Py_MOD_GIL_NOT_USED);
    return 0;
}
""",
            lines=(2,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        if "Py_mod_gil" not in unit.code and "SetGIL" not in unit.code:
            return
        newer: bool | None = None
        for found in _DECLARATION.finditer(unit.code):
            if any(_CONDITION.search(condition) for condition in unit.preprocessed.conditions_at(found.start())):
                continue
            if found["slot"]:
                if newer is None:
                    newer = self._needs_3_13(unit)
                if newer:
                    continue
                message = "`Py_mod_gil` does not exist before CPython 3.13, and no preprocessor condition guards it"
            else:
                message = (
                    "`PyUnstable_Module_SetGIL` exists only in the free-threaded build, and no preprocessor condition "
                    "guards it"
                )
            yield self.finding(message, location=unit.place(found.start()))

    @staticmethod
    def _needs_3_13(unit: CUnit) -> bool:
        """Return whether the project does not support older CPython versions.

        The project says so, the file uses names from CPython 3.13 without a condition, or a header defines the slot.
        """
        if unit.tree.defines_slot:
            return True
        if any(
            not admits_python_before(fact.value, "3.13")
            for fact in unit.context.of(Room.BUILD, BuildContext).of(FactKind.PYTHON)
        ):
            return True
        if "pythoncapi_compat" in unit.text:
            return False
        newer = [call.start for call in unit.calls(*_SINCE_3_13)]
        newer += [found.start() for found in _SINCE_3_15.finditer(unit.code)]
        return any(
            not any(_CONDITION.search(condition) for condition in unit.preprocessed.conditions_at(place))
            for place in newer
        )

    def fix(self, unit: CUnit, finding: Finding) -> Fix | NoFix:
        """Put the slot, or the call, under its condition, on lines of their own."""
        if finding.location is None:
            return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
        at = unit.index_of(finding.location)
        head = unit.code.rfind("{", 0, at) if unit.code.startswith("Py_mod_gil", at) else at
        found = _SLOT.match(unit.code, head) or _CALL.match(unit.code, head)
        if found is None:
            return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
        start, end = unit.text.rfind("\n", 0, head) + 1, unit.text.find("\n", found.end())
        before, after = unit.code[start:head], unit.code[found.end() : end if end >= 0 else None]
        indent = before[: len(before) - len(before.lstrip())] or "    "
        macro = "Py_mod_gil" if found.re is _SLOT else "Py_GIL_DISABLED"
        first = start if not before.strip() else head
        text = f"#ifdef {macro}\n{indent}{unit.text[head : found.end()]}\n#endif"
        if first == head:
            text = f"\n{text}"
        last = found.end()
        if after.strip():
            text = f"{text}\n{indent}"
            last += len(after) - len(after.lstrip())
        return Fix(applicability=Applicability.SAFE, edits=(unit.edit_text(first, last, text),))


_SLOT: Final = re.compile(r"\{\s*Py_mod_gil\s*,[^{};]*\}\s*,")
_CALL: Final = re.compile(r"PyUnstable_Module_SetGIL\s*\([^;{}]*\)\s*;")
