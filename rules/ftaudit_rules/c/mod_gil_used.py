"""FT302: a module that declares that it needs the GIL."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, GilDeclaration, NoFix, Obstacle, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.text import closing

_MACRO = re.compile(r"\bPYBIND11_\w*MODULE\w*\s*\(|\b[A-Z]\w*MODULE\w*\s*\(")
_USED = re.compile(
    r"\bPy_mod_gil\s*,\s*(?:\([^()]*\)\s*)?Py_MOD_GIL_USED\b|\bPyUnstable_Module_SetGIL\s*\([^;]*?\bPy_MOD_GIL_USED\b"
    r"|\bmod_gil_not_used\s*\(\s*false\s*\)|\bmod_gil_used\s*\(\s*\)"
)
_BY_VERSION = re.compile(r"GIL|VERSION|Py_mod_gil|__cplusplus|_H_?\)?$|PYPY|LIMITED_API", re.IGNORECASE)


class ModGilUsed(CRule):
    """The author declares that the module is not safe without the GIL, and CPython turns the GIL back on for the
    whole process when it imports the module. The declaration is safe, but the process loses free threading."""

    info = RuleInfo(
        code="FT302",
        name="mod-gil-used",
        summary="The module declares Py_MOD_GIL_USED, so importing it turns the GIL back on.",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.1.0",
        asks_to_declare=True,
        remedy=(
            "Audit the module for shared state (use the other rules of this group), then declare Py_MOD_GIL_NOT_USED "
            "(3.13)."
        ),
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://peps.python.org/pep-0703/",
        ),
        declares=GilDeclaration.USED,
    )
    generated = True

    words = ("Py_MOD_GIL_USED", "mod_gil_")
    VALID = (
        SourceExample(
            code="""\
static PyModuleDef_Slot s[] = {
#if PY_VERSION_HEX >= 0x030D0000
  {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
  {0, NULL}};
""",
        ),
        SourceExample(
            code="""\
#ifndef Py_GIL_DISABLED
static PyModuleDef_Slot s[] = {{Py_mod_gil, Py_MOD_GIL_USED}, {0, NULL}};
#endif
""",
        ),
        SourceExample(
            code="""\
PYBIND11_MODULE(ext, m, py::mod_gil_not_used()) { m.def("f", &f); }
""",
            path="ext.cpp",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static PyModuleDef_Slot s[] = {{Py_mod_gil, Py_MOD_GIL_USED}, {0, NULL}};
""",
            lines=(1,),
        ),
        SourceExample(
            code="""\
PyMODINIT_FUNC PyInit_m(void) {
    PyObject *m = PyModule_Create(&def);
#ifdef Py_GIL_DISABLED
    PyUnstable_Module_SetGIL(m, Py_MOD_GIL_USED);
#endif
    return m;
}
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
PYBIND11_MODULE(ext, m, py::mod_gil_not_used(false)) { m.def("f", &f); }
""",
            lines=(1,),
            path="ext.cpp",
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        if not any(word in unit.code for word in ("Py_MOD_GIL_USED", "mod_gil_")):
            return
        for found in _USED.finditer(unit.code):
            if found[0].startswith("mod_gil") and not self._in_module_macro(unit.code, found.start()):
                continue
            configured = [c for c in unit.preprocessed.conditions_at(found.start()) if not _BY_VERSION.search(c)]
            if configured or "?" in found[0]:
                yield self.finding(
                    "the author's configuration may declare this module unsafe without the GIL"
                    + (f" (`#if {configured[-1]}`)" if configured else ""),
                    location=unit.place(found.start()),
                    severity=Severity.INFO,
                    declares=GilDeclaration.UNDETERMINED,
                )
            else:
                yield self.finding(
                    "the author declares this module unsafe without the GIL: importing it turns the GIL back on",
                    location=unit.place(found.start()),
                )

    @staticmethod
    def _in_module_macro(code: str, at: int) -> bool:
        opened = list(_MACRO.finditer(code, max(0, at - 400), at))
        return bool(opened) and closing(code, opened[-1].end() - 1) > at

    def fix(self, unit: CUnit, finding: Finding) -> NoFix:
        """Offer no fix: the author declares that the module needs the GIL."""
        return NoFix(obstacle=Obstacle.AUTHOR_SAYS_USED)
