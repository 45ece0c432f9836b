"""Every fix of every rule is applied to the rule's INVALID examples: what it makes is right, and flagged no more."""

from __future__ import annotations

from collections import Counter

import pytest

from ftaudit.model import Finding, Fix
from ftaudit.registry import load_rules
from ftaudit.rule import SourceExample, SourceRule
from ftaudit.source.examples import example_path
from ftaudit.source.fixing.fixed_examples import fix_example
from ftaudit.source.fixing.offer import can_fix
from ftaudit.source.run_rules import check_texts
from ftaudit.target import parse_target

RULES = [rule for rule in load_rules().rules if isinstance(rule, SourceRule)]
FIXERS = [rule for rule in RULES if can_fix(rule)]


def flagged(example: SourceExample, path: str, text: str) -> list[Finding]:
    """Return what all rules find in an example whose own file has another text."""
    files = {path: text, **dict(example.others)}
    checked = check_texts(files, RULES, parse_target(example.target))
    assert checked.skipped == ()
    return [finding for finding in checked.findings if finding.location is not None and finding.location.path == path]


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule.info.name) for rule in FIXERS])
def test_what_a_fix_makes_of_an_example_is_flagged_no_more_and_for_nothing_new(rule: SourceRule) -> None:
    fixes = 0
    for example in rule.INVALID:
        path = example_path(rule, example)
        text, findings, offered = fix_example(rule, example)
        made = sum(isinstance(fix, Fix) for fix in offered)
        assert len(offered) == len(findings)
        assert (text == example.code) is (made == 0)
        if made:
            fixes += made
            was = Counter(finding.code for finding in flagged(example, path, example.code))
            now = Counter(finding.code for finding in flagged(example, path, text))
            assert now[rule.info.code] <= was[rule.info.code] - made, text
            assert not now - was, text
    assert fixes, "no INVALID example of the rule has a fix"
