"""On a free-threaded interpreter the scan uses threads, and finds what it finds in processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from support.freethreaded import interpreter

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.interpreter

WORK = """
import json, os, sys, threading
from ftaudit.workers import run_tasks

barrier = threading.Barrier(3, timeout=60)

def work(task):
    barrier.wait()
    return os.getpid(), threading.get_ident()

answers = [answer for _, answer in run_tasks(work, range(3), sizes=[1] * 3, jobs=3)]
print(json.dumps([len({pid for pid, _ in answers} | {os.getpid()}), len({thread for _, thread in answers})]))
"""

SCAN = """
import json, sys
from pathlib import Path
from ftaudit.source import PythonRule
from ftaudit.registry import load_rules
from ftaudit.source.source_files import find_files
from ftaudit.source.look import finding_row
from ftaudit.source.tree_scan import scan
from ftaudit.target import parse_target

rules = [rule for rule in load_rules().select() if isinstance(rule, PythonRule)]
found = find_files([Path(sys.argv[1])], trust_git=False)
result = scan(found, rules=rules, target=parse_target("3.14t"), jobs=4)
gil = getattr(sys, "_is_gil_enabled", lambda: True)()
print(json.dumps({"gil": gil, "findings": [finding_row(finding) for finding in result.findings]}))
"""


def run(python: str, code: str, *arguments: str) -> object:
    """Run code with ftaudit and the pure-Python libraries that the scan of Python needs."""
    paths = [ROOT / "auditor", ROOT / "rules", Path(sysconfig.get_paths()["purelib"])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    done = subprocess.run(
        [python, "-c", code, *arguments], capture_output=True, text=True, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_tasks_run_in_threads_of_this_process_at_the_same_time() -> None:
    assert run(interpreter().path, WORK) == [1, 3]


def test_a_scan_in_threads_finds_what_one_in_processes_finds(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"m{number}.py").write_text(f"_n = 0\ndef count():\n    global _n\n    _n += {number}\n")
    in_threads = run(interpreter().path, SCAN, str(tmp_path))
    in_processes = run(sys.executable, SCAN, str(tmp_path))
    assert isinstance(in_threads, dict)
    assert isinstance(in_processes, dict)
    assert not in_threads["gil"]
    assert len(in_threads["findings"]) == 20
    assert in_threads["findings"] == in_processes["findings"]
