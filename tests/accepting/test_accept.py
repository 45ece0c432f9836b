"""Known problems through the command line: accept entries and the baseline, for packages and for source."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support.distributions import wheel
from support.index_server import IndexServer

from ftaudit.cli import main
from ftaudit.report.package import check_json
from ftaudit.report.scan import scan_json

ELSEWHERE = "cp314-cp314-win_amd64"
"""A tag that the audited platform does not install."""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def index() -> Iterator[str]:
    with IndexServer() as server:
        server.add_project("good", [wheel("good", "1.0")])
        for name in ("bad", "worse"):
            server.add_project(name, [wheel(name, version, tag=ELSEWHERE) for version in ("1.0", "2.0")])
        yield server.simple_url


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    (folder / ".git").mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("FTAUDIT_CACHE_DIR", str(tmp_path / "cache"))
    pins(folder, "good==1.0", "bad==1.0")
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], index: str) -> Run:
    def call(command: str, *arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        ours = (
            ("--static", "--no-deps", "--index-url", index, "--platform", "linux-x86_64") if command == "check" else ()
        )
        code = main([command, *ours, *arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return call


def pins(folder: Path, *lines: str) -> None:
    (folder / "requirements.txt").write_text("\n".join(lines) + "\n")


def accept(folder: Path, *entries: str) -> None:
    (folder / "ftaudit.toml").write_text("".join(f"[[accept]]\n{entry}\n" for entry in entries))


def rows(run: Run, *arguments: str) -> tuple[int, dict[str, Any], list[str]]:
    """Return exit code, rows by name, and notes of a check; the JSON obeys its schema."""
    code, out, err = run("check", "--format", "json", *arguments)
    assert out, err
    document = json.loads(out)
    jsonschema.validate(document, check_json.schema())
    assert document["exit_code"] == code
    return code, {row["name"]: row for row in document["packages"]}, document["notes"]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ('reason = "x"', "names neither a package nor a rule"),
        ('package = "bad"', "has no reason"),
        ('package = "bad"\nreason = " "', "reason must be a non-empty string"),
        ('package = "b ad"\nreason = "x"', "package"),
        ('package = "bad"\nreason = "x"\nversion = "1.0"', 'such as "==1.2"'),
        ('package = "bad"\nreason = "x"\nexpires = "soon"', "a date such as"),
        ('package = "bad"\nreason = "x"\nexpire = 2030-01-01', "did you mean expires?"),
        ('package = "bad"\nreason = "x"\nplatform = "amiga"', "amiga"),
        ('package = "bad"\nreason = "x"\nverdicts = ["ready"]', "verdicts must be a list of"),
        ('package = "bad"\nreason = "x"\npath = "src/"', "a path but no rule"),
        ('rule = "FT101"\nreason = "x"\nverdicts = ["unknown"]', "has both a rule and verdicts"),
        ('rule = "setswitchintervall"\nreason = "x"', "did you mean setswitchinterval?"),
    ],
)
def test_a_wrong_entry_is_an_error_with_its_line(entry: str, told: str, project: Path, run: Run) -> None:
    (project / "ftaudit.toml").write_text(f"# ours\n\n[[accept]]\n{entry}\n")
    code, out, err = run("check")
    assert (code, out) == (2, "")
    assert "ftaudit.toml:3" in err and told in err


@pytest.mark.parametrize(
    "entry",
    [
        'package = "bad"\nreason = "x"\nversion = ">=2"',
        'package = "bad"\nreason = "x"\nplatform = "windows-amd64"',
        'package = "bad"\nreason = "x"\nverdicts = ["broken"]',
        'package = "bad"\nreason = "x"\nexpires = 2020-01-31',
        'package = "bad"\nrule = "FT101"\nreason = "x"',
        'package = "other"\nreason = "x"',
        'rule = "FT1"\nreason = "x"',
    ],
    ids=["version", "platform", "verdict", "expired", "rule of the package", "another package", "rule"],
)
def test_what_an_entry_does_not_cover_still_blocks(entry: str, project: Path, run: Run) -> None:
    accept(project, entry)
    code, found, _ = rows(run)
    assert code == 1 and found["bad"]["accepted"] is None


def test_an_accepted_package_keeps_its_verdict_and_does_not_count(project: Path, run: Run) -> None:
    accept(project, 'package = "Bad"\nreason = "we only run it on Windows"\nexpires = 2999-12-31\nversion = "<2"')
    code, found, _ = rows(run)
    assert code == 0
    assert (found["bad"]["verdict"], found["bad"]["blocks"]) == ("unavailable", True)
    assert found["bad"]["accepted"] == {
        "by": "configuration",
        "reason": "we only run it on Windows",
        "source": {"path": "ftaudit.toml", "line": 1},
        "expires": "2999-12-31",
    }
    _, text, _ = run("check")
    assert text.startswith("ACCEPTED: nothing new")
    assert "we only run it on Windows (ftaudit.toml:1, until 2999-12-31)" in text
    pins(project, "good==1.0", "bad==2.0")
    assert rows(run)[0] == 1


def test_the_last_day_still_counts(project: Path, run: Run) -> None:
    accept(project, f'package = "bad"\nreason = "x"\nexpires = {date.today().isoformat()}')
    assert rows(run)[0] == 0


def test_expired_and_idle_entries_are_reported_for_people_and_programs(project: Path, run: Run) -> None:
    accept(
        project,
        'package = "bad"\nreason = "x"\nexpires = 2020-01-31',
        'package = "good"\nreason = "x"',
        'package = "gone"\nreason = "x"\nplatform = "windows-amd64"',
    )
    code, _, notes = rows(run)
    told = [note for note in notes if "accept entry" in note]
    assert code == 1
    assert told == [
        "ftaudit.toml:1: the accept entry for bad expired on 2020-01-31 and no longer applies",
        "ftaudit.toml:5: the accept entry for good matches nothing here",
    ]
    for form in ("table", "concise", "markdown", "github", "gitlab", "junit", "csv", "sarif", "html", "summary"):
        text = "".join(run("check", "--format", form)[1:])
        assert "2020-01-31" in text and "matches nothing here" in text.replace("\n", " "), form


def test_what_could_not_be_checked_is_accepted_only_by_name(project: Path, run: Run) -> None:
    pins(project, "good==1.0", "absent==1.0")
    accept(project, 'package = "absent"\nreason = "x"')
    assert rows(run)[0] == 3
    accept(project, 'package = "absent"\nreason = "internal, checked by hand"\nverdicts = ["unknown"]')
    code, found, _ = rows(run)
    assert code == 0 and found["absent"]["verdict"] == "unknown"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, ["baseline not found", "--update-baseline"]),
        ("", ["invalid JSON", "restore it"]),
        ("[" * 100_000, ["invalid JSON"]),
        ("[]", ["not a baseline"]),
        ('{"packages": []}', ["not a baseline"]),
        ('{"ftaudit_baseline": 2}', ["version 2", "reads 1"]),
        ('{"ftaudit_baseline": 1, "packages": {}}', ["packages is not a list"]),
        ('{"ftaudit_baseline": 1, "packages": [{"package": 1}]}', ["entry 0"]),
        (
            '{"ftaudit_baseline": 1, "packages": '
            '[{"package": "bad", "platform": "x", "target": "3.14t", "verdict": "unknown"}]}',
            ["is not a verdict that blocks"],
        ),
    ],
)
def test_a_missing_or_broken_baseline_is_an_error_that_says_what_to_do(
    content: str | None, told: list[str], project: Path, run: Run
) -> None:
    if content is not None:
        (project / "b.json").write_text(content)
    code, out, err = run("check", "--baseline", "b.json")
    assert (code, out) == (2, "")
    assert all(words in err for words in told)


def test_an_update_neither_replaces_what_is_no_baseline_nor_goes_without_a_name(project: Path, run: Run) -> None:
    (project / "precious.txt").write_text("mine\n")
    assert run("check", "--baseline", "precious.txt", "--update-baseline")[0] == 2
    assert (project / "precious.txt").read_text() == "mine\n"
    code, _, err = run("check", "--update-baseline")
    assert code == 2 and "--baseline FILE" in err


def test_what_is_known_stands_and_what_is_new_fails(project: Path, run: Run) -> None:
    code, _, err = run("check", "--baseline", "b.json", "--update-baseline")
    assert code == 0 and "1 known problem (1 added, 0 removed)" in err
    first = (project / "b.json").read_text()
    assert json.loads(first)["packages"] == [
        {"package": "bad", "platform": "linux-x86_64", "target": "3.14t", "verdict": "unavailable"}
    ]
    code, found, _ = rows(run, "--baseline", "b.json")
    assert code == 0 and found["bad"]["accepted"]["by"] == "baseline"
    pins(project, "good==1.0", "bad==2.0")
    assert rows(run, "--baseline", "b.json")[0] == 0, "an upgrade that leaves it blocked is no new problem"
    pins(project, "good==1.0", "bad==2.0", "worse==1.0")
    code, found, _ = rows(run, "--baseline", "b.json")
    assert code == 1
    assert [name for name, row in found.items() if row["blocks"] and not row["accepted"]] == ["worse"]
    assert "1 known problem is accepted." in run("check", "--baseline", "b.json")[1]
    assert (project / "b.json").read_text() == first
    run("check", "--baseline", "b.json", "--update-baseline")
    assert [row["package"] for row in json.loads((project / "b.json").read_text())["packages"]] == ["bad", "worse"]


def test_a_worse_verdict_than_the_known_one_is_new_and_a_better_one_is_not(project: Path, run: Run) -> None:
    run("check", "--baseline", "b.json", "--update-baseline")
    text = (project / "b.json").read_text()
    (project / "b.json").write_text(text.replace("unavailable", "source-only"))
    assert rows(run, "--baseline", "b.json")[0] == 1
    (project / "b.json").write_text(text.replace("unavailable", "broken"))
    code, found, _ = rows(run, "--baseline", "b.json")
    assert code == 0 and "improved since the baseline" in found["bad"]["accepted"]["reason"]


def test_what_is_gone_is_said_and_taken_out_on_update_alone(project: Path, run: Run) -> None:
    pins(project, "good==1.0", "bad==1.0", "worse==1.0")
    run("check", "--baseline", "b.json", "--update-baseline")
    pins(project, "good==1.0")
    code, _, notes = rows(run, "--baseline", "b.json")
    assert code == 0
    assert "2 problems in the baseline no longer occur (bad, worse); --update-baseline removes them" in notes
    assert "worse" in (project / "b.json").read_text()
    run("check", "--baseline", "b.json", "--update-baseline")
    assert json.loads((project / "b.json").read_text())["packages"] == []


def test_a_baseline_makes_nothing_good_that_was_not_checked(project: Path, run: Run) -> None:
    pins(project, "absent==1.0")
    (project / "b.json").write_text(
        '{"ftaudit_baseline": 1, "packages": [{"package": "absent", "platform": "linux-x86_64", "target": "3.14t", '
        '"verdict": "broken"}]}'
    )
    code, found, notes = rows(run, "--baseline", "b.json")
    assert code == 3 and found["absent"]["accepted"] is None
    assert "recorded in the baseline, but not checked in this run: absent" in notes
    run("check", "--baseline", "b.json", "--update-baseline")
    assert "absent" in (project / "b.json").read_text(), "it is not known to be gone"


def test_one_file_serves_several_platforms_and_the_source(project: Path, run: Run) -> None:
    (project / "a.py").write_text("import sys\nsys.setswitchinterval(0.1)\n")
    run("check", "--baseline", "b.json", "--update-baseline")
    run("check", "--baseline", "b.json", "--update-baseline", "--platform", "musllinux-x86_64")
    run("scan", "--baseline", "b.json", "--update-baseline", "--select", "setswitchinterval")
    document = json.loads((project / "b.json").read_text())
    assert [row["platform"] for row in document["packages"]] == ["linux-x86_64", "musllinux-x86_64"]
    assert [row["rule"] for row in document["findings"]] == ["setswitchinterval"]


def scan(run: Run, *arguments: str) -> tuple[int, dict[str, Any]]:
    code, out, err = run("scan", "--format", "json", "--select", "setswitchinterval", "--fail-on", "info", *arguments)
    assert out, err
    document: dict[str, Any] = json.loads(out)
    jsonschema.validate(document, scan_json.schema())
    return code, document


SWITCH = "import sys\nsys.setswitchinterval(0.1)\n"


def test_a_known_finding_stands_when_its_line_moves_and_a_second_like_it_is_new(project: Path, run: Run) -> None:
    (project / "a.py").write_text(SWITCH)
    assert scan(run)[0] == 1
    code, document = scan(run, "--baseline", "b.json", "--update-baseline")
    assert code == 0 and document["findings"] == [] and len(document["accepted"]) == 1
    (project / "a.py").write_text("# moved\n\nimport sys\n\nif True:\n    sys.setswitchinterval(0.1)\n")
    assert scan(run, "--baseline", "b.json")[0] == 0
    (project / "a.py").write_text(SWITCH + "sys.setswitchinterval(0.1)\n")
    code, document = scan(run, "--baseline", "b.json")
    assert code == 1 and [finding["line"] for finding in document["findings"]] == [3]
    (project / "a.py").write_text(SWITCH.replace("0.1", "0.2"))
    code, document = scan(run, "--baseline", "b.json")
    assert (
        code == 1
        and len(document["notes"]) == 1
        and ("1 problem in the baseline no longer occurs") in document["notes"][0]
    )


def test_a_file_whose_name_is_no_text_is_known_again(project: Path, run: Run) -> None:
    with open(b"\xff.py", "w") as file:  # noqa: PTH123
        file.write(SWITCH)
    assert scan(run, "--baseline", "b.json", "--update-baseline")[0] == 0
    code, document = scan(run, "--baseline", "b.json")
    assert code == 0 and [finding["path"] for finding in document["accepted"]] == ["\udcff.py"]


def test_a_scan_of_a_part_says_nothing_of_the_rest(project: Path, run: Run) -> None:
    for name in ("a", "b"):
        (project / name).mkdir()
        (project / name / "x.py").write_text(SWITCH)
    scan(run, "--baseline", "b.json", "--update-baseline")
    (project / "a" / "x.py").write_text("")
    _, document = scan(run, "a", "--baseline", "b.json")
    assert document["notes"] == []
    scan(run, "a", "--baseline", "b.json", "--update-baseline")
    assert len(json.loads((project / "b.json").read_text())["findings"]) == 2
    scan(run, ".", "--baseline", "b.json", "--update-baseline")
    assert len(json.loads((project / "b.json").read_text())["findings"]) == 1


def test_findings_in_source_are_accepted_by_rule_and_path(project: Path, run: Run) -> None:
    for name in ("old", "new"):
        (project / name).mkdir()
        (project / name / "x.py").write_text(SWITCH)
    accept(
        project,
        'rule = "setswitchinterval"\npath = "old/"\nreason = "goes with the old code"',
        'rule = "FT517"\npath = "older/"\nreason = "x"',
        'rule = "FT517"\nreason = "x"\nexpires = 2020-01-31',
    )
    code, document = scan(run)
    assert code == 1
    assert [finding["path"] for finding in document["findings"]] == ["new/x.py"]
    assert [finding["path"] for finding in document["accepted"]] == ["old/x.py"]
    assert document["accepted"][0]["accepted"]["reason"] == "goes with the old code"
    assert document["notes"] == [
        "ftaudit.toml:5: the accept entry for FT517 in older/ matches nothing here",
        "ftaudit.toml:9: the accept entry for FT517 expired on 2020-01-31 and no longer applies",
    ]
    text = run("scan", "--select", "FT517")[1]
    assert "1 accepted" in text and "goes with the old code" in text and "expired on 2020-01-31" in text
