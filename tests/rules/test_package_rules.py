"""The package rules of the pack, taken together."""

from __future__ import annotations

from ftaudit.registry import load_rules
from ftaudit.rule import PackageRule

RULES = tuple(rule for rule in load_rules().rules if isinstance(rule, PackageRule))


def test_the_pack_names_every_module_that_judges_packages() -> None:
    assert [rule.info.code for rule in load_rules(of_packages=True).rules] == [rule.info.code for rule in RULES]


def test_only_the_classifier_rule_is_off_by_default() -> None:
    assert [rule.info.code for rule in RULES if not rule.info.default] == ["FT103"]


def test_no_two_exclusive_rules_speak_of_the_same_release() -> None:
    exclusive = [rule for rule in RULES if rule.info.code in ("FT101", "FT102", "FT106")]
    for rule in exclusive:
        for example in rule.INVALID:
            speaking = [other.info.code for other in exclusive if list(other.check(example.facts))]
            assert speaking == [rule.info.code]
