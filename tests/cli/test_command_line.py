"""The command line from outside: usage errors, help, exit codes, no tracebacks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import environment, ftaudit
from support.distributions import wheel
from support.index_server import IndexServer


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["chekc"], "chekc"),
        (["check", "--target", "2.7", "r.txt"], "2.7"),
        (["check", "--platform", "amiga", "r.txt"], "amiga"),
        (["check", "--format", "pdf"], "pdf"),
        (["check", "missing.txt"], "missing.txt"),
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


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["check", "lxml"], "`ftaudit check 'lxml==VERSION'`"),
        (["check", "lxml"], "`ftaudit wheel lxml`"),
        (["check", "-r", "r.txt"], "`ftaudit check requirements.txt`"),
        (["check", "missing.txt"], "specify an input file"),
        (["check", "--static", "--index-url", "foo", "r.txt"], "https:// URL"),
        (["check", "--static", "--extra-index-url", "foo", "uv.lock"], "https:// URL"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_what_was_probably_meant_is_said(arguments: list[str], hint: str, tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("demo==1.0\n")
    locked = '[[package]]\nname = "demo"\nversion = "1"\nsource = { registry = "https://index.example/simple" }\n'
    (tmp_path / "uv.lock").write_text(f'version = 1\nrequires-python = ">=3.11"\n{locked}')
    ran = ftaudit(*arguments, cwd=tmp_path)
    assert ran.returncode == 2
    assert hint in ran.stderr and "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    "arguments", [["check", "r.txt"], ["check", "--no-config", "r.txt"], ["check", "pyproject.toml"], ["explain"]]
)
def test_without_its_dependencies_it_says_so_in_a_line(arguments: list[str], tmp_path: Path) -> None:
    import ftaudit as installed

    (tmp_path / "r.txt").write_text("demo==1.0\n")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\ndependencies = ["demo"]\n')
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "bare"], cwd=tmp_path, check=True)
    python = next(path for path in (tmp_path / "bare").glob("*/python*") if path.suffix in ("", ".exe"))
    ran = subprocess.run(
        [python, "-m", "ftaudit", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(tmp_path, {"PYTHONPATH": str(Path(installed.__file__).parents[1])}),
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    said, hint = ran.stderr.splitlines()
    assert said.startswith("ftaudit: error: the dependency ") and "pip install" in hint


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


def test_the_exit_code_holds_where_the_reader_of_the_output_went_away(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import sys\nsys.setswitchinterval(1e9)\n")
    command = [sys.executable, "-m", "ftaudit", "scan", "--select", "setswitchinterval", "bad.py"]
    listened = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment(tmp_path), check=False)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=environment(tmp_path)
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
    assert (listened.returncode, process.returncode, errors) == (1, 1, b"")


@pytest.mark.parametrize("password", ["it's", "p/w", "p@w", "p w", "1#2", 'say"'])
def test_no_message_shows_a_password(password: str, tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("demo==1.0\n")
    url = f"https://me:{password}@127.0.0.1:bad/simple"
    ran = ftaudit("check", "--static", "--index-url", url, "r.txt", cwd=tmp_path)
    assert ran.returncode in (2, 3)
    assert password not in ran.stderr + ran.stdout and "Traceback" not in ran.stderr


def test_a_requirement_with_a_version_is_an_input_and_cannot_be_edited(tmp_path: Path) -> None:
    with IndexServer() as server:
        server.add_project("good", [wheel("good", "1.0")])
        options = ("--static", "--index-url", server.simple_url, "good==1.0")
        ran = ftaudit("check", *options, cwd=tmp_path)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "read: good==1.0" in ran.stdout
        assert "good 1.0" in ran.stdout
        written = ftaudit("plan", "--write", *options, cwd=tmp_path)
    assert written.returncode == 2
    assert "good==1.0 is not a file, so there is nothing to edit" in written.stderr


def test_a_name_without_a_version_could_be_a_missing_file(tmp_path: Path) -> None:
    ran = ftaudit("check", "--static", "good", cwd=tmp_path)
    assert ran.returncode == 2
    assert "for a package, specify a version: `ftaudit check 'good==VERSION'`" in ran.stderr


def test_help_is_a_command_too(tmp_path: Path) -> None:
    assert ftaudit("help", "scan", cwd=tmp_path).stdout == ftaudit("scan", "--help", cwd=tmp_path).stdout
    assert ftaudit("help", cwd=tmp_path).stdout == ftaudit("--help", cwd=tmp_path).stdout


def test_the_last_line_of_a_report_repeats_its_first(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("absent==1.0\n")
    with IndexServer() as server:
        options = ("--static", "--index-url", server.simple_url)
        ran = ftaudit("check", *options, "r.txt", cwd=tmp_path, env={"COLUMNS": "200"})
    lines = ran.stdout.splitlines()
    assert lines[-1] == lines[0]
