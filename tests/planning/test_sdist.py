"""What an sdist's text says of a build: nothing is claimed of what says nothing."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from ftaudit.model import GilDeclaration
from ftaudit.planning.sdist import find_declaration

PYMODULE = "#[pymodule]\nfn m() {}\n"
FOR_ALL = "cythonize(x, compiler_directives={'freethreading_compatible': True})"
HOOK = "PyMODINIT_FUNC PyInit_m(void) { return PyModuleDef_Init(&m); }\n"
SLOT = "{Py_mod_gil, Py_MOD_GIL_NOT_USED},\n"


def pyo3(version: str) -> str:
    return f'[[package]]\nname = "pyo3"\nversion = "{version}"\n'


def found(folder: Path, files: dict[str, str]) -> GilDeclaration:
    path = folder / "demo-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"demo-1.0/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return find_declaration(path)[0]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"README.md": "Py_MOD_GIL_NOT_USED"}, GilDeclaration.UNDETERMINED),
        ({"tests/m.c": HOOK + SLOT}, GilDeclaration.UNDETERMINED),
        ({"m.c": HOOK}, GilDeclaration.UNDECLARED),
        ({"m.c": HOOK, "tests/n.c": HOOK + SLOT}, GilDeclaration.UNDECLARED),
        ({"m.c": HOOK + SLOT, "n.c": HOOK}, GilDeclaration.UNDETERMINED),
        ({"m.pyx": "cdef int x\n"}, GilDeclaration.UNDECLARED),
        ({"m.pyx": "# cython: freethreading_compatible = False\n"}, GilDeclaration.USED),
        ({"src/lib.rs": "#[pymodule]\nfn m() {}\n"}, GilDeclaration.UNDECLARED),
        ({"src/lib.rs": "#[pymodule(gil_used = true)]\nfn m() {}\n"}, GilDeclaration.USED),
        ({"m.c": HOOK + SLOT}, GilDeclaration.NOT_USED),
        ({"m.pyx": "# cython: freethreading_compatible = True\n"}, GilDeclaration.NOT_USED),
        (
            {
                "m.pyx": "cdef int x\n",
                "setup.py": FOR_ALL,
            },
            GilDeclaration.NOT_USED,
        ),
        ({"setup.py": 'directives["freethreading_compatible"] = True\n'}, GilDeclaration.NOT_USED),
        ({"m.cpp": "PYBIND11_MODULE(m, x, py::mod_gil_not_used()) {}"}, GilDeclaration.NOT_USED),
        ({"src/lib.rs": "#[pymodule(gil_used = false)]\nfn m() {}\n"}, GilDeclaration.NOT_USED),
        (
            {
                "src/lib.rs": "#[pymodule]\nfn m() {}\n",
                "Cargo.lock": pyo3("0.28.2"),
            },
            GilDeclaration.NOT_USED,
        ),
        (
            {
                "src/lib.rs": "#[pymodule]\nfn m() {}\n",
                "Cargo.lock": pyo3("0.27.2"),
            },
            GilDeclaration.UNDECLARED,
        ),
    ],
)
def test_the_worst_of_the_modules_counts(tmp_path: Path, files: dict[str, str], expected: GilDeclaration) -> None:
    assert found(tmp_path, files) is expected


def test_what_cython_compiles_without_a_word_is_told(tmp_path: Path) -> None:
    assert found(tmp_path, {"setup.py": "setup(ext_modules=cythonize(['m.py']))"}) is GilDeclaration.UNDETERMINED
    _, evidence = find_declaration(tmp_path / "demo-1.0.tar.gz")
    assert "setup.py has Cython compile modules" in evidence[0]


def test_an_archive_that_is_none_is_undetermined_and_named(tmp_path: Path) -> None:
    broken = tmp_path / "demo-1.0.tar.gz"
    broken.write_bytes(b"\x1f\x8b\x08 this is no archive")
    declaration, evidence = find_declaration(broken)
    assert declaration is GilDeclaration.UNDETERMINED and "demo-1.0.tar.gz" in evidence[0]


def test_a_zip_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "demo-1.0.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("demo-1.0/m.c", HOOK + SLOT)
    assert find_declaration(path)[0] is GilDeclaration.NOT_USED
