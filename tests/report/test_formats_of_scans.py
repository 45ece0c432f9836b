"""Every format of a scan, through the command line, on a tree whose file names are attacks."""

from __future__ import annotations

import csv
import io
import json
import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from markdown_it import MarkdownIt
from support.hostile import FILE_NAMES
from support.sarif_schema import LOG
from support.workflow_commands import commands

from ftaudit.cli import main
from ftaudit.report.formats import OF_SCAN
from ftaudit.report.package.check_markdown import LIMIT

COUNTER = "_n = 0\ndef f():\n    global _n\n    _n += 1{}\n"
SILENCED = COUNTER.format("  # ftaudit: ignore[global-augassign] told <b>")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FTAUDIT_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "repo" / "src"
    folder.mkdir(parents=True)
    (tmp_path / "repo" / ".git").mkdir()
    (folder / "a.py").write_text(COUNTER.format(""))
    (folder / "silenced.py").write_text(SILENCED)
    (folder / "broken.py").write_text("def f(:\n")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def hostile(tree: Path) -> Path:
    for name in FILE_NAMES:
        (tree / name).write_text(COUNTER.format(""))
    return tree


def scanned(capsys: pytest.CaptureFixture[str], form: str, *more: str) -> str:
    capsys.readouterr()
    assert main(["scan", "--format", form, *more]) == 1
    return capsys.readouterr().out


def sarif(capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    document = json.loads(scanned(capsys, "sarif", *more))
    jsonschema.Draft202012Validator(LOG, format_checker=jsonschema.FormatChecker()).validate(document)
    official = os.environ.get("FTAUDIT_SARIF_SCHEMA")
    if official:
        jsonschema.Draft4Validator(json.loads(Path(official).read_text("utf-8"))).validate(document)
    run: dict[str, Any] = document["runs"][0]
    return run


def uri_of(result: dict[str, Any]) -> str:
    return str(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])


