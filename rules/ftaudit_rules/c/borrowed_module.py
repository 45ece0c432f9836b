"""FT314: a module from `sys.modules` that is used through a borrowed reference."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Fix, NoFix, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit, api
from ftaudit.source.c.owned_references import own_reference


class BorrowedModule(CRule):
    """`PyImport_AddModule` returns a borrowed reference to the module. Without the GIL another thread can remove the
    module from `sys.modules` before the code uses it. Creating a missing module is not atomic either (cpython
    gh-137422)."""

    info = RuleInfo(
        code="FT314",
        name="borrowed-module",
        summary="`PyImport_AddModule` returns a borrowed reference to a module that another thread can remove.",
        severity=Severity.INFO,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Use `PyImport_AddModuleRef` (Python 3.13), and release the reference.",
        links=("https://docs.python.org/3.14/howto/free-threading-extensions.html",),
        silenced_by=("borrowed-ref",),
    )
    words = api.MODULES
    VALID = (
        SourceExample(
            code="""\
static PyObject *get(void) { return PyImport_AddModuleRef("pkg.sub"); }
""",
            instead=True,
        ),
        SourceExample(
            code="""\
PyMODINIT_FUNC PyInit_m(void) { PyObject *m = PyImport_AddModule("m"); return m; }
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static PyObject *get(void) { PyObject *m = PyImport_AddModule("pkg.sub"); return Py_XNewRef(m); }
""",
            lines=(1,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for call in unit.calls(*api.MODULES):
            if (
                call.function is None
                or unit.at_import(call.function)
                or call.function.short_name.endswith("AddModuleRef")
            ):
                continue
            yield self.finding(
                f"`{call.name}` returns a borrowed reference to a module that another thread can remove",
                location=unit.place(call.start),
            )

    def fix(self, unit: CUnit, finding: Finding) -> Fix | NoFix:
        """Take a strong reference, and release it on every path."""
        return own_reference(unit, finding)
