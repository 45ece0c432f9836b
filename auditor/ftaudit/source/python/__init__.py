"""Python source: the module model that the Python rules share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ftaudit.rule import Language, SourceRule
from ftaudit.source.base import PythonRule, Reader, Room, SourceFile, Survey, TreeContext
from ftaudit.source.python.module import PythonModule
from ftaudit.source.python.object_states import find_states
from ftaudit.source.python.parse import check_syntax, parse_module
from ftaudit.source.python.signals import Signal, find_signals, may_share_objects
from ftaudit.source.shared_state import Access, access_of, access_row


class PythonReader(Reader):
    """Reads Python with the standard `ast`, and syntax newer than the running interpreter with libcst."""

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

    def has_state(self, source: SourceFile, context: TreeContext) -> bool:
        """Return whether the text mentions locks or threads, or has the only object of a private class."""
        return "class " in source.text and may_share_objects(source.text)

    def summarize(self, unit: PythonModule) -> Survey | None:
        """Return the uses of the attributes of the module's shared objects: calls are followed within a module."""
        rows = [access_row(access) for state in find_states(unit) for access in state.accesses]
        return {"accesses": rows} if rows else None

    def compose(self, summaries: Mapping[str, Survey], context: TreeContext) -> tuple[Access, ...]:
        """Return the accesses of all modules."""
        return tuple(access_of(row) for summary in summaries.values() for row in summary["accesses"])

    def parse(self, source: SourceFile, context: TreeContext) -> PythonModule:
        """Return the module's model, or raise `ParseError`."""
        return PythonModule(source, context, parse_module(source.text))


READER = PythonReader()

__all__ = ["READER", "PythonModule", "PythonReader", "Signal"]
