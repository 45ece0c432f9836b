"""The completion scripts, in the real shells: bash always, zsh and fish if they are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ftaudit.cli import main


@pytest.fixture
def script(tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Path:
    """Return the script of a shell; skip if the shell is not installed."""
    if shutil.which(request.param) is None:
        pytest.skip(f"there is no {request.param} on this machine")
    assert main(["completion", request.param]) == 0
    path = tmp_path / f"ftaudit.{request.param}"
    path.write_text(capsys.readouterr().out)
    return path


def run(*command: str | Path, cwd: Path) -> str:
    ran = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | {"HOME": str(cwd)},
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0 and ran.stderr == "", ran.stderr
    return ran.stdout


def test_another_shell_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == 2
    told = capsys.readouterr().err
    assert "bash, zsh, fish" in told and "invalid SHELL 'tcsh'" in told


def test_without_a_shell_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion"]) == 2
    assert "SHELL" in capsys.readouterr().err


@pytest.mark.parametrize("script", ["bash", "zsh"], indirect=True)
def test_the_shell_can_read_it(script: Path, tmp_path: Path) -> None:
    run(script.suffix[1:], "-n", script, cwd=tmp_path)


CASES = [
    ("ch", {"check"}),
    ("python ", {"find", "install"}),
    ("check --stat", {"--static"}),
    ("check --color al", {"always"}),
    ("scan --fail-on w", {"warning"}),
    ("diff ol", {"old.json"}),
    ("scan --select missing-mod", {"missing-mod-gil"}),
    ("explain pyo3-gil", {"pyo3-gil-used"}),
    ("explain reen", {"reenables-gil"}),
]


@pytest.mark.parametrize("script", ["bash"], indirect=True)
@pytest.mark.parametrize(("line", "expected"), CASES)
def test_bash_completes_commands_options_choices_and_files(
    line: str, expected: set[str], script: Path, tmp_path: Path
) -> None:
    (tmp_path / "old.json").touch()
    words = " ".join(f"'{word}'" for word in f"ftaudit {line}".split(" "))
    number = len(line.split(" "))
    code = f"source {script}; COMP_WORDS=({words}); COMP_CWORD={number}; _shtab_ftaudit; "
    code += "printf '%s\\n' \"${COMPREPLY[@]}\""
    assert {word.strip() for word in run("bash", "-c", code, cwd=tmp_path).splitlines()} - {"-h", "--help"} == expected


ZPTY = """
zmodload zsh/zpty
zpty z "PS1= zsh -f -i"
zpty -w z "PS1=''; fpath=($1 \\$fpath); autoload -U compinit; compinit -u -D; ftaudit() { print -r -- GOT:\\$*: }"
zpty -w z "print READY"
zpty -r z out '*READY*READY*'
zpty -n -w z $'ftaudit '$2$'\\t\\n'
zpty -r z out '*GOT:*:*'
print -r -- "$out"
"""
"""A zsh that types into another one, because completion works only in a terminal."""


@pytest.mark.parametrize("script", ["zsh"], indirect=True)
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("chec", "check"),
        ("check --stati", "check --static"),
        ("python fi", "python find"),
        ("diff ol", "diff old.json"),
    ],
)
def test_zsh_completes_commands_options_and_files(line: str, expected: str, script: Path, tmp_path: Path) -> None:
    (tmp_path / "old.json").touch()
    script.rename(tmp_path / "_ftaudit")
    (tmp_path / "type.zsh").write_text(ZPTY)
    assert f"GOT:{expected}:" in run("zsh", "-f", "type.zsh", tmp_path, line, cwd=tmp_path)


@pytest.mark.parametrize("script", ["fish"], indirect=True)
@pytest.mark.parametrize(("line", "expected"), CASES)
def test_fish_completes_commands_options_choices_and_files(
    line: str, expected: set[str], script: Path, tmp_path: Path
) -> None:
    (tmp_path / "old.json").touch()
    told = run("fish", "--no-config", "-c", f"source {script}; complete -C 'ftaudit {line}'", cwd=tmp_path)
    assert expected <= {word.split("\t")[0] for word in told.splitlines()}
