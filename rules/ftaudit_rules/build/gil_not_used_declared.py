"""FT305: a place where the project declares that it does not use the GIL."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, GilDeclaration, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import BuildRule, Project, Role
from ftaudit_rules.build._declared import declared_not_used


class GilNotUsedDeclared(BuildRule):
    """CPython relies on this declaration. The finding is not a problem: it shows where the project declares this, so
    that you can review the code. `ftaudit plan` uses the same information to predict what a build of the source
    distribution declares.
    """

    info = RuleInfo(
        code="FT305",
        name="gil-not-used-declared",
        summary="The project declares here that its modules do not use the GIL.",
        severity=Severity.INFO,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy=(
            "You do not have to change anything. Check that the code is safe without the GIL: other rules report code "
            "that is not."
        ),
        links=("https://docs.python.org/3.14/howto/free-threading-extensions.html",),
        default=False,
        declares=GilDeclaration.NOT_USED,
    )
    VALID = (
        SourceExample(path="m.c", code="/* {Py_mod_gil, Py_MOD_GIL_NOT_USED} */\nint x;\n"),
        SourceExample(path="m.c", code="#if 0\nSlot s[] = {{Py_mod_gil, Py_MOD_GIL_NOT_USED}};\n#endif\n"),
        SourceExample(path="m.c", code='const char *s = "{Py_mod_gil, Py_MOD_GIL_NOT_USED}";\n'),
        SourceExample(path="m.c", code="// py::mod_gil_not_used()\nSlot s[] = {{Py_mod_gil, Py_MOD_GIL_USED}};\n"),
        SourceExample(path="m.pyx", code="def f(): pass\n# cython: freethreading_compatible=True\n"),
        SourceExample(
            path="src/lib.rs",
            code="// #[pymodule(gil_used = false)]\nfn m() {}\n",
        ),
    )
    INVALID = (
        SourceExample(
            path="m.c",
            code="Slot s[] = {\n#ifdef Py_mod_gil\n    {Py_mod_gil, Py_MOD_GIL_NOT_USED},\n#endif\n    {0}};\n",
            lines=(3,),
        ),
        SourceExample(path="m.cpp", code="PYBIND11_MODULE(m, x, py::mod_gil_not_used()) {}\n", lines=(1,)),
        SourceExample(path="m.pyx", code="# cython: freethreading_compatible=True\ndef f(): pass\n", lines=(1,)),
        SourceExample(
            path="setup.py",
            code="setup(ext_modules=cythonize(['m.pyx'], compiler_directives={'freethreading_compatible': True}))\n",
            others=(("m.pyx", "def f(): pass\n"),),
            lines=(1,),
        ),
        SourceExample(
            path="CMakeLists.txt",
            code="find_package(nanobind)\nnanobind_add_module(m FREE_THREADED m.cpp)\n",
            lines=(2,),
        ),
        SourceExample(
            path="src/lib.rs",
            code="#[pymodule(gil_used = false)]\nfn m(m: &Bound<PyModule>) -> PyResult<()> { Ok(()) }\n",
            lines=(1,),
        ),
        SourceExample(
            path="src/lib.rs",
            code="#[pymodule]\nfn m(m: &Bound<PyModule>) -> PyResult<()> { Ok(()) }\n",
            others=(("Cargo.toml", '[dependencies]\npyo3 = "0.28"\n'),),
            lines=(1,),
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        """Yield each place of the project's own code."""
        for path, line in declared_not_used(project):
            if project.roles.get(path, Role.OWN) in (Role.OWN, Role.GENERATED):
                yield self.finding(
                    "the project declares here that it does not use the GIL", location=project.location(path, line)
                )
