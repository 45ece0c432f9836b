"""Reads single Cython lines: what a `cdef` declares, which function a line heads, what a statement assigns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ftaudit.source.cython.tokens import LogicalLine, Token

_SYNC_TYPES: Final = re.compile(r"(?i)mutex|lock\b|PyThread_type_lock|atomic|once_flag|Py_tss_t|threading\.local")
_QUALIFIERS: Final = frozenset({"public", "readonly", "api", "inline", "extern", "static", "volatile"})
_NOT_VARIABLES: Final = frozenset(
    {"class", "enum", "struct", "union", "packed", "cppclass", "import", "from", "extern", "fused"}
)
_ASSIGNING: Final = frozenset(
    {"=", "+=", "-=", "*=", "/=", "//=", "%=", "**=", "&=", "|=", "^=", "<<=", ">>=", "@=", ":="}
)
_HEADS: Final = frozenset({"if", "else", "elif", "for", "while", "with", "try", "except", "finally"})
AUGMENTING: Final = _ASSIGNING - {"=", ":="}


@dataclass(frozen=True, kw_only=True, slots=True)
class CythonVariable:
    """A `cdef` variable at module level."""

    name: str
    type: str
    line: int
    column: int
    array: bool = False
    pointer: bool = False
    initialized: bool = False

    @property
    def is_sync(self) -> bool:
        """Whether it is itself a lock, an atomic or thread-local storage."""
        return _SYNC_TYPES.search(self.type) is not None


def stores(line: LogicalLine) -> Iterator[tuple[list[Token], str]]:
    """Yield each assignment target of a simple statement with its operator: `a.b[i] += x` gives `a.b[i]`, `+=`."""
    tokens = line.tokens
    begin = 1 if tokens[0].text in ("cdef", "cpdef") else 0
    depth = 0
    start = begin
    for position, token in enumerate(tokens):
        if position < begin:
            continue
        if token.text in "([{" and token.kind == "op":
            depth += 1
        elif token.text in ")]}" and token.kind == "op":
            depth -= 1
        elif depth == 0 and token.text == ":" and position + 1 < len(tokens) and tokens[0].text in _HEADS:
            start = position + 1
        elif depth == 0 and token.text in _ASSIGNING and token.kind == "op":
            target = tokens[start:position]
            for each in _split(target):
                yield each, token.text
            start = position + 1


def _split(target: list[Token]) -> Iterator[list[Token]]:
    """Yield the targets of `a, b.c = …` one by one."""
    depth = 0
    start = 0
    for position, token in enumerate(target):
        if token.kind == "op" and token.text in "([{)]}":
            depth += 1 if token.text in "([{" else -1
        elif depth == 0 and token.text == ",":
            if position > start:
                yield target[start:position]
            start = position + 1
    if len(target) > start:
        yield target[start:]


def declared(tokens: list[Token]) -> list[CythonVariable]:
    """Return the variables that `cdef` declares; nothing for functions, types, imports and the like."""
    while tokens and tokens[0].text in _QUALIFIERS - {"extern"}:
        tokens = tokens[1:]
    if not tokens or tokens[0].text in _NOT_VARIABLES or tokens[-1].text == ":":
        return []
    found: list[CythonVariable] = []
    base: list[str] = []
    for position, piece in enumerate(split_commas(tokens)):
        equals = next((at for at, token in enumerate(piece) if token.text == "="), len(piece))
        head = piece[:equals]
        named = _declarator(head)
        if named is None:
            return found
        at, after = named
        name = head[at]
        if position == 0:
            base = [token.text for token in head[:at]]
        own = [token.text for token in head[:at]] if position else []
        type_text = " ".join((*base, *own))
        found.append(
            CythonVariable(
                name=name.text,
                type=type_text or "object",
                line=name.line,
                column=name.column,
                array=bool(after and after[0].text == "[") or _is_array_type(base),
                pointer="*" in base or "*" in own,
                initialized=equals < len(piece),
            )
        )
    return found


def _is_array_type(base: list[str]) -> bool:
    """Distinguish `char[SIZE]` from a memory view (`double[:]`) and a template or buffer (`vector[int]`)."""
    if not base or base[-1] != "]":
        return False
    inner = base[base.index("[") + 1 : -1]
    known = {"char", "int", "long", "short", "double", "float", "size_t", "Py_ssize_t", "uint8_t", "unsigned", "signed"}
    return ":" not in inner and any(word in known for word in base[: base.index("[")]) and len(inner) == 1


def split_commas(tokens: list[Token]) -> list[list[Token]]:
    """Return the pieces between the commas outside brackets; empty pieces are left out."""
    pieces: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        if token.kind == "op" and token.text in "([{":
            depth += 1
        elif token.kind == "op" and token.text in ")]}":
            depth -= 1
        if token.text == "," and depth == 0:
            pieces.append([])
        else:
            pieces[-1].append(token)
    return [piece for piece in pieces if piece]


def _declarator(head: list[Token]) -> tuple[int, list[Token]] | None:
    """Return the position of the declared name and what follows it; `None` if a function is declared."""
    depth = 0
    last = None
    for at, token in enumerate(head):
        if token.kind == "op" and token.text in "([":
            if token.text == "(" and depth == 0:
                pointer = head[at + 1 : at + 3]
                if len(pointer) == 2 and pointer[0].text == "*" and pointer[1].kind == "name":
                    return at + 2, []
                if last is not None and at > 0 and head[at - 1].kind == "name" and at > 1:
                    return None
            depth += 1
        elif token.kind == "op" and token.text in ")]":
            depth -= 1
        elif depth == 0 and token.kind == "name":
            last = at
    if last is None:
        return None
    return last, head[last + 1 :]


def function_name(line: LogicalLine) -> tuple[str, str] | None:
    """Return the name and the kind (`def`, `cdef`, `cpdef`) of the function that the line heads, or `None`."""
    words = line.words
    if words[0] == "async":
        words = words[1:]
    if not words:
        return None
    if words[0] == "def" and len(words) > 1:
        return words[1], "def"
    if words[0] not in ("cdef", "cpdef") or not line.opens or "class" in words[:3] or words[1:2] == ["extern"]:
        return None
    depth = 0
    for position, token in enumerate(line.tokens):
        if token.kind == "op" and token.text == "[":
            depth += 1
        elif token.kind == "op" and token.text == "]":
            depth -= 1
        elif depth == 0 and token.text == "(" and position > 1 and line.tokens[position - 1].kind == "name":
            return line.tokens[position - 1].text, words[0]
    return None
