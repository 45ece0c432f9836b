"""Python source: the module model that the Python rules share."""

from __future__ import annotations

from collections.abc import Sequence

from ftaudit.rule import Language, SourceRule
from ftaudit.source.base import PythonRule, Reader, Room, SourceFile, TreeContext
from ftaudit.source.python.module import PythonModule
from ftaudit.source.python.parse import check_syntax, parse_module
from ftaudit.source.python.signals import Signal, find_signals


class PythonReader(Reader):
    """Reads Python with the standard `ast`, and with libcst what is newer than the interpreter that runs ftaudit."""

    room = Room.PYTHON
    languages = frozenset({Language.PYTHON})
    alone = True

    def select(self, source: SourceFile, rules: Sequence[SourceRule]) -> Sequence[SourceRule]:
        """Return the rules whose words, pattern and signals the text has; without any it is only checked for syntax."""
        signals: Signal | None = None
        chosen: list[SourceRule] = []
        for rule in rules:
            match rule:
                case PythonRule(words=words, needles=needles, signals=wanted):
                    if words and not any(map(source.text.__contains__, words)):
                        continue
                    if needles is not None and not needles.search(source.text):
                        continue
                    if wanted is not None:
                        signals = find_signals(source.text) if signals is None else signals
                        if not wanted & signals:
                            continue
                case _:
                    pass
            chosen.append(rule)
        if not chosen:
            check_syntax(source.text)
        return chosen

    def parse(self, source: SourceFile, context: TreeContext) -> PythonModule:
        """Return the module's model, or raise `ParseError`."""
        return PythonModule(source, context, parse_module(source.text))


READER = PythonReader()

__all__ = ["READER", "PythonModule", "PythonReader", "Signal"]
