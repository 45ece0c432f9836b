"""Finds the modules that an extension module's binary names, which it may import."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from ftaudit.reach.cython_tables import cython_tables, cython_version

MOST_RUST: Final = 64 << 20
"""Bytes of an image that are searched for names that are not C strings."""
SHORTEST: Final = 5
"""Length of a name without a dot that counts even if it is not a separate string."""
_DOTTED: Final = re.compile(rb"[a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*)+")
_PART: Final = 6
"""Bytes of a name that are looked up first, which excludes most names."""
_STEP: Final = 4
"""Distance of the parts of a table that are known: every name of `_PART + _STEP - 1` bytes has one of them."""
_TEXT: Final = re.compile(rb"[\w.\x80-\xff]{5,}")
"""What may be names in a table, or in an image that is searched like one."""
_STRINGS: Final = re.compile(rb"\0([A-Za-z_][\w.]*)(?=\0)")
"""C strings that look like names of modules."""
_SHORTEST_END: Final = 4
_TAILS: Final = re.compile(rb"([\w.]{4,})\0")
"""The ends of C strings."""
_IMPORTS: Final = b"PyImport_Import"
"""The functions of the C API that import by name start with this."""
_MYPYC: Final = re.compile(rb"\0([\w.]*__mypyc)\0")


def names_in(image: bytes, known: Collection[str], module: str) -> list[str]:
    """Return the `known` modules that a binary names, sorted.

    A name counts only as a separate C string, or as the end of one, because linkers merge such strings, so that one in
    a docstring does not count. Cython 3.2 and later store
    their strings in a table without terminators, and so does Rust: there, names count at any position.
    """
    by_raw = _encoded(frozenset(known))
    strings = set(_STRINGS.findall(image))
    found = {by_raw[raw] for raw in strings & by_raw.keys()}
    found |= {name for raw, name in _unusual(frozenset(known)) if raw in image}
    version = cython_version(image)
    if version is not None:
        package = module.rpartition(".")[0]
        near = {name[len(package) + 1 :].encode(): name for name in known if package and name.startswith(package + ".")}
        near = {raw: name for raw, name in near.items() if b"." not in raw}
        found |= {near[raw] for raw in strings & near.keys()}
        table = b"\0".join(cython_tables(image, version))
        if table:
            long = ((raw, name) for raw, name in by_raw.items() if b"." in raw or len(raw) >= SHORTEST)
            relative = ((raw, name) for raw, name in near.items() if len(raw) >= SHORTEST)
            found |= set(_anywhere(table, (*long, *relative)))
    elif _IMPORTS in image:
        found |= set(_at_ends(image, frozenset(known)))
    if version is None and (b"pyo3" in image or b"/rustc/" in image) and len(image) <= MOST_RUST:
        found |= {by_raw[raw] for raw in set(_DOTTED.findall(image)) & by_raw.keys()}
    found |= {name for raw in _MYPYC.findall(image) if (name := by_raw.get(raw))}
    found.discard(module)
    return sorted(found)


@functools.lru_cache(maxsize=4)
def _encoded(known: frozenset[str]) -> dict[bytes, str]:
    return {name.encode("utf-8", "surrogatepass"): name for name in known}


@functools.lru_cache(maxsize=4)
def _unusual(known: frozenset[str]) -> tuple[tuple[bytes, str], ...]:
    """Return the names that `_STRINGS` does not find, as C strings."""
    every = ((b"\0" + raw + b"\0", name) for raw, name in _encoded(known).items())
    return tuple((raw, name) for raw, name in every if not _STRINGS.match(raw))


def _at_ends(image: bytes, known: frozenset[str]) -> Iterator[str]:
    """Yield the names at the end of a C string, where a linker may have merged them with it.

    A short name counts only as a separate word.
    """
    by_end = _by_end(known)
    for text in set(_TAILS.findall(image)):
        for raw in by_end.get(text[-_SHORTEST_END:], ()):
            before = text[-len(raw) - 1 : -len(raw)]
            if text.endswith(raw) and before and (len(raw) >= SHORTEST or not before.isalnum()):
                yield raw.decode("utf-8", "surrogatepass")


@functools.lru_cache(maxsize=4)
def _by_end(known: frozenset[str]) -> dict[bytes, list[bytes]]:
    by_end: dict[bytes, list[bytes]] = {}
    for raw in _encoded(known):
        if len(raw) >= _SHORTEST_END:
            by_end.setdefault(raw[-_SHORTEST_END:], []).append(raw)
    return by_end


def _anywhere(table: bytes, names: Iterable[tuple[bytes, str]]) -> Iterator[str]:
    """Yield the names that a table contains at any position, each with its bytes."""
    table = b"\0".join(set(_TEXT.findall(table)))
    parts = {table[at : at + _PART] for at in range(0, len(table) - _PART + 1, _STEP)}
    for raw, name in names:
        may_be = len(raw) < _PART + _STEP - 1 or any(raw[at : at + _PART] in parts for at in range(_STEP))
        if may_be and raw in table:
            yield name
