"""The model of one Python module that rules share: shared state, locks, and what runs when."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from ftaudit.model import Location
from ftaudit.source.python.lazy import LazyInit, find_lazy_inits
from ftaudit.source.python.locking import Locking
from ftaudit.source.python.sharing import Shared, Where, identity
from ftaudit.source.python.tree import targets_of

MUTATORS: Final = frozenset(
    [
        "append",
        "extend",
        "insert",
        "remove",
        "pop",
        "popitem",
        "popleft",
        "appendleft",
        "extendleft",
        "clear",
        "update",
        "add",
        "discard",
        "setdefault",
        "sort",
        "reverse",
        "difference_update",
        "intersection_update",
        "symmetric_difference_update",
        "move_to_end",
        "rotate",
        "subtract",
    ]
)
HANDED_OVER: Final = "handed over"
"""The ways to change a container that an object passes to another one, which may belong to another thread."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """A place in a function that changes a shared object in place."""

    node: ast.AST
    shared: Shared
    how: str
    """`[]=`, `del`, or the method's name."""

    @property
    def line(self) -> int:
        """Its place."""
        return int(getattr(self.node, "lineno", 0))


class PythonModule(Locking):
    """One Python module. Everything is computed on first use, and once."""

    def place(self, node: ast.AST) -> Location:
        """Return where a node begins."""
        return self.location(getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1)

    def statement_lines(self, line: int) -> tuple[int, int]:
        """Return the lines of the simple statement, or of the head of the compound one, that the line is in."""
        best = (line, line)
        for statement in self._statements:
            first, last = statement.lineno, statement.end_lineno or statement.lineno
            body = getattr(statement, "body", None)
            if isinstance(body, list) and body:
                last = max(first, body[0].lineno - 1)
            if first <= line <= last and (best == (line, line) or last - first < best[1] - best[0]):
                best = (first, last)
        return best

    @cached_property
    def _statements(self) -> list[ast.stmt]:
        return [node for node in ast.walk(self.tree.root) if isinstance(node, ast.stmt)]

    @cached_property
    def mutations(self) -> list[Mutation]:
        """Every in-place change of a shared object, in functions that run after import."""
        return [
            Mutation(node, shared, how)
            for node, target, how in self._changes()
            if (shared := self.shared(target)) is not None and self.in_function(node) is not None
        ]

    @cached_property
    def lazy_inits(self) -> list[LazyInit]:
        """Every lazy initialization of a global or of an attribute, locked or not."""
        return find_lazy_inits(self)

    def _changes(self) -> Iterator[tuple[ast.AST, ast.expr, str]]:
        for statement in self.assignments():
            for target in targets_of(statement):
                if isinstance(target, ast.Subscript):
                    yield statement, target.value, "del" if isinstance(statement, ast.Delete) else "[]="
            match statement:
                case ast.Assign(
                    targets=[ast.Attribute(value=ast.Name(id=other))],
                    value=ast.Attribute(value=ast.Name(id="self")) as given,
                ) if other != "self":
                    yield statement, given, HANDED_OVER
                case _:
                    pass
        for call in self.tree.all(ast.Call):
            match call.func:
                case ast.Attribute(value=value, attr=method) if method in MUTATORS:
                    yield call, value, method
                case _:
                    pass

    @cached_property
    def mutations_of(self) -> dict[str, list[Mutation]]:
        """The changes by the name of the changed object, including class names."""
        found: dict[str, list[Mutation]] = defaultdict(list)
        for mutation in self.mutations:
            found[identity(mutation.shared)].append(mutation)
        return found


__all__ = ["HANDED_OVER", "MUTATORS", "Mutation", "PythonModule", "Shared", "Where", "identity"]
