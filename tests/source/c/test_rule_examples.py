"""Each rule on C and C++ flags its own bad examples at the lines it names, and is silent on its good ones."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest

import ftaudit_rules
from ftaudit.model import Severity
from ftaudit.rule import Language, SourceExample
from ftaudit.source import CRule
from ftaudit.source.check import check_texts
from ftaudit.source.examples import flagged_lines
from ftaudit.target import parse_target
from ftaudit_rules.build.gil_not_used_contradicted import GilNotUsedContradicted
from ftaudit_rules.c.borrowed_weakref import BorrowedWeakref


def rules() -> list[CRule]:
    modules = [
        importlib.import_module(info.name) for info in pkgutil.walk_packages(ftaudit_rules.__path__, "ftaudit_rules.")
    ]
    return [
        member()
        for module in modules
        for member in vars(module).values()
        if inspect.isclass(member) and issubclass(member, CRule) and member.__module__ == module.__name__
    ]


def examples() -> Iterator[tuple[CRule, SourceExample]]:
    for rule in rules():
        for example in (*rule.VALID, *rule.INVALID):
            yield rule, example


def test_every_rule_says_what_it_is_and_shows_both_sides() -> None:
    for rule in rules():
        assert rule.languages == {Language.C, Language.CPP}, rule
        assert rule.VALID, rule
        assert rule.INVALID, rule
        assert all(example.lines for example in rule.INVALID), rule
        assert not any(example.lines for example in rule.VALID), rule
        assert (rule.info.severity is not Severity.PEDANTIC) or not rule.info.default, rule


@pytest.mark.parametrize(("rule", "example"), [pytest.param(*pair, id=pair[0].info.name) for pair in examples()])
def test_an_example_is_flagged_at_its_lines_alone(rule: CRule, example: SourceExample) -> None:
    assert flagged_lines(rule, example) == example.lines


HAZARD = "static void use(PyObject *r) { PyObject *o = PyWeakref_GetObject(r); if (o != Py_None) call(o); }\n"
DECLARES = "static PyModuleDef_Slot s[] = {{Py_mod_gil, Py_MOD_GIL_NOT_USED}, {0, NULL}};\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DECLARES, []),
        (HAZARD, []),
        (DECLARES + HAZARD, [1]),
    ],
)
def test_a_declaration_is_contradicted_by_an_error_that_remains(text: str, expected: list[int]) -> None:
    checked = check_texts({"m.c": text}, [BorrowedWeakref(), GilNotUsedContradicted()], parse_target("3.14t"))
    assert not checked.skipped
    assert [f.location.line for f in checked.findings if f.code == "FT304" and f.location] == expected
