"""FT403: a method of a Cython class updates C attributes without a lock."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CythonRule
from ftaudit.source.cython import AUGMENTING, CythonFunction, CythonUnit, Line, stores

_ALONE: Final = frozenset(
    [
        "__cinit__",
        "__init__",
        "__dealloc__",
        "__del__",
        "__setstate__",
        "__setstate_cython__",
        "__reduce__",
        "__reduce_cython__",
        "__enter__",
        "__exit__",
        "__releasebuffer__",
        "__next__",
    ]
)
"""Methods that run while no other thread has the object yet, or any more, that come in pairs, or that iterate.

An iterator that two threads share is no one's; Python's own are not safe either.
"""
_OF_ONE: Final = re.compile(r"(?:Protocol|Transport|Parser|Reader|Writer|Buffer|Stream|Iterator|Iter|Cursor|Handle)$")
"""Names of classes whose objects have one owner; two threads that share one mix up more than a count."""
_EXTENDS: Final = re.compile(r"\+= (?:list \(|\[)")
_DEPTH: Final = re.compile(r"depth|nest|level|indent")
"""Names of attributes that count how deep a walk has got: whoever walks owns the object meanwhile."""
_CHANGES: Final = frozenset(
    ("append", "add", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "setdefault", "update")
)
"""Methods of Python's containers that change them."""
_LOOP: Final = re.compile(r"\bself \. _?loop\b|\basyncio\b")
"""A class that knows its event loop belongs to that loop's thread."""


