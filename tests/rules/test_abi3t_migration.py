"""The migration to abi3t: a group of rules that runs on request, and lists work in CPython's order."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.command import ftaudit
from support.freethreaded import interpreter_of

from ftaudit.cpython.stable_abi import outside_abi3t, stable_symbols
from ftaudit.cpython.stable_replacements import REPLACEMENTS, find_replacement
from ftaudit.registry import load_rules
from ftaudit.report.scan.worklist import WorkStep, tasks
from ftaudit.rule import SourceRule
from ftaudit.source.source_files import find_files
from ftaudit.source.tree_scan import ScanResult, scan
from ftaudit.target import parse_target

CODE = """\
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, .m_name = "m"};
static PyObject *size(PyObject *m, PyObject *o) { return PyLong_FromSsize_t(PyList_GET_SIZE(o)); }
PyMODINIT_FUNC PyInit_m(void) { return PyModuleDef_Init(&def); }
"""


def look(folder: Path, files: Mapping[str, str], *, target: str = "3.15t", requested: bool = False) -> ScanResult:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    rules = [rule for rule in load_rules().select() if isinstance(rule, SourceRule)]
    names = {rule.info.name for rule in rules if rule.info.migration} if requested else ()
    return scan(find_files([folder]), rules=rules, target=parse_target(target), jobs=0, requested=names)


def codes(result: ScanResult) -> set[str]:
    return {finding.code for finding in result.findings if finding.code.startswith("FT7")}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.h", "#define Py_LIMITED_API 0x030f0000\n"),
        ("setup.py", 'setup(ext_modules=[Extension("m", ["m.c"], py_limited_api=True)])\n'),
        (
            "setup.py",
            'setup(ext_modules=[Extension("m", ["m.c"], define_macros=[("Py_LIMITED_API", "0x030f0000")])])\n',
        ),
        ("setup.cfg", "[bdist_wheel]\npy_limited_api = cp315\n"),
        ("pyproject.toml", "[tool.meson-python]\nlimited-api = true\n"),
        ("pyproject.toml", '[tool.scikit-build]\nwheel.py-api = "cp312"\n'),
        ("meson.build", "py.extension_module('m', 'm.c', limited_api: '3.15')\n"),
        ("Cargo.toml", '[dependencies]\npyo3 = { version = "0.29", features = ["abi3-py310"] }\n'),
        ("CMakeLists.txt", "target_compile_definitions(m PRIVATE Py_LIMITED_API=0x030F0000)\n"),
    ],
)
def test_a_project_that_asks_for_the_limited_api_gets_the_list_of_work(tmp_path: Path, name: str, text: str) -> None:
    assert codes(look(tmp_path, {"m.c": CODE, name: text})) >= {"FT710", "FT714"}


def test_other_projects_and_older_targets_do_not(tmp_path: Path) -> None:
    assert codes(look(tmp_path, {"m.c": CODE})) == set()
    limited = {"m.c": CODE, "setup.py": 'Extension("m", ["m.c"], py_limited_api=True)\n'}
    assert codes(look(tmp_path, limited, target="3.14t")) == set()
    assert codes(look(tmp_path, limited, target="3.14t", requested=True)) == set()


def test_a_prefix_asks_for_the_group_and_the_order_is_that_of_the_guide(tmp_path: Path) -> None:
    (tmp_path / "m.c").write_text(CODE)
    (tmp_path / "pyproject.toml").write_text('[build-system]\nrequires = ["setuptools"]\n')
    ran = ftaudit("scan", ".", "--select", "FT7", "--target", "3.15t", "--format", "json", cwd=tmp_path)
    found = json.loads(ran.stdout)
    assert ran.returncode == 0, "the list is no fault"
    (step,) = found["order"]
    assert step["step"] == "migrate" and step["findings"] == 4
    assert step["titles"] == ["abi3t-build-tool", "abi3t-module-definition", "abi3t-outside-limited-api"]
    assert found["summary"]["rules"]["abi3t-module-definition"] == 2
    remedies = [finding["remedy"] for finding in found["findings"] if finding["code"] == "FT714"]
    assert remedies == ["Use `PyList_Size`."]


def test_the_work_comes_after_what_breaks(tmp_path: Path) -> None:
    result = look(tmp_path, {"m.c": "#define Py_LIMITED_API 0x030f0000\n#include <Python.h>\n" + CODE})
    assert [task.step for task in tasks(result)][-1] is WorkStep.MIGRATE


def test_no_name_of_the_stable_abi_is_said_to_be_outside() -> None:
    functions = {name for name in stable_symbols() if name.startswith("Py")}
    assert {name for name in functions & outside_abi3t() if stable_symbols()[name] <= (3, 15)} == set()
    assert "Py_GetArgcArgv" not in outside_abi3t(), (
        "the stable ABI has it, and no header of the limited API declares it"
    )
    assert find_replacement("PyTuple_GET_ITEM") == "`PyTuple_GetItem`"
    assert find_replacement("PyDateTime_GET_YEAR") is not None and find_replacement("PyNothing_Known") is None


@pytest.mark.interpreter
def test_every_replacement_is_in_the_headers_that_an_abi3t_build_sees() -> None:
    ask = "import sysconfig; print(sysconfig.get_path('include'))"
    python = interpreter_of("3.15t")
    folder = subprocess.run([python, "-I", "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    command = ["gcc", "-E", "-dD", "-x", "c", "-I", folder, "-DPy_TARGET_ABI3T=0x030f0000", "-"]
    seen = subprocess.run(command, input="#include <Python.h>\n", text=True, check=True, capture_output=True).stdout
    names = set(re.findall(r"\bPy\w+", seen))
    recommended = {name for phrase in REPLACEMENTS.values() for name in re.findall(r"\bPy\w+_\w+", phrase)}
    assert recommended - names == set()
    assert not outside_abi3t() & names
