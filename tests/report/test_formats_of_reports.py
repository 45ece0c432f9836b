"""Every format of a report of packages: nothing lost, nothing controlled by untrusted strings, the same every time."""

from __future__ import annotations

import csv
import io
import json
import os
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from markdown_it import MarkdownIt
from support.facts import facts, module
from support.hostile import ALL, PIECES
from support.reports import BLOCKED, EMPTY, HOSTILE, READY, UNSURE, UPGRADE, package, report
from support.sarif_schema import LOG
from support.workflow_commands import commands

from ftaudit.model import (
    Acceptance,
    AcceptedBy,
    Confidence,
    Finding,
    Gap,
    GapKind,
    GilDeclaration,
    Location,
    Report,
    Severity,
    SourceFacts,
    Status,
    WheelKind,
)
from ftaudit.model.steps import Remedy
from ftaudit.report.formats import OF_REPORT, Format, Medium, choose, render_report
from ftaudit.report.package import check_markdown
from ftaudit.report.results.csv import REPORT_HEADER
from ftaudit.report.results.result_places import Places
from ftaudit.report.results.results import Result, Results
from ftaudit.report.results.sarif import MOST_RESULTS
from ftaudit.report.results.sarif import as_dict as sarif_of

WORST = report(
    *(
        package(facts(name="evil", pin={"problem": piece, "source": Location(path=f"dir/{piece}.txt", line=1)}))
        for piece in (*PIECES, ALL)
    ),
    package(
        facts(module(f"x.{ALL}", binary=GilDeclaration.USED, framework=ALL), name="worse"),
        step=Remedy(text=ALL, rule=ALL),
    ),
)
WORST = replace(WORST, notes=(ALL,), incomplete=(ALL,), inputs=(ALL,))
ACCEPTED = report(
    replace(
        package(facts(name="old-pkg", kind=WheelKind.NONE)),
        accepted=Acceptance(by=AcceptedBy.CONFIGURATION, reason="waits for 2.0 | @boss"),
    )
)
REPORTS = {
    "blocked": BLOCKED,
    "ready": READY,
    "unsure": UNSURE,
    "empty": EMPTY,
    "hostile": HOSTILE,
    "worst": WORST,
    "accepted": ACCEPTED,
}
OURS = [form for form in OF_REPORT if form not in (Format.JSON, Format.HTML)]
"""Formats without their own tests."""
every_report = pytest.mark.parametrize("given", REPORTS.values(), ids=REPORTS.keys())


def sarif(given: Report) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(render_report(given, Format.SARIF, Medium(folder=Path("/repo"))))
    jsonschema.Draft202012Validator(LOG, format_checker=jsonschema.FormatChecker()).validate(document)
    official = os.environ.get("FTAUDIT_SARIF_SCHEMA")
    if official:
        jsonschema.Draft4Validator(json.loads(Path(official).read_text("utf-8"))).validate(document)
    run: dict[str, Any] = document["runs"][0]
    return run


def rows(given: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(render_report(given, Format.CSV, Medium()), newline="")))


@every_report
@pytest.mark.parametrize("form", OURS)
def test_a_format_is_the_same_each_time_and_can_be_written(given: Report, form: Format) -> None:
    text = render_report(given, form, Medium(folder=Path("/repo")))
    assert text == render_report(given, form, Medium(folder=Path("/repo")))
    assert text.endswith("\n") and text.encode("utf-8")
    assert not set(text) & set(map(chr, [*range(9), 11, 12, *range(14, 32), 0x202E]))


@every_report
def test_sarif_obeys_its_schema_and_names_each_package_that_does_not_work(given: Report) -> None:
    run = sarif(given)
    told = {result["message"]["text"].partition(":")[0] for result in run["results"]}
    for each in given.packages:
        if each.blocks or each.verdict == "unknown":
            assert f"{each.facts.pin.name} {each.facts.pin.version}" in told
    ids = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(set(ids)) == len(ids)
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
    prints = [result["partialFingerprints"]["ftaudit/v1"] for result in run["results"]]
    assert len(set(prints)) == len(prints)


def test_what_was_not_checked_is_an_open_result_and_a_notification_and_never_a_pass() -> None:
    run = sarif(UNSURE)
    assert [(result["kind"], result["level"], result["ruleId"]) for result in run["results"]] == [
        ("open", "none", "unknown")
    ]
    (invocation,) = run["invocations"]
    assert invocation["exitCode"] == 3
    assert "the index timed out" in invocation["toolExecutionNotifications"][0]["message"]["text"]


