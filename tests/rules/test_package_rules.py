"""Every package rule of the pack holds to its own examples."""

from __future__ import annotations

import pytest

from ftaudit.registry import load_rules
from ftaudit.rule import PackageExample, PackageRule

RULES = tuple(rule for rule in load_rules().rules if isinstance(rule, PackageRule))
VALID = [
    pytest.param(rule, example, id=f"{rule.info.name}: {example.title}") for rule in RULES for example in rule.VALID
]
INVALID = [
    pytest.param(rule, example, id=f"{rule.info.name}: {example.title}") for rule in RULES for example in rule.INVALID
]
CATALOGUE = {
    "FT101": "no-free-threaded-wheel",
    "FT102": "abi3-only-wheel",
    "FT103": "missing-ft-classifier",
    "FT104": "classifier-contradicts-wheels",
    "FT105": "ft-wheel-coverage-gap",
    "FT106": "ft-wheel-python-gap",
    "FT201": "binary-no-gil-declaration",
    "FT202": "binary-gil-used",
    "FT203": "abi3-so-in-ft-env",
    "FT204": "soabi-tag-mismatch",
    "FT205": "image-tag-mismatch",
    "FT208": "inline-refcount-mismatch",
    "FT209": "tag-contradicts-binary",
    "FT210": "runtime-contradicts-binary",
    "FT211": "platforms-disagree",
    "FT601": "gil-reenabled-on-import",
    "FT602": "import-fails-on-ft",
}


def test_the_pack_names_every_module_that_judges_packages() -> None:
    assert [rule.info.code for rule in load_rules(of_packages=True).rules] == [rule.info.code for rule in RULES]


@pytest.mark.parametrize(("rule", "example"), VALID)
def test_a_rule_is_silent_on_its_valid_examples(rule: PackageRule, example: PackageExample) -> None:
    assert list(rule.check(example.facts)) == []


@pytest.mark.parametrize(("rule", "example"), INVALID)
def test_a_rule_finds_what_its_invalid_examples_say(rule: PackageRule, example: PackageExample) -> None:
    findings = list(rule.check(example.facts))
    assert len(findings) == example.findings > 0
    for finding in findings:
        assert (finding.rule, finding.code) == (rule.info.name, rule.info.code)
        assert finding.message
        assert finding.remedy


def test_every_package_rule_has_examples_of_both_kinds() -> None:
    assert [rule.info.code for rule in RULES if not (rule.VALID and rule.INVALID)] == []


def test_the_pack_has_the_package_rules_of_the_catalogue() -> None:
    assert {rule.info.code: rule.info.name for rule in RULES} == CATALOGUE


def test_only_the_classifier_rule_is_off_by_default() -> None:
    assert [rule.info.code for rule in RULES if not rule.info.default] == ["FT103"]


def test_no_two_exclusive_rules_speak_of_the_same_release() -> None:
    exclusive = [rule for rule in RULES if rule.info.code in ("FT101", "FT102", "FT106")]
    for rule in exclusive:
        for example in rule.INVALID:
            speaking = [other.info.code for other in exclusive if list(other.check(example.facts))]
            assert speaking == [rule.info.code]
