"""Fixes: the edits that remove a finding, how far to trust them, and why a finding has no edits."""

from __future__ import annotations

from dataclasses import dataclass

from ftaudit.model.words import StrEnum


class Applicability(StrEnum):
    """How far to trust a fix."""

    SAFE = "safe"
    """The code does the same on every supported Python; `--write` applies it."""
    SUGGESTED = "suggested"
    """A person must review it; `--diff` prints it."""


class Obstacle(StrEnum):
    """Why a finding of a rule with a fix has no edits."""

    IN_MACRO = "in-macro"
    """The place is in a macro, or a macro that may leave the function follows it."""
    IN_HEADER = "in-header"
    """The place is in a header, which other files include for their own Pythons."""
    IN_ARGUMENT = "in-argument"
    """The place is an argument of a call or part of a condition: there is no statement to add the release to."""
    CONDITIONAL = "conditional"
    """Preprocessor conditions divide the code to edit."""
    GENERATED = "generated"
    """The file is generated: fix what generates it."""
    READ_ONLY = "read-only"
    """The file is in an archive, or is not text in a single encoding."""
    RETURNED = "returned"
    """The function returns a borrowed reference, so its callers would have to release it."""
    KEPT = "kept"
    """The value is stored elsewhere, passed on, or its variable is also used for something else."""
    NO_ERROR_PATH = "no-error-path"
    """The replacement can fail, and the code has no way to report a failure."""
    NOT_MECHANICAL = "not-mechanical"
    """The replacement is a design decision: a lock, another data structure, another interface."""
    UNKNOWN_FORM = "unknown-form"
    """The code has a form that the fixer does not support."""
    OVERLAPS = "overlaps"
    """Another fix edits the same place; apply that fix, then scan again."""
    NEEDS_DECLARE = "needs-declare"
    """The edit declares that the module does not need the GIL: `ftaudit scan --declare` makes it."""
    AUTHOR_SAYS_USED = "author-says-used"
    """The project itself declares that the module needs the GIL."""
    FAILED = "failed"
    """The fixer failed, or its result cannot be parsed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceEdit:
    """A range of bytes in a file, and their replacement.

    A rule counts bytes in the file's text as UTF-8 with `\\n` at the ends of lines (`Unit.data`); in the result of a
    scan, the numbers count bytes of the file itself.
    """

    path: str
    """The path, as findings name it."""
    start: int
    """The first byte, from 0."""
    end: int
    """The byte after the last one; the same as `start` for an insertion."""
    replaced: str
    """The current text, decoded."""
    replacement: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Fix:
    """Edits that belong together and remove one finding."""

    applicability: Applicability
    edits: tuple[SourceEdit, ...]
    """Sorted by path and start; they do not overlap."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NoFix:
    """A finding without edits whose rule has a fix."""

    obstacle: Obstacle
