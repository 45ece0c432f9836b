"""Hashes in an input are compared with the bytes of a file that no index vouches for."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command import Answer, check
from support.distributions import wheel
from support.index_server import IndexServer, ServedFile
from support.wheels import wheel as modules

BINARIES = Path(__file__).parents[2] / "fixtures" / "binaries" / "linux-x86_64"
PURE = wheel("demo", "1.0")
COMPILED = wheel("demo", "1.0", tag="cp314-cp314t-manylinux_2_17_x86_64")
RIGHT = {name: hashlib.new(name, PURE.data).hexdigest() for name in ("sha256", "sha384", "sha512")}


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as running:
        running.add_project("demo", [dataclasses.replace(PURE, hashed=False)])
        yield running


def module_wheel(case: str) -> ServedFile:
    """Return a wheel of one fixture module, too large for one request to hold all of it."""
    (image,) = BINARIES.glob(f"{case}.*")
    members = {f"demo/{image.name}": image.read_bytes(), "demo/data.bin": random.Random(1).randbytes(100_000)}
    return ServedFile(filename=COMPILED.filename, data=modules(members, tags=("cp314-cp314t-manylinux_2_17_x86_64",)))


def audit(server: IndexServer, folder: Path, line: str, *arguments: str) -> Answer:
    (folder / "r.txt").write_text(f"{line}\n")
    options = ("--static", "--no-deps", "--platform", "manylinux_2_17_x86_64", "--index-url", server.simple_url)
    return check(*options, *arguments, "r.txt", cwd=folder)


@pytest.mark.parametrize("algorithm", RIGHT)
def test_the_right_bytes_are_judged(algorithm: str, server: IndexServer, tmp_path: Path) -> None:
    answer = audit(server, tmp_path, f"demo==1.0 --hash={algorithm}:{RIGHT[algorithm]}")
    assert (answer.code, answer.verdicts) == (0, {"demo": "pure"})
    assert any(seen.path.endswith(".whl") for seen in server.requests)


@pytest.mark.parametrize("algorithm", RIGHT)
def test_other_bytes_are_never_ready(algorithm: str, server: IndexServer, tmp_path: Path) -> None:
    wrong = "0" * len(RIGHT[algorithm])
    answer = audit(server, tmp_path, f"demo==1.0 --hash={algorithm}:{wrong}")
    assert answer.code == 1
    assert "its hash is not in the input" in answer.reasons("demo")


def test_one_right_hash_among_several_is_enough(server: IndexServer, tmp_path: Path) -> None:
    line = f"demo==1.0 --hash=sha256:{'0' * 64} --hash=sha256:{RIGHT['sha256']}"
    assert audit(server, tmp_path, line).verdicts == {"demo": "pure"}


def test_compiled_wheels_are_held_against_them_too(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("demo", [dataclasses.replace(COMPILED, hashed=False)])
    answer = audit(server, tmp_path, f"demo==1.0 --hash=sha256:{'0' * 64}")
    assert answer.code == 1 and "its hash is not in the input" in answer.reasons("demo")


def test_without_a_cache_the_bytes_are_read_all_the_same(server: IndexServer, tmp_path: Path) -> None:
    assert audit(server, tmp_path, f"demo==1.0 --hash=sha256:{'0' * 64}", "--no-cache").code == 1
    assert audit(server, tmp_path, f"demo==1.0 --hash=sha256:{RIGHT['sha256']}", "--no-cache").code == 0


def test_what_cannot_be_fetched_is_unknown(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("demo", [dataclasses.replace(PURE, hashed=False, url="/files/missing.whl")])
    answer = audit(server, tmp_path, f"demo==1.0 --hash=sha256:{RIGHT['sha256']}")
    assert (answer.code, answer.verdicts) == (3, {"demo": "unknown"})
    assert "could not be checked" in answer.reasons("demo")


def test_a_folder_of_wheels_is_read_too(server: IndexServer, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / PURE.filename).write_bytes(PURE.data)
    line = "--no-index\n--find-links wheels\ndemo==1.0 --hash=sha256:"
    assert audit(server, tmp_path, line + "0" * 64).code == 1
    assert audit(server, tmp_path, line + RIGHT["sha256"]).verdicts == {"demo": "pure"}


def test_what_one_server_sent_in_ranges_does_not_speak_for_another(tmp_path: Path) -> None:
    innocent, guilty = (module_wheel(case) for case in ("multi_not_used", "multi_used"))
    lie = dataclasses.replace(innocent, sha256=hashlib.sha256(guilty.data).hexdigest())
    verdicts = []
    for served in (lie, guilty):
        with IndexServer() as server:
            server.add_project("demo", [served])
            verdicts.append(audit(server, tmp_path, "demo==1.0").verdicts["demo"])
    assert verdicts == ["ready", "reenables-gil"]
