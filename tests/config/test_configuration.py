"""Configuration files through the command line: rejected settings, precedence, and the places of a file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftaudit.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    (folder / ".git").mkdir(parents=True)
    (folder / "a.py").write_text("import sys\nsys.setswitchinterval(0.1)\n")
    monkeypatch.chdir(folder)
    for name in (
        "UV_DEFAULT_INDEX",
        "UV_INDEX_URL",
        "PIP_INDEX_URL",
        "PIP_FIND_LINKS",
        "UV_FIND_LINKS",
        "FTAUDIT_PYTHON",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FTAUDIT_CACHE_DIR", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(arguments))
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def shown(run: Run, *arguments: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the output of `config show`, by key and command."""
    code, out, err = run("config", "show", "--format", "json", *arguments)
    assert code == 0, err
    return {(line["key"], command): line for line in json.loads(out)["settings"] for command in line["commands"]}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('selct = ["FT3"]', ["ftaudit.toml:1", "selct", "did you mean select?"]),
        ("# one\n\nno_deps = true", ["ftaudit.toml:3", "no_deps", "did you mean no-deps?"]),
        ('[scan]\nfail_on = "error"', ["ftaudit.toml:2", "scan.fail_on", "did you mean fail-on?"]),
        ("[scan]\nstatic = true", ["ftaudit.toml:2", "scan.static is not known in [scan]"]),
        ("[scna]\npedantic = true", ["ftaudit.toml:1", "did you mean scan?"]),
        ("zzzzzz = 1", ["zzzzzz", "config show"]),
        ("jobs = true", ["jobs must be a whole number, not true"]),
        ("jobs = 1.5", ["jobs must be a whole number, not 1.5"]),
        ('timeout = "60"', ['timeout must be a number, not "60"']),
        ("timeout = nan", ["timeout must be a number, not nan"]),
        ("static = 1", ["static must be true or false, not 1"]),
        ("target = 3.14", ["target must be a string or a list of strings, not 3.14"]),
        ("statik = true", ["ftaudit.toml:1: statik is not known: unknown key", "did you mean static?"]),
        ('target = "3.12"', ["ftaudit.toml:1: target does not accept", "unknown target", "3.14t"]),
        ('[scan]\ntarget = "3.12"', ["ftaudit.toml:2: scan.target does not accept", "3.14t"]),
        ('# x\nplatform = ["linux-foo"]', ["ftaudit.toml:2: platform does not accept", "linux-foo", "linux-x86_64"]),
        ('platform = "linux-x86_64"', ['platform must be a list of strings, not "linux-x86_64"']),
        ("select = [1]", ["select must be a list of strings, not 1"]),
        ('format = "pdf"', ["format must be one of", '"json"', 'not "pdf"']),
        ("[check]\n[check.static]", ["check.static must be true or false, not a table"]),
        (
            'python = "./evil"',
            ["python cannot be set in a configuration file that ftaudit finds by itself", "FTAUDIT_PYTHON"],
        ),
        (
            '[check]\npython = "./evil"',
            ["cannot be set in a configuration file that ftaudit finds by itself", "--config"],
        ),
        ('cache-dir = "cache"', ["cache-dir cannot be set", "runs an interpreter in it"]),
        ('output = "../../.profile"', ["output cannot be set", "a file that ftaudit replaces"]),
        ('rules = ["../elsewhere"]', ["not inside", "--config"]),
        ('rules = ["/"]', ["not inside"]),
        ('baseline = "../b.json"', ["not inside"]),
        (
            'extra-index-url = ["corp=https://evil.example/simple"]',
            ["uses credentials from the environment", "--config"],
        ),
        ("update-baseline = true", ["update-baseline is not known"]),
        ('changed = "main"', ["changed is not known"]),
        ('config = "x.toml"', ["is not known"]),
        ("ignore = [", ["not valid TOML"]),
        ("accept = 1", ["accept takes tables", "[[accept]]"]),
        ("x = " + "[" * 100_000, ["ftaudit.toml"]),
        ("x = 9" + "9" * 5000, ["ftaudit.toml"]),
    ],
)
def test_what_is_wrong_in_a_file_is_an_error_with_its_place(
    text: str, told: list[str], project: Path, run: Run
) -> None:
    (project / "ftaudit.toml").write_text(text + "\n")
    code, out, err = run("scan")
    assert (code, out) == (2, "")
    for words in told:
        assert words in err
    assert len(err.splitlines()) <= 2


