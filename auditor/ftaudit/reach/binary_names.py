"""Finds the modules that an extension module's binary names, which it may import."""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Iterator
from typing import Final

MOST_TABLE: Final = 8 << 20
"""Size limit of an inflated table of strings."""
MOST_TABLES: Final = 64
MOST_RUST: Final = 64 << 20
"""Bytes of an image that are searched for names that are not C strings."""
SHORTEST: Final = 5
"""Length of a name without a dot that counts even if it is not a separate string."""
_ZLIB: Final = re.compile(rb"\x78[\x9c\xda]")
_DOTTED: Final = re.compile(rb"[a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*)+")
_MYPYC: Final = re.compile(rb"\0([\w.]*__mypyc)\0")


def names_in(image: bytes, known: Collection[str], module: str) -> list[str]:
    """Return the `known` modules that a binary names, sorted.

    A name counts only as a separate C string, so that one in a docstring does not count. Cython 3.2 and later store
    their strings in a table without terminators, and so does Rust: there, names count at any position.
    """
    by_raw = {name.encode(): name for name in known}
    package = module.rpartition(".")[0]
    near = {name[len(package) + 1 :].encode(): name for name in known if package and name.startswith(package + ".")}
    near = {raw: name for raw, name in near.items() if b"." not in raw}
    strings = set(image.split(b"\0"))
    found = {by_raw[raw] for raw in strings & by_raw.keys()}
    if _is_cython(image):
        found |= {near[raw] for raw in strings & near.keys()}
        table = b"\0".join(_tables(image))
        if table:
            found |= {name for raw, name in by_raw.items() if (b"." in raw or len(raw) >= SHORTEST) and raw in table}
            found |= {name for raw, name in near.items() if len(raw) >= SHORTEST and raw in table}
    elif (b"pyo3" in image or b"/rustc/" in image) and len(image) <= MOST_RUST:
        found |= {by_raw[raw] for raw in set(_DOTTED.findall(image)) & by_raw.keys()}
    found |= {name for raw in _MYPYC.findall(image) if (name := by_raw.get(raw))}
    found.discard(module)
    return sorted(found)


def _is_cython(image: bytes) -> bool:
    return b"cython_runtime" in image


def _tables(image: bytes) -> Iterator[bytes]:
    """Yield the content of the zlib streams in an image."""
    count = 0
    with memoryview(image) as view:
        for match in _ZLIB.finditer(image):
            engine = zlib.decompressobj()
            try:
                data = engine.decompress(view[match.start() : match.start() + MOST_TABLE], MOST_TABLE)
            except zlib.error:
                continue
            if engine.eof and len(data) > 64:
                count += 1
                yield data
                if count >= MOST_TABLES:
                    return
