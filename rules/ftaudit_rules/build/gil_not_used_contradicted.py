"""FT304: a project that declares itself safe without the GIL while an error-level hazard remains in its code."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import BuildRule, Project, Role, Room
from ftaudit.source.c import CTree
from ftaudit_rules.build._declared import declared_not_used
from ftaudit_rules.c.borrowed_weakref import BorrowedWeakref
from ftaudit_rules.rust.rust_unsync_state import RustUnsyncState

_HAZARDS = ("FT31", "FT32", "FT33", "FT34", "FT35", "FT36", "FT377", "FT431")
_HAZARD = "static void use(PyObject *r) { PyObject *o = PyWeakref_GetObject(r); if (o != Py_None) call(o); }\n"


class GilNotUsedContradicted(BuildRule):
    """The declaration is a promise: CPython leaves the GIL off because of it. If the code still relies on the GIL, the
    module can crash, although it would merely be slower with the GIL."""

    info = RuleInfo(
        code="FT304",
        name="gil-not-used-contradicted",
        summary="A module declares `Py_MOD_GIL_NOT_USED`, but the project's code has findings with the severity error.",
        severity=Severity.ERROR,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Fix these findings, or remove the declaration until they are fixed.",
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://peps.python.org/pep-0703/",
        ),
        about_package=True,
    )
    companions = (BorrowedWeakref(), RustUnsyncState())
    VALID = (
        SourceExample(
            path="m.c",
            code="static PyModuleDef_Slot s[] = {{Py_mod_gil, Py_MOD_GIL_NOT_USED}, {0, NULL}};\n"
            "PyMODINIT_FUNC PyInit_m(void) { return PyModuleDef_Init(&def); }\n",
            others=(("other.c", _HAZARD + "PyMODINIT_FUNC PyInit_other(void) { return PyModule_Create(&other); }\n"),),
        ),
        SourceExample(
            path="src/lib.rs",
            code="#[pymodule]\nfn m(m: &Bound<PyModule>) -> PyResult<()> { Ok(()) }\n",
            others=(("Cargo.toml", '[dependencies]\npyo3 = "0.25"\n'), ("src/glue.c", _HAZARD)),
        ),
        SourceExample(
            path="m.c",
            code="static PyModuleDef_Slot s[] = {{Py_mod_gil, Py_MOD_GIL_NOT_USED}, {0, NULL}};\n",
        ),
    )

    INVALID = (
        SourceExample(
            path="m.c",
            code="static PyModuleDef_Slot s[] = {{Py_mod_gil, Py_MOD_GIL_NOT_USED}, {0, NULL}};\n",
            others=(("other.c", _HAZARD),),
            lines=(1,),
        ),
        SourceExample(
            path="m.pyx",
            code="# cython: freethreading_compatible=True\ncdef extern from 'other.h':\n    void work()\n",
            others=(("other.c", _HAZARD),),
            lines=(1,),
        ),
        SourceExample(
            path="src/lib.rs",
            code="#[pymodule(gil_used = false)]\nfn m(m: &Bound<PyModule>) -> PyResult<()> { Ok(()) }\n",
            others=(
                (
                    "src/cache.rs",
                    "use pyo3::prelude::*;\nstatic mut CACHE: Option<u32> = None;\n"
                    "fn get() -> u32 { unsafe { *CACHE.get_or_insert_with(work) } }\n",
                ),
            ),
            lines=(1,),
        ),
        SourceExample(
            path="src/lib.rs",
            code="#[pymodule]\nfn m(m: &Bound<PyModule>) -> PyResult<()> { Ok(()) }\n",
            others=(("Cargo.toml", '[dependencies]\npyo3 = "0.28"\n'), ("src/glue.c", _HAZARD)),
            lines=(1,),
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        """Yield one finding, at the first declaration, when errors of the project's own C, C++ or Rust code remain."""
        declared = [place for place in declared_not_used(project) if project.roles.get(place[0], Role.OWN) is Role.OWN]
        modules = project.context.of(Room.C, CTree).entries
        promised = {path for path, _ in declared}
        hazards = [
            finding
            for finding in project.findings
            if finding.severity is Severity.ERROR
            and finding.code.startswith(_HAZARDS)
            and finding.location is not None
            and project.roles.get(finding.location.path, Role.OWN) is Role.OWN
            # Another module of the project, which has no declaration itself, does not contradict this one.
            and (finding.location.path not in modules or finding.location.path in promised)
        ]
        if not declared or not hazards:
            return
        path, line = declared[0]
        first = hazards[0]
        more = f" and {len(hazards) - 1} more" if len(hazards) > 1 else ""
        others = len({other for other, _ in declared} - {path})
        also = f" (also in {others} other file{'s' if others > 1 else ''})" if others else ""
        yield self.finding(
            (
                f"the module is declared safe without the GIL{also}, but `{first.rule}` at {first.location}{more} "
                "contradicts the declaration"
            ),
            location=project.location(path, line),
        )
