"""The JSON and Markdown forms of the pre-migration report, and its exit code."""

from __future__ import annotations

import dataclasses
import json

import jsonschema
import pytest
from markdown_it import MarkdownIt
from selectolax.lexbor import LexborHTMLParser
from support.migrations import migration, poisoned, scan
from support.reports import BLOCKED, EMPTY, READY, UNSURE

from ftaudit.report.migration import migration_json, migration_markdown
from ftaudit.report.migration.migration_contents import Migration
from ftaudit.report.package.check_markdown import LIMIT
from ftaudit.source.run_rules import Skipped
from ftaudit.source.tree_scan import ScanResult

PARTS = [
    migration(),
    migration(plan=None, scan=None, reproduction=None, no_plan="not asked for", no_scan="not asked for"),
    migration(report=READY),
    migration(report=UNSURE),
]


@pytest.mark.parametrize("given", PARTS)
def test_the_json_form_obeys_its_schema_and_those_of_its_parts(given: Migration) -> None:
    jsonschema.Draft202012Validator(migration_json.schema()).validate(json.loads(migration_json.render(given)))


def test_the_schema_holds_the_parts_to_theirs() -> None:
    document = migration_json.as_dict(migration())
    validator = jsonschema.Draft202012Validator(migration_json.schema())
    for part in ("check", "plan", "scan"):
        assert not validator.is_valid(document | {part: document[part] | {"schema_version": 2}}), part
    assert not validator.is_valid(document | {"check": None})


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (migration(report=BLOCKED), 1),
        (migration(report=UNSURE, scan=None), 3),
        (migration(report=READY, scan=None), 0),
        (migration(report=READY, scan=scan(5)), 3),
        (migration(report=READY, scan=dataclasses.replace(scan(5), skipped=())), 0),
        (migration(report=READY, scan=ScanResult(skipped=(Skipped(path="a", reason="b", read_anyway=True),))), 0),
        (migration(report=READY, scan=None, incomplete=("a rule pack",)), 3),
    ],
)
def test_the_exit_code_is_that_of_check_and_a_file_that_was_not_read_counts(given: Migration, code: int) -> None:
    assert given.exit_code == code == migration_json.as_dict(given)["exit_code"]


def test_the_markdown_form_has_every_part() -> None:
    text = migration_markdown.render(migration())
    for part in (
        "1 of 6 packages",
        "What blocks",
        "The plan (1)",
        "The project's own source",
        "How to reproduce it",
    ):
        assert part in text, part
    for part in ("could not be checked", "FT501", "requirements.txt -o report.html", "larger than 10 MB"):
        assert part in text, part
    assert text.count("<details") == text.count("</details>") > 3


def test_the_markdown_form_keeps_within_what_an_issue_takes() -> None:
    assert len(migration_markdown.render(migration(scan=scan(5000)))) <= LIMIT
    small = migration_markdown.render(migration(scan=scan(500)), limit=12_000)
    assert len(small) <= 12_000 and "more findings: see" in small
    assert len(migration_markdown.render(poisoned(migration(), "W" * 3000))) <= LIMIT


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "[x](javascript:alert(1))", "![](https://evil.example)"])
def test_a_strangers_text_is_no_markup_in_the_markdown_form(text: str) -> None:
    shown = (
        MarkdownIt("commonmark", {"html": True})
        .enable("table")
        .render(migration_markdown.render(poisoned(migration(), text)))
    )
    page = LexborHTMLParser(shown)
    assert page.css("script, a, img") == []
    assert text in (page.body.text() if page.body else "")


def test_an_empty_report_is_still_a_report() -> None:
    text = migration_markdown.render(Migration(report=EMPTY))
    assert "0 of 0 packages are ready." in text
    assert "0 of 1 package is ready." in migration_markdown.render(Migration(report=UNSURE))
