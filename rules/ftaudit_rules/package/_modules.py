"""How rules describe an extension module: what built it, how it was read, and what its authors can do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from ftaudit.model import ExtensionModule, GilDeclaration, ModuleBinary, PackageFacts

REMEDIES: Final = {
    "cython": "Compile with the Cython directive `freethreading_compatible=True` (Cython 3.1 or later).",
    "pybind11": "Write `PYBIND11_MODULE(name, m, py::mod_gil_not_used())` (pybind11 2.13 or later).",
    "nanobind": "Pass `FREE_THREADED` to `nanobind_add_module` (nanobind 2.2 or later).",
    "pyo3": "Write `#[pymodule(gil_used = false)]` (PyO3 0.23 or later; the default since 0.28).",
    "mypyc": "Compile with mypyc from mypy 2.3 or later, for the free-threaded build.",
    "cffi": "Generate the module with cffi 2.0 or later.",
    "f2py": "Generate the wrapper with `f2py --freethreading-compatible` (NumPy 2.1 or later).",
    "pythran": "Compile with a version of Pythran that makes this declaration, for the free-threaded build.",
    "swig": "Generate with SWIG 4.4 or later, or call `PyUnstable_Module_SetGIL` in the `%init` block.",
    "boost.python": "Write `BOOST_PYTHON_MODULE(name, boost::python::mod_gil_not_used())` (Boost 1.91 or later).",
}
"""By framework in lower case. Each project's own documentation says so."""
PLAIN: Final = (
    "Add `{Py_mod_gil, Py_MOD_GIL_NOT_USED}` to the module's slots, or call "
    "`PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED)` after `PyModule_Create`, under `#ifdef Py_GIL_DISABLED`."
)
AUDIT_FIRST: Final = "First make sure that the code is safe without the GIL."

TURNS_ON: Final = frozenset({GilDeclaration.USED, GilDeclaration.UNDECLARED})


def remedy(binary: ModuleBinary) -> str:
    """Return what the module's authors can do, in terms of their framework."""
    return f"{AUDIT_FIRST} {REMEDIES.get((binary.framework or '').lower(), PLAIN)}"


def made_with(binary: ModuleBinary) -> str:
    """Return ` (Cython 3.1.2)`, or nothing if the framework is unknown."""
    if binary.framework is None:
        return ""
    return f" ({binary.framework} {binary.framework_version})" if binary.framework_version else f" ({binary.framework})"


def runtime_says_off(module: ExtensionModule) -> bool:
    """Return whether an import showed that the module leaves the GIL off: that answer overrides the binary's."""
    return module.runtime is not None and module.runtime.imported and module.runtime.requires_gil is False


def that_declare(facts: PackageFacts, declaration: GilDeclaration) -> Iterator[tuple[str, str, str, str]]:
    """Yield name, framework, reading and remedy of each module with this declaration that no import contradicts."""
    for module in facts.modules:
        binary = module.binary
        if binary is not None and binary.declaration is declaration and not runtime_says_off(module):
            yield module.name, made_with(binary), binary.how, remedy(binary)


def named(modules: Iterable[ExtensionModule], most: int = 5) -> str:
    """Return the names of the modules; only the first few if there are many."""
    names = [module.name for module in modules]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
