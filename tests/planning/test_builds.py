"""The declaration of an sdist's build: `plan` reports what `scan` finds, and makes no claim without evidence."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command import check, ftaudit
from support.compiled import PLATFORM
from support.index_server import IndexServer, ServedFile

from ftaudit.registry import load_rules

HOOK = "PyMODINIT_FUNC PyInit_m(void) { return PyModuleDef_Init(&m); }\n"
SLOT = "static PyModuleDef_Slot s[] = {{Py_mod_gil, Py_MOD_GIL_NOT_USED}, {0, NULL}};\n"
USED = "static PyModuleDef_Slot s[] = {{Py_mod_gil, Py_MOD_GIL_USED}, {0, NULL}};\n"
PYMODULE = "#[pymodule]\nfn m(m: &Bound<PyModule>) -> PyResult<()> { Ok(()) }\n"
CYTHONIZE = "setup(ext_modules=cythonize(['m.pyx']{}))\n"
DIRECTIVE = ", compiler_directives={'freethreading_compatible': True}"
ENTRY_MACRO = "#define MY_MODULE_INIT(name) PyMODINIT_FUNC PyInit_##name(void)\n"
HAVE_FT = "#ifdef Py_GIL_DISABLED\n#define HAVE_FT 1\n#endif\n"
NANOBIND = "find_package(nanobind)\nnanobind_add_module(m {}m.cpp)\n"


def pyo3(version: str) -> dict[str, str]:
    """Return the files that name the PyO3 version of a crate."""
    lock = f'[[package]]\nname = "pyo3"\nversion = "{version}"\n'
    return {"Cargo.toml": f'[dependencies]\npyo3 = "{version}"\n', "Cargo.lock": lock}


CASES: dict[str, tuple[dict[str, str], str]] = {
    "slot": ({"m.c": SLOT + HOOK}, "not_used"),
    "slot-behind-ifdef": ({"m.c": f"#ifdef Py_GIL_DISABLED\n{SLOT}#endif\n{HOOK}"}, "not_used"),
    "in-a-comment": ({"m.c": f"/* {SLOT.strip()} */\n{HOOK}"}, "undeclared"),
    "in-a-line-comment": ({"m.c": f"// {SLOT}{HOOK}"}, "undeclared"),
    "under-if-0": ({"m.c": f"#if 0\n{SLOT}#endif\n{HOOK}"}, "undeclared"),
    "in-a-string": ({"m.c": f'static const char *doc = "Py_mod_gil, Py_MOD_GIL_NOT_USED";\n{HOOK}'}, "undeclared"),
    "in-another-file": ({"m.c": HOOK, "unused.c": SLOT}, "undeclared"),
    "in-a-test": ({"m.c": HOOK, "tests/n.c": SLOT + HOOK}, "undeclared"),
    "only-in-the-readme": ({"README.md": "Py_MOD_GIL_NOT_USED", "x.py": "x = 1\n"}, "undetermined"),
    "silent": ({"m.c": HOOK}, "undeclared"),
    "used": ({"m.c": USED + HOOK}, "used"),
    "one-of-two": ({"m.c": SLOT + HOOK, "n.c": HOOK.replace("PyInit_m", "PyInit_n")}, "undeclared"),
    "silenced": ({"m.c": HOOK.replace("{ ret", "{  // ftaudit: ignore\n ret")}, "undeclared"),
    "pyx-silent": ({"m.pyx": "cdef int x\n"}, "undeclared"),
    "pyx-no": ({"m.pyx": "# cython: freethreading_compatible = False\n"}, "used"),
    "pyx-yes": ({"m.pyx": "# cython: freethreading_compatible = True\n"}, "not_used"),
    "pyx-too-late": ({"m.pyx": "x = 1\n# cython: freethreading_compatible = True\n"}, "undeclared"),
    "pyx-by-the-build": ({"m.pyx": "cdef int x\n", "setup.py": CYTHONIZE.format(DIRECTIVE)}, "not_used"),
    "pyx-in-a-comment": ({"m.pyx": "x = 1\n", "setup.py": f"# {DIRECTIVE}\n{CYTHONIZE.format('')}"}, "undeclared"),
    "pybind11": ({"m.cpp": "PYBIND11_MODULE(m, x, py::mod_gil_not_used()) {}\n"}, "not_used"),
    "pybind11-silent": ({"m.cpp": "PYBIND11_MODULE(m, x) {}\n"}, "undeclared"),
    "pybind11-in-a-comment": ({"m.cpp": "PYBIND11_MODULE(m, x /* , py::mod_gil_not_used() */) {}\n"}, "undeclared"),
    "pybind11-no": ({"m.cpp": "PYBIND11_MODULE(m, x, py::mod_gil_not_used(false)) {}\n"}, "used"),
    "nanobind": ({"m.cpp": "NB_MODULE(m, x) {}\n", "CMakeLists.txt": NANOBIND.format("FREE_THREADED ")}, "not_used"),
    "nanobind-silent": ({"m.cpp": "NB_MODULE(m, x) {}\n", "CMakeLists.txt": NANOBIND.format("")}, "undeclared"),
    "pyo3-old": ({"src/lib.rs": PYMODULE, **pyo3("0.27.2")}, "undeclared"),
    "pyo3-new": ({"src/lib.rs": PYMODULE, **pyo3("0.28.2")}, "not_used"),
    "pyo3-yes": ({"src/lib.rs": PYMODULE.replace("e]", "e(gil_used = false)]"), **pyo3("0.25.0")}, "not_used"),
    "pyo3-no": ({"src/lib.rs": PYMODULE.replace("e]", "e(gil_used = true)]"), **pyo3("0.28.2")}, "used"),
    "mypyc": ({"setup.py": "from mypyc.build import mypycify\nsetup(ext_modules=mypycify(['m.py']))\n"}, "not_used"),
    "entry-macro-in-a-header": (
        {"m.c": "#include <m.h>\nMY_MODULE_INIT(m) { return make(&m); }\n", "m.h": ENTRY_MACRO, "other.c": "int x;\n"},
        "undeclared",
    ),
    "slot-behind-a-macro-of-a-header": (
        {"m.c": f"#ifdef HAVE_FT\n{SLOT}#endif\n{HOOK}", "m.h": HAVE_FT, "other.c": "int x;\n"},
        "not_used",
    ),
    "slot-without-the-macro-of-a-header": (
        {"m.c": f"#ifndef HAVE_FT\n{SLOT}#endif\n{HOOK}", "m.h": HAVE_FT, "other.c": "int x;\n"},
        "undeclared",
    ),
    "slot-in-what-is-vendored": ({"m.c": HOOK, "vendor/n.c": SLOT + HOOK}, "undeclared"),
    "unreadable-beside-a-slot": ({"m.c": SLOT + HOOK, "n.c": "{" * 40 + "\0"}, "undetermined"),
}


def sdist(name: str, files: dict[str, str]) -> ServedFile:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{name}-1.0/{path}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return ServedFile(filename=f"{name}-1.0.tar.gz", data=buffer.getvalue())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder with a requirement for every case, one project each, and the settings of their index."""
    folder = tmp_path_factory.mktemp("plan")
    with IndexServer() as server:
        for name, (files, _) in CASES.items():
            server.add_project(name, [sdist(name.replace("-", "_"), files)])
        (folder / "r.txt").write_text("".join(f"{name}==1.0\n" for name in CASES))
        (folder / "ftaudit.toml").write_text(f'index-url = "{server.simple_url}"\nplatform = ["{PLATFORM}"]\n')
        yield folder


