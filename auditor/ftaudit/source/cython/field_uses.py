"""What one function does to the fields of objects: of its own, and of parameters and locals of a known `cdef` class."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from ftaudit.source.cython.cdef_classes import CdefClasses, is_array, is_container_of_cpp, is_native, is_view
from ftaudit.source.cython.cython_lines import AUGMENTING, stores
from ftaudit.source.cython.cython_unit import CythonFunction, CythonUnit, parameters_of
from ftaudit.source.cython.lent_fields import Lending, LentField, argument_at
from ftaudit.source.cython.tokens import LogicalLine, Token
from ftaudit.source.native_names import changes, changes_handle, frees, looks
from ftaudit.source.shared_state import AccessKind

_CHANGES: Final = frozenset(
    ("append", "add", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "setdefault", "update")
)
_TAKES: Final = frozenset(("pop", "popitem", "remove"))
"""Methods of containers that fail if another thread has taken what an earlier test has seen."""
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
        *("push_front", "pop_front", "push", "pop", "swap", "reset", "release"),
    }
)
"""Methods of C++ containers and smart pointers that free or move what they hold."""
_SETS: Final = re.compile(r"(?i)(?:^|_)(?:set|put|add|write|delete|remove|insert|append|update|clear|push|pop)(?:$|_)")
_FILLS: Final = frozenset({"memcpy", "memmove", "memset", "strcpy", "strncpy", "snprintf", "sprintf", "qsort"})
_SYNC: Final = re.compile(r"(?i)mutex|lock\b|atomic|once_flag|Py_tss_t")
_PYTHON: Final = re.compile(r"_?Py[A-Z_]")
_SPECIAL: Final = frozenset(
    {"sizeof", "len", "isinstance", "id", "type", "repr", "str", "bool", "int", "float", "hash"}
)
_EMPTY: Final = frozenset({"None", "NULL", "0", "False"})


@dataclass(frozen=True, slots=True)
class FieldUse:
    """One thing that a function does to a field of an object."""

    owner: str
    """The class that declares the field."""
    name: str
    """The field; `st.pos` for a member of a structure in it."""
    kind: AccessKind
    line: int
    column: int
    locks: frozenset[str]
    of_own: bool = True
    """The object is the one that the method was called on."""
    constant: bool = False
    accounts: bool = False
    """The function also changes a container of the object: it keeps a record."""
    native: bool = False
    """Memory or an object of a library changes, which does no locking."""
    nulls: bool = False
    """A pointer is set to NULL."""
    iterates: bool = False
    """A loop goes through the container, item by item."""


_LOOP: Final = re.compile(r" in self \. (\w+)(?: \. (?:values|items|keys) \( \))? :\Z")


@dataclass(slots=True)
class FunctionBody:
    """The uses of one function by itself, and the functions that it calls with the locks that it holds then."""

    function: CythonFunction
    uses: list[FieldUse] = field(default_factory=list)
    calls: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    lendings: list[Lending] = field(default_factory=list)
    """The fields whose addresses it passes on."""


@dataclass(frozen=True, slots=True)
class _NamedField:
    """A field that a line names: where its tokens begin and end, and the path of names."""

    owner: str
    path: tuple[str, ...]
    start: int
    end: int
    of_own: bool

    @property
    def name(self) -> str:
        return ".".join(self.path)


def read_body(
    unit: CythonUnit, classes: CdefClasses, function: CythonFunction, lent: Mapping[str, LentField] | None = None
) -> FunctionBody:
    """Return what a function does to fields; `calls` has `Class.method` and names of functions of the module.

    `lent` has the parameters that point to a field of an object.
    """
    return _Reading(unit, classes, function, lent or {}).body


class _Reading:
    def __init__(
        self, unit: CythonUnit, classes: CdefClasses, function: CythonFunction, lent: Mapping[str, LentField]
    ) -> None:
        self.unit = unit
        self.classes = classes
        self.function = function
        self.body = FunctionBody(function)
        self.lent = {each.receiver: each for each in lent.values()}
        self.receivers = {
            **dict(_receivers(function, classes)),
            **{name: each.owner for name, each in self.lent.items()},
        }
        for line in function.body:
            called = _called(line.tokens)
            if called:
                held = unit.locks_at(line, function)
                self.body.calls += ((name, held) for name in called)
        if not self.receivers:
            return
        self.aliases = self._aliases()
        self.aliases |= {name: each.tokens for name, each in lent.items() if name not in _rebound(function)}
        lines = [(line, tokens) for line in function.body if (tokens := self._tokens(line)) is not None]
        self.nulled = {
            place.name
            for line, tokens in lines
            for place in self._places(tokens)
            if [token.text for token in tokens[place.end :]] in (["=", "NULL"], ["=", "nullptr"])
        }
        """The fields that the function sets to NULL: what it hands to a library before that, it gives back."""
        self.tested: dict[int, set[str]] = {}
        for line, tokens in lines:
            self._read(line, tokens)
        early = self._flags_before_data()
        if early:
            self.body.uses = [
                replace(use, kind=AccessKind.DECIDE) if (use.name, use.line) in early else use for use in self.body.uses
            ]
        loops = {
            (line.number, found[1])
            for line in function.body
            if line.words[:1] == ["for"] and (found := _LOOP.search(" ".join(line.words)))
        }
        if loops:
            self.body.uses = [
                replace(use, iterates=True) if (use.line, use.name) in loops else use for use in self.body.uses
            ]
        if any(_changes_container(line.words) for line in function.body):
            self.body.uses = [replace(use, accounts=True) for use in self.body.uses]

    # Names

    def _aliases(self) -> dict[str, list[Token]]:
        """Return the locals that stand for memory of a field: `cdef buf_t *pk = &self.pk`, `data = self.data`."""
        found: dict[str, list[Token]] = {}
        assigned: dict[str, int] = {}
        for line in self.function.body:
            for target, operator in stores(line):
                if (
                    operator != "="
                    or not target
                    or target[-1].kind != "name"
                    or (len(target) > 1 and target[-2].text == ".")
                ):
                    continue
                name = target[-1].text
                assigned[name] = assigned.get(name, 0) + 1
                words = line.words
                at = words.index("=") + 1
                if words[at : at + 1] == ["<"]:
                    at = words.index(">", at) + 1 if ">" in words[at:] else at
                by_address = words[at : at + 1] == ["&"]
                value = line.tokens[at + by_address :]
                place = next(iter(self._places(value)), None)
                if place is None or place.start != 0:
                    continue
                rest = [token.text for token in value[place.end :]]
                kind = self.classes.type_of(place.owner, place.path[0])
                if (not rest and (by_address or "*" in kind or "*" in words[: words.index("=")])) or rest == [
                    ".",
                    "get",
                    "(",
                    ")",
                ]:
                    found[name] = value[: place.end]
        return {name: tokens for name, tokens in found.items() if assigned[name] == 1}

    def _tokens(self, line: LogicalLine) -> list[Token] | None:
        """Return the tokens of a line with aliases replaced by what they stand for; `None` if it names no object."""
        tokens = line.tokens
        if self.aliases and any(token.text in self.aliases for token in tokens):
            made: list[Token] = []
            for at, token in enumerate(tokens):
                meant = self.aliases.get(token.text) if token.kind == "name" else None
                declares = tokens[at + 1 : at + 2] and tokens[at + 1].text == "="
                if meant is None or declares or (at and tokens[at - 1].text == "."):
                    made.append(token)
                else:
                    made += (replace(one, line=token.line, column=token.column) for one in meant)
            tokens = made
        return tokens if any(token.text in self.receivers for token in tokens) else None

    def _places(self, tokens: list[Token]) -> Iterator[_NamedField]:
        """Yield each field that tokens name, with the members of structures in it."""
        for at in range(len(tokens) - 2):
            token = tokens[at]
            if token.kind != "name" or token.text not in self.receivers or tokens[at + 1].text != ".":
                continue
            if (at and tokens[at - 1].text == ".") or tokens[at + 2].kind != "name":
                continue
            owner, end, of_own = self.receivers[token.text], at + 3, self._is_own(token.text)
            name = tokens[at + 2].text
            kind = self.classes.type_of(owner, name)
            while kind in self.classes.classes and _member(tokens, end):
                # A field of an object that a field refers to.
                yield _NamedField(self.classes.declarer(owner, name), (name,), at, end, of_own)
                owner, name, of_own = kind, tokens[end + 1].text, False
                kind, end = self.classes.type_of(owner, name), end + 2
            path = [name]
            if (
                kind
                and kind not in self.classes.classes
                and (self.classes.is_struct(kind) or "*" in kind or is_array(kind))
            ):
                at_member = end
                if is_array(kind) or "*" in kind:
                    at_member = _after_bracket(tokens, end)
                while _member(tokens, at_member):
                    path.append(tokens[at_member + 1].text)
                    end = at_member = at_member + 2
            yield _NamedField(self.classes.declarer(owner, name), tuple(path), at, end, of_own)

    def _is_own(self, receiver: str) -> bool:
        """Return whether a name stands for the object that the method was called on, here or by the caller."""
        return self.lent[receiver].of_own if receiver in self.lent else receiver == self.function.self_name

    # Lines

    def _read(self, line: LogicalLine, tokens: list[Token]) -> None:
        held = self.unit.locks_at(line, self.function)
        words = [token.text for token in tokens]
        shown = replace_tokens(line, tokens)
        stored = {id(target[0]): (target, operator) for target, operator in stores(shown) if target}
        found: list[tuple[_NamedField, FieldUse]] = []
        indexed: list[tuple[int, int]] = []
        for place in self._places(tokens):
            kind = self.classes.type_of(place.owner, place.path[0])
            if len(place.path) == 1 and self._calls(place, words, held):
                continue
            lending = argument_at(tokens, place.start, place.end, self.function)
            if lending is not None:
                self.body.lendings.append(Lending(*lending, LentField(place.owner, place.path, place.of_own)))
            if _SYNC.search(kind) or place.path[0] in self.unit.locks:
                continue
            if words[place.end : place.end + 1] == ["["] and (
                len(place.path) > 1
                or is_native(kind)
                or is_array(kind)
                or (is_view(kind) and "boundscheck" in self.unit.text)
            ):
                indexed.append((place.end, _after_bracket(tokens, place.end)))
            what, constant, native = self._kind(line, words, place, kind, stored.get(id(tokens[place.start])))
            if line.words[0] in ("if", "elif", "while", "assert"):
                self.tested.setdefault(line.index, set()).add(place.name)
            token = tokens[place.start]
            use = FieldUse(
                place.owner,
                place.name,
                what,
                token.line,
                token.column,
                held,
                place.of_own,
                constant,
                native=native,
                nulls=place.name in self.nulled,
            )
            found.append((place, use))
        for place, use in found:
            inside = any(start < place.start < end for start, end in indexed)
            if use.kind is AccessKind.READ and inside and self._is_number(place):
                use = replace(use, kind=AccessKind.INDEX)
            self.body.uses.append(use)

    def _flags_before_data(self) -> set[tuple[str, int]]:
        """Return the stores of a flag that a test in the same method asks for, if more follows: names and lines.

        Another thread then takes the short way and finds what is not there yet.
        """
        own, owner = self.function.self_name, self.function.owner or ""
        tested: set[str] = set()
        flags: dict[str, int] = {}
        early: set[tuple[str, int]] = set()
        for line in self.function.body:
            words = line.words
            for at in range(len(words) - 2):
                if words[at : at + 2] != [own, "."]:
                    continue
                name = words[at + 2]
                if words[0] in ("if", "elif") and self.classes.is_number(self.classes.type_of(owner, name)):
                    tested.add(name)
                elif at == 0 and words[3:4] == ["="] and name in tested and words[4:] in (["True"], ["1"]):
                    flags[name] = line.tokens[0].line
                elif flags and (words[at + 3 : at + 4] == ["="] or f"{owner}.{name}" in self.unit.method_names):
                    early.update(flags.items())
        return early

    def _is_number(self, place: _NamedField) -> bool:
        kind = self.classes.type_of(place.owner, place.path[0])
        return len(place.path) > 1 or self.classes.is_number(kind)

    def _calls(self, place: _NamedField, words: list[str], held: frozenset[str]) -> bool:
        """Note a call of a method, and return whether the name is one."""
        for one in self.classes.lineage(place.owner):
            key = f"{one.name}.{place.path[0]}"
            if key in self.unit.method_names:
                if words[place.end : place.end + 1] == ["("] and place.of_own:
                    self.body.calls.append((key, held))
                return True
        return False

    def _kind(
        self, line: LogicalLine, words: list[str], place: _NamedField, kind: str, stored: tuple[list[Token], str] | None
    ) -> tuple[AccessKind, bool, bool]:
        """Return what a line does to a field, whether it stores a constant, and whether native memory changes."""
        deep = len(place.path) > 1
        if stored is not None:
            return self._stored(line, words, place, kind, *stored)
        after = words[place.end : place.end + 3]
        if words[0] == "del" and after[:1] == ["["]:
            return self._taken(line, place), False, False
        if words[0] == "del" and not after and is_native(kind):
            return AccessKind.FREE, False, True
        if after[:1] == ["."] and after[2:] == ["("]:
            method = after[1]
            if is_container_of_cpp(kind) and method in _GROWS:
                return AccessKind.FREE, False, True
            if "*" in kind:
                native = changes(method) and _discards_result(words)
                return (AccessKind.WRITE if native else AccessKind.READ), False, native
            if method in _CHANGES:
                return (self._taken(line, place) if method in _TAKES else AccessKind.CHANGE), False, False
        if words[place.end : place.end + 6] == [".", "get", "(", ")", ".", *words[place.end + 5 : place.end + 6]]:
            native = is_native(kind) and changes(words[place.end + 5]) and _discards_result(words)
            return (AccessKind.WRITE if native else AccessKind.READ), False, native
        function = _called_with(words, place.start)
        if function is not None and function not in _SPECIAL:
            # A container's own method changes the container, not the item that it gets; an element is a value.
            given = function not in _CHANGES and words[place.end : place.end + 1] != ["["]
            handle = given and ("*" in kind or deep or place.name in self.nulled)
            given_back = place.name in self.nulled and not looks(function)
            if handle and (given_back or (frees(function) and _is_freed(function, words, place.end))):
                return AccessKind.FREE, False, True
            if handle and function in _FILLS:
                return AccessKind.WRITE, False, True
            if handle and self.classes.is_struct(kind) and changes_handle(function) and not _PYTHON.match(function):
                return AccessKind.WRITE, False, True
            if _SETS.search(function) and function not in _CHANGES:
                return AccessKind.CHANGE, False, False
        return AccessKind.READ, False, False

    def _stored(
        self, line: LogicalLine, words: list[str], place: _NamedField, kind: str, target: list[Token], operator: str
    ) -> tuple[AccessKind, bool, bool]:
        value = words[words.index(operator, place.end) + 1 :]
        whole = len(target) == place.end - place.start
        deep = len(place.path) > 1
        if operator in AUGMENTING:
            extends = value[:1] == ["["] or value[:2] == ["list", "("]
            return (AccessKind.COUNT if whole and not extends else AccessKind.CHANGE), False, False
        if not whole:
            # A map of C++ moves its nodes when it grows.
            grows = re.search(r"\b(?:unordered_)?map\b", kind) is not None and target[-1].text == "]"
            return (AccessKind.FREE if grows else AccessKind.CHANGE), False, grows
        own = words[place.start : place.end]
        constant = len(value) == 1
        if any(value[at : at + len(own)] == own for at in range(len(value))):
            number = deep or self.classes.is_number(kind or "int")
            return (AccessKind.COUNT if number else self._replaces(kind, value, deep=deep)), False, False
        if self._is_lazy(line, place):
            done = self._replaces(kind, value, deep=deep)
            # A hash value is the same in every thread: the object does not change.
            equal = constant or self.function.name == "__hash__"
            lazy = AccessKind.DECIDE if done is AccessKind.WRITE and not equal else done
            return lazy, constant, False
        return self._replaces(kind, value, deep=deep), constant, False

    def _replaces(self, kind: str, value: list[str], *, deep: bool) -> AccessKind:
        """Return what a plain store does to a field of a type: it releases a reference, or only stores a number."""
        if deep or "*" in kind or self.classes.is_number(kind) or is_array(kind):
            return AccessKind.WRITE
        if is_container_of_cpp(kind):
            return AccessKind.FREE
        if is_view(kind):
            return AccessKind.REPLACE
        if kind:
            return AccessKind.WRITE if self.classes.is_struct(kind) else AccessKind.REPLACE
        return AccessKind.REPLACE if value[:1] == ["None"] else AccessKind.WRITE

    def _is_lazy(self, line: LogicalLine, place: _NamedField) -> bool:
        """Return whether a store runs because a test found the field empty, and no lock covers both."""
        for head in self.unit.heads(line):
            if head is self.function.head:
                return False
            words = head.words
            if place.name in self.tested.get(head.index, ()) and words[0] in ("if", "elif"):
                return "not" in words or bool({"None", "NULL", "nullptr", "0", "-1"} & set(words))
        return False

    def _taken(self, line: LogicalLine, place: _NamedField) -> AccessKind:
        """Return whether something is taken out of a container because a test saw it there."""
        for head in self.unit.heads(line):
            if head is self.function.head:
                break
            if place.name in self.tested.get(head.index, ()):
                return AccessKind.DECIDE
        return AccessKind.CHANGE


def replace_tokens(line: LogicalLine, tokens: list[Token]) -> LogicalLine:
    """Return a logical line with other tokens."""
    return LogicalLine(line.index, line.indent, tokens, line.parent)


def _receivers(function: CythonFunction, classes: CdefClasses) -> Iterator[tuple[str, str]]:
    """Yield the names in a function that stand for objects of known classes which other threads may have."""
    if function.owner in classes.classes and function.owner_is_cdef:
        yield function.self_name, function.owner or ""
    for parameter in parameters_of(function.head):
        names = [token.text for token in parameter if token.kind == "name"]
        if len(names) > 1 and names[0] in classes.classes and parameter[1].kind == "name":
            yield names[1], names[0]
    made = _made_here(function, classes)
    for line in function.body:
        words = line.words
        if words[0] == "cdef" and len(words) > 2 and words[1] in classes.classes and words[2].isidentifier():
            if words[2] not in made:
                yield words[2], words[1]
        elif words[1:3] == ["=", "<"] and words[4:5] == [">"] and words[3] in classes.classes:
            yield words[0], words[3]


def _rebound(function: CythonFunction) -> set[str]:
    """Return the names that a function stores to: a pointer among them no longer points where it did."""
    return {target[0].text for line in function.body for target, _ in stores(line) if len(target) == 1}


def _discards_result(words: list[str]) -> bool:
    """Return whether a statement uses no result: a method whose result counts may return a changed copy."""
    return words[0] not in ("return", "yield", "if", "elif", "while", "for", "assert") and "=" not in words


def _is_freed(function: str, words: list[str], at: int) -> bool:
    """Return whether a function with such a name frees its first argument: `destroy_proxy(doc, node)` frees another."""
    return words[at : at + 1] == [")"] or "alloc" in function.lower()


def _called(tokens: list[Token]) -> list[str]:
    """Return the names that tokens call, without those of methods."""
    return [
        token.text
        for at, token in enumerate(tokens[:-1])
        if tokens[at + 1].text == "(" and token.kind == "name" and not (at and tokens[at - 1].text == ".")
    ]


def _made_here(function: CythonFunction, classes: CdefClasses) -> set[str]:
    """Return the names that a function binds to a new object."""
    found: set[str] = set()
    for line in function.body:
        words = line.words
        for target, operator in stores(line):
            if operator != "=" or not target:
                continue
            value = words[words.index("=") + 1 :]
            if value[:1] == ["<"] and ">" in value:
                value = value[value.index(">") + 1 :]
            calls = value[1:2] == ["("] or value[1:3] == [".", "__new__"] or value[1:4] == [".", "__new__", "("]
            if (
                value
                and calls
                and (value[0] in classes.classes or value[0] in ("cls", "type") or _MAKES.search(value[0]))
            ):
                found.add(target[-1].text)
    return found


_MAKES: Final = re.compile(r"(?i)^_?(?:new|make|create|alloc|build|copy|clone)|_(?:new|copy|create|alloc)$")


def _member(tokens: list[Token], at: int) -> bool:
    """Return whether `.name` follows, and no call of it."""
    return (
        at + 1 < len(tokens)
        and tokens[at].text == "."
        and tokens[at + 1].kind == "name"
        and (at + 2 >= len(tokens) or tokens[at + 2].text != "(")
    )


def _after_bracket(tokens: list[Token], at: int) -> int:
    """Return the place after a subscript that begins at a place; the place itself if none does."""
    if at >= len(tokens) or tokens[at].text != "[":
        return at
    depth = 0
    for position in range(at, len(tokens)):
        if tokens[position].kind == "op":
            depth += (tokens[position].text in "([{") - (tokens[position].text in ")]}")
        if depth == 0:
            return position + 1
    return len(tokens)


def _changes_container(words: list[str]) -> bool:
    """Return whether a line calls `self.x.pop(…)` or a similar method."""
    return any(word in _CHANGES and at >= 4 and words[at - 3] == "." for at, word in enumerate(words))


def _called_with(words: list[str], at: int) -> str | None:
    """Return the function that receives `self.x` as its first argument, at this place."""
    before = at - 1
    while (before >= 0 and words[before] in ("&", ">", "*", "<")) or (before >= 0 and words[before].isidentifier()):
        # A cast, `<void *>self.x`, or an address.
        before -= 1
    if before >= 1 and words[before] == "(" and words[before - 1].isidentifier():
        return words[before - 1]
    return None
