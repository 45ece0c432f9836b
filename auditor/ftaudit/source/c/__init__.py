"""C and C++: the first pass's facts about a tree, and the units that rules receive."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Final

from ftaudit.extras import C_PARSER, Extra, why_missing
from ftaudit.rule import Language, SourceRule
from ftaudit.source.base import CRule, ParseError, Reader, Room, SourceFile, Survey, TreeContext
from ftaudit.source.c.c_tree import CTree, gather_c, survey_c
from ftaudit.source.c.comments import mask_comments
from ftaudit.source.c.compose import compose_c
from ftaudit.source.c.embedded import embedded_c
from ftaudit.source.c.file import Call
from ftaudit.source.c.preprocess import preprocess
from ftaudit.source.c.summary import summarize_c
from ftaudit.source.c.syntax import load_grammars
from ftaudit.source.c.unit import CUnit
from ftaudit.source.shared_state import Access

__all__ = ["READER", "CReader", "CTree", "CUnit", "Call"]


_HOLE: Final = re.compile(r"@(\w+)@")
"""Placeholders of NumPy's templates, and Tempita's."""
MOST_UNCLOSED: Final = 2_000
"""Brackets of one kind without a counterpart; conditional compilation leaves a few in real files."""

LONGEST_STATEMENT: Final = 10_000
"""Characters in which a program has a comma, semicolon or brace; without one, parsers need minutes."""
_NO_MATTER: Final = re.compile(r"[\s()]+")
"""Blanks, and the brackets that are counted by themselves."""
_STATEMENT_ENDS: Final = re.compile(r"[;{},]")
LEAST_BROKEN: Final = 3
"""Braces without a counterpart in a file that is not C; one that another includes may open a block or two for it."""
_WHOLE: Final = (".c", ".cc", ".cpp", ".cxx", ".c++")


class CReader(Reader):
    """Reads C and C++, their headers and templates."""

    room = Room.C
    languages = frozenset({Language.C, Language.CPP})
    needs = frozenset({Room.BUILD})

    def prepare(self) -> None:
        """Import tree-sitter and both grammars."""
        load_grammars()

    def survey(self, source: SourceFile) -> Survey | None:
        """Return the lock and TLS macros, entry points and changed containers of one file."""
        return survey_c(_c_of(source))

    def gather(self, surveys: Mapping[str, Survey]) -> CTree:
        """Return the context that the files of the tree share."""
        return gather_c(surveys)

    def gaps(self, context: CTree) -> Iterable[tuple[str, int | None, str]]:
        """Yield the files that make a module although no entry point was recognized in the tree."""
        reason = "makes a module, but no entry point was recognized, so its declaration could not be determined"
        return ((path, line, reason) for path, line in context.without_entry)

    def has_state(self, source: SourceFile, context: TreeContext) -> bool:
        """Return whether the text may define functions that reach objects of Python."""
        text = source.text
        if "{" not in text:
            return False
        return "Py" in text or any(map(text.__contains__, context.of(Room.C, CTree).objects))

    def summarize(self, unit: CUnit) -> Survey | None:
        """Return the effects of the file's functions on their arguments, and its entry points."""
        return summarize_c(unit)

    def compose(self, summaries: Mapping[str, Survey], context: TreeContext) -> tuple[Access, ...]:
        """Return every way in which an entry point reaches a field of an object."""
        return compose_c(summaries, context.of(Room.C, CTree).locking)

    def select(self, source: SourceFile, rules: Sequence[SourceRule]) -> Sequence[SourceRule]:
        """Return the rules whose words the text has."""
        source = _c_of(source)
        text = source.text
        if not text.strip():
            return ()
        of_python = "Py" in text
        chosen: list[SourceRule] = []
        for rule in rules:
            match rule:
                case CRule(words=words) if words:
                    if any(map(text.__contains__, _triggers(words, of_python))):
                        chosen.append(rule)
                case _:
                    chosen.append(rule)
        if not chosen:
            _check_brackets(source)
        return chosen

    def parse(self, source: SourceFile, context: TreeContext) -> CUnit:
        """Return the unit; nothing is parsed before a rule asks.

        Raise `ParseError` for a text with thousands of brackets that are never closed: recovering from that takes a
        parser minutes, and it is not a program. Likewise for a source file most of whose braces are never closed, and
        if the parser is not installed.
        """
        if reason := why_missing(Extra.SOURCE, C_PARSER):
            raise ParseError(reason)
        source = _c_of(source)
        _check_brackets(source)
        return CUnit(source, context)


@cache
def _triggers(words: tuple[str, ...], of_python: bool) -> tuple[str, ...]:
    """Return the fewest of the words that a text with one of them holds, with or without `Py` in it."""
    possible = [word for word in words if of_python or "Py" not in word]
    return tuple(word for word in possible if not any(part in word and part != word for part in possible))


def _check_brackets(source: SourceFile) -> None:
    text = source.text
    if len(text) > LONGEST_STATEMENT and max(map(len, _STATEMENT_ENDS.split(text))) > LONGEST_STATEMENT:
        code = preprocess(mask_comments(text)[0], {}).code
        longest = max(len(_NO_MATTER.sub("", piece)) for piece in _STATEMENT_ENDS.split(code))
        if longest > LONGEST_STATEMENT:
            raise ParseError(f"not C or C++: more than {LONGEST_STATEMENT:,} characters without an end of a statement")
    counts = {bracket: text.count(bracket) for bracket in "(){}[]"}
    for opening, closing in ("()", "{}", "[]"):
        if abs(counts[opening] - counts[closing]) > MOST_UNCLOSED:
            raise ParseError(f"more than {MOST_UNCLOSED:,} {opening} and {closing} are unmatched")
    if source.path.endswith(_WHOLE):
        opened, closed = counts["{"], counts["}"]
        if abs(opened - closed) >= LEAST_BROKEN and min(opened, closed) * 3 < max(opened, closed):
            raise ParseError(f"not C or C++: {opened:,} {{ and {closed:,} }}")


def _c_of(source: SourceFile) -> SourceFile:
    """Return the file itself; for Python, the C that it passes to CFFI; for a template, `n_@t@` as a plain name."""
    if source.path.endswith((".py", ".pyw")):
        return replace(source, text=embedded_c(source.text))
    if source.path.endswith((".src", ".in")) and "@" in source.text:
        return replace(source, text=_HOLE.sub(r"_\1_", source.text))
    return source


READER = CReader()
