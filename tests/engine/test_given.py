"""A folder without the target's wheel: the index's files of the same version come before other advice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command import check, ftaudit
from support.distributions import wheel
from support.index_server import IndexServer

PLATFORM = "manylinux_2_17_x86_64"
GIL = f"cp311-cp311-{PLATFORM}"
FREE = f"cp314-cp314t-{PLATFORM}"


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as running:
        yield running


def wheels(folder: Path, *tags: str) -> None:
    (folder / "wh").mkdir()
    for tag in tags:
        served = wheel("demo", "1.0", tag=tag)
        (folder / "wh" / served.filename).write_bytes(served.data)


def judged(server: IndexServer, folder: Path) -> dict[str, object]:
    answer = check("--static", "--platform", PLATFORM, "--index-url", server.simple_url, "wh", cwd=folder)
    return dict(answer.rows["demo"])


def test_a_wheel_that_the_index_lacks_too_is_not_promised(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("demo", [wheel("demo", "1.0", tag=GIL)])
    wheels(tmp_path, GIL)
    assert judged(server, tmp_path)["next_step"] == "no later version has such a wheel: ask upstream for one"


def test_an_index_that_does_not_answer_promises_nothing(server: IndexServer, tmp_path: Path) -> None:
    wheels(tmp_path, GIL)
    assert "pip download" not in str(judged(server, tmp_path)["next_step"])


def test_the_command_that_fetches_the_lacking_wheel_is_the_next_step(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("demo", [wheel("demo", "1.0", tag=tag) for tag in (GIL, FREE)])
    wheels(tmp_path, GIL)
    row = judged(server, tmp_path)
    assert row["verdict"] == "unavailable" and "among the files given" in str(row["reasons"])
    step = str(row["next_step"])
    assert f"--python-version 3.14 --abi cp314t --platform {PLATFORM} --dest wh demo==1.0" in step


def test_the_file_that_is_judged_is_the_one_that_is_named(server: IndexServer, tmp_path: Path) -> None:
    wheels(tmp_path, GIL, FREE)
    assert FREE in str(judged(server, tmp_path)["source"])


def test_the_gate_for_authors_says_how_to_get_a_wheel(tmp_path: Path) -> None:
    wheels(tmp_path, GIL)
    said = " ".join(ftaudit("wheel", "wh", cwd=tmp_path).stdout.split())
    assert "for any platform" in said and "next: build one with python3.14t" in said