class CythonCdefClassUnlocked(CythonRule):
    """The attributes of a `cdef class` are plain C fields: nothing guards them when there is no GIL.

    `self.n += x` reads, adds and stores, and loses what another thread did between. Two attributes that belong together
    can be seen when only one is new. Writing an object attribute from two threads can free the old object twice.

    Objects that have one owner by what they are (parsers, buffers, protocols, what knows its event loop) are left to
    `--pedantic`, and so are `cdef` methods, which only other Cython code calls: mostly the one function that made the
    object. One that changes a Python container of the object as well keeps account of something, and is reported.
    """

    info = RuleInfo(
        code="FT403",
        name="cython-cdef-class-unlocked",
        summary="A method of a cdef class reads, changes and writes an attribute without a lock.",
        severity=Severity.WARNING,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy="Decorate the method with @cython.critical_section, or put the update under "
        "`with cython.critical_section(self):`.",
        links=("https://cython.readthedocs.io/en/latest/src/userguide/freethreading.html#critical-sections",),
    )

    VALID = (
        SourceExample(
            code="cdef class Pool:\n"
            "    cdef size_t size\n"
            "    @cython.critical_section\n"
            "    def add(self, size_t n):\n"
            "        self.size += n\n"
        ),
        SourceExample(
            code="cdef class Pool:\n"
            "    cdef size_t size\n"
            "    def add(self, size_t n):\n"
            "        with cython.critical_section(self):\n"
            "            self.size += n\n"
        ),
        SourceExample(
            code="cdef class Pool:\n    cdef size_t size\n    def __cinit__(self):\n        self.size += 1\n"
        ),
        SourceExample(code="class Plain:\n    def add(self, n):\n        self.size += n\n"),
        SourceExample(
            code="cdef class P:\n    @cython.critical_section\n    def pack(self, o):\n        return self._pack(o)\n"
            "    cdef int _pack(self, object o):\n        self.depth += 1\n        return 0\n"
        ),
        SourceExample(
            code="cdef class P:\n"
            "    def __init__(self):\n"
            "        self._reset()\n"
            "    cdef void _reset(self):\n"
            "        self.n += 1\n"
        ),
        SourceExample(code="cdef class L:\n    def extend(self, items):\n        self.items += list(items)\n"),
        SourceExample(code="cdef class It:\n    def __next__(self):\n        self.pos += 1\n"),
        SourceExample(code="cdef class _Helper:\n    def add(self):\n        self.pos += 1\n"),
        SourceExample(
            code="cdef class P:\n    cdef cython.pymutex mu\n    cdef int n\n\n    def add(self, n):\n"
            "        with self.mu:\n            self.n += n\n"
        ),
        SourceExample(code="cdef class P:\n    @with_lock\n    def add(self, n):\n        self.n += n\n"),
    )
    INVALID = (
        SourceExample(
            code="cdef class Pool:\n    cdef size_t size\n    def add(self, size_t n):\n        self.size += n\n",
            lines=(4,),
        ),
        SourceExample(
            code="cdef class Pool:\n"
            "    cdef void free(self, void *p) except *:\n"
            "        self.size -= self.addresses.pop(<size_t>p)\n",
            lines=(3,),
        ),
        SourceExample(code="cdef class It:\n    def next(self):\n        self.pos = self.pos + 1\n", lines=(3,)),
        SourceExample(
            code="cdef class Packer:\n"
            "    def __getbuffer__(self, Py_buffer *buffer, int flags):\n"
            "        PyBuffer_FillInfo(buffer, self, self.pk.buf, self.pk.length, 1, flags)\n"
            "        self.exports += 1\n",
            lines=(4,),
        ),
        SourceExample(
            path="m.py",
            code="import cython\n"
            "@cython.cclass\n"
            "class C:\n"
            "    n: cython.int\n"
            "    def add(self):\n"
            "        self.n += 1\n",
            lines=(6,),
        ),
    )

    def check(self, unit: CythonUnit) -> Iterator[Finding]:
        """Yield each read-modify-write of an attribute of `self` that no lock is seen around."""
        bound = {
            function.owner
            for function in unit.functions
            if any(_LOOP.search(" ".join(line.words)) for line in function.body)
        }
        for function in unit.functions:
            if not function.owner_is_cdef or function.name in _ALONE or function.name in unit.setup_only:
                continue
            if (function.owner or "_").startswith("_"):
                # A private class is mostly a helper that one function keeps to itself.
                continue
            kept = (
                (function.owner or "") in bound
                or _OF_ONE.search(function.owner or "") is not None
                or (function.kind == "cdef" and not _changes_container(function))
            )
            for line in function.body:
                for path in _updates(line, function):
                    if not unit.locked(line, function):
                        yield self.finding(
                            f"{path} is read, changed and written without a lock: another thread's update can be lost.",
                            location=unit.location(line.number, line.tokens[0].column),
                            severity=Severity.PEDANTIC if kept or _DEPTH.search(path) else None,
                        )


def _updates(line: Line, function: CythonFunction) -> Iterator[str]:
    for target, operator in stores(line):
        words = [token.text for token in target]
        if len(words) < 3 or words[0] != function.self_name or words[1] != ".":
            continue
        path = "".join(words[:3])
        if operator == "+=" and _EXTENDS.search(" ".join(line.words)):
            # A list is extended in place, in one step, and stored back as what it was.
            continue
        if (operator in AUGMENTING and words[3:4] in ([], ["["])) or (
            operator == "=" and len(words) == 3 and _reads_itself(line, words)
        ):
            yield path


def _changes_container(function: CythonFunction) -> bool:
    """Tell whether a method calls `self.x.pop(…)` or the like."""
    for line in function.body:
        words = line.words
        for at, word in enumerate(words):
            if word in _CHANGES and at >= 4 and words[at - 4 : at - 2] == [function.self_name, "."]:
                return True
    return False


def _reads_itself(line: Line, words: list[str]) -> bool:
    """Tell `self.n = self.n + 1` from a plain store."""
    rest = line.words[line.words.index("=") + 1 :]
    reads = any(rest[at : at + 3] == words for at in range(len(rest) - 2))
    return reads and any(word in ("+", "-", "*", "|", "&", "^", "<<", ">>") for word in rest)
