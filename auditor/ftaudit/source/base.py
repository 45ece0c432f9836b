"""Types that the scanner passes to rules and to each language's room: files, units, the tree's context, readers."""

from __future__ import annotations

import bisect
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Flag
from functools import cached_property
from typing import Any, ClassVar, TypeVar, cast

from ftaudit.model import Finding, Location, Severity, SourceEdit, StrEnum
from ftaudit.rule import Language, SourceRule
from ftaudit.source.race_words import describe_type
from ftaudit.source.shared_state import Access, Effect, EntryKind, Race, by_cause, races
from ftaudit.target import Target

Survey = Mapping[str, Any]
"""The first pass's result for one file: only JSON values, because it is cached and crosses processes."""

RoomContext = TypeVar("RoomContext")
Made = TypeVar("Made")


class Room(StrEnum):
    """A sub-package of `ftaudit.source`: one reader, for one family of languages."""

    BUILD = "build"
    C = "c"
    CYTHON = "cython"
    PYTHON = "python"
    RUST = "rust"


ROOM_OF: dict[Language, Room] = {
    Language.BUILD: Room.BUILD,
    Language.C: Room.C,
    Language.CPP: Room.C,
    Language.CYTHON: Room.CYTHON,
    Language.PYTHON: Room.PYTHON,
    Language.RUST: Room.RUST,
}


class Role(StrEnum):
    """A file's role in its project; the first is checked by default, and so is generated code, for declarations."""

    OWN = "own"
    GENERATED = "generated"
    TEST = "test"
    VENDORED = "vendored"
    BUILT = "built"
    """Files that a build left in the tree: copies of other files, and output of tools."""
    SCRIPT = "script"
    """Python that builds, tests or releases the project, one process at a time; checked for its declarations only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFile:
    """The text of one file, in one of its languages, and the target that it is checked for."""

    path: str
    """As findings name it, with forward slashes: relative to the folder of the scan if it is below that folder."""
    language: Language
    text: str
    target: Target
    role: Role = Role.OWN


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeContext:
    """The first pass's result for the whole tree: one object for each room, made by its reader."""

    paths: tuple[str, ...] = ()
    """Every file of the scan, sorted."""
    rooms: Mapping[Room, object] = field(default_factory=dict)

    def of(self, room: Room, kind: type[RoomContext]) -> RoomContext:
        """Return the context that the room's reader made for the tree, or `kind()` if it made none."""
        found = self.rooms.get(room)
        return found if isinstance(found, kind) else kind()


