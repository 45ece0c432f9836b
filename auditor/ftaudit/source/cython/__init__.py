"""The room of Cython: `.pyx`, `.pxd`, `.pxi`, their templates, and Python files that Cython compiles.

The index has no wheel of a maintained tree-sitter grammar for Cython, so the model is made of tokens and
logical lines (`tokens.py`, `model.py`): it handles any content, and provides what the rules need.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from ftaudit.rule import Language, SourceRule
from ftaudit.source.base import Reader, Room, SourceFile, Survey, TreeContext
from ftaudit.source.cython.cdef_classes import classes_of, classes_row, find_classes
from ftaudit.source.cython.cython_lines import AUGMENTING, CythonVariable, stores
from ftaudit.source.cython.cython_modules import CythonContext, CythonModule, find_header
from ftaudit.source.cython.cython_unit import LOCKING, CythonFunction, CythonUnit
from ftaudit.source.cython.field_states import FieldState, find_fields
from ftaudit.source.cython.tokens import LogicalLine, split_lines
from ftaudit.source.shared_state import Access, access_of, access_row

__all__ = [
    "AUGMENTING",
    "LOCKING",
    "READER",
    "CythonContext",
    "CythonFunction",
    "CythonModule",
    "CythonReader",
    "CythonUnit",
    "CythonVariable",
    "FieldState",
    "LogicalLine",
    "find_fields",
    "stores",
]

_INCLUDE = re.compile(r"^[ \t]*include[ \t]+['\"]([^'\"\n]+)['\"]", re.MULTILINE)


def _is_header(path: str) -> bool:
    """Return whether other files include or import what a file declares."""
    return path.endswith((".pxd", ".pxi"))


class CythonReader(Reader):
    """Reads Cython files; the tree's context says which are modules, and what their headers declare."""

    room = Room.CYTHON
    languages = frozenset({Language.CYTHON})

    def survey(self, source: SourceFile) -> Survey | None:
        """Return the header's directives and what the file includes."""
        header = find_header(source.path, source.text)
        return {
            "directive": header.value,
            "line": header.line,
            "includes": _INCLUDE.findall(source.text),
            "classes": classes_row(find_classes(split_lines(source.text))) if _is_header(source.path) else None,
        }

    def gather(self, surveys: Mapping[str, Survey]) -> CythonContext:
        """Return the Cython modules of the tree: sources that are not only part of others."""
        included: set[str] = set()
        for path, survey in surveys.items():
            folder = PurePosixPath(path).parent
            for name in survey["includes"]:
                wanted = (folder / name).as_posix()
                if wanted in surveys:
                    included.add(wanted)
                else:
                    # Cython also looks in the include path of the build, which is not known here.
                    included.update(other for other in surveys if other.endswith(f"/{PurePosixPath(name).name}"))
        modules = tuple(
            CythonModule(path=path, line=survey["line"], declares=survey["directive"], included=path in included)
            for path, survey in surveys.items()
            if path.endswith((".pyx", ".pyx.in", ".pyx.tp", ".pyx.src", ".py"))
        )
        headers = tuple(classes_of(survey["classes"]) for survey in surveys.values() if survey["classes"])
        return CythonContext(modules=modules, headers=headers)

    def wants(self, source: SourceFile, rules: Sequence[SourceRule]) -> bool:
        """Return whether there is anything to run."""
        return bool(rules)

    def has_state(self, source: SourceFile, context: TreeContext) -> bool:
        """Return whether the text has a class with C fields."""
        return "class " in source.text and ("cdef" in source.text or "cclass" in source.text)

    def summarize(self, unit: CythonUnit) -> Survey | None:
        """Return the uses of the fields of the file's `cdef` classes: calls are followed within a class."""
        rows = [access_row(access) for state in find_fields(unit) for access in state.accesses]
        return {"accesses": rows} if rows else None

    def compose(self, summaries: Mapping[str, Survey], context: TreeContext) -> tuple[Access, ...]:
        """Return the accesses of all files."""
        return tuple(access_of(row) for summary in summaries.values() for row in summary["accesses"])

    def parse(self, source: SourceFile, context: TreeContext) -> CythonUnit:
        """Return the unit; any text makes one."""
        return CythonUnit(source, context)


READER = CythonReader()
