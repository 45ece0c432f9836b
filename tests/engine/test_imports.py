"""The runtime tier through the command line: real extension modules, imported under the free-threaded interpreter."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support.command import check, environment
from support.distributions import wheel, with_members
from support.freethreaded import make_wheel
from support.index_server import IndexServer, ServedFile

pytestmark = pytest.mark.interpreter


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as running:
        yield running


def serve(server: IndexServer, folder: Path, name: str, files: Mapping[str, str | bytes]) -> None:
    """Put a wheel for the target and this machine on the index."""
    made = make_wheel(folder, name, files)
    server.add_project(name, [ServedFile(filename=made.filename, data=Path(made.location).read_bytes())])


def test_each_fate_of_a_module_is_the_verdict_that_it_deserves(server: IndexServer, tmp_path: Path) -> None:
    wheels = {
        "free": {"free/__init__.py": "", "free/first.EXT": "extension"},
        "guilty": {"guilty/__init__.py": "", "guilty/first.EXT": "extension", "guilty/silent.EXT": "extension"},
        "crashing": {
            "crashing/__init__.py": "",
            "crashing/hostile.EXT": "extension",
            "crashing/hostile_payload.py": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
            "crashing/last.EXT": "extension",
        },
        "needy": {"needy/__init__.py": "import absent_dependency", "needy/first.EXT": "extension"},
    }
    (tmp_path / "wheels").mkdir()
    for name, files in wheels.items():
        serve(server, tmp_path / "wheels", name, files)
    (tmp_path / "r.txt").write_text("".join(f"{name}==1.0\n" for name in wheels))
    answer = check("--no-deps", "--index-url", server.simple_url, "r.txt", cwd=tmp_path)
    assert answer.verdicts["free"] == "ready"
    assert answer.verdicts["guilty"] == "reenables-gil"
    assert answer.verdicts["crashing"] == "broken"
    assert answer.verdicts["needy"] != "broken"
    assert answer.code == 1
    assert "guilty.silent" in answer.reasons("guilty") and "guilty.first" not in answer.reasons("guilty")
    assert "SIGSEGV" in answer.reasons("crashing")
    last = next(module for module in answer.rows["crashing"]["modules"] if module["name"] == "crashing.last")
    assert last["runtime"]["imported"] is True


def test_an_innocent_module_that_imports_a_guilty_one_names_it_and_stays_ready(
    server: IndexServer, tmp_path: Path
) -> None:
    (tmp_path / "wheels").mkdir()
    serve(server, tmp_path / "wheels", "culprit", {"culprit/__init__.py": "", "culprit/silent.EXT": "extension"})
    innocent = {
        "innocent/__init__.py": "",
        "innocent/importer.EXT": "extension",
        "innocent/importer_payload.py": "import culprit.silent",
    }
    serve(server, tmp_path / "wheels", "innocent", innocent)
    (tmp_path / "r.txt").write_text("innocent==1.0\nculprit==1.0\n")
    answer = check("--no-deps", "--index-url", server.simple_url, "r.txt", cwd=tmp_path)
    assert answer.verdicts == {"innocent": "ready", "culprit": "reenables-gil"}
    (module,) = answer.rows["innocent"]["modules"]
    assert module["runtime"]["requires_gil"] is False
    assert module["runtime"]["gil_enabled_after"] is True
    assert module["runtime"]["culprits"] == ["culprit.silent"]
    assert module["runtime"]["chain"][0] == "innocent.importer"
    assert module["runtime"]["chain"][-1] == "culprit.silent"


def test_start_up_files_of_pure_wheels_run_where_nothing_else_is_imported(server: IndexServer, tmp_path: Path) -> None:
    lines = {
        "ends": {"ends.pth": "import os; os._exit(0)\n"},
        "sleeps": {"sitecustomize.py": "import time; time.sleep(3600)\n"},
        "quiet": {"quiet.pth": "import sys\n"},
        "folders": {"folders.pth": "somewhere\n"},
        "hidden": {"hidden-1.0.data/purelib/hidden.pth": "import os; os._exit(3)\n"},
    }
    for name, files in lines.items():
        server.add_project(name, [with_members(wheel(name, "1.0"), files)])
    (tmp_path / "r.txt").write_text("".join(f"{name}==1.0\n" for name in lines))
    answer = check("--no-deps", "--timeout", "3", "--index-url", server.simple_url, "r.txt", cwd=tmp_path)
    assert answer.verdicts == {
        "ends": "broken",
        "sleeps": "broken",
        "quiet": "pure",
        "folders": "pure",
        "hidden": "broken",
    }
    assert answer.code == 1
    again = check("--static", "--no-deps", "--index-url", server.simple_url, "r.txt", cwd=tmp_path)
    assert set(again.verdicts.values()) == {"pure"}


def test_static_runs_no_code_of_the_package(server: IndexServer, tmp_path: Path) -> None:
    trap = {
        "trap/__init__.py": f"open({str(tmp_path / 'sprung')!r}, 'w')",
        "trap/first.EXT": "extension",
    }
    (tmp_path / "wheels").mkdir()
    serve(server, tmp_path / "wheels", "trap", trap)
    (tmp_path / "r.txt").write_text("trap==1.0\n")
    answer = check("--static", "--no-deps", "--index-url", server.simple_url, "r.txt", cwd=tmp_path)
    assert answer.rows["trap"]["evidence"]["runtime"]["status"] == "skipped"
    assert not (tmp_path / "sprung").exists()


@pytest.mark.timing
def test_an_interrupt_ends_every_child_and_leaves_the_cache_usable(server: IndexServer, tmp_path: Path) -> None:
    mark = f"ftaudit-test-{time.time_ns()}"
    hanging = {
        "slow/__init__.py": "",
        "slow/hostile.EXT": "extension",
        "slow/hostile_payload.py": (
            "import subprocess, sys\n"
            f"subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)', {mark!r}])\n"
            "print('hanging now', flush=True)\n"
            "import time; time.sleep(300)\n"
        ),
    }
    (tmp_path / "wheels").mkdir()
    serve(server, tmp_path / "wheels", "slow", hanging)
    (tmp_path / "r.txt").write_text("slow==1.0\n")
    arguments = ["check", "--no-deps", "--timeout", "200", "--index-url", server.simple_url, "r.txt"]
    running = subprocess.Popen(
        [sys.executable, "-m", "ftaudit", *arguments],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not _running(mark):
        assert running.poll() is None and time.monotonic() < deadline, "the module was never imported"
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "Traceback" not in errors and "interrupted" in errors
    gone = time.monotonic() + 5
    while _running(mark) and time.monotonic() < gone:
        time.sleep(0.05)
    assert not _running(mark)
    again = check("--no-deps", "--timeout", "1", "--index-url", server.simple_url, "r.txt", cwd=tmp_path)
    assert again.verdicts == {"slow": "broken"}
    assert not _running(mark)


def _running(mark: str) -> list[int]:
    """Return the processes whose command line holds the mark."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if mark.encode() in line.split(b"\0"):
                found.append(int(entry.name))
    return found
