"""FT461: a Boost.Python module that does not declare that it runs without the GIL."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Fix, GilDeclaration, NoFix, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.module_declaration import declare_in_macro
from ftaudit.source.c.text import closing

_MODULE = re.compile(r"^[ \t]*(BOOST_PYTHON_MODULE)\s*\(", re.MULTILINE)


class BoostPythonModGil(CRule):
    """From Boost 1.91 on, Boost.Python declares that a module needs the GIL unless you pass the option. Earlier
    releases declare nothing, which has the same effect. Importing the module turns the GIL back on for the whole
    process."""

    info = RuleInfo(
        code="FT461",
        name="boost-python-mod-gil",
        summary=(
            "`BOOST_PYTHON_MODULE` has no `boost::python::mod_gil_not_used()` argument, so importing the module turns "
            "the GIL back on."
        ),
        severity=Severity.ERROR,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        asks_to_declare=True,
        remedy=(
            "Once the module is safe without the GIL, write `BOOST_PYTHON_MODULE(name, "
            "boost::python::mod_gil_not_used())` (Boost 1.91 or later)."
        ),
        links=(
            "https://www.boost.org/doc/libs/release/libs/python/doc/html/index.html",
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
        ),
        declares=GilDeclaration.UNDECLARED,
    )
    words = ("BOOST_PYTHON_MODULE",)
    VALID = (
        SourceExample(
            code="""\
BOOST_PYTHON_MODULE(ext, boost::python::mod_gil_not_used()) { def("f", f); }
""",
            path="ext.cpp",
            instead=True,
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
#include <boost/python.hpp>
BOOST_PYTHON_MODULE(ext) { def("f", f); }
""",
            lines=(2,),
            path="ext.cpp",
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        if "BOOST_PYTHON_MODULE" not in unit.code or "PyUnstable_Module_SetGIL" in unit.code:
            return
        for found in _MODULE.finditer(unit.code):
            end = closing(unit.code, found.end() - 1)
            if end < 0 or "mod_gil" in unit.code[found.end() : end]:
                continue
            yield self.finding(
                (
                    "`BOOST_PYTHON_MODULE` has no `mod_gil_not_used()` argument: importing the module turns the GIL "
                    "back on"
                ),
                location=unit.place(found.start(1)),
            )

    def fix(self, unit: CUnit, finding: Finding) -> Fix | NoFix:
        """Add the argument that declares it to the macro."""
        return declare_in_macro(unit, finding, "boost::python::mod_gil_not_used()")
