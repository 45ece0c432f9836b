"""C that Cython generated, as it is: it speaks for its module only where the tree does not hold the module's source."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest
from Cython.Compiler.Main import CompilationOptions, compile

from ftaudit.engine.sdist_declarations import judge_scan
from ftaudit.model import GilDeclaration
from ftaudit.registry import load_rules
from ftaudit.rule import SourceRule
from ftaudit.source.source_files import find_files
from ftaudit.source.tree_scan import ScanResult, scan
from ftaudit.target import parse_target

SETUP = "from setuptools import Extension, setup\nsetup(name='m', ext_modules=[Extension('m', [{sources}])])\n"
DIRECTIVE = "# cython: freethreading_compatible=True\n"
DECLARED = """\
static PyModuleDef_Slot slots[] = {{Py_mod_gil, Py_MOD_GIL_NOT_USED}, {0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, .m_name = "own", .m_slots = slots};
PyMODINIT_FUNC PyInit_own(void) { return PyModuleDef_Init(&def); }
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "setup.py").write_text(SETUP.format(sources="'m.c'"))
    (tmp_path / "own.c").write_text(DECLARED)
    return tmp_path


def generate(folder: Path, directive: str) -> Path:
    """Write a Cython module and the C file that Cython makes of it; return the former."""
    source = folder / "m.pyx"
    source.write_text(f"{directive}def f(int x):\n    return x + 1\n")
    with contextlib.redirect_stdout(io.StringIO()):
        assert compile([str(source)], CompilationOptions(language_level=3)).num_errors == 0
    return source


def scanned(folder: Path) -> ScanResult:
    """Return what the rules about declarations find."""
    rules = tuple(
        rule for rule in load_rules().rules if isinstance(rule, SourceRule) and rule.info.declares is not None
    )
    found = find_files([folder], trust_git=False, base=folder)
    return scan(found, rules=rules, target=parse_target("3.14t"), jobs=0)


@pytest.mark.parametrize(
    ("directive", "declares"),
    [("", GilDeclaration.USED), (DIRECTIVE, GilDeclaration.NOT_USED)],
    ids=["without", "with"],
)
def test_generated_c_without_its_source_says_what_a_build_declares(
    tree: Path, directive: str, declares: GilDeclaration
) -> None:
    generate(tree, directive).unlink()
    result = scanned(tree)
    assert judge_scan("m-1.0.tar.gz", result).declares is declares
    found = {finding.code for finding in result.findings if str(finding.location).startswith("m.c")}
    assert found == ({"FT302"} if declares is GilDeclaration.USED else {"FT305"})


def test_the_source_speaks_where_the_tree_has_both(tree: Path) -> None:
    generate(tree, "")
    (finding,) = [each for each in scanned(tree).findings if each.code != "FT305"]
    assert (finding.code, str(finding.location)) == ("FT401", "m.pyx:1")


def test_the_macro_that_the_build_defines_decides(tree: Path) -> None:
    generate(tree, "").unlink()
    macros = "'m.c'], define_macros=[('CYTHON_FREETHREADING_COMPATIBLE', '1')"
    (tree / "setup.py").write_text(SETUP.format(sources=macros))
    assert {finding.code for finding in scanned(tree).findings} == {"FT305"}


def test_the_build_speaks_where_it_runs_f2py_again(tree: Path) -> None:
    (tree / "m.c").write_text(
        "/* File: mmodule.c\n * This file is auto-generated with f2py (version:2.2.6). */\n"
        "PyMODINIT_FUNC PyInit_m(void) { return PyModule_Create(&def); }\n"
    )
    assert {finding.code for finding in scanned(tree).findings} == {"FT301", "FT305"}
    (tree / "meson.build").write_text(
        "custom_target(output : 'm.c', input : 'm.f90', command : [py3, '-m', 'numpy.f2py', '@INPUT@', '-m', 'm'])\n"
    )
    assert {finding.code for finding in scanned(tree).findings} == {"FT470", "FT305"}
