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


SHAPES = {
    "a pointer that a function gives back, whatever its name, before it is set to NULL": (
        "cdef class Watch:\n    cdef void *h\n    cpdef stop(self):\n        if self.h != NULL:\n"
        "            stop_watch(self.h)\n            self.h = NULL\n"
        "    def poll(self):\n        return poll_watch(self.h)\n",
        [("Watch.h", Severity.ERROR)],
    ),
    "a member of a structure, also through a local pointer to it": (
        "cdef struct buf_t:\n    char *data\n    size_t length\ncdef class Packer:\n    cdef buf_t pk\n"
        "    def reset(self):\n        cdef buf_t *pk = &self.pk\n        free(pk.data)\n        pk.data = NULL\n"
        "    def getbuf(self):\n        return self.pk.data[:self.pk.length]\n",
        [("Packer.pk.data", Severity.ERROR)],
    ),
    "a position that indexes memory without a check": (
        "cdef struct state_t:\n    int pos\n    char *buf\ncdef class Source:\n    cdef state_t st\n"
        "    def take(self):\n        c = self.st.buf[self.st.pos]\n        self.st.pos += 1\n        return c\n",
        [("Source.st.pos", Severity.ERROR)],
    ),
    "an object of a library that one method changes and another reads": (
        "cdef class Words:\n    cdef Tree *t\n    def add(self, int v):\n        self.t.insert(v)\n"
        "    def __contains__(self, int v):\n        return self.t.find(v)\n",
        [("Words.t", Severity.WARNING)],
    ),
    "a field of another object": (
        "cdef class Env:\n    cdef handle_t *h\ncdef class Txn:\n    cdef Env env\n    def close_env(self):\n"
        "        handle_close(self.env.h)\n        self.env.h = NULL\n    def query(self):\n"
        "        return handle_query(self.env.h)\n",
        [("Env.h", Severity.ERROR)],
    ),
    "a field of a parameter of a function": (
        "cdef class Box:\n    cdef object value\ndef put(Box b, v):\n    b.value = v\n"
        "def get(Box b):\n    return b.value\n",
        [("Box.value", Severity.ERROR)],
    ),
    "a field of a base class": (
        "cdef class Base:\n    cdef char *buf\n    cdef int grow(self, size_t n) except -1:\n"
        "        self.buf = <char *>realloc(self.buf, n)\n        return 0\ncdef class Derived(Base):\n"
        "    def write(self, bytes b):\n        self.grow(len(b))\n    def first(self):\n        return self.buf[0]\n",
        [("Base.buf", Severity.ERROR)],
    ),
    "a memory view that is replaced": (
        "cdef class Work:\n    cdef double[::1] scratch\n    def resize(self, n):\n        self.scratch = empty(n)\n"
        "    def total(self):\n        return self.scratch[0]\n",
        [("Work.scratch", Severity.ERROR)],
    ),
    "an item that a test saw": (
        "cdef class Registry:\n    cdef dict handlers\n    def drop(self, int i):\n        if i in self.handlers:\n"
        "            del self.handlers[i]\n",
        [("Registry.handlers", Severity.WARNING)],
    ),
    "a field that Python code can read while a method replaces it": (
        "cdef class Node:\n    cdef readonly object parent\n"
        "    def attach(self, parent):\n        self.parent = parent\n",
        [("Node.parent", Severity.ERROR)],
    ),
    "a loop without the GIL": (
        "cdef class Progress:\n    cdef long done\n    cdef void tick(self) noexcept nogil:\n        self.done += 1\n"
        "    def run(self, int n):\n        with nogil:\n            self.tick()\n    def value(self):\n"
        "        return self.done\n",
        [("Progress.done", Severity.INFO)],
    ),
}
SAFE = {
    "what a function has just made": (
        "cdef class Node:\n    cdef object value\n    def get(self):\n        return self.value\n"
        "def make(v):\n    cdef Node n = Node()\n    n.value = v\n    return n\n"
    ),
    "a cdef method that finishes a new object": (
        "cdef class View:\n    cdef object base\n    cdef void init(self, base):\n        self.base = base\n"
        "    def get(self):\n        return self.base\n"
    ),
    "a method of a library's object whose result is a changed copy": (
        "cdef class Table:\n    cdef CTable *t\n    def add(self, c):\n        made = self.t.add_column(c)\n"
        "        return wrap(made)\n    def size(self):\n        return self.t.size()\n"
    ),
    "a function that destroys its second argument": (
        "cdef class Doc:\n    cdef doc_t *d\n    def use(self):\n        copy = fake(self.d)\n"
        "        destroy_fake(self.d, copy)\n"
    ),
    "an enumeration": (
        "cdef enum Mode:\n    FAST\n    SLOW\ncdef class Run:\n    cdef Mode mode\n    def set(self, Mode m):\n"
        "        self.mode = m\n    def get(self):\n        return self.mode\n"
    ),
    "a field that Python code can read and that is written under a lock": (
        "cdef class Shim:\n    cdef readonly object pd\n    def load(self):\n        with lock:\n"
        "            self.pd = find()\n"
    ),
    "what a context manager saves and restores": (
        "cdef class Saved:\n    cdef object old\n    def __enter__(self):\n        self.old = get()\n"
        "    def __exit__(self, *exc):\n        put(self.old)\n"
    ),
}


