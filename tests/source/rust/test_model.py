"""The model of a Rust file: its content, the PyO3 version, and its robustness."""

from __future__ import annotations

import pytest

from ftaudit.rule import Language
from ftaudit.source.base import Room, SourceFile, TreeContext
from ftaudit.source.build import READER as BUILD
from ftaudit.source.rust import READER, RustUnit, least_version
from ftaudit.target import parse_target


def parse(text: str, files: dict[str, str] | None = None, path: str = "src/lib.rs") -> RustUnit:
    target = parse_target("3.14t")
    surveys = {}
    for name, content in (files or {}).items():
        survey = BUILD.survey(SourceFile(path=name, language=Language.BUILD, text=content, target=target))
        if survey is not None:
            surveys[name] = survey
    context = TreeContext(rooms={Room.BUILD: BUILD.gather(surveys)})
    return READER.parse(SourceFile(path=path, language=Language.RUST, text=text, target=target), context)


@pytest.mark.parametrize(
    "text",
    ["", "#[", "fn f(" * 3_000, "{" * 20_000, "mod a { " * 5_000, "\x00", "static mut", "unsafe impl"],
)
def test_any_text_makes_a_unit(text: str) -> None:
    assert isinstance(parse(text).nodes, list)


def test_attributes_are_read_without_their_white_space() -> None:
    unit = parse('/// doc\n#[pyo3 :: pymodule( gil_used = false )]\n// note\n#[pyo3(name = "x")]\nfn m() {}\n')
    (function,) = unit.of("function_item")
    assert [(each.path, each.arguments) for each in unit.attributes(function)] == [
        ("pyo3::pymodule", "(gil_used=false)"),
        ("pyo3", '(name="x")'),
    ]


@pytest.mark.parametrize("condition", ["not(Py_GIL_DISABLED)", "test", "loom"])
def test_code_that_no_free_threaded_build_has_is_off(condition: str) -> None:
    unit = parse(f"#[cfg({condition})]\nmod m {{ static mut X: u8 = 0; }}\n")
    (item,) = unit.of("static_item")
    assert unit.off_when_free_threaded(item)


def test_code_for_free_threaded_builds_is_on() -> None:
    unit = parse("#[cfg(Py_GIL_DISABLED)]\nstatic mut X: u8 = 0;\n")
    (item,) = unit.of("static_item")
    assert not unit.off_when_free_threaded(item)


@pytest.mark.parametrize(
    ("files", "version"),
    [
        ({}, None),
        ({"Cargo.toml": '[dependencies]\npyo3 = "0.25"\n'}, "0.25"),
        (
            {
                "Cargo.toml": '[dependencies]\npyo3 = "0.25"\n',
                "Cargo.lock": '[[package]]\nname = "pyo3"\nversion = "0.25.1"\n',
            },
            "0.25.1",
        ),
        (
            {
                "Cargo.toml": '[workspace.dependencies]\npyo3 = "0.28"\n',
                "crates/x/Cargo.toml": "[dependencies]\npyo3 = { workspace = true }\n",
            },
            "0.28",
        ),
        ({"Cargo.toml": '[dependencies]\npyo3 = { git = "x" }\n'}, None),
        ({"Cargo.toml": '[dependencies]\npyo3 = "nonsense"\n'}, None),
    ],
)
def test_the_lock_file_decides_then_the_manifest(files: dict[str, str], version: str | None) -> None:
    found = parse("", files, path="crates/x/src/lib.rs").pyo3
    assert (str(found) if found else None) == version


@pytest.mark.parametrize(
    ("requirement", "version"),
    [
        ("0.23", "0.23"),
        ("^0.23.4", "0.23.4"),
        ("=0.28.2", "0.28.2"),
        (">=0.20, <0.24", "0.23"),
        ("*", None),
        ("", None),
    ],
)
def test_the_least_version_of_a_requirement(requirement: str, version: str | None) -> None:
    found = least_version(requirement)
    assert (str(found) if found else None) == version
