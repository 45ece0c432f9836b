"""Which Cython modules a tree has and what their headers declare about the GIL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final

from ftaudit.source.cython.cdef_classes import CdefClasses

_COMMENT: Final = re.compile(r"#\s*cython\s*:\s*((?:\w|[.])+\s*=.*)$")
"""Cython's own pattern of a directive comment (`Cython/Compiler/Parsing.py`)."""
_DIRECTIVE: Final = re.compile(r"freethreading_compatible\s*=\s*(\w+)")
_TEMPLATE_SUFFIXES: Final = (".in", ".tp", ".src")


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """The directive in a file's leading comments, and where it is or would belong."""

    value: bool | None
    line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CythonModule:
    """A file that Cython may compile to an extension module."""

    path: str
    line: int
    """The line of the header's directives, else 1."""
    declares: bool | None
    """The header's value of `freethreading_compatible`; `None` for nothing."""
    included: bool = False
    """Whether another file includes it; it may also be a separate module."""

    @property
    def stem(self) -> str:
        """The module's file name without its suffixes."""
        return PurePosixPath(self.path).name.split(".", 1)[0]

    @property
    def is_python(self) -> bool:
        """Whether it is a Python file, which is compiled only if the build says so."""
        return self.path.endswith(".py")


@dataclass(frozen=True, kw_only=True, slots=True)
class CythonContext:
    """The Cython files of a tree, by path."""

    modules: tuple[CythonModule, ...] = field(default=())
    headers: tuple[CdefClasses, ...] = field(default=())
    """What the `.pxd` files of the tree declare."""


def find_header(path: str, text: str) -> Header:
    """Return what the leading comments declare. Only comments before the first statement count, as for Cython.

    In a template the header may come after the template's own code, so there any such comment counts.
    """
    template = path.endswith(_TEMPLATE_SUFFIXES)
    line_of_first = 0
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip().lstrip("\ufeff")
        if not stripped:
            continue
        if not stripped.startswith("#"):
            if template:
                continue
            break
        found = _COMMENT.match(stripped)
        if found is None:
            continue
        line_of_first = line_of_first or number
        if directive := _DIRECTIVE.search(found[1]):
            return Header(value=directive[1] == "True", line=number)
    return Header(value=None, line=line_of_first or 1)