def reported(files: dict[str, str]) -> list[tuple[str, Severity]]:
    checked = check_texts(files, (CythonCdefClassUnlocked(),), parse_target("3.14t"))
    assert not checked.skipped
    return [(found.message.split("`")[1], found.severity) for found in checked.findings]


@pytest.mark.parametrize("text, expected", [pytest.param(*shape, id=name) for name, shape in SHAPES.items()])
def test_the_model_sees_state_in_every_shape(text: str, expected: list[tuple[str, Severity]]) -> None:
    assert reported({"m.pyx": text}) == expected


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in SAFE.items()])
def test_what_no_other_thread_can_reach_is_not_reported(text: str) -> None:
    assert reported({"m.pyx": text}) == []


def test_types_of_fields_come_from_the_header_of_a_module() -> None:
    text = (
        "cdef class Table:\n    def flush(self):\n        self.rows = []\n    def add(self, r):\n"
        "        self.rows.append(r)\n"
    )
    assert reported({"m.pyx": text}) == []
    assert reported({"m.pyx": text, "m.pxd": "cdef class Table:\n    cdef list rows\n"}) == [
        ("Table.rows", Severity.ERROR)
    ]


STRUCTURES = """
from libc.stdlib cimport free, realloc

cdef struct buf_t:
    char *data
    size_t used

cdef struct lock_state:
    long owner
    int entries

"""


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (
            "cdef class Page:\n    cdef buf_t _buf\n"
            "    def grow(self, n):\n        enlarge(&self._buf, n)\n"
            "    def text(self):\n        return self._buf.data[0]\n\n"
            "cdef int enlarge(buf_t *buf, size_t n) except -1:\n"
            "    buf.data = <char *>realloc(buf.data, n)\n    return 0\n",
            [Severity.ERROR],
        ),
        (
            "cdef class Page:\n    cdef buf_t _buf\n"
            "    def close(self):\n        self._drop(<buf_t *>&self._buf)\n"
            "    def text(self):\n        return self._buf.data[0]\n"
            "    cdef void _drop(self, buf_t *buf):\n        outer(buf)\n\n"
            "cdef void outer(buf_t *it):\n    inner(1, it)\n\n"
            "cdef void inner(int twice, buf_t *buf):\n    free(buf.data)\n    buf.data = NULL\n",
            [Severity.ERROR],
        ),
        (
            "cdef class Gate:\n    cdef lock_state _lock\n"
            "    def enter(self, who):\n        return take(&self._lock, who)\n"
            "    def count(self):\n        return self._lock.entries\n\n"
            "cdef bint take(lock_state *lock, long who) except -1:\n"
            "    if lock.owner == who:\n        lock.entries += 1\n    return lock.owner == who\n",
            [Severity.INFO],
        ),
        (
            "cdef class Page:\n    cdef buf_t _buf\n"
            "    def used(self):\n        return measure(&self._buf)\n\n"
            "cdef size_t measure(buf_t *buf):\n    return buf.used\n",
            [],
        ),
        (
            "cdef class Page:\n    cdef buf_t _buf\n"
            "    @cython.critical_section\n    def grow(self, n):\n        enlarge(&self._buf, n)\n"
            "    @cython.critical_section\n    def text(self):\n        return self._buf.data[0]\n\n"
            "cdef int enlarge(buf_t *buf, size_t n) except -1:\n"
            "    buf.data = <char *>realloc(buf.data, n)\n    return 0\n",
            [],
        ),
    ],
)
def test_what_a_function_does_to_a_field_that_it_has_a_pointer_to_counts(code: str, expected: list[Severity]) -> None:
    assert severities(STRUCTURES + code) == expected