def test_a_format_that_no_scan_has_is_a_usage_error_that_names_those_it_has(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for form in ("badge", "html", "summary"):
        assert main(["scan", "--format", form]) == 2
        error = capsys.readouterr().err
        assert "sarif" in error and "junit" in error


@pytest.mark.parametrize("form", OF_SCAN)
def test_every_format_is_the_same_each_time(hostile: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    assert scanned(capsys, form) == scanned(capsys, form, "--no-cache")


def test_sarif_has_each_finding_on_its_line_with_the_rules_help(
    hostile: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = sarif(capsys)
    found = [result for result in run["results"] if "suppressions" not in result]
    assert len(found) == len(FILE_NAMES) + 1
    for result in found:
        assert result["ruleId"] == "FT504"
        region = result["locations"][0]["physicalLocation"]["region"]
        assert (region["startLine"], region["snippet"]["text"]) == (4, "    _n += 1")
    assert {uri_of(result) for result in found} >= {
        "src/a.py",
        "src/=cmd().py",
        "src/a%20b%2520c%23d%3F.py",
        "src/new%0Aline%0A%3A%3Aerror%3A%3Aowned.py",
        "src/%3A%3Aerror%3A%3Ax,y%3Az.py",
        "src/%C3%BCmlaut.py",
    }
    rules = run["tool"]["driver"]["rules"]
    assert len(rules) > 50, "all that ran"
    (rule,) = [rule for rule in rules if rule["id"] == "FT504"]
    assert rule["name"] == "global-augassign"
    assert "What to do:" in rule["help"]["text"] and "**Flagged:**" in rule["help"]["markdown"]
    assert rule["properties"]["tags"] == ["free-threading", "python"]


def test_sarif_says_what_a_comment_silences_and_what_was_not_read(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = sarif(capsys)
    (silenced,) = [result for result in run["results"] if "suppressions" in result]
    assert uri_of(silenced) == "src/silenced.py"
    assert silenced["suppressions"][0]["kind"] == "inSource"
    (note,) = run["invocations"][0]["toolExecutionNotifications"]
    assert note["level"] == "warning" and "broken.py" in note["message"]["text"]


def test_a_fingerprint_outlives_lines_above_and_knows_two_of_the_same(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def prints() -> list[str]:
        found = [result for result in sarif(capsys)["results"] if uri_of(result) == "src/a.py"]
        return [result["partialFingerprints"]["primaryLocationLineHash"] for result in found]

    (before,) = prints()
    (tree / "a.py").write_text("# a line\n\n" + COUNTER.format(""))
    assert prints() == [before]
    body = "    old = os.getcwd()\n    os.chdir('x')\n    work()\n    os.chdir(old)\n"
    chdir = f"import os\ndef f(work):\n{body}"
    (tree / "a.py").write_text(chdir)
    (before,) = prints()
    (tree / "a.py").write_text(f"{chdir}def g(work):\n{body}")
    first, second = prints()
    assert first == before != second


def test_annotations_are_one_for_each_finding_and_none_of_a_strangers(
    hostile: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = scanned(capsys, "github")
    found = commands(text)
    assert len(found) == len(text.splitlines()) - 1 == len(FILE_NAMES) + 2
    assert {command.name for command in found} == {"warning"}
    assert {command.properties["file"] for command in found} >= {"src/a.py", "src/::error::x,y:z.py", "src/broken.py"}
    assert found[0].properties["line"] == "4"
    assert "FT504" in found[0].properties["title"]


def test_junit_fails_for_findings_from_fail_on_and_errs_for_what_was_not_read(
    hostile: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ElementTree.fromstring(scanned(capsys, "junit"))
    kinds = [child.tag for case in root.iter("testcase") for child in case]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "failure": len(FILE_NAMES) + 1,
        "skipped": 1,
        "error": 1,
        "system-out": 1,
    }
    assert root.attrib["failures"] == str(len(FILE_NAMES) + 1)
    (tree_of_broken,) = [suite for suite in root if suite.attrib["name"] == "broken.py"]
    assert tree_of_broken.attrib["errors"] == "1"


def test_junit_passes_what_is_below_fail_on_and_has_a_case_where_nothing_was_found(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "broken.py").unlink()
    assert main(["scan", "--format", "junit", "--fail-on", "error"]) == 0
    root = ElementTree.fromstring(capsys.readouterr().out)
    assert root.attrib["failures"] == root.attrib["errors"] == "0"
    for name in ("a.py", "silenced.py"):
        (tree / name).write_text("x = 1\n")
    assert main(["scan", "--format", "junit"]) == 0
    assert ElementTree.fromstring(capsys.readouterr().out).attrib["tests"] == "1"


def test_csv_has_a_row_for_everything_and_no_formula(hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = list(csv.DictReader(io.StringIO(scanned(capsys, "csv"), newline="")))
    kinds = [row["kind"] for row in found]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "finding": len(FILE_NAMES) + 1,
        "silenced": 1,
        "skipped": 1,
    }
    assert {"'=cmd().py", "'@team |x| `y`.py"} <= {row["path"] for row in found}
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in found for cell in row.values())


def test_markdown_lists_the_findings_and_holds_no_markup_of_a_strangers(
    hostile: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = scanned(capsys, "markdown")
    assert len(text) < LIMIT
    shown = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    assert shown.count("<li>") == len(FILE_NAMES) + 3
    assert "<script" not in shown and "<a " not in shown
    assert shown.count("<details") == shown.count("</details>") == 3


def test_the_output_files_name_says_the_format(tree: Path) -> None:
    for name, start in (("x.sarif", "{"), ("x.csv", "kind,"), ("x.xml", "<?xml"), ("x.md", "## ftaudit")):
        assert main(["scan", "--output", name]) == 1
        assert (tree / name).read_text("utf-8").startswith(start)
    # A scan has no badge.
    assert main(["scan", "--output", "x.svg"]) == 2
    assert not (tree / "x.svg").exists()
