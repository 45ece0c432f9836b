"""The next step: the later version that helps, by its wheel's declaration and not by its name."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command import check
from support.distributions import wheel
from support.index_server import IndexServer, ServedFile

PLATFORM = "manylinux_2_17_x86_64"
BINARIES = Path(__file__).parents[2] / "fixtures" / "binaries" / "linux-x86_64"


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as running:
        yield running


def compiled(version: str, case: str) -> ServedFile:
    """Return a wheel of `demo` whose one module is a fixture."""
    (image,) = BINARIES.glob(f"{case}.*")
    empty = wheel("demo", version, tag=f"cp314-cp314t-{PLATFORM}")
    buffer = io.BytesIO(empty.data)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(f"demo/{image.name}", image.read_bytes())
    return ServedFile(filename=empty.filename, data=buffer.getvalue())


def next_step(server: IndexServer, folder: Path, *later: ServedFile) -> str:
    server.add_project("demo", [compiled("1.0", "multi_used"), *later])
    (folder / "r.txt").write_text("demo==1.0\n")
    arguments = ("--static", "--no-deps", "--platform", PLATFORM, "--index-url", server.simple_url, "r.txt")
    answer = check(*arguments, cwd=folder)
    assert answer.verdicts == {"demo": "reenables-gil"}
    step = answer.rows["demo"]["next_step"]
    assert step == check(*arguments, cwd=folder).rows["demo"]["next_step"], "the kept lead is the found one"
    return str(step)


def test_without_a_later_version_upstream_is_asked(server: IndexServer, tmp_path: Path) -> None:
    assert "no later version" in next_step(server, tmp_path)


def test_later_versions_that_turn_the_gil_on_too_are_no_way_out(server: IndexServer, tmp_path: Path) -> None:
    step = next_step(server, tmp_path, compiled("1.1", "multi_used"), compiled("1.2", "multi_used"))
    assert "1.2" in step and "also turns the GIL on" in step and "1.1" not in step


def test_a_pre_release_that_turns_the_gil_on_too_is_not_named(server: IndexServer, tmp_path: Path) -> None:
    assert "2.0rc1" not in next_step(server, tmp_path, compiled("2.0rc1", "multi_used"))


def test_a_pre_release_is_named_where_no_final_release_is_better(server: IndexServer, tmp_path: Path) -> None:
    step = next_step(server, tmp_path, compiled("2.0b1", "multi_used"), compiled("2.0rc1", "multi_not_used"))
    assert "2.0rc1 is a pre-release" in step and "leaves the GIL off" in step and "no later version" not in step


def test_later_versions_that_could_not_be_looked_up_are_not_said_to_be_missing(tmp_path: Path) -> None:
    served = compiled("1.0", "multi_used")
    (tmp_path / served.filename).write_bytes(served.data)
    (tmp_path / "r.txt").write_text(f"./{served.filename}\n")
    answer = check("--static", "--no-deps", "--offline", "--platform", PLATFORM, "r.txt", cwd=tmp_path)
    assert answer.verdicts == {"demo": "reenables-gil"}
    assert "could not be looked up" in answer.rows["demo"]["next_step"]


def test_the_first_good_version_is_named_and_the_bad_and_the_slow_ones_before_it_are_not_taken_for_it(
    server: IndexServer, tmp_path: Path
) -> None:
    step = next_step(
        server,
        tmp_path,
        compiled("1.1", "multi_used"),
        wheel("demo", "1.2"),
        compiled("1.3", "multi_not_used"),
        compiled("1.4", "multi_not_used"),
        compiled("2.0rc1", "multi_not_used"),
    )
    assert step.startswith("1.3 is the first later version")
    assert "1.4 is the newest" in step and "1.2 falls back to pure Python" in step
    assert "1.1" not in step and "2.0rc1" not in step


def test_a_yanked_version_is_no_way_out(server: IndexServer, tmp_path: Path) -> None:
    good = compiled("1.1", "multi_not_used")
    yanked = ServedFile(filename=good.filename, data=good.data, yanked="broken")
    assert "no later version" in next_step(server, tmp_path, yanked)


def test_a_wheel_that_several_platforms_install_is_fetched_once(server: IndexServer, tmp_path: Path) -> None:
    wheels = [compiled("1.0", "multi_used"), compiled("1.1", "multi_not_used")]
    server.add_project("demo", wheels)
    (tmp_path / "r.txt").write_text("demo==1.0\n")
    arguments = ("--static", "--no-deps", "--index-url", server.simple_url, "r.txt")
    answer = check("--platform", PLATFORM, "--platform", "manylinux_2_28_x86_64", *arguments, cwd=tmp_path)
    assert [row["verdict"] for row in answer.document["packages"]] == ["reenables-gil"] * 2
    assert all("1.1 is the first later version" in row["next_step"] for row in answer.document["packages"])
    fetched = [request.path for request in server.requests if request.path.endswith(".whl")]
    assert sorted(path.rpartition("/")[2] for path in fetched) == sorted(served.filename for served in wheels)
