"""The scripts of units: each runs by itself, with nothing but an interpreter and the package."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.freethreaded import interpreter

from ftaudit.stress.child.script_text import render
from ftaudit.stress.child.units import TOGETHER, ThreadedUnit, picked

pytestmark = pytest.mark.interpreter
FAILS = '(_ for _ in ()).throw(SystemError("damaged"))'

KEEPS = 'sys.modules.setdefault("kept", []).append(bytes(2000))'


def unit(*operations: str, **options: Any) -> ThreadedUnit:
    common: dict[str, Any] = {
        "kind": "pair of methods",
        "target": "collections.deque",
        "imports": (),
        "shared": {"o": "collections.deque(range(9))"},
        "rounds": 3,
        "calls": 2,
    }
    return ThreadedUnit(operations=operations, **{**common, **options})


def test_a_script_runs_by_itself_and_its_exit_code_says_whether_something_failed(tmp_path: Path) -> None:
    units = {
        "pair": (unit("o.append(i)", "o.pop()"), 0),
        "rotating": (unit("o.append(i)", "o.pop()", "len(o)", subjects=("a", "b", "c"), rotating=True), 0),
        "checked": (unit("o.index(3)", checked=(0,), expected=("3",)), 0),
        "counted": (unit("o.append(i)", state="len(o)"), 0),
        "processes": (unit("o.pop()", processes=2), 0),
        "error": (unit(FAILS), 1),
        "rotating error": (unit("len(o)", FAILS, subjects=("a", "b"), rotating=True), 1),
        "wrong": (unit("o.index(3)", checked=(0,), expected=("4",)), 1),
        "steady": (unit("o.append(i)", growth=1 << 40, seconds=0.3), 0),
        "grows": (unit(KEEPS, growth=1 << 10, rounds=1 << 40, seconds=2.0), 1),
        "lost": (unit("o.append(i)", state="id(object()) * o.pop()"), 1),
    }
    for name, (each, wanted) in units.items():
        script = tmp_path / f"{name}.py"
        script.write_text(render(each if each.growth else each.changed(seconds=60.0)), encoding="utf-8")
        ran = subprocess.run(
            [interpreter().path, "-I", script], capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert ran.returncode == wanted, (name, ran.stdout, ran.stderr)
        if wanted:
            assert ran.stderr.startswith(("error: SystemError: damaged", "wrong result: ", "memory growth: ")), (
                ran.stderr
            )
        else:
            assert "no failure" in ran.stdout


def test_a_script_leaves_no_file_behind_however_it_ends(tmp_path: Path) -> None:
    opens = 'open(fresh_file(), "w").close()'
    for name, last in (("crash", "os.kill(os.getpid(), 9)"), ("end", "None")):
        folder = tmp_path / name
        folder.mkdir()
        script = tmp_path / f"{name}.py"
        script.write_text(render(unit(opens, f"({opens}, {last})").changed(seconds=60.0)), encoding="utf-8")
        # The second process keeps the pipes open until it has removed the files.
        ran = subprocess.run(
            [interpreter().path, "-I", script], capture_output=True, check=False, env={"TMPDIR": str(folder)}
        )
        assert (ran.returncode == 0) is (name == "end"), ran.stderr
        assert list(folder.iterdir()) == []


def test_the_rounds_of_a_rotating_unit_bring_all_pairs_of_operations_together() -> None:
    for count in (2, 3, 7, 12):
        met = {(picked(0, turn, count), picked(1, turn, count)) for turn in range(count * count)}
        assert met == {(one, other) for one in range(count) for other in range(count)}


def test_a_rotating_unit_keeps_the_names_of_the_operations_that_remain() -> None:
    rotating = unit("f(a)", "g(a)", "a.clear()", kind=TOGETHER, subjects=("m.f", "m.g", ""), rotating=True)
    left = rotating.with_operations([1, 2])
    assert (left.subjects, left.target, left.operations) == (("m.g", ""), "m.g", ("g(a)", "a.clear()"))
    fixed = left.fixed()
    assert (fixed.rotating, fixed.threads, fixed.kind) == (False, 2, "changed input")
