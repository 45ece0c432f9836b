"""Releases without a wheel: the results of building their sdists, and the builds that the input allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support.command import Answer, check
from support.distributions import sdist, wheel
from support.index_server import IndexServer

from ftaudit.engine.tiers.builds import Build, SdistFacts, read_sdist

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
        ({"setup.py": "print 'python 2'\n" + SETUP}, Build.UNDETERMINED),
        ({"setup.py": SETUP, "filters.py": "from jinja2.ext import Extension\n"}, Build.PURE),
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
    assert read_sdist(path).build is expected


@pytest.mark.parametrize("data", [b"", b"\x1f\x8b\x08", b"PK\x03\x04", b"x" * 600])
@pytest.mark.parametrize("name", ["demo-1.0.tar.gz", "demo-1.0.zip", "demo-1.0.rpm"])
def test_an_archive_that_is_none_tells_nothing(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    assert read_sdist(tmp_path / name) == SdistFacts(build=Build.UNDETERMINED)


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


def pkg_info(requires: str) -> str:
    return f"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nRequires-Python: {requires}\n\nRequires-Python: <2\n"


NEW = EXTENSION.replace("name=", "python_requires='>=3.9', name=")
"""A script whose own data differs from the metadata."""


ONLY_THE_ARCHIVE = {
    "recorded": ({"PKG-INFO": pkg_info(">=3.7,<3.13"), "setup.py": NEW, "demo.c": ""}, True, "unavailable", "<3.13"),
    "plain": ({"PKG-INFO": pkg_info("<3.14"), "setup.py": SETUP}, False, "unavailable", "<3.14"),
    "project": (
        {"pyproject.toml": system("flit_core.buildapi", more="requires-python='~=3.8.0'\n")},
        False,
        "unavailable",
        "3.8",
    ),
    "config": (
        {"setup.cfg": "[options]\npython_requires = <3.12\n", "setup.py": EXTENSION},
        True,
        "unavailable",
        "<3.12",
    ),
    "script": (
        {"setup.py": EXTENSION.replace("name=", "python_requires='!=3.14.*', name=")},
        True,
        "unavailable",
        "!=3.14",
    ),
    "admits": (
        {"PKG-INFO": pkg_info(">=3.7"), "setup.py": NEW, "demo.c": ""},
        True,
        "source-only",
        "there is an sdist",
    ),
    "nonsense": ({"PKG-INFO": pkg_info("nonsense"), "setup.py": SETUP}, False, "pure", "built from source"),
    "zeros": ({"PKG-INFO": "\0" * 300, "setup.py": EXTENSION}, True, "source-only", "there is an sdist"),
}


def test_the_python_that_only_the_archive_asks_for_counts(server: IndexServer, tmp_path: Path) -> None:
    for name, (files, with_wheel, _, _) in ONLY_THE_ARCHIVE.items():
        compiled = [wheel(name, "1.0", tag=f"cp312-cp312-{PLATFORM}")] if with_wheel else []
        server.add_project(name, [*compiled, sdist(name, "1.0", files)])
    answer = judge(server, tmp_path, "".join(f"{name}==1.0\n" for name in ONLY_THE_ARCHIVE), "--no-deps")
    assert answer.verdicts == {name: verdict for name, (_, _, verdict, _) in ONLY_THE_ARCHIVE.items()}
    for name, (_, _, _, told) in ONLY_THE_ARCHIVE.items():
        assert told in answer.reasons(name), name


def test_a_lock_file_that_does_not_say_the_python_of_an_sdist_leaves_it_to_the_index(
    server: IndexServer, tmp_path: Path
) -> None:
    compiled = wheel("demo", "1.0", tag=f"cp312-cp312-{PLATFORM}")
    served = sdist("demo", "1.0", {"setup.py": EXTENSION}, requires_python="<3.13")
    server.add_project("demo", [compiled, served])
    listed = ", ".join(
        f'{{ url = "{server.file_url(file.filename)}", hash = "sha256:{file.digest}" }}' for file in (compiled, served)
    )
    (tmp_path / "uv.lock").write_text(
        'version = 1\nrequires-python = ">=3.10"\n'
        '[[package]]\nname = "app"\nversion = "1"\nsource = { virtual = "." }\n'
        'dependencies = [{ name = "demo" }]\n[[package]]\nname = "demo"\nversion = "1.0"\n'
        f'source = {{ registry = "{server.simple_url}" }}\nwheels = [{listed.rpartition(", {")[0]}]\n'
        f"sdist = {{{listed.rpartition(', {')[2]}\n"
    )
    arguments = ("--static", "--platform", PLATFORM, "--index-url", server.simple_url, "uv.lock")
    answer = check(*arguments, cwd=tmp_path)
    assert answer.verdicts == {"demo": "unavailable"}
    assert "compiled for an older Python" in answer.reasons("demo")


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