def test_a_result_stands_on_the_line_of_its_requirement_in_the_repository() -> None:
    (place,) = {json.dumps(result["locations"], sort_keys=True) for result in sarif(BLOCKED)["results"]}
    assert json.loads(place) == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "requirements.txt", "uriBaseId": "%SRCROOT%"},
                "region": {"startLine": 3},
            }
        }
    ]


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("a b/ü%#?.txt", {"uri": "sub/a%20b/%C3%BC%25%23%3F.txt", "uriBaseId": "%SRCROOT%"}),
        ("c:d.txt", {"uri": "sub/c%3Ad.txt", "uriBaseId": "%SRCROOT%"}),
        ("../r.txt", {"uri": "r.txt", "uriBaseId": "%SRCROOT%"}),
        ("/repo/sub/r.txt", {"uri": "sub/r.txt", "uriBaseId": "%SRCROOT%"}),
        ("/else where/r.txt", {"uri": "file:///else%20where/r.txt"}),
        ("x\udcff.txt", {"uri": "sub/x%FF.txt", "uriBaseId": "%SRCROOT%"}),
    ],
)
def test_paths_are_relative_to_the_repository_and_percent_encoded(path: str, uri: dict[str, str]) -> None:
    result = Result(
        rule="unavailable",
        name="unavailable",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        subject="x 1",
        lines=("no",),
        location=Location(path=path),
        fingerprint="0" * 32,
    )
    told = Results(command="check", target="3.14t", exit_code=1, sentence="no", results=(result,), unchecked=())
    (made,) = sarif_of(told, places=Places(folder=Path("/repo/sub"), root=Path("/repo")))["runs"][0]["results"]
    assert made["locations"][0]["physicalLocation"]["artifactLocation"] == uri


def test_a_fingerprint_outlives_another_line_version_wording_and_neighbor_but_not_another_package() -> None:
    def prints(**pin: Any) -> set[str]:
        name = pin.pop("name", "old")
        given = report(package(facts(name=name, kind=WheelKind.NONE, pin=pin)), *pin.pop("others", ()))
        return {result["partialFingerprints"]["primaryLocationLineHash"] for result in sarif(given)["results"]}

    before = prints()
    assert before == prints(source=Location(path="requirements.txt", line=99))
    assert before == prints(version=None)
    assert before.isdisjoint(prints(name="other"))
    assert before.isdisjoint(prints(source=Location(path="else.txt", line=3)))
    many = report(*(package(facts(name=name, kind=WheelKind.NONE)) for name in ("a", "old", "z")))
    assert before < {result["partialFingerprints"]["primaryLocationLineHash"] for result in sarif(many)["results"]}


def test_what_is_accepted_is_suppressed_with_its_reason_everywhere() -> None:
    (result,) = sarif(ACCEPTED)["results"]
    assert result["suppressions"] == [
        {"kind": "external", "status": "accepted", "justification": "configuration: waits for 2.0 | @boss"}
    ]
    assert commands(render_report(ACCEPTED, Format.GITHUB, Medium())) == []
    suite = ElementTree.fromstring(render_report(ACCEPTED, Format.JUNIT, Medium()))
    assert [skipped.get("message", "")[:13] for skipped in suite.iter("skipped")] == ["configuration"]
    assert rows(ACCEPTED)[0]["accepted"] == "configuration: waits for 2.0 | @boss"


def test_more_results_than_github_takes_are_left_out_from_the_least_severe_and_counted() -> None:
    results = tuple(
        Result(
            rule="FT999",
            name="x",
            severity=Severity.WARNING if number else Severity.ERROR,
            confidence=Confidence.LOW,
            subject="x",
            lines=(str(number),),
            fingerprint=f"{number:032x}",
        )
        for number in reversed(range(MOST_RESULTS + 7))
    )
    told = Results(command="scan", target="3.14t", exit_code=1, sentence="x", results=results, unchecked=())
    run = sarif_of(told, places=Places(folder=Path("/r"), root=Path("/r")))["runs"][0]
    assert len(run["results"]) == MOST_RESULTS
    assert any(result["level"] == "error" for result in run["results"])
    assert "7 results are left out" in run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]


