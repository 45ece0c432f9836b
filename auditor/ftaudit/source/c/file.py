"""`CFile`: the text of one C or C++ file: its code, its functions, and the calls in them."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Final

from ftaudit.model import Location, SourceEdit
from ftaudit.rule import Language
from ftaudit.source.base import Room, SourceFile, TreeContext, Unit
from ftaudit.source.c.c_tree import CTree
from ftaudit.source.c.comments import Comment, mask_comments
from ftaudit.source.c.conditions import known_macros
from ftaudit.source.c.functions import Function
from ftaudit.source.c.preprocess import Preprocessed, preprocess
from ftaudit.source.c.syntax import FunctionFinder, Syntax, parse_syntax
from ftaudit.source.c.text import KEYWORDS, closing, split_arguments

_CALLED_BACKWARDS: Final = re.compile(r"\(\s*(\w+)")
"""A name before a bracket, in a text that is read from its end: brackets are fewer than names, and faster to find."""
_LONGEST_CALL: Final = 6_000
"""How many characters of a call's arguments are read."""
_WORD: Final = re.compile(r"\w")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a function or use of a function-like macro inside a function's body."""

    name: str
    start: int
    open: int
    """The offset of `(`."""
    end: int
    """Just after `)`."""
    arguments: tuple[str, ...]
    """As written, with comments and strings blanked."""
    function: Function | None


class CFile(Unit):
    """One C or C++ file by itself; `CUnit` adds the models.

    Offsets count characters of `text`; `code` is the text with comments, the insides of literals, directives and the
    regions that a free-threaded build leaves out blanked, at the same offsets.
    """

    def __init__(self, source: SourceFile, context: TreeContext) -> None:
        super().__init__(source, context)
        self.cpp = source.language is Language.CPP
        self.tree = context.of(Room.C, CTree)

    @cached_property
    def _uncommented(self) -> tuple[str, list[tuple[int, int]]]:
        return mask_comments(self.text)

    @property
    def uncommented(self) -> str:
        """The text with comments and the insides of literals blanked, directives and dead regions kept."""
        return self._uncommented[0]

    @cached_property
    def comments(self) -> tuple[Comment, ...]:
        """Every comment, including those of dead regions."""
        return tuple(Comment(start, end, self.text[start:end]) for start, end in self._uncommented[1])

    @cached_property
    def preprocessed(self) -> Preprocessed:
        """Macros and conditional regions."""
        known = {**known_macros(self.target, cpp=self.cpp), **self.tree.macros}
        return preprocess(self._uncommented[0], known)

    @cached_property
    def code(self) -> str:
        """The part of the text that a free-threaded build compiles, masked."""
        return self.preprocessed.code

    @cached_property
    def syntax(self) -> Syntax:
        """Functions and declarations."""
        return parse_syntax(self.code, cpp=self.cpp, text=self.text)

    @cached_property
    def functions(self) -> tuple[Function, ...]:
        """The functions, sorted by place."""
        return self.syntax.functions

    @cached_property
    def _finder(self) -> FunctionFinder:
        return FunctionFinder(self.functions)

    def function_at(self, offset: int) -> Function | None:
        """Return the innermost function around a place."""
        return self._finder.at(offset)

    @cached_property
    def _line_starts(self) -> list[int]:
        # A line takes its length plus one; without a Python loop, which would be slow for megabytes.
        return [0, *accumulate(map((1).__add__, map(len, self.text.split("\n"))))][:-1]

    def line_at(self, offset: int) -> int:
        """Return the line, from 1, of a character offset."""
        return bisect_right(self._line_starts, offset)

    def place(self, offset: int) -> Location:
        """Return the place of a character offset."""
        line = self.line_at(offset)
        return self.location(line, offset - self._line_starts[line - 1] + 1)

    def index_of(self, place: Location) -> int:
        """Return the character offset of a place in this file."""
        return self._line_starts[(place.line or 1) - 1] + (place.column or 1) - 1

    def edit_text(self, start: int, end: int, replacement: str) -> SourceEdit:
        """Return the edit that replaces the characters from `start` to `end` of `text` with another text."""
        first = len(self.text[:start].encode())
        return self.edit(first, first + len(self.text[start:end].encode()), replacement)

    def statement_lines(self, line: int) -> tuple[int, int]:
        """Return the first and last line of the statement on a line: to the semicolon or brace before and after."""
        start = self._line_starts[line - 1]
        code = self.code
        stop = self._line_starts[line] - 1 if line < len(self._line_starts) else len(code)
        first = start + len(code[start:stop]) - len(code[start:stop].lstrip())
        before = max(code.rfind(mark, max(0, first - 2000), first) for mark in ";{}")
        after = min((at for mark in ";{}" if (at := code.find(mark, first, first + 2000)) >= 0), default=first)
        begin = before + 1 + len(code[before + 1 : first]) - len(code[before + 1 : first].lstrip())
        return min(line, self.line_at(begin)), max(line, self.line_at(after))

    @cached_property
    def called_names(self) -> frozenset[str]:
        """Every name that precedes a bracket."""
        return frozenset(name[::-1] for name in set(_CALLED_BACKWARDS.findall(self.code[::-1])))

    @cached_property
    def _calls(self) -> dict[str, tuple[int, ...]]:
        return {}

    def _places(self, name: str) -> tuple[int, ...]:
        """Return the places where a name precedes a bracket."""
        if name not in self.called_names:
            return ()
        places = self._calls.get(name)
        if places is None:
            # A pattern that begins with plain letters is fast; the text before the match is checked afterwards.
            found = (match.start() for match in re.finditer(rf"{re.escape(name)}\s*\(", self.code))
            places = self._calls[name] = tuple(at for at in found if not _WORD.match(self.code[at - 1 : at]))
        return places

    def calls(self, *names: str) -> list[Call]:
        """Return the calls of the functions named, inside functions of this file, in order."""
        found = [call for name in names for place in self._places(name) if (call := self._call(name, place))]
        return sorted(found, key=lambda call: call.start)

    def _call(self, name: str, start: int) -> Call | None:
        bracket = self.code.index("(", start)
        if name in KEYWORDS:
            return None
        function = self.function_at(start)
        if function is None:
            return None
        end = closing(self.code, bracket, min(function.end, bracket + _LONGEST_CALL))
        if end < 0:
            return None
        arguments = tuple(self.code[a:b] for a, b in split_arguments(self.code, bracket + 1, end))
        return Call(name, start, bracket, end + 1, arguments, function)
