"""A test in one locked region of a function and the action in a later one: the lock is released in between."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftaudit.source.python.tree import inside, targets_of

if TYPE_CHECKING:
    from ftaudit.source.python.module import PythonModule


@dataclass(frozen=True, slots=True)
class SplitDecision:
    """A value that one region checks and a later region of the same lock changes without another check."""

    asked: ast.AST
    """The check in the first region."""
    change: ast.stmt
    state: str
    """The expression that is checked and changed, as in the source: `self._known`."""
    lock: str


def split_decisions(module: PythonModule) -> Iterator[SplitDecision]:
    """Yield each decision that spans two regions of one lock, in functions that run after import."""
    regions: dict[ast.AST, list[tuple[ast.With, str]]] = {}
    for region in module.tree.all(ast.With):
        locks = [ast.unparse(item.context_expr) for item in region.items if module.is_lock(item.context_expr)]
        function = module.in_function(region)
        if locks and isinstance(function, ast.FunctionDef):
            regions.setdefault(function, []).append((region, locks[0]))
    for node, some in regions.items():
        if isinstance(node, ast.FunctionDef) and len(some) > 1:
            yield from _in_function(node, sorted(some, key=lambda one: one[0].lineno))


def _in_function(function: ast.FunctionDef, regions: list[tuple[ast.With, str]]) -> Iterator[SplitDecision]:
    branched = {
        node.id
        for test in inside(function.body)
        if isinstance(test, (ast.If, ast.While, ast.IfExp))
        for node in inside(test.test)
        if isinstance(node, ast.Name)
    }
    asked: dict[tuple[str, str], tuple[ast.AST, int]] = {}
    for region, lock in regions:
        reads = _reads(region, branched)
        for state, change in _changes(region):
            earlier = asked.get((lock, state))
            again = any(node.lineno <= change.lineno for node in _mentions(region, state, change))
            fills = earlier is not None and _is_cached_value(earlier[0], change)
            if earlier is not None and earlier[1] < region.lineno and not again and not fills:
                yield SplitDecision(asked=earlier[0], change=change, state=state, lock=lock)
                del asked[lock, state]
        changed = {state for state, _ in _changes(region)}
        claimed = any(map(_claims, inside(region.body)))
        for state, node in reads:
            if state not in changed and not claimed:
                asked[lock, state] = node, region.end_lineno or region.lineno


def _claims(node: ast.AST) -> bool:
    """Return whether a region notes that this thread does the work: `self._pending.add(key)`. Others wait for it."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Attribute() | ast.Name(), attr="add"), args=[_]):
            return True
        case _:
            return False


def _is_cached_value(asked: ast.AST, change: ast.stmt) -> bool:
    """Return whether a look-up with `get` found nothing and the change stores a value computed for the key.

    Two threads can compute the value, and the later one replaces the earlier one: work is lost, but no state.
    """
    match asked, change:
        case (
            ast.Assign(value=ast.Call(func=ast.Attribute(attr="get"), args=[key, *_])),
            ast.Assign(targets=[ast.Subscript(slice=stored)], value=ast.Name()),
        ):
            return ast.unparse(key) == ast.unparse(stored)
        case _:
            return False


def _reads(region: ast.With, branched: set[str]) -> Iterator[tuple[str, ast.AST]]:
    """Yield the checks of a region that decide the function's result: by a return, or through a local name."""
    for node in inside(region.body):
        match node:
            case ast.If(test=test, body=[*_, ast.Return() | ast.Raise() | ast.Continue()]):
                yield from ((state, node) for state in _asked(test))
            case ast.Try(body=[ast.Return(value=ast.Subscript(value=container))]):
                yield ast.unparse(container), node
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if (
                # A mere copy is not a check.
                name in branched and not isinstance(value, ast.Attribute)
            ):
                yield from ((state, node) for state in _asked(value))
            case _:
                pass


def _asked(value: ast.expr) -> Iterator[str]:
    match value:
        case ast.BoolOp(values=values):
            for each in values:
                yield from _asked(each)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield from _asked(operand)
        case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[container]):
            yield ast.unparse(container)
        case ast.Compare(left=left, ops=[ast.Is() | ast.IsNot()], comparators=[ast.Constant(value=None)]):
            yield from _asked(left)
        case ast.Call(func=ast.Attribute(value=container, attr="get"), args=[_, *_]):
            yield ast.unparse(container)
        case ast.Attribute():
            yield ast.unparse(value)
        case _:
            pass


def _changes(region: ast.With) -> Iterator[tuple[str, ast.stmt]]:
    for node in sorted(
        (node for node in inside(region.body) if isinstance(node, (ast.Assign, ast.Delete))),
        key=lambda node: node.lineno,
    ):
        for target in targets_of(node):
            match target:
                case ast.Subscript(value=container):
                    yield ast.unparse(container), node
                case ast.Attribute():
                    yield ast.unparse(target), node
                case _:
                    pass


def _mentions(region: ast.With, state: str, change: ast.stmt) -> Iterator[ast.expr]:
    """Yield the places where a region reads the state before it changes it: the repeated check."""
    last = state.rpartition(".")[2]
    own = {id(node) for target in targets_of(change) for node in inside(target)}
    for node in inside(region.body):
        if isinstance(node, (ast.Name, ast.Attribute)) and id(node) not in own:
            named = node.id if isinstance(node, ast.Name) else node.attr
            if named == last and isinstance(node.ctx, ast.Load):
                yield node