@pytest.fixture(scope="module")
def ways(folder: Path) -> dict[str, dict[str, object]]:
    """Return the answer of `plan` for every case, by its name."""
    ran = ftaudit("plan", "--static", "--no-deps", "--format", "json", "r.txt", cwd=folder)
    assert ran.returncode == 1, ran.stderr
    return {way["name"]: way for way in json.loads(ran.stdout)["ways"]}


def test_check_says_the_same_of_a_build(folder: Path) -> None:
    said = check("--static", "--no-deps", "r.txt", cwd=folder)
    blocked = {name for name, verdict in said.verdicts.items() if verdict == "source-only"}
    assert len(blocked) >= len(CASES) - 1
    would = {
        "not_used": "would leave the GIL off",
        "used": "would turn the GIL on",
        "undeclared": "would turn the GIL on",
    }
    wrong = {}
    for name in blocked:
        declares, told = CASES[name][1], said.reasons(name)
        named = (
            f"a build from source "
            f"{would.get(declares, 'may or may not leave the GIL off')}: {name.replace('-', '_')}-1.0"
        )
        if (named in told) is (name == "only-in-the-readme") or ("a build from source" in told) is not (named in told):
            wrong[name] = told
    assert wrong == {}
    assert "m.c:1" in said.reasons("silent")


@pytest.mark.parametrize("name", CASES)
def test_plan_says_of_a_build_what_the_source_declares(ways: dict[str, dict[str, object]], name: str) -> None:
    source = ways[name]["source"]
    assert isinstance(source, dict)
    assert source["would_declare"] == CASES[name][1], source["evidence"]


@pytest.mark.parametrize("name", CASES)
def test_plan_and_scan_agree_on_an_sdist(ways: dict[str, dict[str, object]], name: str, tmp_path: Path) -> None:
    served = sdist(name.replace("-", "_"), CASES[name][0])
    (tmp_path / served.filename).write_bytes(served.data)
    ran = ftaudit("scan", served.filename, "--format", "json", "--quiet", "--no-cache", cwd=tmp_path)
    document = json.loads(ran.stdout)
    declare = {rule.info.code: rule.info.declares for rule in load_rules().rules if rule.info.declares is not None}
    shown = [row for row in document["findings"] if row["code"] in declare and declare[row["code"]] != "not_used"]
    source = ways[name]["source"]
    assert isinstance(source, dict)
    turns_on = source["would_declare"] in ("used", "undeclared")
    assert turns_on == (bool(shown) or name == "silenced"), "a comment that silences a finding declares nothing"


def test_an_archive_that_is_not_one_is_undetermined_and_named(tmp_path: Path) -> None:
    way = _way(tmp_path, ServedFile(filename="demo-1.0.tar.gz", data=b"\x1f\x8b\x08 this is no archive"))
    assert way["would_declare"] == "undetermined" and "demo-1.0.tar.gz" in way["evidence"][0]


def test_a_zip_is_read_too(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("demo-1.0/m.c", SLOT + HOOK)
    way = _way(tmp_path, ServedFile(filename="demo-1.0.zip", data=buffer.getvalue()))
    assert way["would_declare"] == "not_used" and "demo-1.0/m.c:1" in way["evidence"][0]


def _way(folder: Path, file: ServedFile) -> dict[str, list[str]]:
    with IndexServer() as server:
        server.add_project("demo", [file])
        (folder / "r.txt").write_text("demo==1.0\n")
        words = ["plan", "--static", "--no-deps", "--platform", PLATFORM, "--index-url", server.simple_url]
        ran = ftaudit(*words, "--format", "json", "r.txt", cwd=folder)
        found: dict[str, list[str]] = json.loads(ran.stdout)["ways"][0]["source"]
        return found
