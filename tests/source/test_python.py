"""The Python room: the cheap first test, and the model of locks and scopes."""

from __future__ import annotations

import pytest

from ftaudit.model import Severity
from ftaudit.registry import load_rules
from ftaudit.rule import Language, SourceExample
from ftaudit.source.base import PythonRule, SourceFile
from ftaudit.source.python import READER
from ftaudit.source.python.kinds import looks_like_lock
from ftaudit.source.run_rules import check_texts
from ftaudit.target import parse_target

PYTHON_RULES = [rule for rule in load_rules().rules if isinstance(rule, PythonRule)]
AUGASSIGN = load_rules().select(select=["FT504"])


def lines_of(code: str) -> list[int]:
    rules = [rule for rule in AUGASSIGN if isinstance(rule, PythonRule)]
    checked = check_texts({"a.py": code}, rules, parse_target("3.14t"))
    assert checked.skipped == ()
    return [finding.location.line or 0 for finding in checked.findings if finding.location]


@pytest.mark.parametrize(
    ("rule", "example"),
    [(rule, example) for rule in PYTHON_RULES for example in rule.INVALID],
    ids=lambda value: value.info.name if isinstance(value, PythonRule) else "",
)
def test_the_cheap_first_look_lets_every_example_through(rule: PythonRule, example: SourceExample) -> None:
    target = parse_target(example.target)
    path = example.path or "example.py"
    checked = check_texts({path: example.code}, [rule], target)
    source = SourceFile(path=path, language=Language.PYTHON, text=example.code, target=target)
    if any(finding.severity is not Severity.PEDANTIC for finding in checked.findings):
        assert list(READER.select(source, [rule])) == [rule]


def test_some_rule_reads_python() -> None:
    assert len(PYTHON_RULES) > 20


@pytest.mark.parametrize(
    "body",
    [
        "    with _lock:\n        _n += 1\n",
        "    with _lock, other():\n        _n += 1\n",
        "    with (other(), _lock):\n        _n += 1\n",
        "    with _lock or nullcontext():\n        _n += 1\n",
        "    _lock.acquire()\n    try:\n        _n += 1\n    finally:\n        _lock.release()\n",
        "    _lock.acquire()\n    _n += 1\n    _lock.release()\n",
        "    with g.mutex():\n        if x:\n            _n += 1\n",
    ],
)
def test_what_is_done_under_a_lock_is_locked(body: str) -> None:
    assert lines_of("_n = 0\ndef f():\n    global _n\n" + body) == []


@pytest.mark.parametrize(
    "body",
    [
        "    with open(p):\n        _n += 1\n",
        "    with block, clock():\n        _n += 1\n",
        "    with _lock:\n        pass\n    _n += 1\n",
        "    _lock.acquire()\n    _lock.release()\n    _n += 1\n",
        "    with threading.Lock():\n        _n += 1\n",
    ],
)
def test_what_is_done_beside_a_lock_is_not(body: str) -> None:
    assert len(lines_of("_n = 0\ndef f():\n    global _n\n" + body)) == 1


def test_a_function_that_is_only_called_with_the_lock_held_is_locked() -> None:
    code = "_n = 0\ndef _step():\n    global _n\n    _n += 1\ndef f():\n    with _lock:\n        _step()\n"
    assert lines_of(code) == []
    assert lines_of(code + "def g():\n    _step()\n") == [4]


def test_a_local_of_the_same_name_is_no_global() -> None:
    assert lines_of("_n = 0\ndef f():\n    _n = 1\n    _n += 1\n") == []
    assert lines_of("_n = 0\ndef f(_n):\n    def g():\n        nonlocal _n\n        _n += 1\n") == []


def test_what_only_runs_at_import_is_left_alone() -> None:
    assert lines_of("_n = 0\ndef _fill():\n    global _n\n    _n += 1\n_fill()\n") == []
    assert lines_of("_n = 0\ndef fill():\n    global _n\n    _n += 1\nfill()\n") == [4]


@pytest.mark.parametrize(
    "name", ["lock", "_lock", "self_lock", "RLock", "data_lock", "mutex", "my_mutex", "cache_locked"]
)
def test_names_of_locks_are_known(name: str) -> None:
    assert looks_like_lock(name)


@pytest.mark.parametrize("name", ["block", "clock", "unlock", "deadlock", "blocked", "flock_path", "open", "clockwork"])
def test_names_that_only_sound_like_locks_are_not(name: str) -> None:
    assert not looks_like_lock(name)