def test_bytes_that_are_no_text_and_a_file_too_long_are_errors(project: Path, run: Run) -> None:
    (project / "ftaudit.toml").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in run("scan")[2]
    (project / "ftaudit.toml").write_bytes(b"#" * (5 << 20))
    assert "too large for a configuration file" in run("scan")[2]


def test_the_table_of_pyproject_is_read_and_named_in_full(project: Path, run: Run) -> None:
    (project / "pyproject.toml").write_text('[project]\nname = "x"\n[tool.ftaudit.scan]\npedantc = true\n')
    code, _, err = run("scan")
    assert code == 2
    assert "pyproject.toml:4: tool.ftaudit.scan.pedantc" in err and "did you mean pedantic?" in err


@pytest.mark.parametrize("text", ["[tool]\nftaudit = 1", "tool = 1 # ftaudit"])
def test_a_table_that_is_none_is_an_error(text: str, project: Path, run: Run) -> None:
    (project / "pyproject.toml").write_text(text)
    assert run("scan")[0] == 2


def test_a_broken_pyproject_that_does_not_name_us_is_not_ours_to_judge(project: Path, run: Run) -> None:
    (project / "pyproject.toml").write_text("[project\n")
    assert shown(run)["static", "check"]["value"] is False


def test_no_config_leaves_every_file_out(project: Path, run: Run) -> None:
    (project / "ftaudit.toml").write_text("broken = [")
    assert shown(run, "--no-config")["static", "check"]["origin"] == "default"
    assert run("scan", "--no-config", "--config", "ftaudit.toml")[0] == 2


