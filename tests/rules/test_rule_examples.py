"""Every rule that the registry returns is silent on its VALID examples and flags exactly the lines of INVALID ones."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.registry import load_rules
from ftaudit.rule import Language, PackageRule, Rule, RuleInfo, SourceExample, SourceRule
from ftaudit.source import PythonRule
from ftaudit.source.examples import disagreements
from ftaudit.source.python import PythonModule

RULES = load_rules().rules
of_each_rule = pytest.mark.parametrize("rule", [pytest.param(rule, id=rule.info.name) for rule in RULES])


def test_there_are_rules_for_packages_and_for_every_language() -> None:
    assert load_rules().problems == ()
    assert any(isinstance(rule, PackageRule) for rule in RULES)
    spoken = {language for rule in RULES if isinstance(rule, SourceRule) for language in rule.languages}
    assert spoken == set(Language)


@of_each_rule
def test_a_rule_is_silent_on_its_valid_examples_and_flags_the_lines_of_the_invalid_ones(
    rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Finding] = []
    plain = Rule.finding

    def finding(self: Rule, *args: Any, **options: Any) -> Finding:
        found.append(plain(self, *args, **options))
        return found[-1]

    monkeypatch.setattr(Rule, "finding", finding)
    assert list(disagreements(rule)) == []
    assert found, "the messages below are real ones"
    assert [each.message for each in found if not is_in_style(each.message)] == []
    for text in (
        rule.info.summary,
        *(each.remedy or "" for each in found),
        *(line for f in found for line in f.interleaving),
    ):
        assert text.endswith(".") and not _CODE.search(_QUOTED.sub("", text)), text


_QUOTED = re.compile(r"`[^`]*`")
_CODE = re.compile(r"\b_?Py[A-Z]\w*_\w+|\w\(\)|\b__\w+__\b|\bsys\.\w|::")
"""Code, which all texts of rules put between backticks."""
_SENTENCE = re.compile(r"(?:A|All|An|Each|Every|It|Neither|No|The|This|Threads?|Use|With)\b")


def is_in_style(message: str) -> bool:
    """Return whether a message has the style of all: no capital for a plain word, no full stop, code in backticks."""
    return not (message.endswith(".") or _SENTENCE.match(message) or _CODE.search(_QUOTED.sub("", message)))


@of_each_rule
def test_a_rule_that_finds_nothing_any_more_fails_its_examples(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(rule), "check", lambda *_: iter(()))
    assert list(disagreements(rule))


@of_each_rule
def test_what_a_rule_says_of_itself_is_whole(rule: Rule) -> None:
    info, file = rule.info, Path(inspect.getfile(type(rule)))
    assert file.stem == info.name.replace("-", "_")
    assert (sys.modules[type(rule).__module__].__doc__ or "").startswith(f"{info.code}: ")
    assert inspect.getdoc(type(rule)) and info.summary and info.remedy
    assert info.severity is not Severity.PEDANTIC or not info.default


@of_each_rule
def test_a_finding_of_a_package_rule_bears_its_name_and_a_remedy(rule: Rule) -> None:
    if isinstance(rule, PackageRule):
        for finding in (found for example in rule.INVALID for found in rule.check(example.facts)):
            assert (finding.rule, finding.code) == (rule.info.name, rule.info.code)
            assert finding.message and finding.remedy


class Wrong(PythonRule):
    """Flags the first line of everything."""

    info = RuleInfo(
        code="TST1",
        name="wrong",
        summary="Everything is flagged.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="None.",
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        if "raise" in module.text:
            raise ZeroDivisionError
        yield self.finding("flagged", location=module.location(1))


@pytest.mark.parametrize(
    ("valid", "invalid", "told"),
    [
        ([], ["x = 1\n"], "wrong has no VALID example"),
        (["x = 1\n"], [], "wrong has no INVALID example"),
        (["x = 1\n"], ["x = 1\n"], "wrong VALID[0] expects nothing, and the rule finds (1,)"),
        (["raise\n"], ["x = 1\n"], "wrong VALID[0] expects nothing, and the rule finds ValueError: "),
    ],
)
def test_examples_that_do_not_agree_with_their_rule_are_told(
    valid: list[str], invalid: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Wrong, "VALID", tuple(SourceExample(code=code) for code in valid))
    monkeypatch.setattr(Wrong, "INVALID", tuple(SourceExample(code=code, lines=(1,)) for code in invalid))
    assert any(said.startswith(told) for said in disagreements(Wrong()))


def test_an_invalid_example_without_lines_and_one_with_other_lines_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = (SourceExample(code="x = 1\n"), SourceExample(code="\nx = 1\n", lines=(2,)))
    monkeypatch.setattr(Wrong, "INVALID", bad)
    told = list(disagreements(Wrong()))
    assert "wrong INVALID[0] expects nothing" in told
    assert "wrong INVALID[1] expects (2,), and the rule finds (1,)" in told
