"""The `cdef` classes of a file: their bases and the types of their fields, also from headers of other files."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ftaudit.source.cython.cython_lines import CythonVariable, declared, function_name
from ftaudit.source.cython.tokens import LogicalLine

SCALAR: Final = re.compile(
    r"^(?:(?:unsigned|signed|const|long|short|int|char|double|float|bint|bool|size_t|Py_ssize_t|ssize_t|u?int\d+_t|Py_hash_t"
    r"|uintptr_t|intptr_t|enum|(?:np|cnp|cnumpy|numpy)\s*\.\s*\w+|cython|\.)\s*)+$"
)
"""Types of numbers."""
_CPP: Final = re.compile(
    r"\b(?:vector|deque|list|map|unordered_map|set|unordered_set|string|queue|stack|\w+_ptr)\s*\[|\bstring\b"
)
_VIEW: Final = re.compile(r"\[[^\[\]]*:[^\[\]]*\]\s*\Z")
_ARRAY: Final = re.compile(r"\[[^:\[\]]*\]\s*\Z")


@dataclass(slots=True)
class CdefClass:
    """One class."""

    name: str
    bases: tuple[str, ...] = ()
    fields: dict[str, str] = field(default_factory=dict)
    """The type of each field, as the source writes it."""
    exposed: dict[str, int] = field(default_factory=dict)
    """The fields that Python code can read, with the line of the declaration; 0 if it is in another file."""


@dataclass(frozen=True, slots=True)
class CdefClasses:
    """The classes that a file can name, by name, and the structures and kinds of numbers that it declares."""

    classes: Mapping[str, CdefClass]
    structs: frozenset[str]
    numbers: frozenset[str]
    records: frozenset[str] = frozenset()
    """The structures whose members the tree itself defines: no lock of a library."""

    def lineage(self, name: str) -> list[CdefClass]:
        """Return a class and its known bases, nearest first."""
        found: list[CdefClass] = []
        pending = [name]
        while pending:
            current = self.classes.get(pending.pop(0))
            if current is not None and current not in found:
                found.append(current)
                pending += current.bases
        return found

    def heirs(self, name: str) -> frozenset[str]:
        """Return a class and the known classes that inherit from it, directly or not."""
        return frozenset({name, *(one for one in self.classes if any(base.name == name for base in self.lineage(one)))})

    def declarer(self, name: str, attribute: str) -> str:
        """Return the class of a lineage that declares a field; the class itself if none is known to."""
        return next((one.name for one in self.lineage(name) if attribute in one.fields), name)

    def type_of(self, name: str, attribute: str) -> str:
        """Return the type of a field, or nothing if no declaration is known."""
        return next((one.fields[attribute] for one in self.lineage(name) if attribute in one.fields), "")

    def is_struct(self, kind: str) -> bool:
        """Return whether a type is a structure or a pointer to one, declared or by its name: C names are lower-case."""
        plain = kind.replace("*", " ").split()
        return bool(plain) and (plain[-1] in self.structs or plain[-1].endswith("_t") or "struct" in plain)

    def is_number(self, kind: str) -> bool:
        """Return whether a type is a number, an enumeration included."""
        return SCALAR.match(kind) is not None or kind.split()[-1:] in [[one] for one in self.numbers]


def find_classes(lines: list[LogicalLine]) -> CdefClasses:
    """Return the classes and structures that the lines of one file declare."""
    classes: dict[str, CdefClass] = {}
    structs: set[str] = set()
    numbers: set[str] = set()
    records: set[str] = set()
    pure = False
    for line in lines:
        words = line.words
        if words[0] == "@" and "cclass" in words:
            pure = True
            continue
        if "class" in words[:3] and (words[0] in ("cdef", "cpdef") or pure):
            at = words.index("class") + 1
            name = words[at] if at < len(words) else ""
            # `cdef class pkg.mod.Name [object NameObject]:`
            while words[at + 1 : at + 2] == ["."] and at + 2 < len(words):
                at += 2
                name = words[at]
            inside = words[at + 2 : -1] if words[at + 1 : at + 2] == ["("] else []
            classes.setdefault(name, CdefClass(name)).bases = tuple(word for word in inside if word.isidentifier())
        elif ("struct" in words[:4] or "union" in words[:4]) and line.opens:
            structs.add(words[-2])
            if words[0] == "cdef" and "extern" not in words:
                records.add(words[-2])
        elif "enum" in words[:4] and line.opens:
            numbers.add(words[-2])
        elif words[0] == "ctypedef" and SCALAR.match(" ".join(words[1:-1])):
            numbers.add(words[-1])
        pure = pure and words[0] == "@"
    for owner, variables, exposed in _declarations(lines, classes):
        for variable in variables:
            array = " [ ]" if variable.array and "[" not in variable.type else ""
            classes[owner].fields[variable.name] = f"{variable.type}{array}"
            if exposed:
                classes[owner].exposed[variable.name] = variable.line
    return CdefClasses(classes, frozenset(structs), frozenset(numbers), frozenset(records))


def _declarations(
    lines: list[LogicalLine], classes: dict[str, CdefClass]
) -> Iterable[tuple[str, list[CythonVariable], bool]]:
    for line in lines:
        words = line.words
        if line.opens or line.parent < 0:
            continue
        head = lines[line.parent]
        block = head.words[0] == "cdef" and set(head.words) <= {"cdef", "public", "readonly", ":"}
        owner = _class_of(lines[head.parent] if block and head.parent >= 0 else head)
        if owner not in classes:
            continue
        if words[0] == "cdef":
            yield owner, declared(line.tokens[1:]), words[1] in ("public", "readonly")
        elif block:
            yield owner, declared(line.tokens), words[0] in ("public", "readonly") or len(head.words) > 2
        elif words[1:2] == [":"] and line.tokens[0].kind == "name":
            # Pure-Python mode: `n: cython.int`.
            kind = words[2 : words.index("=")] if "=" in words else words[2:]
            yield owner, declared([*line.tokens[2 : 2 + len(kind)], line.tokens[0]]), False


def _class_of(head: LogicalLine) -> str:
    words = head.words
    if "class" not in words[:3] or function_name(head) is not None:
        return ""
    at = words.index("class") + 1
    while words[at + 1 : at + 2] == ["."] and at + 2 < len(words):
        at += 2
    return words[at] if at < len(words) else ""


def together(first: CdefClasses, others: Iterable[CdefClasses]) -> CdefClasses:
    """Return the classes of a file, with what headers of the tree declare about them and about others."""
    merged: dict[str, CdefClass] = {}
    fields: dict[str, dict[str, str]] = defaultdict(dict)
    structs = set(first.structs)
    numbers = set(first.numbers)
    records = set(first.records)
    for one in (first, *others):
        structs |= one.structs
        records |= one.records
        numbers |= one.numbers
        for name, found in one.classes.items():
            fields[name] = {**found.fields, **fields[name]}
            known = merged.get(name)
            merged[name] = CdefClass(
                name,
                (known and known.bases) or found.bases,
                fields[name],
                {**found.exposed, **(known.exposed if known else {})},
            )
    return CdefClasses(merged, frozenset(structs), frozenset(numbers), frozenset(records))


def is_native(kind: str) -> bool:
    """Return whether a type is a pointer or a C++ object: what it held is gone when it is freed or moved."""
    return "*" in kind or _CPP.search(kind) is not None


def is_container_of_cpp(kind: str) -> bool:
    """Return whether a type is a C++ container or smart pointer."""
    return "*" not in kind and _CPP.search(kind) is not None


def is_view(kind: str) -> bool:
    """Return whether a type is a typed memory view, which is a counted reference."""
    return _VIEW.search(kind) is not None


def is_array(kind: str) -> bool:
    """Return whether a type is an array within the object."""
    return _ARRAY.search(kind) is not None and _CPP.search(kind) is None


def classes_row(found: CdefClasses) -> list[Any]:
    """Return classes as JSON values; `classes_of` is the inverse."""
    classes = [[one.name, list(one.bases), one.fields, sorted(one.exposed)] for one in found.classes.values()]
    return [classes, sorted(found.structs), sorted(found.numbers), sorted(found.records)]


def classes_of(row: Sequence[Any]) -> CdefClasses:
    """Return the classes that `classes_row` wrote; lines of another file are left out."""
    classes, structs, numbers, records = row
    made = {
        name: CdefClass(name, tuple(bases), dict(fields), dict.fromkeys(exposed, 0))
        for name, bases, fields, exposed in classes
    }
    return CdefClasses(made, frozenset(structs), frozenset(numbers), frozenset(records))
