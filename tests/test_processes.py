"""A tool ends in time, with everything that it started, or the failure is reported."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

import pytest

from ftaudit.processes import find_uv, run_tool


def test_a_program_that_is_not_there_is_no_crash(tmp_path: Path) -> None:
    ran = run_tool([tmp_path / "nowhere"], timeout=10)
    assert (ran.ok, ran.code) == (False, None)
    assert "No such file" in ran.errors


@pytest.mark.skipif(os.name != "posix", reason="process groups")
@pytest.mark.timing
def test_a_tool_that_does_not_end_is_ended_with_its_children(tmp_path: Path) -> None:
    held = tmp_path / "held"
    held.touch()
    child = f"import fcntl, time; f = open({str(held)!r}); fcntl.flock(f, fcntl.LOCK_EX); time.sleep(600)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    ran = run_tool([sys.executable, "-c", parent], timeout=1)
    assert (ran.ok, ran.errors) == (False, "no answer within 1 s")
    with held.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
@pytest.mark.timing
def test_a_tool_that_takes_long_is_told_of_and_loses_no_output(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    told: list[float] = []

    def release(passed: float) -> None:
        told.append(passed)
        if len(told) == 2:
            pipe.write_text("go")

    command = [sys.executable, "-c", f"print('begin', flush=True); print(open({str(pipe)!r}).read())"]
    ran = run_tool(command, timeout=60, every=0.2, waiting=release)
    assert (ran.code, ran.output.split()) == (0, ["begin", "go"])
    assert told == sorted(told) and len(told) >= 2
    ran = run_tool([sys.executable, "-c", "import time; time.sleep(600)"], timeout=0.5, every=0.2, waiting=told.append)
    assert ran.errors == "no answer within 0.5 s"


def test_output_and_errors_are_kept_apart_and_a_log_takes_both(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"]
    ran = run_tool(command, timeout=30)
    assert (ran.code, ran.output.strip(), ran.errors) == (3, "out", "err")
    logged = run_tool(command, timeout=30, log=tmp_path / "log")
    assert (logged.code, logged.output, logged.errors) == (3, "", "")
    assert sorted((tmp_path / "log").read_text().split()) == ["err", "out"]


def test_uv_is_found() -> None:
    assert run_tool([find_uv(), "--version"], timeout=30).ok
