"""The table, the JSON document and the migration report agree on every count."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest
from support.migrations import migration
from support.reports import BLOCKED, READY, UNSURE

from ftaudit.model import BLOCKING, Report, Verdict
from ftaudit.report.migration.html.view import look
from ftaudit.report.migration.migration_contents import Migration, sums
from ftaudit.report.migration.migration_json import as_dict as migration_dict
from ftaudit.report.package import badge, check_markdown, check_table
from ftaudit.report.package import check_json as package_json
from ftaudit.report.package.agreeing_rows import counted, headline

REPORTS = {"blocked": BLOCKED, "ready": READY, "unsure": UNSURE, "several platforms": migration().report}
SECTIONS = {
    "Blocks": BLOCKING,
    "Not checked": frozenset({Verdict.UNKNOWN}),
    "Works, slower": frozenset({Verdict.FALLBACK}),
    "ready": frozenset({Verdict.READY}),
    "pure": frozenset({Verdict.PURE}),
}


def names(report: Report, verdicts: frozenset[Verdict]) -> set[str]:
    return {str(row.facts.pin.name) for row in report.packages if row.verdict in verdicts and row.accepted is None}


@pytest.mark.parametrize("case", REPORTS)
def test_every_section_of_the_table_counts_the_packages_that_json_lists(case: str) -> None:
    report = REPORTS[case]
    document = json.loads(package_json.render(report))
    text = check_table.render(report, width=200)
    for title, verdicts in SECTIONS.items():
        words = {verdict.value for verdict in verdicts}
        rows = [row for row in document["packages"] if row["verdict"] in words and row["accepted"] is None]
        assert {row["name"] for row in rows} == names(report, verdicts)
        listed = {row["name"] for row in rows if title not in ("ready", "pure") or not row["blocked_by"]}
        counts = [int(number) for number in re.findall(rf"^{title} \((\d+)\)", text, re.MULTILINE)]
        assert counts == ([len(listed)] if listed else []), title


@pytest.mark.parametrize("case", REPORTS)
def test_the_headline_counts_what_json_lists_and_the_summary_is_a_sum_of_rows(case: str) -> None:
    report = REPORTS[case]
    document = json.loads(package_json.render(report))
    rows = Counter(row["verdict"] for row in document["packages"])
    assert {verdict: count for verdict, count in document["summary"].items() if count} == dict(rows)
    every = {row["name"] for row in document["packages"]}
    blocked = {row["name"] for row in document["packages"] if row["blocks"] and row["accepted"] is None}
    if blocked:
        assert f"{len(blocked)} of {len(every)} package" in headline(report).sentence
    assert sum(document["readiness"].values()) == len(every)


@pytest.mark.parametrize("case", REPORTS)
def test_ready_means_one_thing_in_the_table_the_json_the_badge_the_summary_and_the_report(case: str) -> None:
    report = REPORTS[case]
    counts = json.loads(package_json.render(report))["readiness"]
    ready, total = counts["ready"], sum(counts.values())
    assert f"{ready}/{total} ready" in badge.render(report)
    assert f"{ready} of {counted(total, 'package')} ready" in check_markdown.summary(report)
    assert next(sums(Migration(report=report))).startswith(f"{ready} of {counted(total, 'package')} ")
    parts = {part.state.value: part.count for part in look(Migration(report=report)).bar}
    assert sum(parts.values()) == total
    assert parts.get("ready", 0) + parts.get("pure", 0) == ready
    assert parts.get("needs-blocked", 0) == counts["needs-blocked"]
    assert parts.get("fallback", 0) == counts["slower"] and parts.get("unknown", 0) == counts["unknown"]
    if len(report.platforms) == 1:
        text = check_table.render(report, width=200)
        told = {title: int(number) for title, number in re.findall(r"^([\w ,]+) \((\d+)\)$", text, re.MULTILINE)}
        assert told.get("ready", 0) + told.get("pure", 0) == ready
        assert told.get("needs a blocked package", 0) == counts["needs-blocked"]
        assert told.get("Works, slower", 0) == counts["slower"] and told.get("Blocks", 0) == counts["blocked"]


def test_the_page_and_its_json_count_what_the_audit_counts() -> None:
    given = migration()
    document = migration_dict(given)
    view = look(given)
    assert document["check"] == package_json.as_dict(given.report)
    every = {row["name"] for row in document["check"]["packages"]}
    assert sum(view.counts.values()) == len(every)
    rows = {(row["name"], row["verdict"]) for row in document["check"]["packages"]}
    assert len(view.rows) == len(rows)
    assert len(view.blockers) == len({row["name"] for row in document["check"]["packages"] if row["blocks"]})
