"""The fix that loops over a copy: `list(…)` around the iterable of a loop."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from ftaudit.model import Applicability, Fix, NoFix, Obstacle, SourceEdit
from ftaudit.source.python import PythonModule
from ftaudit.source.python.tree import Tree


def copy_before_loops(
    module: PythonModule, loops: Iterable[tuple[ast.AST, ast.expr]], *, faithful: bool = True
) -> Fix | NoFix:
    """Return the edits that put `list()` around the iterable of each loop.

    The fix is safe if the loop sees the same items as before: the keys, or the values of a container that the function
    does not change during the loop. A generator continues later, when a copy may be out of date.
    """
    if _is_rebound(module.tree, "list"):
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    edits: list[SourceEdit] = []
    safe = faithful
    for node, source in loops:
        inner = _within_wrappers(source)
        if inner.end_lineno is None or inner.end_col_offset is None:
            return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
        start = _offset(module, inner.lineno, inner.col_offset)
        end = _offset(module, inner.end_lineno, inner.end_col_offset)
        if _parenthesised_generator(module, node, inner):
            safe = False
        edits += (module.edit(start, start, "list("), module.edit(end, end, ")"))
        safe = safe and not (_sees_values(inner) and _changes_something(module, node))
    if not edits:
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    applicability = Applicability.SAFE if safe else Applicability.SUGGESTED
    return Fix(applicability=applicability, edits=tuple(dict.fromkeys(edits)))


def _offset(module: PythonModule, line: int, column: int) -> int:
    return module.offset_of(module.location(line, column + 1))


def _within_wrappers(source: ast.expr) -> ast.expr:
    """Return `d.items()` of `enumerate(d.items())`, `iter(d.items())` and the like."""
    match source:
        case ast.Call(func=ast.Name(id="iter" | "enumerate" | "filter" | "map"), args=[*_, inner], keywords=[]):
            return _within_wrappers(inner)
        case _:
            return source


def _sees_values(source: ast.expr) -> bool:
    return isinstance(source, ast.Call) and isinstance(source.func, ast.Attribute) and source.func.attr != "keys"


def _changes_something(module: PythonModule, node: ast.AST) -> bool:
    """Return whether the loop's own code assigns to items or calls a method that changes a container."""
    loop = module.tree.statement(node)
    function = module.tree.function(node)
    changed = [each for some in module.mutations_of.values() for each in some]
    return any(
        module.tree.function(each.node) is function
        and (each.node is loop or any(loop is parent for parent in module.tree.above(each.node)))
        for each in changed
    )


def _parenthesised_generator(module: PythonModule, node: ast.AST, inner: ast.expr) -> bool:
    """Return whether the loop is in a generator, whose consumer may take any amount of time."""
    for parent in (node, *module.tree.above(inner)):
        match parent:
            case ast.GeneratorExp():
                user = module.tree.parents.get(parent)
                return not isinstance(user, ast.Call)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                return any(isinstance(each, (ast.Yield, ast.YieldFrom)) for each in ast.walk(parent))
            case _:
                pass
    return False


def _is_rebound(tree: Tree, name: str) -> bool:
    """Return whether the module itself binds the name of a built-in function."""
    bound = (node.id for node in tree.all(ast.Name) if isinstance(node.ctx, ast.Store))
    defined = (function.name for function in tree.functions())
    imported = (alias.asname or alias.name for statement in tree.all(ast.ImportFrom) for alias in statement.names)
    given = (each.arg for function in tree.functions() for each in _parameters(function.args))
    return any(name in each for each in (set(bound), set(defined), set(imported), set(given)))


def _parameters(arguments: ast.arguments) -> list[ast.arg]:
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
