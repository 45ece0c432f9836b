"""FT403: a method of a Cython class changes C attributes without a lock."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CythonRule
from ftaudit.source.cython import CythonUnit, FieldState, find_fields
from ftaudit.source.race_words import describe_type
from ftaudit.source.shared_state import Access, AccessKind, Effect, EntryKind, Race

_ALONE: Final = frozenset(
    [
        "__cinit__",
        "__init__",
        "__set_name__",
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
"""Methods that run before or after any other thread has the object, that come in pairs, or that iterate.

Iterators are not meant to be shared between threads; Python's own are not safe either.
"""
_OF_ONE: Final = re.compile(
    r"(?:Protocol|Transport|Parser|Lexer|Tokenizer|Scanner|Reader|Writer|Buffer|Stream|Iterator|Iter|Cursor|Handle|Builder"
    r"|Options|Params|Parameters|Config|Configuration|Settings|Description|Metadata)(?:Impl|Node|Base)?$"
)
"""Names of classes whose objects have one owner, or are set up before they are shared."""
_DEPTH: Final = re.compile(r"depth|nest|level|indent")
"""Names of attributes that count the depth of a walk: the code that walks owns the object during the walk."""
_LOOP: Final = re.compile(r"\bself \. _?loop\b|\basyncio\b")
"""A class with a reference to its event loop belongs to the thread of that loop."""


class CythonCdefClassUnlocked(CythonRule):
    """The attributes of a `cdef class` are plain C fields: without the GIL nothing guards them. One method can free a
    pointer while another method uses it. If one thread writes an object attribute while another thread reads it, the
    old object can be released during the read. `self.n += x` reads, adds and stores, and loses an update that another
    thread makes in between. If one method changes a field under a lock and another method without it, the lock guards
    nothing.

    The rule follows calls between the methods of a class: a `cdef` method is safe if every caller holds a lock. With
    `--pedantic`, the rule also reports counts that only Cython code changes, and objects that have one owner by design
    (parsers, buffers, protocols, objects with an event loop) and do not free native memory.
    """

    info = RuleInfo(
        code="FT403",
        name="cython-cdef-class-unlocked",
        summary="One method frees, replaces or changes a field of a `cdef class` while another method can use it.",
        severity=Severity.WARNING,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy=(
            "Decorate each method that the finding lists with `@cython.critical_section`, or put the statements that "
            "belong together into a `with cython.critical_section(self):` block (Cython 3.1 or later)."
        ),
        links=("https://cython.readthedocs.io/en/latest/src/userguide/freethreading.html#critical-sections",),
    )

    summarized = True
    VALID = (
        SourceExample(
            code="from libc.stdint cimport int64_t\n\ncdef class Plan:\n    cdef int64_t *_axes\n    cdef int _rank\n"
            "    def axes(self):\n        found = []\n        for i in range(self._rank):\n"
            "            found.append(self._axes[i])\n        return found\n"
        ),
        SourceExample(
            code="cdef class Api:\n    cdef object lock\n    cdef dict known\n"
            "    def add(self, key, value):\n        with self.lock:\n            self.known[key] = value\n"
            "    def close(self):\n        for one in list(self.known.values()):\n            one.close()\n",
        ),
        SourceExample(
            code="cdef class Pool:\n"
            "    cdef size_t size\n"
            "    @cython.critical_section\n"
            "    def add(self, size_t n):\n"
            "        self.size += n\n",
            instead=True,
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
        SourceExample(
            code="cdef class Shim:\n    cdef bint tried\n    cdef int found\n"
            "    cdef _check(self):\n        if self.tried:\n            return\n"
            "        self.found = look()\n        self.tried = True\n"
            "    def get(self):\n        self._check()\n        return self.found\n"
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
            code="cdef class Api:\n    cdef object lock\n    cdef dict known\n"
            "    def add(self, key, value):\n        with self.lock:\n            self.known[key] = value\n"
            "    def close(self):\n        for one in self.known.values():\n            one.close()\n",
            lines=(8,),
        ),
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
            "    cdef char *buf\n"
            "    cdef Py_ssize_t length\n"
            "    cdef int exports\n"
            "    def __getbuffer__(self, Py_buffer *buffer, int flags):\n"
            "        PyBuffer_FillInfo(buffer, self, self.buf, self.length, 1, flags)\n"
            "        self.exports += 1\n",
            lines=(7,),
        ),
        SourceExample(
            code="cdef class Shim:\n    cdef bint tried\n    cdef int found\n"
            "    cdef _check(self):\n        if self.tried:\n            return\n"
            "        self.tried = True\n        self._load()\n"
            "    cdef _load(self):\n        self.found = look()\n"
            "    def get(self):\n        self._check()\n        return self.found\n",
            lines=(7,),
        ),
        SourceExample(
            code="cdef class _Shim:\n    cdef object pd\n    cdef _load(self):\n        if self.pd is None:\n"
            "            self.pd = find()\n    def get(self):\n        self._load()\n        return self.pd\n"
            "    def have(self):\n        self._load()\n        return self.pd is not None\n"
            "cdef _Shim _shim = _Shim()\n",
            lines=(5,),
        ),
        SourceExample(
            code="cdef class _Log:\n    cdef int offset\ncdef class _Ring(_Log):\n"
            "    cpdef receive(self):\n        self.offset += 1\n"
            "cdef _Log _everything = _Ring()\n",
            lines=(5,),
        ),
        SourceExample(
            code="cdef class Ring:\n    cdef:\n        int *items\n        size_t size\n"
            "    def resize(self, size_t n):\n        self.items = <int *>realloc(self.items, n)\n"
            "    def first(self):\n        return self.items[0]\n",
            lines=(6,),
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
        """Yield one finding for each field that races, at the worst place that takes no lock, with every site."""
        bound = {
            function.owner
            for function in unit.functions
            if function.head.words[0] == "async" or any(_LOOP.search(" ".join(line.words)) for line in function.body)
        }
        single = {
            name
            for line in unit.module_lines
            for equals, name, bracket in zip(line.words, line.words[1:], line.words[2:], strict=False)
            if equals == "=" and bracket == "("
        }
        """Classes of which the module keeps an object for everybody."""
        causes: dict[tuple[str, Severity], list[tuple[Race, Access]]] = defaultdict(list)
        for field in find_fields(unit):
            found = _race(field)
            if found is None:
                continue
            race, at, severity = found
            owner = field.state.owner
            private = all(heir.startswith("_") for heir in field.heirs) and not field.heirs & single
            if private and severity is not Severity.ERROR:
                # A private class is usually a helper that only one function uses.
                continue
            kept = private or owner in bound or _OF_ONE.search(owner) is not None
            if severity is Severity.ERROR:
                severity = Severity.PEDANTIC if kept and not field.is_native else severity
            elif kept or _DEPTH.search(field.state.name):
                severity = Severity.PEDANTIC
            causes[owner, severity].append((race, at))
        for (_, severity), found_races in causes.items():
            for cause in _by_cause(found_races, severity):
                text = describe_type([race for race, _ in cause])
                yield self.finding(
                    text.message,
                    location=cause[0][1].location,
                    severity=severity,
                    interleaving=text.interleaving,
                    sites=text.sites,
                )


_MOST_APART: Final = 3


def _by_cause(found: list[tuple[Race, Access]], severity: Severity) -> list[list[tuple[Race, Access]]]:
    """Return the races of one class that are one finding: many fields, or several numbers, need one lock."""
    most = 1 if severity is Severity.INFO else _MOST_APART
    return [found] if len(found) > most else [[one] for one in found]


_ORDER: Final = (
    AccessKind.FREE,
    AccessKind.REPLACE,
    AccessKind.DECIDE,
    AccessKind.COUNT,
    AccessKind.CHANGE,
    AccessKind.WRITE,
    AccessKind.INDEX,
    AccessKind.READ,
)


_EFFECTS: Final = {Severity.ERROR: Effect.MEMORY, Severity.WARNING: Effect.TORN}


def _race(field: FieldState) -> tuple[Race, Access, Severity] | None:
    """Return the race of a field, the place at fault and its severity; `None` if no two accesses race."""
    live = [(a, u) for a, u in zip(field.accesses, field.uses, strict=True) if not a.alone]
    bare = [(a, u) for a, u in live if not a.locks]
    locked = [(a, u) for a, u in live if a.locks]
    kinds = {use.kind for _, use in live}
    if not bare or not any(access.writes for access, _ in live):
        return None
    # Code that frees once, at the end of the object, is at fault only together with concurrent uses.
    if AccessKind.FREE in kinds or (
        # A reference that only code of Cython replaces belongs to what that code does.
        any(
            u.kind is AccessKind.REPLACE
            and not (a.entry_point.kind is EntryKind.FUNCTION and u.of_own)
            and a.entry_point.name not in ("__enter__", "__exit__")
            for a, u in live
        )
        and len({a.entry_point.name for a, _ in live}) > 1
    ):
        severity = Severity.ERROR
        at_fault = bare
    elif AccessKind.INDEX in kinds and any(u.kind is AccessKind.COUNT for _, u in bare):
        severity = Severity.ERROR
        at_fault = [(a, u) for a, u in bare if u.kind in (AccessKind.INDEX, AccessKind.COUNT)]
    elif any(u.kind is AccessKind.DECIDE for _, u in bare):
        severity = Severity.WARNING
        at_fault = [(a, u) for a, u in bare if u.kind is AccessKind.DECIDE]
    elif any(u.native and a.writes for a, u in bare):
        severity = Severity.WARNING
        at_fault = [(a, u) for a, u in bare if u.native and a.writes]
    elif locked and any(access.writes for access, _ in locked):
        at_fault = [
            (a, u)
            for a, u in bare
            if u.kind in (AccessKind.COUNT, AccessKind.CHANGE)
            or (u.kind is AccessKind.WRITE and not u.constant)
            or u.iterates
        ]
        severity = Severity.WARNING
    elif locked:
        at_fault = [(a, u) for a, u in bare if u.kind is AccessKind.CHANGE]
        severity = Severity.WARNING
    else:
        at_fault = [(a, u) for a, u in bare if u.kind is AccessKind.COUNT and a.entry_point.name not in _ALONE]
        called = [u.accounts for a, u in at_fault if a.entry_point.kind is EntryKind.FUNCTION]
        severity = Severity.PEDANTIC if called and len(called) == len(at_fault) and not any(called) else Severity.INFO
    if not at_fault:
        return None
    first, _ = min(at_fault, key=lambda pair: (_ORDER.index(pair[1].kind), pair[0].location.line or 0))
    others = [access for access, _ in live if access is not first and (access.writes or first.writes)]
    second = min(
        others, key=lambda o: (o.entry_point.name == first.entry_point.name, o.location.line or 0), default=first
    )
    write, other = (first, second) if first.writes else (second, first)
    effect = _EFFECTS.get(severity, Effect.LOST)
    sites = {(a.location.line, a.entry_point.name): a for a, _ in sorted(live, key=lambda pair: pair[0].writes)}
    ordered = tuple(sorted(sites.values(), key=lambda a: (a.location.line or 0, a.entry_point.name)))
    return Race(state=field.state, effect=effect, first=write, second=other, sites=ordered), first, severity