class ParseError(Exception):
    """A file cannot be parsed: the scan reports it as a skipped row and goes on."""

    def __init__(self, reason: str, *, line: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


class Unit:
    """One parsed file. Rooms subclass it; a unit lives in one worker, and computes each result once."""

    def __init__(self, source: SourceFile, context: TreeContext) -> None:
        self.source = source
        self.context = context

    @property
    def path(self) -> str:
        """The path as findings name it."""
        return self.source.path

    @property
    def text(self) -> str:
        """The file's text, decoded."""
        return self.source.text

    @property
    def target(self) -> Target:
        """The free-threaded CPython that the scan is for."""
        return self.source.target

    @cached_property
    def data(self) -> bytes:
        """The text in UTF-8: what byte offsets of tree-sitter and column offsets of `ast` count in."""
        return self.source.text.encode()

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The lines without their ends; line *n* of the file is `lines[n - 1]`."""
        return tuple(self.source.text.split("\n"))

    @cached_property
    def _starts(self) -> list[int]:
        starts = [0]
        starts += (i + 1 for i, byte in enumerate(self.data) if byte == 0x0A)
        return starts

    def line_of(self, offset: int) -> int:
        """Return the line, from 1, of a byte offset."""
        return bisect.bisect_right(self._starts, offset)

    def location(self, line: int, column: int = 1) -> Location:
        """Return the place in this file; both count from 1."""
        return Location(path=self.source.path, line=line, column=column)

    def at(self, offset: int) -> Location:
        """Return the place of a byte offset."""
        line = self.line_of(offset)
        return self.location(line, offset - self._starts[line - 1] + 1)

    def offset_of(self, place: Location) -> int:
        """Return the byte offset in `data` of a place in this file, whose column counts bytes."""
        return self._starts[(place.line or 1) - 1] + (place.column or 1) - 1

    def edit(self, start: int, end: int, replacement: str) -> SourceEdit:
        """Return the edit that replaces the bytes from `start` to `end` of `data` with a text."""
        replaced = self.data[start:end].decode()
        return SourceEdit(path=self.path, start=start, end=end, replaced=replaced, replacement=replacement)

    def once(self, make: Callable[[Any], Made]) -> Made:
        """Return `make(self)`, computed on first use, and once."""
        if make not in self._made:
            self._made[make] = make(self)
        return cast(Made, self._made[make])

    @cached_property
    def _made(self) -> dict[Callable[[Any], Any], Any]:
        return {}

    def statement_lines(self, line: int) -> tuple[int, int]:
        """Return the first and last line of the statement that a finding on `line` belongs to.

        A silencing comment anywhere in it counts. Rooms that know statements override this.
        """
        return line, line


UnitType = TypeVar("UnitType", bound=Unit)


class Reader(ABC):
    """One room's way to read its languages. The module `ftaudit.source.<room>` has an instance named `READER`.

    The scan calls `survey` for each file first (no rule, no parser: a quick look with regular expressions), `gather`
    once with all surveys of the tree, and `parse` for each file that rules check. `survey` and `parse` run in
    worker processes or threads; a reader keeps no state.
    """

    room: ClassVar[Room]
    languages: ClassVar[frozenset[Language]]
    needs: ClassVar[frozenset[Room]] = frozenset()
    """The rooms whose context this one's units use; its files are checked again when those change."""

    alone: ClassVar[bool] = False
    """Its units use no context at all: its files are checked in the first pass."""

    def prepare(self) -> None:
        """Import the parser before workers start: an extension that enables the GIL decides the kind of workers."""
        return

    def survey(self, source: SourceFile) -> Survey | None:
        """Return what other files of the tree need to know about this one, or `None` for nothing."""
        return None

    def gather(self, surveys: Mapping[str, Survey]) -> object | None:
        """Return the room's context of the whole tree, from the surveys by path (sorted). Deterministic; picklable."""
        return None

    def gaps(self, context: Any) -> Iterable[tuple[str, int | None, str]]:
        """Yield the open questions of the tree as path, line and reason: each becomes a row of what was not checked."""
        return ()

    def wants(self, source: SourceFile, rules: Sequence[SourceRule]) -> bool:
        """Return whether any of the rules can find something in the text: a cheap first test. When unsure, yes.

        Raise `ParseError` for a file that a full look could not parse.
        """
        return True

    def select(self, source: SourceFile, rules: Sequence[SourceRule]) -> Sequence[SourceRule]:
        """Return the rules that may find something in the text; without any, it does not need a parse.

        Raise `ParseError` for a file that a full look could not parse.
        """
        return rules if self.wants(source, rules) else ()

    def has_state(self, source: SourceFile, context: TreeContext) -> bool:
        """Return whether the file may touch state that threads share: a cheap first test. When unsure, yes."""
        return False

    def summarize(self, unit: Any) -> Survey | None:
        """Return what the file's functions do to shared state, and which functions they call; `None` for nothing.

        Runs where rules check the unit. `compose` receives the summaries of all files.
        """
        return None

    def compose(self, summaries: Mapping[str, Survey], context: TreeContext) -> tuple[Access, ...]:
        """Return every way in which an entry point reaches shared state, from the summaries by path (sorted)."""
        return ()

    @abstractmethod
    def parse(self, source: SourceFile, context: TreeContext) -> Unit:
        """Return the unit, or raise `ParseError`."""


class _UnitRule(SourceRule):
    """A rule that receives one parsed file at a time."""

    generated: ClassVar[bool] = False
    """Whether it also checks generated code (rules about declarations do)."""

    summarized: ClassVar[bool] = False
    """Whether it checks the state that threads share, so that the state table can be made as well."""

    def check(self, unit: Any) -> Iterator[Finding]:
        """Yield the findings. Pure: depends only on the unit and its context."""
        raise NotImplementedError


class PythonRule(_UnitRule):
    """A rule that checks one Python module (`ftaudit.source.python.PythonModule`)."""

    languages = frozenset({Language.PYTHON})
    words: ClassVar[tuple[str, ...]] = ()
    """The words of which a text must contain one for the rule to find anything; empty for no requirement."""
    needles: ClassVar[re.Pattern[str] | None] = None
    """A pattern that a text must also match: other files are not parsed for the rule. `None`: anything."""
    signals: ClassVar[Flag | None] = None
    """The signals of which the text must also give one (`ftaudit.source.python.Signal`)."""


class CRule(_UnitRule):
    """A rule that checks one C or C++ file (`ftaudit.source.c.CUnit`)."""

    languages = frozenset({Language.C, Language.CPP})
    words: ClassVar[tuple[str, ...]] = ()
    """The words of which a text must contain one for the rule to find anything; empty for no requirement."""


class CythonRule(_UnitRule):
    """A rule that checks one Cython file (`ftaudit.source.cython.CythonUnit`)."""

    languages = frozenset({Language.CYTHON})


class RustRule(_UnitRule):
    """A rule that checks one Rust file (`ftaudit.source.rust.RustUnit`)."""

    languages = frozenset({Language.RUST})


class BuildRule(SourceRule):
    """A rule that checks the project as a whole, once: `check(project)`, with every room's context.

    For facts that no single file shows: whether a Cython module gets its directive from `setup.py`, the PyO3 version.
    """

    languages = frozenset({Language.BUILD})

    def check(self, project: Project) -> Iterator[Finding]:
        """Yield the findings. Pure: depends only on the project."""
        raise NotImplementedError


class SharedStateRule(BuildRule):
    """A rule that reports the races in what one room's reader composed: one finding for each piece of state."""

    room: ClassVar[Room]

    def check(self, project: Project) -> Iterator[Finding]:
        """Yield one finding for each cause, at the first place to fix, with all sites."""
        for cause in by_cause(races(project.accesses.get(self.room, ()))):
            text = describe_type(cause)
            yield self.finding(
                text.message,
                location=cause[0].fault.location,
                severity=Severity.PEDANTIC if _is_only_exposed(cause) else cause[0].effect.severity,
                interleaving=text.interleaving,
                sites=text.sites,
            )


def _is_only_exposed(cause: Iterable[Race]) -> bool:
    """Return whether numbers race only because a binding exposes them: nothing but the caller's own code uses them."""
    return all(
        race.effect is Effect.LOST and all(site.entry_point.kind is EntryKind.PROPERTY for site in race.sites)
        for race in cause
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class IdleComment:
    """One name in an ftaudit silencing comment that silences nothing."""

    location: Location
    """The place of the comment."""
    name: str | None
    """The name, code or prefix of a code as the comment writes it; `None` for a comment that silences every rule."""
    exists: bool
    """Whether any rule has that name."""


class CommentRule(SourceRule):
    """A rule that checks the comments that silence findings, once, after every other rule: `check(comments)`."""

    languages = frozenset(Language)

    def check(self, comments: Sequence[IdleComment]) -> Iterator[Finding]:
        """Yield the findings. Pure: depends only on the comments."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """The whole tree, as a `BuildRule` sees it."""

    context: TreeContext
    target: Target
    findings: tuple[Finding, ...] = ()
    """The findings of the rules for files, without silenced ones; rules that need none ignore it."""
    roles: Mapping[str, Role] = field(default_factory=dict)
    """The role of each file, by path."""
    accesses: Mapping[Room, tuple[Access, ...]] = field(default_factory=dict)
    """The accesses to shared state, of the rooms that a `SharedStateRule` is for."""

    def location(self, path: str, line: int = 1, column: int = 1) -> Location:
        """Return a place in a file of the project."""
        return Location(path=path, line=line, column=column)


def stateful_rooms(rules: Iterable[SourceRule]) -> frozenset[Room]:
    """Return the rooms whose files must be summarized for the rules."""
    rules = tuple(rules)
    found = {rule.room for rule in rules if isinstance(rule, SharedStateRule)}
    found |= rooms_of(rule for rule in rules if isinstance(rule, _UnitRule) and rule.summarized)
    return frozenset(found)


def rooms_of(rules: Iterable[SourceRule]) -> frozenset[Room]:
    """Return the rooms that the rules check, without those whose contexts they need."""
    return frozenset(
        ROOM_OF[language] for rule in rules if not isinstance(rule, CommentRule) for language in rule.languages
    )
