"""FT410: a pybind11 module that does not declare that it runs without the GIL."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Fix, GilDeclaration, NoFix, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.module_declaration import declare_in_macro
from ftaudit.source.c.text import closing

_DECLARES = re.compile(r"\bmod_gil_(?:not_)?used\b")
_NAMES = ("PYBIND11_MODULE", "PYBIND11_EMBEDDED_MODULE", "PYBIND11_PLUGIN")


class Pybind11MissingModGilNotUsed(CRule):
    """pybind11 declares that a module needs the GIL unless you pass the option, so importing the module turns the GIL
    back on for the whole process."""

    info = RuleInfo(
        code="FT410",
        name="pybind11-missing-mod-gil-not-used",
        summary=(
            "`PYBIND11_MODULE` has no `py::mod_gil_not_used()` argument, so importing the module turns the GIL back on."
        ),
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.1.0",
        asks_to_declare=True,
        remedy=(
            "Once the module is safe without the GIL, write `PYBIND11_MODULE(name, m, py::mod_gil_not_used())` "
            "(pybind11 2.13 or later)."
        ),
        links=("https://pybind11.readthedocs.io/en/stable/advanced/misc.html",),
        declares=GilDeclaration.UNDECLARED,
    )
    words = ("PYBIND11_",)
    VALID = (
        SourceExample(
            code="""\
PYBIND11_MODULE(ext, m, py::mod_gil_not_used()) { m.def("f", &f); }
""",
            path="ext.cpp",
            instead=True,
        ),
        SourceExample(
            code="""\
PYBIND11_MODULE(ext, m, py::mod_gil_used()) { m.def("f", &f); }
""",
            path="ext.cpp",
        ),
        SourceExample(
            code="""\
#if PYBIND11_VERSION_HEX >= 0x020D00F0
PYBIND11_MODULE(ext, m, py::mod_gil_not_used()) { build(m); }
#else
PYBIND11_MODULE(ext, m) { build(m); }
#endif
""",
            path="ext.cpp",
        ),
        SourceExample(
            code="""\
#define MODULE(name, m, ...) PYBIND11_MODULE(name, m, __VA_ARGS__)
MODULE(ext, m, py::mod_gil_not_used()) { m.def("f", &f); }
""",
            path="ext.cpp",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
#include <pybind11/pybind11.h>
PYBIND11_MODULE(ext, m) { m.def("f", &f); }
""",
            lines=(2,),
            path="ext.cpp",
        ),
        SourceExample(
            code="""\
#define MODULE(name, m, ...) PYBIND11_MODULE(name, m, ##__VA_ARGS__)
MODULE(ext, m) { m.def("f", &f); }
""",
            lines=(2,),
            path="ext.cpp",
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        if "PYBIND11_" not in unit.text:
            return
        wrappers = [
            name
            for name, macro in unit.preprocessed.macros.items()
            if macro.parameters
            and any(n in macro.body for n in _NAMES)
            and "mod_gil" not in macro.body
            and name not in _NAMES
        ]
        pattern = re.compile(r"^[ \t]*(" + "|".join(map(re.escape, [*_NAMES, *wrappers])) + r")\s*\(", re.MULTILINE)
        for found in pattern.finditer(unit.code):
            end = closing(unit.code, found.end() - 1)
            if end < 0 or not re.compile(r"\s*\{").match(unit.code, end + 1):
                continue
            if _DECLARES.search(unit.code, found.end(), end) or _other_branch_declares(unit, found, end):
                continue
            yield self.finding(
                f"`{found[1]}` has no `py::mod_gil_not_used()` argument: importing the module turns the GIL back on",
                location=unit.place(found.start(1)),
            )

    def fix(self, unit: CUnit, finding: Finding) -> Fix | NoFix:
        """Add the argument that declares it to the macro."""
        return declare_in_macro(unit, finding, "pybind11::mod_gil_not_used()")


def _other_branch_declares(unit: CUnit, found: re.Match[str], end: int) -> bool:
    """Return whether a second declaration of the same module, for other pybind11 versions, has the argument."""
    name = unit.code[found.end() : end].partition(",")[0].strip()
    again = re.compile(rf"^[ \t]*{found[1]}\s*\(\s*{re.escape(name)}\s*,", re.MULTILINE)
    return any(
        _DECLARES.search(unit.code, other.end(), closing(unit.code, unit.code.index("(", other.start())))
        for other in again.finditer(unit.code)
        if other.start() != found.start() and closing(unit.code, unit.code.index("(", other.start())) > 0
    )
