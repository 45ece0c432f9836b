"""One session per command: each page and each part of a file is requested once, for all parts of the command."""

from __future__ import annotations

import io
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command import ftaudit
from support.compiled import BAD, GOOD, PLATFORM, release
from support.distributions import wheel
from support.index_server import IndexServer, Reply, ServedFile

SOURCE = "PyMODINIT_FUNC PyInit_stuck(void) { return PyModuleDef_Init(&def); }\n"


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as running:
        yield running


def sdist(name: str, version: str) -> ServedFile:
    """Return an sdist with one C module in it, whose metadata is static."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        metadata = f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n\n"
        for path, text in (("PKG-INFO", metadata), ("module.c", SOURCE)):
            member = tarfile.TarInfo(f"{name}-{version}/{path}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return ServedFile(filename=f"{name}-{version}.tar.gz", data=buffer.getvalue())


def fill(server: IndexServer, cache_control: str | None) -> None:
    """Serve a package that can move, one without a wheel, one with only an sdist, and packages that need them."""
    can_move = [*release("demo", "1.0", BAD), *release("demo", "1.1", BAD), *release("demo", "2.0", GOOD)]
    without_wheel = [release("stuck", "1.0", BAD)[0], sdist("stuck", "1.0"), *release("stuck", "1.1", BAD)]
    projects = {
        "demo": can_move,
        "stuck": without_wheel,
        "bare": [sdist("bare", "1.0")],
        "app": [wheel("app", "1.0", requires=["demo", "stuck", "bare"])],
    }
    for name, files in projects.items():
        server.add_project(name, files, cache_control=cache_control)


def asked(server: IndexServer, *, by_uv: bool) -> Counter[tuple[str, str | None]]:
    """Return how often uv or ftaudit requested each path and range."""
    return Counter(
        (seen.path, seen.headers.get("range"))
        for seen in server.requests
        if seen.headers.get("user-agent", "").startswith("uv/") is by_uv
    )


CASES = [
    *(
        (command, without, None)
        for command in ("check --source", "plan --write", "report --no-scan")
        for without in (False, True)
    ),
    ("plan --write", False, "max-age=0"),
    ("plan --write", False, "no-store"),
]


@pytest.mark.parametrize(("command", "without_cache", "cache_control"), CASES)
def test_a_command_asks_for_each_url_once(
    server: IndexServer, tmp_path: Path, command: str, without_cache: bool, cache_control: str | None
) -> None:
    fill(server, cache_control)
    (tmp_path / "r.txt").write_text("app==1.0\ndemo==1.0\nstuck==1.0\nbare==1.0\n")
    words = [*command.split(), "--static", "--index-url", server.simple_url, "--platform", PLATFORM]
    words += ["--no-cache"] if without_cache else []
    ran = ftaudit(*words, "r.txt", cwd=tmp_path)
    assert ran.returncode == 1, ran.stderr
    ours = asked(server, by_uv=False)
    assert ours["/simple/demo/", None] == 1, "the project is on the index, and was asked for"
    assert {what: times for what, times in ours.items() if times > 1} == {}
    pages = {path: times for (path, _), times in asked(server, by_uv=True).items() if path.startswith("/simple/")}
    assert pages and {path: times for path, times in pages.items() if times > 1} == {}, "uv keeps its pages for the run"
    if "--write" in command:
        assert "demo==2.0" in (tmp_path / "r.txt").read_text()


def test_a_page_that_failed_is_not_asked_for_again(server: IndexServer, tmp_path: Path) -> None:
    fill(server, None)
    server.always("/simple/demo/", Reply(status=403))
    (tmp_path / "r.txt").write_text("demo==1.0\nstuck==1.0\n")
    words = ["plan", "--static", "--no-deps", "--index-url", server.simple_url, "--platform", PLATFORM, "r.txt"]
    ran = ftaudit(*words, cwd=tmp_path)
    assert ran.returncode == 1, ran.stderr
    assert asked(server, by_uv=False)["/simple/demo/", None] == 1


def test_without_a_cache_nothing_is_left_behind(server: IndexServer, tmp_path: Path) -> None:
    fill(server, None)
    (tmp_path / "r.txt").write_text("app==1.0\ndemo==1.0\nbare==1.0\n")
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    words = ["plan", "--no-cache", "--static", "--index-url", server.simple_url, "--platform", PLATFORM, "r.txt"]
    ran = ftaudit(*words, cwd=tmp_path, env={"TMPDIR": str(scratch)})
    assert ran.returncode == 1, ran.stderr
    assert list(scratch.iterdir()) == []
    assert not (tmp_path / ".ftaudit-cache").exists() and not (tmp_path / ".uv-cache").exists()
