"""Rust modules on the raw C API get the same findings as C modules, from the same rules."""

from __future__ import annotations

import pytest

from ftaudit.registry import load_rules
from ftaudit.rule import SourceRule
from ftaudit.source.run_rules import check_texts
from ftaudit.target import parse_target

INIT = (
    'pub unsafe extern "C" fn PyInit_m() -> *mut PyModuleDef {{\n    [PyModuleDef_Slot {{ slot: {}, value: {} }}]\n}}\n'
)


def found(text: str) -> list[tuple[str, int | None]]:
    rules = [rule for rule in load_rules().select() if isinstance(rule, SourceRule)]
    checked = check_texts({"src/lib.rs": text}, rules, parse_target("3.14t"))
    assert not checked.skipped
    return [(finding.code, finding.location.line) for finding in checked.findings if finding.location is not None]


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        (INIT.format("Py_mod_gil", "Py_MOD_GIL_NOT_USED"), []),
        ('extern "C" { pub fn PyInit_m() -> *mut PyObject; }\n', []),
        (INIT.format("Py_mod_exec", "exec"), [("FT301", 1)]),
        (INIT.format("Py_mod_gil", "Py_MOD_GIL_USED"), [("FT302", 2)]),
    ],
)
def test_a_module_on_the_raw_api_is_judged_as_in_c(text: str, findings: list[tuple[str, int]]) -> None:
    assert found(text) == findings
