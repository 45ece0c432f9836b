"""The command line through its front door: usage errors, help, exit codes, nothing of a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import ftaudit


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["chekc"], "chekc"),
        (["check", "--target", "2.7", "r.txt"], "2.7"),
        (["check", "--platform", "amiga", "r.txt"], "amiga"),
        (["check", "--format", "pdf"], "pdf"),
        (["check", "missing.txt"], "missing.txt"),
        (["check", "empty.txt"], "empty.txt"),
        (["check", "."], "."),
        (["check"], "requirements.txt"),
        (["check", "--jobs", "0", "r.txt"], "--jobs"),
        (["check", "--static", "--output", "no/such/folder/out.json", "r.txt"], "no/such/folder"),
        (["check", "broken/uv.lock"], "uv.lock"),
        (["python", "find", "--python", "/bin/sh"], "/bin/sh"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_clear_error_with_exit_code_2(arguments: list[str], word: str, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "broken").mkdir()
    (tmp_path / "project" / "broken" / "uv.lock").write_text("version = 99\n")
    (tmp_path / "project" / "empty.txt").write_text("# nothing\n")
    (tmp_path / "project" / "r.txt").write_text("demo @ file:///nowhere/demo-1.0-py3-none-any.whl\n")
    if arguments == ["check"]:
        (tmp_path / "project" / "r.txt").unlink()
        (tmp_path / "project" / "empty.txt").unlink()
    ran = ftaudit(*arguments, cwd=tmp_path / "project")
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[0].startswith("ftaudit: ") and word in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


def test_alone_it_says_what_to_do_next(tmp_path: Path) -> None:
    ran = ftaudit(cwd=tmp_path)
    assert ran.returncode == 0
    assert "ftaudit check requirements.txt" in ran.stdout


def test_the_version_is_printed_without_importing_what_it_does_not_need(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ftaudit", "--version"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    assert ran.stdout.startswith("ftaudit ")
    for heavy in ("rich", "requests", "packaging", "lief", "unicorn", "libcst", "pypi_simple"):
        assert f"| {heavy}\n" not in ran.stderr.replace("  ", " ")


def test_one_hopeless_requirement_does_not_lose_the_rest(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "pyproject.toml").write_text('[project]\nname = "lib"\nversion = "1"\n')
    (tmp_path / "r.txt").write_text("demo @ file:///nowhere/demo-1.0-py3-none-any.whl\n./lib\n")
    ran = ftaudit("check", "--static", "--offline", "--format", "json", "r.txt", cwd=tmp_path)
    rows = {row["name"]: row["verdict"] for row in json.loads(ran.stdout)["packages"]}
    assert rows["lib"] == "pure"
    assert ran.returncode in (0, 3)
