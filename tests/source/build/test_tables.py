"""The facts of build configuration, Meson, CMake and CI files."""

from __future__ import annotations

import pytest

from ftaudit.rule import Language
from ftaudit.source.base import ParseError, SourceFile
from ftaudit.source.build import READER, BuildContext, FactKind
from ftaudit.target import parse_target


def context(files: dict[str, str]) -> BuildContext:
    surveys = {}
    for path, text in files.items():
        source = SourceFile(path=path, language=Language.BUILD, text=text, target=parse_target("3.14t"))
        if (survey := READER.survey(source)) is not None:
            surveys[path] = survey
    return READER.gather(surveys)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("pyproject.toml", "[build-system\n"),
        ("pyproject.toml", "a = " + "[" * 5_000 + "\n"),
        ("Cargo.toml", "[dependencies\n"),
        ("Cargo.lock", "= 1\n"),
        ("setup.cfg", "no section\n"),
    ],
)
def test_a_broken_table_is_said_to_be_broken(path: str, text: str) -> None:
    with pytest.raises(ParseError):
        context({path: text})


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("pyproject.toml", "build-system = 3\nproject = [1]\n[tool]\ncibuildwheel = false\n"),
        ("Cargo.toml", "dependencies = 1\nworkspace = []\n[target]\nx = 2\n"),
        ("Cargo.lock", "package = 4\n"),
        ("meson.build", "(" * 20_000 + "'a"),
        ("meson.build", "endif\nendif\nelse\n)\n= 3\n'''never closed"),
        ("CMakeLists.txt", "f(" * 20_000 + '"never closed'),
        ("CMakeLists.txt", "endif()\nelse()\n)))\n#[[ never closed"),
        (".github/workflows/x.yml", "CIBW_SKIP: >-\n"),
    ],
)
def test_tables_of_an_unexpected_shape_say_nothing(path: str, text: str) -> None:
    kinds = {fact.kind for fact in context({path: text}).facts}
    assert kinds <= {FactKind.MENTIONS, FactKind.CI_FILE}


def test_the_lines_of_requirements_are_theirs() -> None:
    head = '[project]\nname = "Cython"\n\n[build-system]\n'
    text = head + 'requires = [\n  "setuptools",\n  # "Cython<3"\n  "Cython<3",\n]\n'
    found = {fact.value: fact.line for fact in context({"pyproject.toml": text}).of(FactKind.REQUIRES)}
    assert found == {"setuptools": 6, "Cython<3": 8}


@pytest.mark.parametrize(
    "text",
    [
        '[dependencies.pyo3]\nversion = "0.27.2"\nfeatures = ["abi3"]\n',
        '[dependencies]\npyo3 = { version = "0.27.2", features = ["abi3"] }\n',
        '[target.x86_64-unknown-linux-gnu.dependencies]\npyo3 = { version = "0.27.2", features = ["abi3"] }\n',
        '[workspace.dependencies]\npyo3 = { version = "0.27.2", features = ["abi3"] }\n',
    ],
)
def test_pyo3_is_found_in_every_table(text: str) -> None:
    (fact,) = context({"Cargo.toml": text}).of(FactKind.PYO3)
    assert fact.value == "0.27.2"
    assert "feature:abi3" in fact.names


def test_a_variable_of_meson_reaches_other_files() -> None:
    files = {
        "meson.build": "args = ['@INPUT@']\nargs += ['-Xfreethreading_compatible=True']\nsubdir('pkg')\n",
        "pkg/meson.build": "g = generator(cython, arguments : args, output : '@BASENAME@.c')\n",
    }
    assert context(files).of(FactKind.CYTHON_PLACE) == ()
    assert [fact.path for fact in context(files).of(FactKind.DECLARES)] == ["pkg/meson.build"]


def test_each_generator_of_meson_is_looked_at() -> None:
    text = (
        "args = ['@INPUT@', '-Xfreethreading_compatible=True']\n"
        "c = generator(cython, arguments : args)\n"
        "cpp = generator(cython,\n  arguments : ['@INPUT@', '--cplus'])\n"
    )
    found = context({"meson.build": text})
    assert [fact.line for fact in found.of(FactKind.CYTHON_PLACE)] == [4]
    assert [fact.line for fact in found.of(FactKind.DECLARES)] == [2]


def test_a_version_check_of_cython_is_no_run_of_it() -> None:
    text = "cy = meson.get_compiler('cython')\nif not cy.version().version_compare('>=3.0.8')\n  error('old')\nendif\n"
    assert context({"meson.build": text}).of(FactKind.CYTHON_PLACE) == ()


def test_the_c_macro_reaches_every_generator() -> None:
    text = "c_args = ['-DCYTHON_FREETHREADING_COMPATIBLE=1']\ng = generator(cython, arguments : ['@INPUT@'])\n"
    (fact,) = context({"meson.build": text}).of(FactKind.DECLARES)
    assert "project" in fact.names


def test_cmake_conditions_settle_the_limited_api() -> None:
    text = (
        "if(NOT Python_IS_FREETHREADED)\n  add_compile_definitions(Py_LIMITED_API=0x030A0000)\nendif()\n"
        "target_compile_definitions(m PRIVATE Py_LIMITED_API=0x030A0000)\n"
    )
    found = context({"CMakeLists.txt": text}).of(FactKind.LIMITED_API)
    assert [(fact.line, fact.settled) for fact in found] == [(2, True), (4, False)]


def test_comments_and_strings_of_cmake_are_not_commands() -> None:
    text = (
        '#[[ nanobind_add_module(a a.cpp) ]]\nmessage("nanobind_add_module(b b.cpp)")\n# nanobind_add_module(c c.cpp)\n'
    )
    assert context({"CMakeLists.txt": text}).of(FactKind.NANOBIND) == ()


def test_skips_in_a_block_of_yaml_have_their_own_lines() -> None:
    text = "env:\n  CIBW_SKIP: >-\n    pp*\n    cp314t-*\n  OTHER: x\n# CIBW_SKIP: cp313t-*\n"
    found = context({".github/workflows/w.yml": text}).of(FactKind.CIBW_SKIP)
    assert [(fact.line, fact.value) for fact in found] == [(3, "pp*"), (4, "cp314t-*")]