def test_command_line_over_environment_over_ftaudit_toml_over_pyproject_over_default(
    project: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def origin(*arguments: str) -> tuple[str, str | None, Any]:
        line = shown(run, *arguments)["index-url", "check"]
        return line["origin"], line["where"], line["value"]

    assert origin() == ("default", None, None)
    (project / "pyproject.toml").write_text('[tool.ftaudit]\nindex-url = "https://one.example/simple"\n')
    assert origin() == ("file", "pyproject.toml:2", "https://one.example/simple")
    (project / "ftaudit.toml").write_text('index-url = "https://two.example/simple"\n')
    assert origin() == ("file", "ftaudit.toml:1", "https://two.example/simple")
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:secret@three.example/simple")
    assert origin() == ("environment", "PIP_INDEX_URL", "https://***@three.example/simple")
    # The index in force is the one queried: the variable overrides a file's index, and the option overrides both.
    (project / "requirements.txt").write_text("demo==1.0\n")
    monkeypatch.setenv("PIP_INDEX_URL", "https://127.0.0.1:1/simple")
    _, out, _ = run("check", "--static", "--no-deps", "--no-cache")
    assert "127.0.0.1" in out and "two.example" not in out
    _, out, _ = run("check", "--static", "--no-deps", "--no-cache", "--index-url", "https://127.0.0.1:2/simple")
    assert "127.0.0.1:2" in out


def test_the_table_of_a_command_goes_before_the_keys_of_all(project: Path, run: Run) -> None:
    (project / "ftaudit.toml").write_text('target = "3.15t"\n[scan]\ntarget = "3.13t"\n')
    lines = shown(run)
    assert (lines["target", "check"]["value"], lines["target", "check"]["where"]) == ("3.15t", "ftaudit.toml:1")
    assert (lines["target", "scan"]["value"], lines["target", "scan"]["where"]) == ("3.13t", "ftaudit.toml:3")
    assert json.loads(run("scan", "--format", "json")[1])["target"] == "3.13t"
    assert json.loads(run("scan", "--format", "json", "--target", "3.14t")[1])["target"] == "3.14t"


def test_a_format_that_one_command_has_does_not_disturb_the_others(project: Path, run: Run) -> None:
    (project / "ftaudit.toml").write_text('format = "json"\n')
    assert json.loads(run("scan")[1])["schema_version"] == 1
    (project / "ftaudit.toml").write_text('format = "sarif"\n')
    assert json.loads(run("scan")[1])["version"] == "2.1.0"
    assert run("config", "show")[1].startswith("read: ftaudit.toml")


def test_a_switch_of_a_file_is_taken_back_on_the_command_line(project: Path, run: Run) -> None:
    (project / "ftaudit.toml").write_text('select = ["FT5"]\npedantic = true\n')
    with_it = json.loads(run("scan", "--format", "json")[1])["exit_code"]
    without = json.loads(run("scan", "--format", "json", "--no-pedantic", "--select", "setswitchinterval")[1])
    assert with_it == 0 or without["findings"]
    assert [finding["rule"] for finding in without["findings"]] == ["setswitchinterval"]


def test_inputs_and_paths_are_relative_to_the_file(project: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "src").mkdir()
    (project / "src" / "b.py").write_text("import sys\nsys.setswitchinterval(0.1)\n")
    (project / "ftaudit.toml").write_text('[scan]\npaths = ["src"]\nselect = ["setswitchinterval"]\n')
    assert [finding["path"] for finding in json.loads(run("scan", "--format", "json")[1])["findings"]] == ["src/b.py"]
    (project / "deep").mkdir()
    monkeypatch.chdir(project / "deep")
    found = json.loads(run("scan", "--format", "json")[1])["findings"]
    assert [Path(finding["path"]).name for finding in found] == ["b.py"]


def test_rules_of_a_local_folder_work_by_configuration(project: Path, run: Run) -> None:
    (project / "ft_rules").mkdir()
    (project / "ft_rules" / "no_foo.py").write_text(
        "from ftaudit.model import Confidence, Severity\n"
        "from ftaudit.rule import RuleInfo\n"
        "from ftaudit.source.base import PythonRule\n"
        "class NoFoo(PythonRule):\n"
        '    """Foo is bad."""\n'
        '    info = RuleInfo(code="LOC7", name="no-foo", summary="Foo.", severity=Severity.ERROR,\n'
        '                    confidence=Confidence.HIGH, since="1", remedy="Remove foo.")\n'
        "    def check(self, module):\n"
        "        for number, line in enumerate(module.lines, 1):\n"
        '            if "foo" in line:\n'
        '                yield self.finding("foo", location=module.location(number))\n'
    )
    (project / "a.py").write_text("foo = 1\n")
    (project / "ftaudit.toml").write_text('rules = ["./ft_rules"]\n')
    code, out, err = run("scan")
    assert code == 1 and "LOC7" in out
    assert "running the project's own rules: ft_rules (ftaudit.toml:1; --no-config skips them)" in err
    assert run("scan", "--quiet")[2] == ""
    assert "LOC7" in run("explain", "no-foo")[1]
    assert run("scan", "--no-config")[0] == 0


def test_a_file_that_the_user_names_may_set_what_a_found_one_may_not(project: Path, run: Run, tmp_path: Path) -> None:
    named = tmp_path / "mine.toml"
    named.write_text('cache-dir = "cache-of-mine"\n[check]\npython = "bin/python3.14t"\n')
    (project / "ftaudit.toml").write_text("never = [")
    line = shown(run, "--config", str(named))["cache-dir", "scan"]
    assert line["origin"] == "environment"  # The variable still overrides a file.
    assert shown(run, "--config", str(named))["python", "check"]["value"] == str(Path("..", "bin", "python3.14t"))
    code, _, err = run("scan", "--config", "missing.toml")
    assert code == 2 and "missing.toml" in err


def test_a_file_is_looked_for_up_to_the_top_of_the_checkout_and_no_further(
    project: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ftaudit.toml").write_text("outside = true\n")
    deep = project / "one" / "two"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert shown(run)["static", "check"]["origin"] == "default"
    (project / "pyproject.toml").write_text("[tool.ftaudit]\nstatic = true\n")
    assert shown(run)["static", "check"]["where"] == str(project / "pyproject.toml") + ":2"
    # The nearest folder that has one decides; a pyproject.toml without our table does not count.
    (project / "one" / "pyproject.toml").write_text("[project]\n")
    assert shown(run)["static", "check"]["value"] is True
    (project / "one" / "ftaudit.toml").write_text("static = false\n")
    assert shown(run)["static", "check"]["where"] == str(project / "one" / "ftaudit.toml") + ":1"


def test_outside_of_a_checkout_only_the_project_folder_counts(
    run: Run, tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = tmp_path / "alone" / "deep"
    alone.mkdir(parents=True)
    (tmp_path / "ftaudit.toml").write_text("outside = true\n")
    monkeypatch.chdir(alone)
    assert shown(run)["static", "check"]["origin"] == "default"
    (tmp_path / "alone" / "pyproject.toml").write_text("[tool.ftaudit]\nstatic = true\n")
    assert shown(run)["static", "check"]["origin"] == "file"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give files to somebody else")
def test_somebody_elses_file_in_a_folder_above_does_not_count(
    project: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "ftaudit.toml").write_text("static = true\n")
    deep = project / "deep"
    deep.mkdir()
    monkeypatch.chdir(deep)
    assert shown(run)["static", "check"]["origin"] == "file"
    os.chown(project / "ftaudit.toml", 12345, 12345)
    assert shown(run)["static", "check"]["origin"] == "default"


def test_show_names_each_key_with_its_value_and_where_it_came_from(
    project: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "ftaudit.toml").write_text('platform = ["linux-x86_64",\n "windows-amd64"]\n')
    monkeypatch.setenv("FTAUDIT_PYTHON", "/opt/python3.14t")
    code, out, _ = run("config", "show", "check")
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines()[2:] if line.strip()}
    assert '["linux-x86_64", "windows-amd64"]' in rows["platform"] and "ftaudit.toml:1" in rows["platform"]
    assert "FTAUDIT_PYTHON" in rows["python"] and "/opt/python3.14t" in rows["python"]
    assert "default" in rows["static"] and "pedantic" not in rows
    code, _, err = run("config", "show", "chekc")
    assert code == 2 and "check" in err


def test_show_names_the_accepted_problems(project: Path, run: Run) -> None:
    (project / "ftaudit.toml").write_text(
        '[[accept]]\npackage = "a"\nreason = "x"\n[[accept]]\nrule = "FT3"\nreason = "y"\nexpires = 2020-01-31\n'
    )
    code, out, _ = run("config", "show")
    assert code == 0
    assert "accepted: a: x (ftaudit.toml:1)" in out
    assert "accepted: FT3: y (ftaudit.toml:4, expired on 2020-01-31)" in out
    entries = json.loads(run("config", "show", "--format", "json")[1])["accept"]
    assert [(entry["what"], entry["expired"]) for entry in entries] == [("a", False), ("FT3", True)]


def test_a_terminal_is_not_steered_by_what_a_file_says(project: Path, run: Run) -> None:
    (project / "ftaudit.toml").write_text('extra = ["\\u001b[2J"]\n')
    assert "\x1b" not in run("config", "show")[1]
    (project / "ftaudit.toml").write_text('"\\u001b[2J" = 1\n')
    assert "\x1b" not in run("config", "show")[2]
