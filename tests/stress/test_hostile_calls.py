"""Calls that delete, exit, fork, block, or take everything: contained, and not driven for a reason that is reported."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.freethreaded import interpreter, make_wheel

from ftaudit.model import Status
from ftaudit.sandbox import SandboxSettings
from ftaudit.stress.distributions import stress_distributions
from ftaudit.stress.stress_settings import StressSettings

pytestmark = pytest.mark.interpreter
# The names do not show what the calls do.
MODULE = """\
import os, signal, socket, sys, time

def good(number):
    return number + 1

def one():
    os.unlink({victim!r})

def two():
    os._exit(7)

def three():
    sys.exit(3)

def four():
    os.kill(os.getppid(), 9)

def five():
    while True:
        os.fork()

def six():
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        made.listen()
        made.accept()

def seven():
    return input()

def eight():
    kept = []
    while True:
        kept.append(bytearray(100_000_000))

def nine():
    while True:
        print("spam" * 1000)
        os.write(2, bytes(100_000))

def ten():
    time.sleep(1000)

def eleven():
    while True:
        pass

def twelve():
    os.closerange(3, 1000)
    os._exit(0)
"""
BUDGET = 10.0


def test_calls_that_destroy_something_end_neither_the_run_nor_anything_else(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("here", encoding="utf-8")
    wheel = make_wheel(tmp_path, "hostile", {"hostile.py": MODULE.format(victim=str(victim))})
    facts = stress_distributions(
        interpreter(),
        [wheel],
        sandbox=SandboxSettings(cache_dir=tmp_path / "cache", offline=True),
        stress=StressSettings(budget=BUDGET),
    )[wheel.name]
    assert victim.read_text(encoding="utf-8") == "here"
    assert (facts.status, facts.failures) == (Status.DONE, ())
    assert {each.name for each in facts.callables if each.driven} == {"hostile.good"}
    reasons = {each.name: each.reason for each in facts.callables if not each.driven}
    assert len(reasons) == 12 and all(reasons.values()), reasons
    assert 0 < facts.cpu_seconds <= 1.1 * BUDGET