def test_findings_in_a_dependencys_sdist_are_one_warning_a_rule_on_the_users_line() -> None:
    found = tuple(
        Finding(
            rule="mutable-global",
            code="FT307",
            severity=Severity.ERROR,
            confidence=Confidence.HIGH,
            message="shared",
            location=Location(path=f"src/{number}.c", line=number),
        )
        for number in range(1, 9)
    )
    source = SourceFacts(status=Status.DONE, reason=None, sdist="demo-1.0.tar.gz", findings=found)
    given = report(package(facts(name="demo", source=source), findings=found))
    (result,) = [each for each in sarif(given)["results"] if each["ruleId"] == "FT307"]
    assert result["level"] == "warning"
    assert result["message"]["text"].startswith("demo 1.0: demo-1.0.tar.gz: shared (src/1.c:1, src/2.c:2")
    assert "and 3 more" in result["message"]["text"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "requirements.txt"


@every_report
def test_annotations_are_only_those_that_are_meant(given: Report) -> None:
    text = render_report(given, Format.GITHUB, Medium(folder=Path("/repo")))
    lines = text.splitlines()
    found = commands(text)
    assert len(found) == len(lines) - 1, "one command a line, and the summary is none"
    assert {command.name for command in found} <= {"error", "warning", "notice"}
    assert all(set(command.properties) <= {"file", "line", "col", "title"} for command in found)
    told = {(command.name, command.properties.get("title", "").partition(":")[0]) for command in found}
    for each in given.packages:
        if each.accepted is None and (each.blocks or each.verdict == "unknown"):
            level = "error" if each.blocks else "warning"
            assert (level, f"{each.facts.pin.name} {each.facts.pin.version}") in told
    assert lines[-1].startswith("ftaudit: ") and lines[-1].count(f"exit code {given.exit_code}") == 1


def test_an_annotation_says_what_and_where_and_comes_back_as_it_went_in() -> None:
    given = report(
        package(facts(name="dark", pin={"problem": "50%: a,b::c", "source": Location(path="a,b:c%.txt", line=7)}))
    )
    (command,) = commands(render_report(given, Format.GITHUB, Medium(folder=Path("/repo"))))
    assert command.properties == {"file": "a,b:c%.txt", "line": "7", "title": "dark 1.0: unknown"}
    assert command.message.splitlines()[0] == "50%: a,b::c"


def test_more_annotations_than_github_shows_are_said() -> None:
    given = report(*(package(facts(name=f"p{number}", kind=WheelKind.NONE)) for number in range(11)))
    assert "11 errors; exit code 1 (GitHub shows only 10" in render_report(given, Format.GITHUB, Medium())


@every_report
def test_junit_counts_what_it_holds_and_says_of_each_package_how_it_fares(given: Report) -> None:
    root = ElementTree.fromstring(render_report(given, Format.JUNIT, Medium()))
    assert root.tag == "testsuites"
    for suite in (root, *root.iter("testsuite")):
        cases = list(suite.iter("testcase"))
        assert int(suite.attrib["tests"]) == len(cases)
        assert int(suite.attrib["failures"]) == sum(case.find("failure") is not None for case in cases)
        assert int(suite.attrib["errors"]) == sum(case.find("error") is not None for case in cases)
    for suite in root.iter("testsuite"):
        assert int(suite.attrib["skipped"]) == len(list(suite.iter("skipped")))
    cases = [case for case in root.iter("testcase") if case.attrib["classname"] != "not checked"]
    assert len(cases) == len(given.packages)
    for case, each in zip(cases, given.packages, strict=True):
        outcome = next((child.tag for child in case if child.tag != "system-out"), None)
        meant = "failure" if each.blocks else "error" if each.verdict == "unknown" else None
        assert outcome == ("skipped" if each.accepted else meant)
    assert len(list(root.iter("testcase"))) == len(given.packages) + len(given.incomplete)


@every_report
def test_csv_comes_back_with_every_package_and_no_cell_is_a_formula(given: Report) -> None:
    found = rows(given)
    assert len(found) == len(given.packages) + len(given.incomplete)
    text = render_report(given, Format.CSV, Medium())
    assert text.split("\r\n")[0] == ",".join(REPORT_HEADER)
    assert text.count("\n") == text.count("\r\n") == len(found) + 1
    for row, each in zip(found, given.packages, strict=False):
        assert (row["name"], row["verdict"]) == (each.facts.pin.name, each.verdict)
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row.values())
    assert [row["kind"] for row in found[len(given.packages) :]] == ["incomplete"] * len(given.incomplete)


