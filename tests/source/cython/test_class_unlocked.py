"""How sure FT403 is: what the methods of a Cython class tell of who shares its objects."""

from __future__ import annotations

import pytest

from ftaudit.model import Severity
from ftaudit.source.check import check_texts
from ftaudit.target import parse_target
from ftaudit_rules.cython.cython_cdef_class_unlocked import CythonCdefClassUnlocked


def severities(text: str) -> list[Severity]:
    checked = check_texts({"m.pyx": text}, (CythonCdefClassUnlocked(),), parse_target("3.14t"))
    assert not checked.skipped
    return [finding.severity for finding in checked.findings]


@pytest.mark.parametrize(
    "method",
    [
        "    cdef void push(self, double x) noexcept nogil:\n        self.count += 1\n",
        "    cdef int add(self, int x):\n        self.items[self.n] = x\n        self.n += 1\n",
        "    def start(self, tag):\n        self.ignored_depth += 1\n",
    ],
)
def test_what_one_owner_runs_is_left_to_the_pedantic_profile(method: str) -> None:
    assert severities("cdef class Heap:\n" + method) == [Severity.PEDANTIC]


@pytest.mark.parametrize(
    "method",
    [
        "    cdef void free(self, void *p):\n        self.size -= self.sizes.pop(<size_t>p)\n",
        "    cpdef add(self, n):\n        self.size += n\n",
        "    def spawn(self, n):\n        self.spawned += n\n",
    ],
)
def test_what_python_calls_and_what_keeps_account_is_a_warning(method: str) -> None:
    assert severities("cdef class Pool:\n" + method) == [Severity.WARNING]
