"""The room of Rust: files parsed by tree-sitter, for extension modules made with PyO3 or by hand on the C API."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ftaudit.extras import RUST_PARSER, Extra, why_missing
from ftaudit.rule import Language, SourceRule
from ftaudit.source.base import ParseError, Reader, Room, SourceFile, Survey, TreeContext
from ftaudit.source.rust.ffi import FfiPlace, find_silent_inits, find_used_slots
from ftaudit.source.rust.pyclass_fields import find_accesses
from ftaudit.source.rust.rust_unit import RustAttribute, RustUnit, least_version, load_grammar, resolved_pyo3
from ftaudit.source.rust.survey import RustContext, gather_rust, survey_rust
from ftaudit.source.shared_state import Access, access_of, access_row

__all__ = [
    "READER",
    "FfiPlace",
    "RustAttribute",
    "RustContext",
    "RustReader",
    "RustUnit",
    "find_silent_inits",
    "find_used_slots",
    "least_version",
    "resolved_pyo3",
]

_INTERESTING = re.compile(
    r"py(?:o3|module|class|methods)|PyO3|\bffi\b|Py_mod_|PyModuleDef|PyInit_|static\s+mut\b|\bSync\b|\bSend\b|GIL|thread_local!|UnsafeCell"
)


class RustReader(Reader):
    """Reads Rust files; which PyO3 is in use comes from the build files."""

    room = Room.RUST
    languages = frozenset({Language.RUST})
    needs = frozenset({Room.BUILD})

    def survey(self, source: SourceFile) -> Survey | None:
        """Return the file's GIL declaration, and the types that it keeps behind locks."""
        return survey_rust(source.text)

    def gather(self, surveys: Mapping[str, Survey]) -> RustContext:
        """Return what the tree's files declare."""
        return gather_rust(surveys)

    def wants(self, source: SourceFile, rules: Sequence[SourceRule]) -> bool:
        """Return whether the file has a word that any rule searches for."""
        return bool(rules) and _INTERESTING.search(source.text) is not None

    def has_state(self, source: SourceFile, context: TreeContext) -> bool:
        """Return whether the text has methods that Python calls."""
        return "pymethods" in source.text

    def summarize(self, unit: RustUnit) -> Survey | None:
        """Return the accesses of the file's Python methods to the fields of their objects."""
        rows = [access_row(access) for access in find_accesses(unit)]
        return {"accesses": rows} if rows else None

    def compose(self, summaries: Mapping[str, Survey], context: TreeContext) -> tuple[Access, ...]:
        """Return the accesses of all files."""
        return tuple(access_of(row) for summary in summaries.values() for row in summary["accesses"])

    def prepare(self) -> None:
        """Import tree-sitter and the grammar."""
        load_grammar()

    def parse(self, source: SourceFile, context: TreeContext) -> RustUnit:
        """Return the unit; tree-sitter makes a tree of anything. Raise `ParseError` if it is not installed."""
        if reason := why_missing(Extra.SOURCE, RUST_PARSER):
            raise ParseError(reason)
        return RustUnit(source, context)


READER = RustReader()
