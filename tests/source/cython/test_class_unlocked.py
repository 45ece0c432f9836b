"""The confidence of FT403: evidence in the methods of a Cython class that its objects are shared."""

from __future__ import annotations

import pytest

from ftaudit.model import Severity
from ftaudit.source.run_rules import check_texts
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
def test_a_lost_count_of_what_python_calls_or_what_keeps_account_is_a_note_that_is_shown(method: str) -> None:
    assert severities("cdef class Pool:\n" + method) == [Severity.INFO]


@pytest.mark.parametrize(
    ("fields", "methods", "expected"),
    [
        (
            "    cdef conn_t *ptr\n",
            "    def close(self):\n        if self.ptr is not NULL:\n            conn_close(self.ptr)\n"
            "            self.ptr = NULL\n",
            [Severity.ERROR],
        ),
        (
            "    cdef conn_t *ptr\n",
            "    @cython.critical_section\n"
            "    def close(self):\n        if self.ptr is not NULL:\n"
            "            conn_close(self.ptr)\n            self.ptr = NULL\n",
            [],
        ),
        (
            "    cdef conn_t *ptr\n",
            "    def __dealloc__(self):\n        conn_close(self.ptr)\n"
            "    def send(self):\n        conn_send(self.ptr)\n",
            [],
        ),
        (
            "    cdef object handler\n",
            "    def set(self, handler):\n        self.handler = handler\n"
            "    def get(self):\n        return self.handler\n",
            [Severity.ERROR],
        ),
        (
            "    cdef vector[int] rows\n",
            "    def add(self, int n):\n        self.rows.push_back(n)\n"
            "    def at(self, int n):\n        return self.rows[n]\n",
            [Severity.ERROR],
        ),
        (
            "    cdef long id\n",
            "    @with_lock\n"
            "    def get(self):\n        return native_get(self.id)\n    @with_lock\n"
            "    def put(self, v):\n"
            "        native_set(self.id, v)\n    def drop(self):\n        native_delete(self.id)\n",
            [Severity.WARNING],
        ),
        (
            "    cdef bint done\n",
            "    def stop(self):\n        self.done = True\n    def is_done(self):\n        return self.done\n",
            [],
        ),
    ],
)
def test_severity_is_what_can_happen_to_a_field(fields: str, methods: str, expected: list[Severity]) -> None:
    assert severities("cdef class Pool:\n" + fields + methods) == expected


def test_a_finding_names_every_site_and_what_two_threads_do() -> None:
    text = (
        "cdef class Conn:\n    cdef conn_t *ptr\n    def close(self):\n        self._close()\n    def send(self):\n"
        "        conn_send(self.ptr)\n    cdef _close(self):\n        conn_close(self.ptr)\n        self.ptr = NULL\n"
    )
    (finding,) = check_texts({"m.pyx": text}, (CythonCdefClassUnlocked(),), parse_target("3.14t")).findings
    assert [(site.location.line, site.access, site.entry_point) for site in finding.sites] == [
        (6, "read", "send"),
        (8, "free", "close"),
        (9, "write", "close"),
    ]
    assert [line.partition(",")[0] for line in finding.interleaving] == ["Thread 1", "Thread 2"]
