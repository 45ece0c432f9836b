"""Python source: the module model that the FT5xx rules share."""

from __future__ import annotations

from collections.abc import Sequence

from ftaudit.rule import Language, SourceRule
from ftaudit.source.base import Reader, Room, SourceFile, TreeContext
from ftaudit.source.python.module import PythonModule
from ftaudit.source.python.parse import check_syntax, parse_module


class PythonReader(Reader):
    """Reads Python with the standard `ast`, and with libcst what is newer than the interpreter that runs ftaudit."""

    room = Room.PYTHON
    languages = frozenset({Language.PYTHON})
    alone = True

    def wants(self, source: SourceFile, rules: Sequence[SourceRule]) -> bool:
        """Look for the words without which no rule finds anything; a file without them is only checked for syntax."""
        needles = [getattr(rule, "needles", None) for rule in rules]
        if any(pattern is None or pattern.search(source.text) for pattern in needles):
            return True
        check_syntax(source.text)
        return False

    def parse(self, source: SourceFile, context: TreeContext) -> PythonModule:
        """Return the module's model, or raise `ParseError`."""
        return PythonModule(source, context, parse_module(source.text))


READER = PythonReader()

__all__ = ["READER", "PythonModule", "PythonReader"]
