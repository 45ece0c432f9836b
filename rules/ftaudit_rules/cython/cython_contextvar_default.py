"""FT408: the default of a context variable in Cython code is one object, which every thread gets and changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CythonRule
from ftaudit.source.cython import CythonFunction, CythonUnit, LogicalLine, stores

_MADE: Final = re.compile(r"^(\w+) = (?:\w+ \. )?ContextVar \( .*?\bdefault = (?:(\w+) \(|([\[{]))")
_CONTAINERS: Final = frozenset({"dict", "list", "set", "defaultdict", "OrderedDict", "Counter", "deque"})
_CHANGES: Final = frozenset(
    ("append", "add", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "setdefault", "update")
)


class CythonContextvarDefault(CythonRule):
    """The default of a `ContextVar` is created once. Every context that did not call `set()` gets the same object. Code
    that changes the object in place changes it for all threads, although a context variable looks like the state of one
    context. The attributes of a `cdef class` are plain C fields, which nothing guards.
    """

    info = RuleInfo(
        code="FT408",
        name="cython-contextvar-default",
        summary="The default of a context variable is an object that all threads share and the code changes.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy=(
            "Create the `ContextVar` without a default. When `get()` raises `LookupError`, create the object and "
            "call `set()`."
        ),
        links=("https://docs.python.org/3.14/library/contextvars.html#contextvars.ContextVar",),
    )

    VALID = (
        SourceExample(
            code="from contextvars import ContextVar\n_tags = ContextVar('tags', default={})\n"
            "def tag(key, value):\n    _tags.set({**_tags.get(), key: value})\n",
            instead=True,
        ),
        SourceExample(
            code="from contextvars import ContextVar\ncdef class Limits:\n    cdef readonly int most\n"
            "    def __cinit__(self):\n        self.most = 3\n"
            "_limits = ContextVar('limits', default=Limits())\n"
            "def most():\n    return _limits.get().most\n"
        ),
    )
    INVALID = (
        SourceExample(
            code="from contextvars import ContextVar\ncdef class Cache:\n    cdef dict found\n"
            "    def __cinit__(self):\n        self.found = {}\n"
            "    cdef get_or_create(self, key):\n        if key not in self.found:\n"
            "            self.found[key] = object()\n        return self.found[key]\n"
            "_cache = ContextVar('cache', default=Cache())\n"
            "cpdef object cached(key):\n    cdef Cache mine = _cache.get()\n    return mine.get_or_create(key)\n",
            lines=(10,),
        ),
        SourceExample(
            code="from contextvars import ContextVar\n_tags = ContextVar('tags', default={})\n"
            "def tag(key, value):\n    tags = _tags.get()\n    tags[key] = value\n",
            lines=(2,),
        ),
    )

    def check(self, unit: CythonUnit) -> Iterator[Finding]:
        """Yield the context variables whose default is changed in place."""
        if "ContextVar" not in unit.text:
            return
        for line in unit.module_lines:
            made = _MADE.match(" ".join(line.words))
            if made is None:
                continue
            name, owner = made[1], made[2]
            container = made[3] is not None or owner in _CONTAINERS
            changing = _CHANGES if container else _changing_methods(unit, owner)
            changed = next((at for function in unit.functions for at in _changed(function, name, changing)), None)
            if changed is not None:
                yield self.finding(
                    f"threads that did not call `{name}.set()` share the default object, which line {changed.number} "
                    "changes",
                    location=unit.location(line.number, line.tokens[0].column),
                )


def _changing_methods(unit: CythonUnit, owner: str) -> frozenset[str]:
    """Return the methods of a class that store in the object or in a container of it, apart from constructors."""
    return frozenset(
        function.name
        for function in unit.functions
        if function.owner == owner and function.name not in ("__cinit__", "__init__", "__dealloc__")
        if any(_changes_own(line, function.self_name) for line in function.body)
    )


def _changes_own(line: LogicalLine, name: str) -> bool:
    stored = any(target and target[0].text == name for target, _ in stores(line))
    called = re.findall(rf"\b{name} \. \w+ \. (\w+) \(", " ".join(line.words))
    return stored or not _CHANGES.isdisjoint(called)


def _changed(function: CythonFunction, variable: str, changing: frozenset[str]) -> Iterator[LogicalLine]:
    """Yield the lines that change the value of a context variable in place, directly or through a local name."""
    got = f"{variable} . get ( )"
    names: set[str] = set()
    for line in function.body:
        text = " ".join(line.words)
        if text.endswith(f"= {got}"):
            names.add(line.words[line.words.index("=") - 1])
            continue
        for target, operator in stores(line):
            words = [token.text for token in target]
            if operator and len(words) > 1 and (words[0] in names or " ".join(words).startswith(got)):
                yield line
        for owner, method in re.findall(r"(@|\w+) \. (\w+) \(", text.replace(got, "@")):
            if method in changing and (owner == "@" or owner in names):
                yield line
