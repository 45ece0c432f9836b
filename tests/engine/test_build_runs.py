"""Builds on this machine: hostile ones, and the verdict on a good one's wheel."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from packaging.version import Version
from support.distributions import sdist
from support.freethreaded import interpreter
from support.index_server import IndexServer

from ftaudit.engine.build_runs import build_releases
from ftaudit.model import Verdict
from ftaudit.model.local_builds import BuildAnswer, BuildProblem, LocalBuild
from ftaudit.report.package.local_build_rows import build_lines
from ftaudit.sandbox.confined_build import BuildLimits
from ftaudit.settings import Settings

pytestmark = pytest.mark.interpreter

PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
METADATA = "Metadata-Version: 2.2\nName: made\nVersion: 1.0\n"
WHEEL = """\
import zipfile
def build_wheel(out, settings=None, metadata=None):
    name = "made-1.0-py3-none-any.whl"
    with zipfile.ZipFile(f"{out}/{name}", "w") as wheel:
        wheel.writestr("made.py", "X = 1\\n")
        wheel.writestr("made-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: made\\nVersion: 1.0\\n")
        wheel.writestr("made-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("made-1.0.dist-info/RECORD", "made.py,,\\nmade-1.0.dist-info/METADATA,,\\n"
            "made-1.0.dist-info/WHEEL,,\\nmade-1.0.dist-info/RECORD,,\\n")
    return name
"""
HANG = "import time\ndef build_wheel(*_):\n    time.sleep(600)\n"
FORK = """\
import os, time
def build_wheel(*_):
    for _ in range(2000):
        try:
            if os.fork() == 0:
                os.setsid()
                time.sleep(600)
        except OSError:
            break
    time.sleep(600)
"""
ELSEWHERE = "def build_wheel(*_):\n    open(%r, 'w').write('here')\n"
DISK = (
    "def build_wheel(*_):\n    with open('big', 'wb') as f:\n        while True: f.write(bytes(1 << 20)); f.flush()\n"
)
PRINTS = "import os\ndef build_wheel(*_):\n    while True: os.write(1, b'x' * 65536)\n"
NETWORK = "import urllib.request\ndef build_wheel(*_):\n    urllib.request.urlopen('http://192.0.2.1/', timeout=5)\n"
LINK = """\
import os
def build_wheel(out, *_):
    os.symlink("/etc/passwd", f"{out}/made-1.0-py3-none-any.whl")
    return "x"
