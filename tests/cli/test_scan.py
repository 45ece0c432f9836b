"""`ftaudit scan` and `ftaudit explain` through the command line."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from support.command import ftaudit
from support.index_server import IndexServer, ServedFile

from ftaudit.cli import main
from ftaudit.report.scan import scan_json

COUNTER = "_n = 0\ndef f():\n    global _n\n    _n += 1\n"
LOCAL_RULE = '''
"""A rule of a local folder."""
from ftaudit.model import Confidence, Severity
from ftaudit.rule import RuleInfo
from ftaudit.source.base import PythonRule

class NoFoo(PythonRule):
    """Foo is bad."""
    info = RuleInfo(code="LOC1", name="no-foo", summary="Foo.", severity=Severity.ERROR,
                    confidence=Confidence.HIGH, since="1", remedy="Remove foo.")
    def check(self, module):
        for number, line in enumerate(module.lines, 1):
            if "foo" in line:
                yield self.finding("foo", location=module.location(number))
'''


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTAUDIT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "a.py").write_text(COUNTER)
    monkeypatch.chdir(folder)
    return folder


def scan_as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, object]]:
    capsys.readouterr()
    code = main(["scan", "--format", "json", *arguments])
    report: dict[str, object] = json.loads(capsys.readouterr().out)
    jsonschema.validate(report, scan_json.schema())
    assert report["exit_code"] == code
    return code, report


def paths(report: dict[str, object]) -> list[str]:
    findings = report["findings"]
    assert isinstance(findings, list)
    return [finding["path"] for finding in findings]


@pytest.mark.parametrize(
    "arguments",
    [
        ["scan", "absent"],
        ["scan", "./absent"],
        ["scan", "absent.py"],
        ["scan", "demo-1.0-py3-none-any.whl"],
        ["scan", "https://index.example/demo-1.0.tar.gz"],
        ["scan", "--select", "no-such-rule"],
        ["scan", "--target", "3.12"],
        ["scan", "--jobs", "0"],
        ["scan", "--changed"],
        ["scan", "--rules", "absent"],
        ["scan", "name==1.*"],
        ["explain", "FT54"],
    ],
)
def test_what_does_not_exist_is_a_usage_error(
    tree: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("ftaudit: error: ")
    assert "Traceback" not in error


@pytest.fixture
def index() -> Iterator[IndexServer]:
    with IndexServer() as server:
        server.add_project("demo", [sdist("demo", "1.0"), sdist("demo", "2.0"), sdist("demo", "3.0rc1")])
        yield server


def sdist(name: str, version: str) -> ServedFile:
    """A source distribution whose one module has a finding."""
    folder, held = f"{name}-{version}", io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        for path, text in ((f"{folder}/PKG-INFO", f"Name: {name}\nVersion: {version}\n"), (f"{folder}/m.py", COUNTER)):
            member = tarfile.TarInfo(path)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return ServedFile(filename=f"{folder}.tar.gz", data=held.getvalue())


def test_a_name_that_is_no_path_is_never_taken_for_a_strangers_project(
    tree: Path, index: IndexServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scan", "demo", "--index-url", index.simple_url]) == 2
    error = capsys.readouterr().err
    assert "demo does not exist" in error and "demo==VERSION" in error
    assert index.requests == []


def test_a_version_that_is_not_there_is_an_error_that_names_the_newest(
    tree: Path, index: IndexServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scan", "demo==9.0", "--index-url", index.simple_url]) == 2
    assert "newest: 2.0" in capsys.readouterr().err


def test_a_misspelt_rule_is_told_the_nearest(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "--ignore", "static-pyobject-cach"]) == 2
    assert "did you mean static-pyobject-cache?" in capsys.readouterr().err


def test_an_sdist_here_is_scanned_as_the_index_s_would_be(
    tree: Path, index: IndexServer, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "demo-2.0.tar.gz").write_bytes(sdist("demo", "2.0").data)
    code, here = scan_as_json(capsys, "demo-2.0.tar.gz")
    _, there = scan_as_json(capsys, "demo==2.0", "--index-url", index.simple_url)
    assert (code, paths(here)) == (1, ["demo-2.0/m.py"])
    assert here["findings"] == there["findings"]


def test_source_that_an_sdist_links_out_of_itself_is_said_to_be_left_out(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with tarfile.open(tree / "demo-1.0.tar.gz", mode="w:gz") as archive:
        for name, target in (("demo-1.0/out.c", "../../../etc/passwd"), ("demo-1.0/alias.py", "m.py")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
        member = tarfile.TarInfo("demo-1.0/m.py")
        archive.addfile(member, io.BytesIO(b""))
    code, report = scan_as_json(capsys, "demo-1.0.tar.gz")
    assert code == 3
    assert [skip["path"] for skip in report["skipped"]] == ["demo-1.0/out.c"]


@pytest.mark.parametrize("name", ["a.go", "blob.bin", "LICENSE"])
def test_a_named_file_in_no_language_that_is_read_is_not_called_clean(
    tree: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / name).write_bytes(b"package main\n")
    code, report = scan_as_json(capsys, name)
    assert code == 3
    assert [(skip["path"], "not a language" in skip["reason"]) for skip in report["skipped"]] == [(name, True)]


def test_files_around_a_named_file_that_cannot_be_read_are_among_those_that_are_counted(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "setup.py").write_text("")
    (tree / "blob.c").write_bytes(b"\0" * 10)
    (tree / "clean.py").write_text("")
    assert main(["scan", "clean.py"]) == 3
    assert "nothing found · 1/2 files" in capsys.readouterr().out
    code, report = scan_as_json(capsys, "clean.py")
    assert (code, report["summary"]["files"], report["summary"]["skipped"]) == (3, 2, 1)  # type: ignore[index]


@pytest.mark.parametrize("data", [b"", b"\x8f\x01" * 500])
def test_what_is_not_an_archive_is_reported_in_one_line(
    tree: Path, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "demo-1.0.tar.gz").write_bytes(data)
    assert main(["scan", "demo-1.0.tar.gz"]) == 3
    assert capsys.readouterr().err == ("ftaudit: error: demo-1.0.tar.gz cannot be unpacked: it is not a tar archive\n")


def test_a_script_without_a_suffix_is_python(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "tool").write_text(f"#!/usr/bin/env python3\n{COUNTER}")
    code, report = scan_as_json(capsys, "tool")
    assert (code, paths(report)) == (1, ["tool"])


def test_a_folder_without_source_is_a_usage_error(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "a.py").unlink()
    assert main(["scan"]) == 2


def test_a_warning_fails_by_default_and_not_where_only_errors_do(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert scan_as_json(capsys)[0] == 1
    code, report = scan_as_json(capsys, "--fail-on", "error")
    assert (code, paths(report)) == (0, ["a.py"])


def test_what_could_not_be_read_makes_exit_code_three(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "a.py").write_text("def f(:\n")
    assert scan_as_json(capsys)[0] == 3


def test_rules_are_chosen_by_name_code_and_prefix(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("global-augassign", "FT504", "ft50", "FT5"):
        assert paths(scan_as_json(capsys, "--select", name)[1]) == ["a.py"]
        assert paths(scan_as_json(capsys, "--ignore", name)[1]) == []
    assert paths(scan_as_json(capsys, "--select", "FT501,FT503")[1]) == []


def test_a_rule_of_a_local_folder_runs_and_a_broken_one_is_said(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "no_foo.py").write_text(LOCAL_RULE)
    (folder / "broken.py").write_text("import no_such_module_anywhere\n")
    (tree / "a.py").write_text("foo = 1\n")
    assert main(["scan", "--rules", str(folder), "--format", "json"]) == 1
    captured = capsys.readouterr()
    assert [finding["code"] for finding in json.loads(captured.out)["findings"]] == ["LOC1"]
    assert "broken.py cannot be loaded: ModuleNotFoundError" in captured.err


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_only_files_that_differ_from_a_revision_are_looked_at(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *arguments], cwd=tree, check=True, capture_output=True)

    (tree / ".gitignore").write_text("ignored.py\n")
    (tree / "b.py").write_text(COUNTER)
    (tree / "ignored.py").write_text(COUNTER)
    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    assert paths(scan_as_json(capsys)[1]) == ["a.py", "b.py"]
    assert paths(scan_as_json(capsys, "--changed")[1]) == []
    (tree / "b.py").write_text("\n" + COUNTER)
    (tree / "new file.py").write_text(COUNTER)
    assert paths(scan_as_json(capsys, "--changed")[1]) == ["b.py", "new file.py"]
    git("switch", "-q", "-c", "branch")
    git("add", ".")
    git("commit", "-q", "-m", "two")
    assert paths(scan_as_json(capsys, "--changed")[1]) == []
    assert paths(scan_as_json(capsys, "--changed", "main")[1]) == ["b.py", "new file.py"]
    assert main(["scan", "--changed", "no-such-revision"]) == 2


def test_explain_says_why_how_and_what(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("FT504", "global-augassign"):
        assert main(["explain", name]) == 0
        text = capsys.readouterr().out
        assert text.startswith("FT504 global-augassign\n")
        assert "> " in text
        assert "Remedy: " in text


def test_explain_without_a_name_lists_every_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 60
    assert all(line[:2].isalpha() for line in lines)


def test_without_a_cache_nothing_stays(tree: Path, index: IndexServer, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    ran = ftaudit(
        "scan",
        "demo==2.0",
        "--no-cache",
        "--index-url",
        index.simple_url,
        cwd=tree,
        env={"TMPDIR": f"{tmp_path}/scratch"},
    )
    assert ran.returncode == 1, ran.stderr
    assert list((tmp_path / "scratch").iterdir()) == []
