"""The fields of `cdef class` objects: which methods read, write, free and replace them, and under which locks.

Cython's part of the model in `ftaudit.source.shared_state`. A field is a plain C field: nothing guards it when there is
no GIL. A reference that is replaced while another thread reads it is used after it was freed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from ftaudit.source.cython.cython_lines import AUGMENTING, declared, stores
from ftaudit.source.cython.cython_unit import CythonFunction, CythonUnit
from ftaudit.source.method_calls import reach
from ftaudit.source.shared_state import Access, AccessKind, EntryKind, EntryPoint, Lock, State

if TYPE_CHECKING:
    from ftaudit.source.cython.tokens import Token

_CONSTRUCTORS: Final = frozenset(
    {"__cinit__", "__init__", "__set_name__", "__setstate__", "__setstate_cython__", "__reduce__", "__reduce_cython__"}
)
_DESTRUCTORS: Final = frozenset({"__dealloc__", "__del__"})
_CHANGES: Final = frozenset(
    ("append", "add", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "setdefault", "update")
)
_GROWS: Final = frozenset(
    {
        *(
            "push_back",
            "emplace_back",
            "emplace",
            "insert",
            "erase",
            "clear",
            "resize",
            "reserve",
            "pop_back",
            "assign",
        ),
        *("push_front", "pop_front", "push", "pop", "swap", "reset"),
    }
)
"""Methods of C++ containers and smart pointers that free or move what they hold."""
_CPP: Final = re.compile(
    r"\b(?:vector|deque|list|map|unordered_map|set|unordered_set|string|queue|stack|\w+_ptr)\s*\[|\bstring\b"
)
_FREES: Final = re.compile(
    r"(?i)(?:^|_)(?:free|close|destroy|delete|release|dealloc|realloc|unref|cleanup|fini|term|shutdown)(?:$|_|\d)"
    r"|(?:Free|Close|Destroy|Delete|Release|Dealloc|Realloc|Unref)$"
)
_SETS: Final = re.compile(r"(?i)(?:^|_)(?:set|put|add|write|delete|remove|insert|append|update|clear|push|pop)(?:$|_)")
_SCALAR: Final = re.compile(
    r"^(?:(?:unsigned|signed|const|long|short|int|char|double|float|bint|bool|size_t|Py_ssize_t|ssize_t|u?int\d+_t|Py_hash_t"
    r"|uintptr_t|intptr_t|enum|cython|\.)\s*)+$"
)
_SYNC: Final = re.compile(r"(?i)mutex|lock\b|atomic|once_flag|Py_tss_t")


@dataclass(frozen=True, slots=True)
class FieldUse:
    """One thing that a method does to a field of its object."""

    name: str
    kind: AccessKind
    line: int
    column: int
    locks: frozenset[str]
    constant: bool = False
    accounts: bool = False
    """The method also changes a container of the object: it keeps a record."""


@dataclass(slots=True)
class _FunctionBody:
    function: CythonFunction
    uses: list[FieldUse] = field(default_factory=list)
    calls: list[tuple[str, frozenset[str]]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FieldState:
    """One field of the objects of a `cdef class`."""

    state: State
    type: str
    """The declaration in the same file; empty if it is declared elsewhere."""
    accesses: tuple[Access, ...]
    uses: tuple[FieldUse, ...]
    """The kind of each access, in the same order."""

    @property
    def is_native(self) -> bool:
        """Whether it is a pointer or a C++ object: a freed one is gone."""
        return "*" in self.type or _CPP.search(self.type) is not None


def find_fields(unit: CythonUnit) -> tuple[FieldState, ...]:
    """Return the fields of the file's `cdef` classes that any method touches after construction."""
    return unit.once(_find)


def _find(unit: CythonUnit) -> tuple[FieldState, ...]:
    by_owner: dict[str, list[CythonFunction]] = defaultdict(list)
    for function in unit.functions:
        if function.owner_is_cdef and function.owner:
            by_owner[function.owner].append(function)
    types = field_types(unit)
    found: list[FieldState] = []
    for owner, functions in sorted(by_owner.items()):
        found += _CdefClass(unit, owner, functions, types.get(owner, {})).fields()
    return tuple(found)


