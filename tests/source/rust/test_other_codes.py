"""Rust findings with the codes of the C rules: selected and ignored like those."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftaudit.registry import load_rules
from ftaudit.rule import SourceRule
from ftaudit.source.source_files import find_files
from ftaudit.source.tree_scan import scan
from ftaudit.target import parse_target

SILENT = 'pub unsafe extern "C" fn PyInit_m() -> *mut PyModuleDef {\n    let slots = [];\n}\n'


@pytest.mark.parametrize(
    ("select", "ignore", "expected"),
    [
        (["FT302"], [], []),
        ([], ["FT301"], []),
        (["FT301"], ["FT433"], []),
        (["FT301"], [], ["FT301"]),
        (["missing-mod-gil"], [], ["FT301"]),
        (["raw-ffi-mod-gil"], [], ["FT301"]),
        ([], [], ["FT301"]),
    ],
)
def test_the_code_of_the_finding_is_what_selects_it(
    tmp_path: Path, select: list[str], ignore: list[str], expected: list[str]
) -> None:
    (tmp_path / "lib.rs").write_text(SILENT, encoding="utf-8")
    rules = tuple(r for r in load_rules().select(select=select, ignore=ignore) if isinstance(r, SourceRule))
    found = find_files([tmp_path], trust_git=False, base=tmp_path)
    result = scan(found, rules=rules, target=parse_target("3.14t"), jobs=0)
    assert [finding.code for finding in result.findings] == expected