@pytest.mark.parametrize("problem", ["=cmd()", "+1", "-1", "@x", "\tx", "\rx", "＝1"])
def test_a_cell_that_a_spreadsheet_would_compute_stays_text(problem: str) -> None:
    (row,) = rows(report(package(facts(name="evil", pin={"problem": problem}))))
    assert row["reasons"].startswith("'")


def test_markdown_tells_what_is_accepted_apart_from_what_blocks() -> None:
    text = render_report(ACCEPTED, Format.MARKDOWN, Medium())
    assert "What blocks" not in text
    assert "Known and accepted (1)" in text and "accepted: waits for 2.0 &#124; `@boss`" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("(at 08:24:33)", "(at `08:24:33`)"),
        ("see https://a.example/x, and", "see `https://a.example/x`, and"),
        ("f(08:24:33).", "`f(08:24:33)`."),
        ("@someone!", "`@someone`&#33;"),
        ("[x](http://a.example)", "`[x](http://a.example)`"),
        (":smile:", "`:smile`:"),
        ("a `<b>` b", "a &#96;&#60;b&#62;&#96; b"),
        ("a ``b` c`d`", "a &#96;&#96;b&#96; c&#96;d&#96;"),
        ("`ftaudit explain FT205`, then (`x`)", "`ftaudit explain FT205`, then (`x`)"),
        ("Write `#[pymodule(gil_used = false)]`.", "Write `#[pymodule(gil_used = false)]`."),
        ("demo.core, __init__ and a_b", "demo.core, `__init__` and a_b"),
    ],
)
def test_markdown_leaves_marks_around_what_stands_as_code_outside(text: str, shown: str) -> None:
    assert check_markdown.escape(text) == shown


def test_a_message_of_several_sentences_has_marks_between_them() -> None:
    given = report(package(facts(name="old", kind=WheelKind.NONE), step=UPGRADE))
    (issue,) = json.loads(render_report(given, Format.GITLAB, Medium()))
    assert "; next: 2.0 is the first later version" in issue["description"] and not issue["description"].endswith(";")


def html_of(text: str) -> str:
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)


@every_report
def test_markdown_fits_a_comment_and_shows_strangers_text_as_text(given: Report) -> None:
    text = render_report(given, Format.MARKDOWN, Medium())
    assert len(text) <= check_markdown.LIMIT
    shown = html_of(text)
    assert "<script" not in shown and "<a " not in shown and "<img" not in shown and "<b>" not in shown
    assert shown.count("<details") == shown.count("</details>")
    assert shown.count("<summary") == shown.count("</summary>")
    for each in given.packages:
        assert str(each.facts.pin.name) in shown
    for row in shown.split("<tr>")[1:]:
        assert row.count("<td") in (0, 4, 5)


@pytest.mark.parametrize("piece", PIECES)
def test_a_piece_of_markup_comes_back_as_it_went_in_and_mentions_nobody(piece: str) -> None:
    escaped = check_markdown.escape(piece)
    shown = html_of(f"| a |\n| --- |\n| x {escaped} y |")
    assert shown.count("<td>") == 1
    cell = shown.partition("<td>")[2].partition("</td>")[0]
    tree = ElementTree.fromstring(f"<p>{cell}</p>")
    assert {element.tag for element in tree.iter()} <= {"p", "code"}
    visible = "".join(tree.itertext())
    went_in = piece.replace("`code`", "code")  # Code is shown as code, without its marks.
    assert visible.removeprefix("x ").removesuffix(" y") == "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in went_in
    )
    outside = (tree.text or "") + "".join(element.tail or "" for element in tree)
    assert not set("@#") & set(outside) and "://" not in outside and "www." not in outside and "GH-" not in outside


def test_a_long_report_is_cut_to_size_and_says_by_how_much() -> None:
    given = report(*(package(facts(name=f"p{number}", kind=WheelKind.NONE)) for number in range(1, 1501)))
    text = render_report(given, Format.MARKDOWN, Medium())
    assert len(text) <= check_markdown.LIMIT
    assert "1500 of 1500 packages keep you from" in text
    shown = text.count("| **p")
    assert f"… and {1500 - shown:,} more packages: see `ftaudit check --format json`" in text
    assert "… 1,500 packages did not fit here" in text
    assert text.rstrip().endswith("imports")


