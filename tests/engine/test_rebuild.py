"""`check` on a package without a free-threaded wheel: what the GIL-enabled build's wheel declares, and no verdict."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def ordinary(case: str, *, more: bytes = b"") -> ServedFile:
    """Return a wheel of the GIL-enabled build whose module is a fixture."""
    (image,) = BINARIES.glob(f"{case}.*")
    empty = wheel("demo", "1.0", tag=f"cp314-cp314-{PLATFORM}")
    buffer = io.BytesIO(empty.data)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(f"demo/{case}.cpython-314-x86_64-linux-gnu.so", image.read_bytes() + more)
    return ServedFile(filename=empty.filename, data=buffer.getvalue())


def row(server: IndexServer, folder: Path, *files: ServedFile, verdict: str = "unavailable") -> dict[str, Any]:
    server.add_project("demo", list(files))
    (folder / "r.txt").write_text("demo==1.0\n")
    arguments = ("--static", "--no-deps", "--platform", PLATFORM, "--index-url", server.simple_url, "r.txt")
    answer = check(*arguments, cwd=folder)
    assert answer.verdicts == {"demo": verdict}
    found, again = answer.rows["demo"], check(*arguments, cwd=folder).rows["demo"]
    kept = {key: (found[key], again[key]) for key in ("modules", "reasons")}
    assert all(one == other for one, other in kept.values()), "what is kept is what was read"
    return dict(found)


def test_an_ordinary_wheel_that_does_not_tell_adds_no_reason(server: IndexServer, tmp_path: Path) -> None:
    found = row(server, tmp_path, ordinary("gil_build_single"))
    (module,) = found["modules"]
    assert (module["binary"], module["would_declare"]) == (None, "undetermined")
    assert not any("a build" in reason for reason in found["reasons"])


def test_an_ordinary_wheel_that_cannot_be_read_is_said(server: IndexServer, tmp_path: Path) -> None:
    broken = ServedFile(filename=ordinary("multi_used").filename, data=b"PK no archive")
    found = row(server, tmp_path, broken)
    assert found["modules"] == []
    assert "not a zip archive" in found["evidence"]["binary"]["reason"]


def test_modules_that_are_large_are_left_to_the_command_for_wheels(server: IndexServer, tmp_path: Path) -> None:
    found = row(server, tmp_path, ordinary("multi_used", more=random.Random(0).randbytes(3 << 20)))
    assert found["modules"] == []
    assert "its modules are 3.0 MiB" in found["evidence"]["binary"]["reason"]


@pytest.mark.parametrize(
    ("case", "said", "would"),
    [
        ("multi_used", "used", "would turn the GIL on too"),
        ("multi_none", "undeclared", "would turn the GIL on too"),
        ("multi_not_used", "not_used", "would leave the GIL off"),
    ],
)
def test_what_a_rebuild_would_declare_is_told_and_is_no_verdict(
    server: IndexServer, tmp_path: Path, case: str, said: str, would: str
) -> None:
    found = row(server, tmp_path, ordinary(case))
    (module,) = found["modules"]
    assert (module["binary"], module["would_declare"], module["runtime"]) == (None, said, None)
    (reason,) = (reason for reason in found["reasons"] if reason.startswith("a build from source"))
    assert would in reason and "1 of 1" in reason and "_" not in reason


@pytest.mark.parametrize(
    ("case", "step"),
    [
        ("multi_used", "a build from the sdist would turn the GIL on too: ask upstream"),
        ("gil_build_single", "`ftaudit build` shows what a build from the sdist would do"),
        ("multi_not_used", "build one from the sdist, which would leave the GIL off"),
    ],
)
def test_a_build_is_advised_where_it_would_help_alone(
    server: IndexServer, tmp_path: Path, case: str, step: str
) -> None:
    sdist = ServedFile(filename="demo-1.0.tar.gz", data=b"never opened")
    found = row(server, tmp_path, ordinary(case), sdist, verdict="source-only")
    assert step in found["next_step"]
