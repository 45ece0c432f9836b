"""Releases without a wheel: what their sdists are built into, and what the input allows to be built or taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support.command import Answer, check
from support.distributions import sdist, wheel
from support.index_server import IndexServer

from ftaudit.engine.tiers.builds import Build, classify_build

PLATFORM = "manylinux_2_17_x86_64"
FREE = f"cp314-cp314t-{PLATFORM}"
GIL = f"cp314-cp314-{PLATFORM}"
SETUP = "from setuptools import setup, find_packages\nsetup(name='demo', version='1.0', packages=find_packages())\n"
EXTENSION = "from setuptools import setup, Extension\nsetup(name='demo', ext_modules=[Extension('demo', ['demo.c'])])\n"


def system(backend: str, requires: str = "", more: str = "") -> str:
    return f'[build-system]\nrequires = ["{requires}"]\nbuild-backend = "{backend}"\n[project]\nname = "demo"\n{more}'


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as running:
        yield running


def judge(server: IndexServer, folder: Path, text: str, *options: str) -> Answer:
    (folder / "r.txt").write_text(text)
    arguments = ("--static", "--platform", PLATFORM, "--index-url", server.simple_url, *options, "r.txt")
    return check(*arguments, cwd=folder)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"setup.py": SETUP, "demo.py": ""}, Build.PURE),
        ({"setup.py": "print 'python 2'\n" + SETUP}, Build.PURE),
        ({"setup.py": SETUP, "docs/example.c": "", "tests/data/x.so": ""}, Build.PURE),
        ({"setup.cfg": "[metadata]\nname = demo\n", "setup.py": "import setuptools\nsetuptools.setup()\n"}, Build.PURE),
        ({"pyproject.toml": system("setuptools.build_meta", "setuptools>=61")}, Build.PURE),
        ({"pyproject.toml": system("flit_core.buildapi"), "demo/fast.c": ""}, Build.PURE),
        ({"pyproject.toml": system("hatchling.build")}, Build.PURE),
        ({"pyproject.toml": system("poetry.core.masonry.api")}, Build.PURE),
        ({"pyproject.toml": system("uv_build")}, Build.PURE),
        ({"pyproject.toml": system("pdm.backend")}, Build.PURE),
        ({"setup.py": EXTENSION, "demo.c": ""}, Build.COMPILED),
        ({"setup.py": SETUP, "demo/_fast.pyx": ""}, Build.COMPILED),
        ({"pyproject.toml": system("maturin"), "Cargo.toml": ""}, Build.COMPILED),
        ({"pyproject.toml": system("mesonpy"), "meson.build": ""}, Build.COMPILED),
        ({"setup.py": EXTENSION}, Build.UNDETERMINED),
        ({"setup.py": "print 'python 2'\n" + EXTENSION}, Build.UNDETERMINED),
        ({"setup.py": SETUP.replace("name=", "use_2to3=True, name=")}, Build.UNDETERMINED),
        ({"setup.py": SETUP.replace("name=", "cffi_modules=['build.py:ffi'], name=")}, Build.UNDETERMINED),
        ({"setup.py": "from helper import *\nsetup()\n", "helper.py": EXTENSION}, Build.UNDETERMINED),
        ({"setup.py": SETUP, "demo/lib.so": ""}, Build.COMPILED),
        ({"pyproject.toml": system("setuptools.build_meta", "cython")}, Build.UNDETERMINED),
        ({"pyproject.toml": system("hatchling.build", more="[tool.hatch.build.hooks.mypyc]\n")}, Build.UNDETERMINED),
        ({"pyproject.toml": system("hatchling.build", more="[tool.hatch.build.hooks.vcs]\n")}, Build.PURE),
        (
            {"pyproject.toml": system("poetry.core.masonry.api", more="[tool.poetry]\nbuild='b.py'\n")},
            Build.UNDETERMINED,
        ),
        ({"pyproject.toml": system("a_backend_of_ours")}, Build.UNDETERMINED),
        ({"pyproject.toml": "[build-system\n", "setup.py": SETUP}, Build.UNDETERMINED),
        ({"README": ""}, Build.UNDETERMINED),
    ],
)
def test_an_sdist_tells_what_it_is_built_into(tmp_path: Path, files: Mapping[str, str], expected: Build) -> None:
    served = sdist("demo", "1.0", files)
    path = tmp_path / served.filename
    path.write_bytes(served.data)
    assert classify_build(path) is expected


@pytest.mark.parametrize("data", [b"", b"\x1f\x8b\x08", b"PK\x03\x04", b"x" * 600])
@pytest.mark.parametrize("name", ["demo-1.0.tar.gz", "demo-1.0.zip", "demo-1.0.rpm"])
def test_an_archive_that_is_none_tells_nothing(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    assert classify_build(tmp_path / name) is Build.UNDETERMINED


def test_a_pure_python_sdist_does_not_block(server: IndexServer, tmp_path: Path) -> None:
    server.add_project("demo", [sdist("demo", "1.0", {"setup.py": SETUP})])
    server.add_project("fast", [sdist("fast", "1.0", {"setup.py": EXTENSION, "demo.c": ""})])
    answer = judge(server, tmp_path, "demo==1.0\nfast==1.0\n", "--no-deps")
    assert answer.verdicts == {"demo": "pure", "fast": "source-only"}
    assert "built from source" in answer.reasons("demo")
    assert any("demo 1.0" in note and "built from source" in note for note in answer.document["notes"])


def test_an_sdist_that_is_not_within_reach_stays_source_only(server: IndexServer, tmp_path: Path) -> None:
    served = sdist("demo", "1.0", {"setup.py": SETUP})
    server.add_project("demo", [served])
    (tmp_path / "uv.lock").write_text(
        'version = 1\nrequires-python = ">=3.10"\n'
        '[[package]]\nname = "app"\nversion = "1"\nsource = { virtual = "." }\n'
        'dependencies = [{ name = "demo" }]\n[[package]]\nname = "demo"\nversion = "1.0"\n'
        f'source = {{ registry = "{server.simple_url}" }}\n'
        f'sdist = {{ url = "{server.file_url(served.filename)}", hash = "sha256:{served.digest}" }}\n'
    )
    offline = check("--static", "--offline", "--platform", PLATFORM, "uv.lock", cwd=tmp_path)
    assert offline.verdicts == {"demo": "source-only"}
    assert check("--static", "--platform", PLATFORM, "uv.lock", cwd=tmp_path).verdicts == {"demo": "pure"}


@pytest.mark.parametrize(
    ("requires", "verdict", "told"),
    [
        ("<3.13", "unavailable", "compiled for an older Python"),
        (">=3.8,<3.14", "unavailable", "its sdist requires Python >=3.8,<3.14"),
        (">=3.8", "source-only", "there is an sdist to build from"),
    ],
)
def test_an_sdist_for_an_older_python_is_none_to_build_from(
    server: IndexServer, tmp_path: Path, requires: str, verdict: str, told: str
) -> None:
    files = [
        wheel("demo", "1.0", tag=f"cp312-cp312-{PLATFORM}"),
        sdist("demo", "1.0", {"setup.py": EXTENSION, "demo.c": ""}, requires_python=requires),
    ]
    server.add_project("demo", files)
    answer = judge(server, tmp_path, "demo==1.0\n", "--no-deps")
    assert answer.verdicts == {"demo": verdict}
    assert told in answer.reasons("demo")


@pytest.mark.parametrize(
    ("options", "verdicts"),
    [
        ("", {"fast": "ready", "plain": "pure"}),
        ("--no-binary fast\n", {"fast": "source-only", "plain": "pure"}),
        ("--no-binary :all:\n", {"fast": "source-only", "plain": "pure"}),
        ("--no-binary :all:\n--only-binary Fast\n", {"fast": "ready", "plain": "pure"}),
        ("--no-binary fast\n--no-binary :none:\n", {"fast": "ready", "plain": "pure"}),
        ("--only-binary :all:\n", {"fast": "ready", "plain": "unavailable"}),
        ("--only-binary :all:\n--no-binary plain\n", {"fast": "ready", "plain": "pure"}),
    ],
)
def test_what_the_file_says_of_wheels_and_builds_is_obeyed(
    server: IndexServer, tmp_path: Path, options: str, verdicts: dict[str, str]
) -> None:
    server.add_project("fast", [wheel("fast", "1.0", tag=FREE), sdist("fast", "1.0", {"setup.py": EXTENSION})])
    server.add_project("plain", [sdist("plain", "1.0", {"setup.py": SETUP})])
    answer = judge(server, tmp_path, f"{options}fast==1.0\nplain==1.0\n", "--no-deps")
    assert answer.verdicts == verdicts
