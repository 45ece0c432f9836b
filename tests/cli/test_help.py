"""The command line for a newcomer: suggestions, help that fits a screen, explanations."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ftaudit.cli import build_parser, main
from ftaudit.cli.declare import declare, find_leaves
from ftaudit.model import Verdict

COMMANDS = [name for name, _ in find_leaves(build_parser())]
LINES = 50
"""The size of a laptop's terminal."""


@pytest.mark.parametrize(
    ("arguments", "told", "hint"),
    [
        (["chekc"], "unknown command 'chekc'", "did you mean check?"),
        (["xyzzy"], "unknown command 'xyzzy'", "choose from check"),
        (["python", "instal"], "unknown command 'instal'", "did you mean install?"),
        (["check", "--statik"], "unknown option --statik for ftaudit check", "did you mean --static?"),
        (["check", "--statik=1"], "unknown option --statik for ftaudit check", "did you mean --static?"),
        (["check", "--stat"], "unknown option --stat", "did you mean --static?"),
        (["scan", "--static"], "unknown option --static for ftaudit scan", ""),
        (["scan", "--fail-on", "eror"], "invalid value 'eror' for --fail-on", "did you mean error?"),
        (["diff", "a", "b", "c"], "unknown argument c for ftaudit diff", "see `ftaudit diff --help`"),
        (["explain", "sorce-only"], "no rule or verdict is named 'sorce-only'", "did you mean source-only?"),
        (["explain", "missing-modgil"], "no rule or verdict", "did you mean missing-mod-gil?"),
    ],
)
def test_a_misspelt_word_gets_the_nearest_right_one(
    arguments: list[str], told: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert told in said.err and hint in said.err


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_fits_a_screen_and_gives_examples(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert not ended.value.code
    text = capsys.readouterr().out
    assert len(text.splitlines()) <= LINES
    assert max(map(len, text.splitlines())) <= 80
    assert f"ftaudit {command}" in text.partition("examples:")[2]


@pytest.mark.parametrize("command", ["", *sorted({name.partition(" ")[0] for name in COMMANDS if " " in name})])
def test_the_help_of_every_group_of_commands_fits_a_screen(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert not ended.value.code
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("command", COMMANDS)
def test_what_the_help_leaves_out_it_names_and_help_all_explains(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = []
    for option in ("--help", "--help-all"):
        with pytest.raises(SystemExit):
            main([*command.split(), option])
        texts.append(capsys.readouterr().out)
    brief, whole = texts
    for key in declare(build_parser()):
        if key.command == command and key.help:
            assert f"--{key.name}" in brief or key.name in ("inputs", "paths")
            assert key.help.split()[0] in whole


def test_alone_it_says_what_to_do_next_in_a_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    text = capsys.readouterr().out
    assert "ftaudit check" in text and "ftaudit --help" in text
    assert len(text.splitlines()) <= 12


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_is_explained(verdict: Verdict, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", verdict.value.upper()]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"{verdict}: a verdict; ")
    assert len(text.splitlines()) >= 3


def test_the_start_of_codes_lists_the_rules_of_the_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "FT2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 3 and all(line.startswith("FT2") for line in lines)


@pytest.mark.parametrize("width", ["40", "80"])
def test_the_help_does_not_depend_on_a_wide_terminal(width: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "ftaudit", "check", "--help"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"COLUMNS": width},
        check=True,
    )
    assert "--target" in ran.stdout


def test_what_is_explained_keeps_to_the_width_of_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    assert main(["explain", "FT506"]) == 0
    prose = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ") and "://" not in line]
    assert max(map(len, prose)) <= 70


def test_a_rule_that_is_off_is_listed_as_such_beside_its_severity(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "FT3"]) == 0
    out = capsys.readouterr().out
    assert "(pedantic)" not in out and out.count("(off)") > 1
