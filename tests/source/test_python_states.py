"""The state of shared Python objects: what FT533 and the codes that it reports under find, and what they accept."""

from __future__ import annotations

import pytest

from ftaudit.source.run_rules import check_texts
from ftaudit.target import parse_target
from ftaudit_rules.python.unlocked_object_state import UnlockedObjectState

HEAD = "import threading\nclass Pool:\n    def __init__(self):\n        self._lock = threading.Lock()\n"


def codes(code: str) -> list[str]:
    checked = check_texts({"pool.py": code}, (UnlockedObjectState(),), parse_target("3.14t"))
    assert not checked.skipped
    return [finding.code for finding in checked.findings if finding.severity.value != "pedantic"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            "        self.n = 0\n    def hit(self):\n        with self._lock:\n            self.n += 1\n"
            "    def forget(self):\n        self.n -= 1\n",
            ["FT533"],
        ),
        (
            "        self.d = {}\n    def put(self, k, v):\n        with self._lock:\n            self.d[k] = v\n"
            "    def all(self):\n        return [v for v in self.d.values()]\n",
            ["FT507"],
        ),
        (
            "        self.d = {}\n    def get(self, k):\n        found = self.d.get(k)\n        if found is None:\n"
            "            found = self.d[k] = Item(k)\n        return found\n",
            ["FT506"],
        ),
        (
            "        self.d = {}\n    def get(self, k):\n        if k in self.d:\n            return self.d[k]\n"
            "    def drop(self, k):\n        with self._lock:\n            self.d.pop(k, None)\n",
            ["FT506"],
        ),
    ],
)
def test_what_one_method_locks_and_another_does_not_is_one_finding_with_the_code_of_its_pattern(
    body: str, expected: list[str]
) -> None:
    assert codes(HEAD + body) == expected


@pytest.mark.parametrize(
    "body",
    [
        # A helper that every caller calls with the lock held.
        "        self.n = 0\n    def hit(self):\n        with self._lock:\n            self._add(1)\n"
        "    def miss(self):\n        with self._lock:\n            self._add(-1)\n"
        "    def _add(self, n):\n        self.n += n\n",
        # A condition made on the lock is the same lock.
        "        self._ready = threading.Condition(self._lock)\n        self.n = 0\n    def hit(self):\n"
        "        with self._lock:\n            self.n += 1\n    def miss(self):\n        with self._ready:\n"
        "            self.n -= 1\n",
        # A helper of the constructor.
        "        self.d = {}\n        self._fill()\n    def _fill(self):\n        for k in names():\n"
        "            self.d[k] = 1\n"
        "    def put(self, k):\n        with self._lock:\n            self.d[k] = 2\n",
        # A flag that is only set and read.
        "        self.done = False\n    def stop(self):\n        self.done = True\n    def is_done(self):\n"
        "        return self.done\n",
        # A documented contract: the caller holds the lock.
        "        self.n = 0\n    def hit(self):\n        with self._lock:\n            self.n += 1\n"
        '    def miss(self):\n        """Must be called with the lock held."""\n        self.n -= 1\n',
        # A restart stores a value that no other code counts yet.
        "        self.n = ()\n    def put(self, n):\n        with self._lock:\n            self.n = (n,)\n"
        "    def reset(self, n):\n        self.n = (n, n)\n",
    ],
)
def test_what_is_safe_is_silent(body: str) -> None:
    assert codes(HEAD + body) == []


def test_a_context_manager_that_enters_a_lock_by_a_call_is_read() -> None:
    text = (
        "import contextlib\nimport threading\n_lock = threading.Lock()\nclass Pool:\n    def __init__(self):\n"
        "        self.lock = threading.Lock()\n        self.n = 0\n    @contextlib.contextmanager\n"
        "    def held(self):\n        with self.lock_of(self):\n            yield\n    def lock_of(self, other):\n"
        "        return other.lock\n    def hit(self):\n        with self.held():\n            self.n += 1\n"
        "    def miss(self):\n        with self.lock:\n            self.n -= 1\n"
    )
    assert codes(text) == []


def test_what_one_thread_alone_does_races_with_nothing() -> None:
    text = (
        "import threading\nclass Cleaner(threading.Thread):\n    def __init__(self):\n        self.seen = {}\n"
        "    def run(self):\n        for k in names():\n            if k in self.seen:\n"
        "                del self.seen[k]\n"
    )
    assert codes(text) == []


def test_a_finding_names_the_places_at_fault_and_what_two_threads_do() -> None:
    body = (
        "        self.n = 0\n    def hit(self):\n        with self._lock:\n            self.n += 1\n"
        "    def forget(self):\n        self._add(-1)\n    def _add(self, n):\n        self.n += n\n"
    )
    (finding,) = check_texts({"pool.py": HEAD + body}, (UnlockedObjectState(),), parse_target("3.14t")).findings
    assert [(site.location.line, site.entry_point, site.locks) for site in finding.sites] == [(12, "forget", ())]
    assert "hit" in finding.message and "forget" in finding.message
    assert len(finding.interleaving) == 2


_STORES = """\
import threading
class Store:
    def __init__(self):
        self._lock = threading.Lock()
        self._value = None
    def fill(self, value):
        with self._lock:
            self._value = value
    def swap(self, value):
        with self._lock:
            old, self._value = self._value, value
            return old
"""


def test_a_store_without_the_lock_is_a_finding_where_one_method_forgot_it_and_a_note_where_that_is_a_habit() -> None:
    forgot = "    def drop(self, v):\n        self._value = v\n"
    habit = "    def lose(self, v):\n        self._value = v\n"
    assert codes(_STORES + forgot) == ["FT533"]
    assert codes(_STORES + forgot + habit) == []