"""
REFUSES = "def build_wheel(*_):\n    raise SystemExit('error: made does not support free-threaded Python')\n"
LIMITS = BuildLimits(seconds=4, disk_bytes=32 << 20, output_bytes=1 << 20, log_bytes=1 << 14)


def build(
    folder: Path, backend: str, *, pyproject: str = PYPROJECT, limits: BuildLimits = LIMITS, times: int = 1
) -> tuple[LocalBuild, ...]:
    """Return the results of an sdist with its own backend, for each build."""
    files = {"pyproject.toml": pyproject, "backend.py": backend, "PKG-INFO": METADATA}
    with IndexServer() as server:
        server.add_project("made", [sdist("made", "1.0", files)])
        settings = Settings(index_url=server.simple_url, cache_dir=folder / "cache", python=Path(interpreter().path))
        asked = [("made", Version("1.0"))]
        return tuple(
            built
            for _ in range(times)
            for built in build_releases(asked, settings, limits=limits, wheel_dir=folder / "wheels")
        )


def test_a_good_build_is_judged_kept_and_not_made_again(tmp_path: Path) -> None:
    first, again = build(tmp_path, WHEEL, times=2)
    assert (first.answer, first.verdict, first.exit_code) == (BuildAnswer.PURE, Verdict.PURE, 0)
    assert first.wheel == str(tmp_path / "wheels" / "made-1.0-py3-none-any.whl")
    assert Path(first.log or "").is_file()
    assert again.cached
    assert dataclasses.replace(again, cached=False) == first


def test_a_build_that_forks_without_end_reaches_a_limit(tmp_path: Path) -> None:
    # Which limit comes first depends on how quickly the machine starts processes.
    (built,) = build(tmp_path, FORK)
    assert built.answer is BuildAnswer.FAILS
    assert built.problem in (BuildProblem.TIME, BuildProblem.MEMORY)
    assert built.wheel is None


@pytest.mark.parametrize(
    ("backend", "answer", "problem"),
    [
        pytest.param(HANG, BuildAnswer.FAILS, BuildProblem.TIME, id="hangs"),
        pytest.param(DISK, BuildAnswer.FAILS, BuildProblem.DISK, id="fills the disk"),
        pytest.param(PRINTS, BuildAnswer.FAILS, BuildProblem.OUTPUT, id="prints without end"),
        pytest.param(NETWORK, BuildAnswer.FAILS, BuildProblem.NETWORK, id="asks the network"),
        pytest.param(LINK, BuildAnswer.FAILS, BuildProblem.ERROR, id="its wheel is a link"),
        pytest.param(REFUSES, BuildAnswer.REFUSES, None, id="refuses"),
        pytest.param("def build_wheel(\n", BuildAnswer.FAILS, BuildProblem.ERROR, id="is not Python"),
    ],
)
def test_a_hostile_build_is_contained_and_has_a_reason(
    tmp_path: Path, backend: str, answer: BuildAnswer, problem: BuildProblem | None
) -> None:
    (built,) = build(tmp_path, backend)
    assert (built.answer, built.problem) == (answer, problem), built
    assert built.wheel is None
    assert built.exit_code in (1, 3)
    log = Path(built.log or "")
    assert log.stat().st_size < 2 * LIMITS.log_bytes
    assert not (tmp_path / "wheels").exists()


def test_a_build_cannot_write_elsewhere(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (built,) = build(tmp_path, ELSEWHERE % str(outside))
    assert built.answer is BuildAnswer.FAILS
    assert not outside.exists()


@pytest.mark.parametrize(
    "pyproject",
    [
        "[build-system]\nrequires = 1\n",
        "[build-system]\nrequires = ['not a requirement !']\n",
        "[build-system]\nrequires = []\nbackend-path = ['../..']\n",
        "[build-system\n",
    ],
)
def test_an_invalid_build_system_is_a_row(tmp_path: Path, pyproject: str) -> None:
    (built,) = build(tmp_path, WHEEL, pyproject=pyproject)
    assert (built.answer, built.problem) == (BuildAnswer.FAILS, BuildProblem.SDIST)
    assert "[build-system]" in (built.error or "")


def test_a_build_requirement_without_a_wheel_can_be_built_first(tmp_path: Path) -> None:
    made = {"pyproject.toml": PYPROJECT, "backend.py": WHEEL, "PKG-INFO": METADATA}
    uses = WHEEL.replace("made", "uses").replace("import zipfile", "import zipfile, made", 1)
    needs = PYPROJECT.replace("requires = []", 'requires = ["made==1.0"]')
    asks = {"pyproject.toml": needs, "backend.py": uses, "PKG-INFO": METADATA.replace("made", "uses")}
    with IndexServer() as server:
        server.add_project("made", [sdist("made", "1.0", made)])
        server.add_project("uses", [sdist("uses", "1.0", asks)])
        settings = Settings(index_url=server.simple_url, cache_dir=tmp_path / "cache", python=Path(interpreter().path))
        (refused,) = build_releases([("uses", Version("1.0"))], settings)
        assert (refused.problem, refused.missing) == (BuildProblem.REQUIREMENTS, "made==1.0")
        assert any("`ftaudit build`" in line and "--find-links" in line for line in build_lines(refused))
        wheels = tmp_path / "wheels"
        (first,) = build_releases([("made", Version("1.0"))], settings, wheel_dir=wheels)
        assert first.answer is BuildAnswer.PURE
        (then,) = build_releases([("uses", Version("1.0"))], dataclasses.replace(settings, find_links=(str(wheels),)))
        assert then.answer is BuildAnswer.PURE


def test_a_release_that_cannot_be_fetched_is_not_a_build_that_fails(tmp_path: Path) -> None:
    settings = Settings(index_url="http://127.0.0.1:9/simple/", cache_dir=tmp_path, python=Path(interpreter().path))
    (built,) = build_releases([("made", Version("1.0"))], settings)
    assert built.problem is BuildProblem.UNREACHABLE
    assert built.exit_code == 3
