"""The formats through the command line: real inputs, the test's own index, one line for each package."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.command import ftaudit
from support.distributions import wheel
from support.index_server import IndexServer
from support.uv_locks import uv_lock
from support.workflow_commands import commands

UV_LOCK = uv_lock({"fast": "cp314-cp314-win_amd64", "web": "py3-none-any"}, needs={"web": ["fast"]})
PYLOCK = """\
lock-version = "1.0"
created-by = "test"

[[packages]]
name = "web"
version = "1.0"
wheels = [{ url = "https://files.example/web-1.0-py3-none-any.whl", hashes = { sha256 = "00" } }]

[[packages]]
name = "fast"
version = "1.0"
wheels = [{ url = "https://files.example/fast-1.0-cp314-cp314-win_amd64.whl", hashes = { sha256 = "00" } }]
"""


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as server:
        server.add_project("web", [wheel("web", "1.0", requires=["fast"])])
        server.add_project("fast", [wheel("fast", "1.0", tag="cp314-cp314-win_amd64")])
        yield server


def places(document: dict[str, Any]) -> dict[str, tuple[str, int | None]]:
    """Return path and line of each result, by its package."""
    found = {}
    for result in document["runs"][0]["results"]:
        place = result["locations"][0]["physicalLocation"]
        name = result["message"]["text"].partition(" ")[0]
        found[name] = (place["artifactLocation"]["uri"], place.get("region", {}).get("startLine"))
    return found


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("uv.lock", UV_LOCK, 10),
        ("pylock.toml", PYLOCK, 9),
        ("requirements.txt", "# what we need\nweb==1.0\n", 2),
    ],
)
def test_a_result_stands_on_the_lock_entry_or_on_the_requirement_that_pulls_it_in(
    name: str, text: str, line: int, tmp_path: Path, server: IndexServer
) -> None:
    folder = tmp_path / "the repo" / "sub folder"
    folder.mkdir(parents=True)
    (tmp_path / "the repo" / ".git").mkdir()
    (folder / name).write_text(text)
    arguments = ("check", "--static", "--platform", "linux-x86_64", "--index-url", server.simple_url, name)
    ran = ftaudit(*arguments, "--output", "out.sarif", cwd=folder)
    assert (ran.returncode, ran.stdout) == (1, ""), ran.stderr
    document = json.loads((folder / "out.sarif").read_text("utf-8"))
    assert places(document) == {"fast": (f"sub%20folder/{name}", line)}

    (command,) = commands(ftaudit(*arguments, "--format", "github", cwd=folder).stdout)
    assert (command.name, command.properties["file"], command.properties["line"]) == (
        "error",
        f"sub folder/{name}",
        str(line),
    )


def test_wheels_of_a_folder_are_results_on_their_own_files(tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    made = wheel("fast", "1.0", tag="cp314-cp314t-linux_x86_64")
    (tmp_path / "dist" / made.filename).write_bytes(made.data[:-40])
    ran = ftaudit("wheel", "--offline", "--format", "sarif", "dist", cwd=tmp_path)
    assert ran.returncode == 1, ran.stderr
    assert places(json.loads(ran.stdout)) == {"fast": (f"dist/{made.filename}", None)}


def test_a_format_that_does_not_exist_is_a_usage_error_that_names_those_that_do(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("web==1.0\n")
    ran = ftaudit("check", "--format", "pdf", "r.txt", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    for name in ("sarif", "junit", "badge"):
        assert name in ran.stderr
    assert "did you mean sarif?" in ftaudit("check", "--format", "sarfi", "r.txt", cwd=tmp_path).stderr


def test_a_folder_that_does_not_exist_and_a_package_that_does_not_are_said_in_every_format(
    tmp_path: Path, server: IndexServer
) -> None:
    (tmp_path / "r.txt").write_text("absent==1.0\n./<script>alert(1)</script>%0A::error::x\n")
    arguments = ("check", "--static", "--index-url", server.simple_url, "r.txt", "--format")
    for form in ("sarif", "github", "junit", "csv", "markdown", "summary"):
        ran = ftaudit(*arguments, form, cwd=tmp_path)
        assert ran.returncode == 3 and "absent" in ran.stdout, (form, ran.stderr)
        if form == "github":
            assert {command.name for command in commands(ran.stdout)} == {"warning"}
        if form == "junit":
            assert ElementTree.fromstring(ran.stdout).attrib["errors"] == "2"
    badge = ftaudit(*arguments, "badge", cwd=tmp_path).stdout
    assert "0/2 ready" in badge


def test_one_audit_is_written_in_as_many_formats_as_are_wanted(tmp_path: Path, server: IndexServer) -> None:
    (tmp_path / "r.txt").write_text("web==1.0\n")
    arguments = ("check", "--static", "--platform", "linux-x86_64", "--index-url", server.simple_url, "r.txt")
    also = ("--also", "a.sarif", "--also", "b.md", "--also", "gl-code-quality-report.json", "--also", "c.json")
    ran = ftaudit(*arguments, *also, "--format", "github", cwd=tmp_path)
    assert ran.returncode == 1 and len(commands(ran.stdout)) == 1, ran.stderr
    assert places(json.loads((tmp_path / "a.sarif").read_text("utf-8"))) == {"fast": ("r.txt", 1)}
    assert (tmp_path / "b.md").read_text("utf-8").startswith("## ftaudit: BLOCKED")
    assert json.loads((tmp_path / "gl-code-quality-report.json").read_text("utf-8"))[0]["location"]["path"] == "r.txt"
    assert json.loads((tmp_path / "c.json").read_text("utf-8"))["schema_version"] == 1


@pytest.mark.parametrize(
    ("arguments", "name", "known"),
    [
        (("check", "r.txt"), "x.pdf", ".html"),
        (("wheel", "dist"), "x.pdf", ".sarif"),
        (("scan", "a.py"), "x.html", ".sarif"),
        (("plan", "r.txt"), "x.html", ".md"),
        (("report", "r.txt"), "x.csv", ".html"),
        (("report", "r.txt"), "x.txt", ".html"),
        (("diff", "a.json", "b.json"), "x.sarif", ".json"),
    ],
)
def test_an_output_whose_name_means_no_format_of_the_command_is_a_usage_error(
    arguments: tuple[str, ...], name: str, known: str, tmp_path: Path
) -> None:
    (tmp_path / "r.txt").write_text("web==1.0\n")
    (tmp_path / "a.py").write_text("x = 1\n")
    ran = ftaudit(*arguments, "-o", name, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    told = ran.stderr.partition("supported suffixes: ")[2]
    assert name in ran.stderr and known in told and Path(name).suffix not in told.replace(",", "").split()
    assert not (tmp_path / name).exists()


def test_an_output_whose_name_means_nothing_is_written_in_the_format_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    for name, arguments, line in (
        ("x", (), "nothing found · 1/1 files"),
        ("x.log", (), "nothing found · 1/1 files"),
        ("x.1", ("--format=csv",), "kind,"),
    ):
        assert ftaudit("scan", "a.py", "-o", name, *arguments, cwd=tmp_path).returncode == 0
        assert any(each.startswith(line) for each in (tmp_path / name).read_text("utf-8").splitlines())


@pytest.mark.parametrize("name", ["a.pdf", "sarif", "no/such/folder/a.sarif"])
def test_a_further_file_that_cannot_be_written_is_a_usage_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    ran = ftaudit("scan", "--also", name, "a.py", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "") and name in ran.stderr


def test_what_could_not_be_checked_may_be_let_pass_and_is_said(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text(UV_LOCK.replace("cp314-cp314-win_amd64", "cp314-cp314t-manylinux_2_17_x86_64"))
    arguments = ("check", "--static", "--offline", "--platform", "linux-x86_64", "uv.lock")
    assert ftaudit(*arguments, cwd=tmp_path).returncode == 3
    ran = ftaudit(*arguments, "--allow-unknown", "--format", "concise", cwd=tmp_path)
    assert ran.returncode == 0
    assert "left out: 1 package (fast 1.0)" in ran.stdout and "NOT SURE" in ran.stdout
    assert "--allow-unknown" in ran.stderr
    (tmp_path / "uv.lock").write_text(UV_LOCK)
    assert ftaudit(*arguments, "--allow-unknown", cwd=tmp_path).returncode == 1, "what blocks is no unknown"
    (tmp_path / "broken.py").write_text("def f(:\n")
    assert ftaudit("scan", "broken.py", cwd=tmp_path).returncode == 3
    assert ftaudit("scan", "--allow-unknown", "broken.py", cwd=tmp_path).returncode == 0


def test_the_name_of_the_output_goes_before_a_format_of_the_configuration_and_an_option_before_both(
    tmp_path: Path,
) -> None:
    (tmp_path / "ftaudit.toml").write_text('[scan]\nformat = "concise"\n')
    (tmp_path / "a.py").write_text("x = 1\n")
    assert ftaudit("scan", "a.py", cwd=tmp_path).stdout.startswith("ftaudit: nothing found")
    for arguments, start in (
        (("-o", "x.csv"), "kind,"),
        (("-o", "x.txt"), "ftaudit: nothing"),
        (("-o", "x.csv", "--format", "markdown"), "## ftaudit"),
    ):
        assert ftaudit("scan", *arguments, "a.py", cwd=tmp_path).returncode == 0
        assert (tmp_path / arguments[1]).read_text("utf-8").startswith(start)
