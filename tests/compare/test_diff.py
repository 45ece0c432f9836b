"""`ftaudit diff`: hostile and unlike files first, then better, worse, new and gone packages."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from packaging.version import Version
from support.facts import facts, imported, module
from support.reports import BLOCKED, HOSTILE, READY, UNSURE, package, report

from ftaudit.cli import main
from ftaudit.compare import compare, parse_document
from ftaudit.errors import FtauditError
from ftaudit.model import Confidence, Finding, GilDeclaration, Location, Package, Report, Severity, Verdict
from ftaudit.model.gaps import Gap, GapKind
from ftaudit.model.reasons import TierFailed
from ftaudit.report import comparison as renderer
from ftaudit.report.package import check_json
from ftaudit.report.scan import scan_json
from ftaudit.source.tree_scan import ScanResult

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(old: str | bytes, new: str | bytes, *arguments: str) -> tuple[int, str, str]:
        for name, text in (("old.json", old), ("new.json", new)):
            (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        capsys.readouterr()
        code = main(["diff", "old.json", "new.json", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def rendered(given: Report) -> str:
    return check_json.render(given)


def row(name: str, verdict: Verdict, *, version: str = "1.0", platform: str = "linux-x86_64") -> Package:
    """Return a row with a verdict; its origin does not matter here."""
    made = package(facts(name=name, pin={"version": Version(version)}))
    return replace(
        made,
        facts=replace(made.facts, platform=platform),
        verdict=verdict,
        why=(TierFailed(gap=Gap(kind=GapKind.FAILED, detail=f"because {verdict}")),),
    )


def both(run: Run, old: Report, new: Report, *arguments: str) -> tuple[int, dict[str, Any]]:
    code, out, err = run(rendered(old), rendered(new), "--format", "json", *arguments)
    assert out, err
    document: dict[str, Any] = json.loads(out)
    jsonschema.Draft202012Validator.check_schema(renderer.schema())
    jsonschema.validate(document, renderer.schema())
    assert document["exit_code"] == code
    return code, document


GOOD = rendered(READY)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 200_000, "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        ("1" * 10_000, "not JSON"),
        ("[]", "the document is not an object"),
        ("{}", "no schema_version"),
        ('{"schema_version": 2}', "schema version 2"),
        ('{"schema_version": true, "packages": [], "coverage": {}}', "schema version True"),
        ('{"schema_version": 1}', "not the output of `ftaudit check`, `wheel`, `scan` or `report`"),
        ('{"schema_version": 1, "packages": [], "coverage": {}}', "target is not a string"),
        (
            '{"schema_version": 1, "packages": [], "coverage": {}, "target": "3.14t", "platforms": [1]}',
            "platforms[0] is not a string",
        ),
        (
            '{"schema_version": 1, "packages": [7], "coverage": {}, "target": "3.14t", '
            '"platforms": [], "incomplete": []}',
            "packages[0] is not an object",
        ),
        (GOOD.replace('"verdict": "ready"', '"verdict": "splendid"'), ".verdict is not one of ready"),
        (GOOD.replace('"reasons": [', '"reasons": [{}, '), "reasons[0] is not a string"),
        (
            '{"schema_version": 1, "findings": [], "skipped": [{}], "target": "3.14t"}',
            "skipped[0].path is not a string",
        ),
    ],
)
def test_what_is_no_report_is_an_error_that_names_the_file_and_place(text: str | bytes, told: str, run: Run) -> None:
    for arguments, name in (((text, GOOD), "old.json"), ((GOOD, text), "new.json")):
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith(f"ftaudit: error: {name}") and told in err
        assert "Traceback" not in err


def test_a_missing_file_and_a_folder_are_errors(run: Run, tmp_path: Path) -> None:
    run(GOOD, GOOD)
    assert main(["diff", "old.json", "absent.json"]) == 2
    assert main(["diff", "old.json", str(tmp_path)]) == 2


def test_no_change_of_a_report_crashes_the_reading() -> None:
    generator = random.Random(20261121)
    values: list[Any] = [None, True, -1, 1e400, "", "\ud800", "\x1b[2J", [], {}, [[]], {"a": {}}, "x" * 10_000]
    documents = [json.loads(rendered(BLOCKED)), json.loads(rendered(HOSTILE))]
    errors = 0
    for _ in range(400):
        document = copy.deepcopy(generator.choice(documents))
        for _ in range(generator.randint(1, 3)):
            place: Any = document
            while True:
                keys = list(place) if isinstance(place, dict) else list(range(len(place)))
                key = generator.choice(keys) if keys else None
                if key is None:
                    break
                if not isinstance(place[key], dict | list) or generator.random() < 0.2:
                    place[key] = generator.choice(values)
                    break
                place = place[key]
        try:
            made = compare(parse_document(json.dumps(document).encode(), "old"), parse_document(GOOD.encode(), "new"))
        except FtauditError:
            errors += 1
            continue
        for text in (renderer.render_json(made), renderer.render_table(made), renderer.render_markdown(made)):
            text.encode("utf-8")
            assert "\x1b" not in text
    assert 0 < errors < 400


def test_other_targets_and_platforms_are_not_compared_and_that_is_said(run: Run) -> None:
    old = report(row("a", Verdict.READY), platforms=("linux-x86_64",))
    code, _, err = run(rendered(old), rendered(replace(old, target="3.15t")))
    assert code == 2 and "nothing in common" in err and "3.15t" in err
    windows = row("a", Verdict.BROKEN, platform="windows-amd64")
    new = report(row("a", Verdict.READY), windows, platforms=("linux-x86_64", "windows-amd64"))
    code, document = both(run, old, new)
    assert code == 0 and document["changes"] == []
    assert document["not_compared"] == ["windows-amd64: in the new report only"]
    assert "not compared: windows-amd64" in run(rendered(old), rendered(new))[1]


def test_a_pre_migration_report_is_compared_by_its_parts(run: Run) -> None:
    def whole(check: Report, **more: object) -> str:
        parts: dict[str, object] = {"schema_version": 1, "plan": {"packages": []}, "check": check_json.as_dict(check)}
        return json.dumps(parts | {"scan": json.loads(scanned((1, "x")))} | more)

    old, new = report(row("a", Verdict.READY)), report(row("a", Verdict.BROKEN))
    assert run(whole(old), whole(old))[0] == 0
    assert run(whole(old), whole(new))[0] == 1
    code, out, _ = run(rendered(old), whole(new, scan=None))
    assert code == 1 and "not compared" not in out
    code, out, _ = run(rendered(old), whole(old))
    assert code == 0 and "not compared: source: in new.json only" in out
    assert run(rendered(old), whole(old, incomplete=["a.c could not be read"]))[0] == 3


def test_a_plan_is_nothing_to_compare(run: Run) -> None:
    plan = json.dumps({"schema_version": 1, "target": "3.14t", "platforms": [], "packages": []})
    code, _, err = run(plan, plan)
    assert code == 2 and "not the output of `ftaudit check`, `wheel`, `scan` or `report`" in err


def test_a_scan_and_a_check_have_nothing_in_common(run: Run) -> None:
    scanned = scan_json.render(ScanResult(target="3.14t"), exit_code=0)
    code, _, err = run(GOOD, scanned)
    assert code == 2 and "nothing in common" in err


ORDER = ["ready", "fallback", "unknown", "reenables-gil", "source-only", "unavailable", "broken"]


@pytest.mark.parametrize("old", ORDER)
@pytest.mark.parametrize("new", ORDER)
def test_worse_is_further_down_the_documented_order(old: str, new: str, run: Run) -> None:
    code, document = both(run, report(row("a", Verdict(old))), report(row("a", Verdict(new))))
    kinds = [change["kind"] for change in document["changes"]]
    if old == new:
        assert (code, kinds) == (0, [])
    elif new == "unknown":
        assert (code, kinds) == (3, ["unclear"])
    elif ORDER.index(new) > ORDER.index(old):
        assert (code, kinds) == (1, ["worse"])
    else:
        assert (code, kinds) == (0, ["better"])


def test_the_order_that_is_documented_is_the_one_that_is_used() -> None:
    text = (Path(__file__).parents[2] / "docs" / "commands" / "diff.md").read_text("utf-8")
    assert "`ready` = `pure` < " + " < ".join(f"`{verdict}`" for verdict in ORDER[1:]) in text


@pytest.mark.parametrize(
    ("verdict", "kind", "code"),
    [("broken", "worse", 1), ("unknown", "unclear", 3), ("pure", "came", 0), ("fallback", "came", 0)],
)
def test_a_package_that_came_counts_by_its_verdict(verdict: str, kind: str, code: int, run: Run) -> None:
    old = report(row("a", Verdict.READY))
    found, document = both(run, old, report(row("a", Verdict.READY), row("b", Verdict(verdict))))
    assert (found, [change["kind"] for change in document["changes"]]) == (code, [kind])


def test_what_went_and_what_has_another_version_is_told_and_fails_nothing(run: Run) -> None:
    old = report(row("a", Verdict.READY), row("b", Verdict.BROKEN), row("c", Verdict.READY))
    new = report(row("a", Verdict.READY, version="2.0"), row("c", Verdict.PURE))
    code, document = both(run, old, new)
    assert code == 0
    assert {change["subject"]: change["kind"] for change in document["changes"]} == {
        "a": "changed",
        "b": "went",
        "c": "changed",
    }
    assert "1.0 → 2.0, ready" in run(rendered(old), rendered(new))[1]


def test_what_happened_alike_on_several_platforms_is_told_once(run: Run) -> None:
    platforms = ("linux-x86_64", "linux-aarch64")
    old = report(*(row("a", Verdict.READY, platform=each) for each in platforms), platforms=platforms)
    new = report(*(row("a", Verdict.BROKEN, platform=each) for each in platforms), platforms=platforms)
    _, document = both(run, old, new)
    assert [sorted(change["platforms"]) for change in document["changes"]] == [sorted(platforms)]


def test_an_incomplete_new_report_is_never_simply_no_worse(run: Run) -> None:
    old = report(row("a", Verdict.READY))
    code, document = both(run, old, replace(old, incomplete=("the dependencies of a",)))
    assert code == 3 and "the dependencies of a" in document["unsure"][0]
    code, document = both(run, replace(old, incomplete=("the dependencies of a",)), old)
    assert code == 0 and "may have existed before" in document["not_compared"][0]
    assert both(run, READY, UNSURE)[0] in (1, 3)


def test_a_further_module_of_a_package_that_was_blocked_already_is_worse(run: Run) -> None:
    def guilty(*names: str) -> Report:
        modules = [
            module(f"a.{name}", binary=GilDeclaration.USED, runtime=imported(requires_gil=True)) for name in names
        ]
        found = tuple(
            Finding(
                rule="binary-gil-used",
                code="FT202",
                severity=Severity.ERROR,
                confidence=Confidence.HIGH,
                message=f"a.{name} declares Py_MOD_GIL_USED",
                module=f"a.{name}",
            )
            for name in names
        )
        return report(package(facts(*modules, name="a"), findings=found))

    code, document = both(run, guilty("x"), guilty("x", "y"))
    assert code == 1 and [change["finding"]["module"] for change in document["changes"]] == ["a.y"]
    # A worse verdict needs no further text.
    code, document = both(run, report(row("a", Verdict.READY)), guilty("x", "y"))
    assert code == 1 and [change["finding"] for change in document["changes"]] == [None]


def scanned(*lines: tuple[int, str], severity: Severity = Severity.WARNING) -> str:
    findings = tuple(
        Finding(
            rule="some-rule",
            code="FT999",
            severity=severity,
            confidence=Confidence.HIGH,
            message="m",
            location=Location(path="a.c", line=number),
        )
        for number, _ in lines
    )
    frames = {("a.c", number): ((number, text),) for number, text in lines}
    return scan_json.render(ScanResult(findings=findings, frames=frames, target="3.14t"), exit_code=1)


def test_findings_of_a_scan_are_known_by_their_line_and_not_its_number(run: Run) -> None:
    code, out, _ = run(scanned((1, "static int x;")), scanned((9, "static  int x; ")), "--format", "json")
    assert code == 0 and json.loads(out)["changes"] == []
    code, out, _ = run(scanned((1, "static int x;")), scanned((1, "static int x;"), (2, "static int x;")))
    assert code == 1 and "a.c:2" in out
    code, out, _ = run(scanned((1, "static int x;")), scanned((1, "static int y;")), "--format", "json")
    assert code == 1 and json.loads(out)["summary"]["better"] == 1
    assert run(scanned(), scanned((1, "x"), severity=Severity.INFO))[0] == 0


def test_reports_of_before_there_were_fingerprints_are_read(run: Run) -> None:
    old = json.loads(scanned((1, "x"), (2, "y")))
    for finding in old["findings"]:
        del finding["fingerprint"], finding["accepted"]
    del old["accepted"], old["notes"]
    code, out, _ = run(json.dumps(old), scanned((5, "x"), (6, "y"), (7, "z")), "--format", "json")
    assert code == 1 and json.loads(out)["summary"]["worse"] == 1


def test_what_is_unchanged_is_counted_in_packages_and_findings(run: Run) -> None:
    places = ("linux-x86_64", "windows-amd64")
    same = [row(name, Verdict.READY, platform=place) for name in ("a", "b") for place in places]
    old = report(*same, row("c", Verdict.READY), platforms=places)
    new = report(*same, row("c", Verdict.BROKEN), platforms=places)
    assert run(rendered(old), rendered(old))[1].startswith("NO WORSE: no change, 3 packages unchanged.")
    assert run(rendered(old), rendered(new))[1].startswith("WORSE: 1 worse, 2 packages unchanged.")


def test_markup_of_strangers_stays_text(run: Run) -> None:
    old = report(row("a", Verdict.READY))
    given = json.loads(rendered(report(row("a", Verdict.BROKEN))))
    given["packages"][0]["reasons"] = ["<script>alert(1)</script> [x](http://index.example) \x1b[2J @someone"]
    text = run(rendered(old), json.dumps(given), "--format", "markdown")[1]
    assert "<script>" not in text and "\x1b" not in text and "`[x](http://index.example)`" in text
    assert "\x1b" not in run(rendered(old), json.dumps(given))[1]