def field_types(unit: CythonUnit) -> dict[str, dict[str, str]]:
    """Return the types of the fields that the file's `cdef` classes declare, by class and name."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for line in unit.logical:
        owner = unit.class_of(line)
        if owner is None or line.opens:
            continue
        words = line.words
        if words[0] == "cdef":
            found[owner].update((each.name, each.type) for each in declared(line.tokens[1:]))
        elif words[1:2] == [":"] and line.tokens[0].kind == "name":
            # Pure-Python mode: `n: cython.int`.
            kind = words[2 : words.index("=")] if "=" in words else words[2:]
            found[owner][words[0]] = " ".join(kind)
        elif line.parent >= 0 and unit.logical[line.parent].words[0] == "cdef":
            found[owner].update((each.name, each.type) for each in declared(line.tokens))
    return found


class _CdefClass:
    def __init__(self, unit: CythonUnit, owner: str, functions: list[CythonFunction], types: dict[str, str]) -> None:
        self.unit = unit
        self.owner = owner
        self.types = types
        self.methods = frozenset(function.name for function in functions)
        self.nulled = {
            target[2].text
            for function in functions
            for line in function.body
            for target, operator in stores(line)
            if operator == "="
            and len(target) == 3
            and target[0].text == function.self_name
            and line.words[-1] == "NULL"
        }
        self.bodies: dict[str, list[_FunctionBody]] = defaultdict(list)
        for function in functions:
            self.bodies[function.name].append(self._read(function))

    def fields(self) -> Iterator[FieldState]:
        by_name: dict[str, list[tuple[Access, FieldUse]]] = defaultdict(list)
        for body, entry, locks, chain in reach(self.bodies, self._entries()):
            for use in body.uses:
                access = Access(
                    state=State(owner=self.owner, name=use.name),
                    kind=use.kind,
                    locks=frozenset(Lock(name=name, owner=self.owner) for name in use.locks | locks),
                    entry_point=entry,
                    location=self.unit.location(use.line, use.column),
                    chain=chain,
                )
                by_name[use.name].append((access, use))
        for name, pairs in sorted(by_name.items()):
            if any(not access.alone for access, _ in pairs):
                yield FieldState(
                    state=State(owner=self.owner, name=name),
                    type=self._type(name),
                    accesses=tuple(access for access, _ in pairs),
                    uses=tuple(use for _, use in pairs),
                )

    def _type(self, name: str) -> str:
        return self.types.get(name, "void *" if name in self.nulled else "")

    def _entries(self) -> Iterator[EntryPoint]:
        called = {name for bodies in self.bodies.values() for body in bodies for name, _ in body.calls}
        for name, bodies in self.bodies.items():
            function = bodies[0].function
            if name in _CONSTRUCTORS:
                kind = EntryKind.CONSTRUCTOR
            elif name in _DESTRUCTORS:
                kind = EntryKind.DESTRUCTOR
            elif function.kind == "cdef" and (name in called or name in self.unit.setup_only):
                continue
            elif name.startswith("__") and name.endswith("__"):
                kind = EntryKind.SLOT
            else:
                # Functions that only Cython code can call are separate functions.
                kind = EntryKind.FUNCTION if function.kind == "cdef" else EntryKind.METHOD
            place = self.unit.location(function.head.number, function.head.tokens[0].column)
            yield EntryPoint(name=name, kind=kind, location=place)

    def _read(self, function: CythonFunction) -> _FunctionBody:
        body = _FunctionBody(function)
        for line in function.body:
            tokens = line.tokens
            if not any(token.text == function.self_name for token in tokens):
                continue
            held = self.unit.locks_at(line, function)
            words = line.words
            stored = {id(target[0]): (target, operator) for target, operator in stores(line) if target}
            for at in range(len(tokens) - 2):
                if tokens[at].text != function.self_name or tokens[at + 1].text != "." or tokens[at + 2].kind != "name":
                    continue
                if at and tokens[at - 1].text == ".":
                    continue
                name = tokens[at + 2].text
                after = tokens[at + 3].text if at + 3 < len(tokens) else ""
                if name in self.methods:
                    if after == "(":
                        body.calls.append((name, held))
                    continue
                if _SYNC.search(self.types.get(name, "")) or name in self.unit.locks:
                    continue
                kind, constant = self._kind(words, at, name, stored.get(id(tokens[at])))
                body.uses.append(FieldUse(name, kind, tokens[at].line, tokens[at].column, held, constant))
        early = self._flags_before_data(function)
        if early:
            body.uses = [
                replace(use, kind=AccessKind.DECIDE) if (use.name, use.line) in early else use for use in body.uses
            ]
        if any(_changes_container(line.words) for line in function.body):
            body.uses = [replace(use, accounts=True) for use in body.uses]
        return body

    def _flags_before_data(self, function: CythonFunction) -> set[tuple[str, int]]:
        """Return the stores of a flag that a test in the same method asks for, if more follows: names and lines.

        Another thread then takes the short way and finds what is not there yet.
        """
        own = function.self_name
        tested: set[str] = set()
        flags: dict[str, int] = {}
        early: set[tuple[str, int]] = set()
        for line in function.body:
            words = line.words
            for at in range(len(words) - 2):
                if words[at : at + 2] != [own, "."]:
                    continue
                name = words[at + 2]
                if words[0] in ("if", "elif") and _SCALAR.match(self._type(name)):
                    tested.add(name)
                elif at == 0 and words[3:4] == ["="] and name in tested and words[4:] in (["True"], ["1"]):
                    flags[name] = line.tokens[0].line
                elif flags and (words[at + 3 : at + 4] == ["="] or name in self.methods):
                    early.update(flags.items())
        return early

    def _kind(
        self, words: list[str], at: int, name: str, stored: tuple[list[Token], str] | None
    ) -> tuple[AccessKind, bool]:
        kind = self._type(name)
        if stored is not None:
            target, operator = stored
            value = words[words.index(operator, at) + 1 :]
            if operator in AUGMENTING:
                extends = value[:1] == ["["] or value[:2] == ["list", "("]
                return (AccessKind.COUNT if len(target) == 3 and not extends else AccessKind.CHANGE), False
            if len(target) > 3:
                return AccessKind.CHANGE, False
            constant = len(value) == 1
            if words[at : at + 3] == value[:3] or any(
                value[i : i + 3] == words[at : at + 3] for i in range(len(value))
            ):
                return (AccessKind.COUNT if _SCALAR.match(kind or "int") else self._replaces(kind, value)), False
            return self._replaces(kind, value), constant
        if words[0] == "del" and words[at + 3 : at + 4] == ["["]:
            return AccessKind.CHANGE, False
        if words[at + 3 : at + 4] == ["."] and words[at + 5 : at + 6] == ["("]:
            method = words[at + 4]
            if _CPP.search(kind) and method in _GROWS:
                return AccessKind.FREE, False
            if method in _CHANGES:
                return AccessKind.CHANGE, False
        function = _called_with(words, at)
        if function is not None:
            if _FREES.search(function) and ("*" in kind or name in self.nulled):
                return AccessKind.FREE, False
            if _SETS.search(function):
                return AccessKind.CHANGE, False
        return AccessKind.READ, False

    def _replaces(self, kind: str, value: list[str]) -> AccessKind:
        """Return what a plain store does to a field of a type: it releases a reference, or only stores a number."""
        if "*" in kind or _SCALAR.match(kind):
            return AccessKind.WRITE
        if kind:
            return AccessKind.WRITE if _CPP.search(kind) is None and _is_struct(kind) else AccessKind.REPLACE
        return AccessKind.REPLACE if value[:1] == ["None"] else AccessKind.WRITE


def _changes_container(words: list[str]) -> bool:
    """Return whether a line calls `self.x.pop(…)` or a similar method."""
    return any(word in _CHANGES and at >= 4 and words[at - 3] == "." for at, word in enumerate(words))


def _is_struct(kind: str) -> bool:
    """Return whether a type is a C structure or an enumeration, by its name: C names are lower-case."""
    return kind.split()[-1].endswith("_t") or "struct" in kind or "[" in kind


def _called_with(words: list[str], at: int) -> str | None:
    """Return the function that receives `self.x` as its first argument, at this place."""
    before = at - 1
    while (before >= 0 and words[before] in ("&", ">", "*", "<")) or (before >= 0 and words[before].isidentifier()):
        # A cast, `<void *>self.x`, or an address.
        before -= 1
    if before >= 1 and words[before] == "(" and words[before - 1].isidentifier():
        return words[before - 1]
    return None
