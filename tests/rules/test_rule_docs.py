"""The pages in docs/rules match the rules."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from ftaudit.registry import load_rules
from ftaudit.rule import SourceRule

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_rule_pages_are_current() -> None:
    script = ROOT / "scripts" / "make_rule_docs.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout + done.stderr == "", "run scripts/make_rule_docs.py"
    assert done.returncode == 0


def test_an_example_for_another_target_names_it() -> None:
    text = (ROOT / "docs" / "rules" / "pyo3-gil-used.md").read_text("utf-8")
    before = text.partition('pyo3 = "0.29"')[0].rpartition("line 1")[2]
    assert before.startswith(", with `--target 3.13t`:"), "PyO3 0.29 is flagged for 3.13t only"


WITHOUT_REPLACEMENT = {
    "idle-ignore": "the comment is removed",
    "gil-not-used-contradicted": "its findings are those of other rules",
    "gil-not-used-declared": "it is not a problem",
    "mypyc-compiled": "it is a property of the tool",
    "catch-warnings": "the filters are set when the program starts",
    "forced-gil": "the setting is removed",
    "thread-inherit-context": "the call that starts the thread is changed",
}
"""Source rules without code to write instead, and why."""


def test_the_page_of_a_source_rule_shows_what_to_write_instead() -> None:
    rules = [rule for rule in load_rules().rules if isinstance(rule, SourceRule)]
    without = {rule.info.name for rule in rules if not any(example.instead for example in rule.VALID)}
    assert without == WITHOUT_REPLACEMENT.keys()
    assert not [rule.info.name for rule in rules if any(example.instead for example in rule.INVALID)]
    for rule in rules:
        page = (ROOT / "docs" / "rules" / f"{rule.info.name}.md").read_text("utf-8")
        headings = re.findall(r"^## (Flagged|Use instead|Not flagged)$", page, re.MULTILINE)
        assert headings[0] == "Flagged" and ("Use instead" in headings) is (rule.info.name not in without), (
            rule.info.name
        )
        (_, flagged), (title, other) = rule.shown_examples()
        assert flagged.code.strip("\n") in page and other.code.strip("\n") in page
        assert title == ("Not flagged" if rule.info.name in without else "Use instead")


def test_the_table_of_rules_is_sorted_by_code_and_has_their_summaries() -> None:
    text = (ROOT / "docs" / "rules" / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| (FT\d{3}) \| \[([\w-]+)\]\(\2\.md\) \| (.+?) \| \w+ \| \w+ \| \w+ \|$", text, re.MULTILINE)
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert {code: (name, summary) for code, name, summary in rows} == {
        rule.info.code: (rule.info.name, rule.info.summary) for rule in load_rules().rules
    }
    assert text.partition("{toctree}")[2].split()[1:-1] == [name for _, name, _ in rows], "in the sidebar, too"
