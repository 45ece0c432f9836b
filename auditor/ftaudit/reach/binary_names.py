"""Finds the modules that an extension module's binary names, which it may import."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from ftaudit.reach.cython_tables import cython_tables, cython_version

MOST_RUST: Final = 64 << 20
"""Bytes of an image that are searched for names that are not C strings."""
SHORTEST: Final = 5
"""Length of a name without a dot that counts even if it is not a separate string."""
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
    version = cython_version(image)
    if version is not None:
        found |= {near[raw] for raw in strings & near.keys()}
        table = b"\0".join(cython_tables(image, version))
        if table:
            found |= {name for raw, name in by_raw.items() if (b"." in raw or len(raw) >= SHORTEST) and raw in table}
            found |= {name for raw, name in near.items() if len(raw) >= SHORTEST and raw in table}
    elif (b"pyo3" in image or b"/rustc/" in image) and len(image) <= MOST_RUST:
        found |= {by_raw[raw] for raw in set(_DOTTED.findall(image)) & by_raw.keys()}
    found |= {name for raw in _MYPYC.findall(image) if (name := by_raw.get(raw))}
    found.discard(module)
    return sorted(found)