@every_report
def test_gitlab_has_an_issue_for_each_package_that_does_not_work(given: Report) -> None:
    issues = json.loads(render_report(given, Format.GITLAB, Medium(folder=Path("/repo"))))
    for issue in issues:
        assert set(issue) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert issue["severity"] in ("info", "minor", "major", "critical", "blocker")
        assert issue["location"]["path"] and issue["location"]["lines"]["begin"] >= 1
    critical = sum(issue["severity"] == "critical" for issue in issues)
    assert critical == sum(each.blocks and each.accepted is None for each in given.packages)
    prints = [issue["fingerprint"] for issue in issues]
    assert len(set(prints)) == len(prints)


@every_report
def test_concise_is_a_line_for_each_blocker_and_the_answer_last(given: Report) -> None:
    lines = render_report(given, Format.CONCISE, Medium()).splitlines()
    errors = [line for line in lines if ": error: " in line]
    assert len(errors) == sum(each.blocks and each.accepted is None for each in given.packages)
    left_out = sum(int(line.split()[2]) for line in lines if line.startswith("left out: "))
    assert left_out == sum(each.verdict == "unknown" for each in given.packages)
    assert lines[-1].startswith("ftaudit: ")


def _missing(name: str) -> Gap:
    return Gap(kind=GapKind.FAILED, detail="not fetched: no network", subject=f"https://h.example/{name}.whl")


def test_concise_sums_up_what_the_same_reason_keeps_from_being_checked() -> None:
    given = report(
        *(package(facts(name=name, index={"status": Status.FAILED, "reason": _missing(name)})) for name in "abcdefg")
    )
    assert render_report(given, Format.CONCISE, Medium()).splitlines()[0] == (
        "left out: 7 packages (a 1.0, b 1.0, c 1.0, d 1.0, e 1.0 and 2 more): not fetched: no network"
    )


@pytest.mark.parametrize(
    ("given", "text", "color"),
    [(READY, "2/3 ready", "#2e7d32"), (BLOCKED, "0/3 ready", "#b3261e"), (UNSURE, "0/1 ready", "#8a6100")],
    ids=["ready", "blocked", "unsure"],
)
def test_a_badge_says_how_many_and_asks_nobody(given: Report, text: str, color: str) -> None:
    svg = render_report(given, Format.BADGE, Medium())
    root = ElementTree.fromstring(svg)
    told = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert told == ["free-threading", text]
    assert color in svg
    assert root.attrib["role"] == "img" and text in root.attrib["aria-label"]
    assert svg.count("http") == 1, "the name space alone"


def test_a_badge_is_not_green_when_not_everything_was_looked_at_and_grey_when_nothing_was() -> None:
    assert "#8a6100" in render_report(replace(READY, incomplete=("half of it",)), Format.BADGE, Medium())
    assert "nothing checked" in render_report(EMPTY, Format.BADGE, Medium())


def test_the_summary_is_one_line_that_names_what_blocks_and_what_is_not_known() -> None:
    assert render_report(BLOCKED, Format.SUMMARY, Medium()) == (
        "Free-threading: 0 of 3 packages ready for CPython 3.14t on linux-x86_64; blocked by guilty-pkg, old-pkg; "
        "not checked: fine\n"
    )
    assert "not everything was checked" in render_report(replace(READY, incomplete=("x",)), Format.SUMMARY, Medium())


@pytest.mark.parametrize(
    ("named", "output", "form"),
    [
        (None, None, "table"),
        (None, "a.txt", "table"),
        (None, "A.SARIF", "sarif"),
        (None, "a.sarif.json", "sarif"),
        (None, "a.json", "json"),
        (None, "a.md", "markdown"),
        (None, "a.xml", "junit"),
        (None, "a.csv", "csv"),
        (None, "a.svg", "badge"),
        ("csv", "a.json", "csv"),
        ("table", "a.json", "table"),
        (None, "a.html", "html"),
        (None, "gl-code-quality-report.json", "gitlab"),
    ],
)
def test_the_name_of_the_output_says_the_format_unless_one_is_named(
    named: str | None, output: str | None, form: str
) -> None:
    assert choose(named, Path(output) if output else None, OF_REPORT) == form
