"""Edits of code that makes something once: the test repeated under the lock, a flag set after what it promises."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from ftaudit.model import Applicability, Fix, NoFix, Obstacle
from ftaudit.source.python.module import PythonModule
from ftaudit.source.python.rewrite import rewriting
from ftaudit.source.python.tree import inside


def repeat_test(module: PythonModule, test: ast.If, assignment: ast.stmt) -> Fix | NoFix:
    """Return the edits that repeat the test under the lock.

    The fix is safe if the lock is the first thing under the test, and the test calls nothing.
    """
    import libcst

    lock = next((each for each in test.body if isinstance(each, ast.With) and assignment in ast.walk(each)), None)
    if lock is None or test.orelse:
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    leaving = (ast.Return, ast.Break, ast.Continue, ast.Yield, ast.YieldFrom, ast.Await)
    if any(isinstance(node, leaving) for node in inside(list(lock.body))):
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    if _names_needed_later(module, lock):
        return NoFix(obstacle=Obstacle.KEPT)
    text = rewriting(module)
    outer, block = text.found(module.place(test), libcst.If), text.found(module.place(lock), libcst.With)
    if outer is None or block is None or not isinstance(block.body, libcst.IndentedBlock):
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    inner = block.body.with_changes(header=libcst.TrailingWhitespace())
    body = block.body.with_changes(body=[libcst.If(test=outer.test.deep_clone(), body=inner)], footer=[])
    calls = any(isinstance(node, (ast.Call, ast.NamedExpr)) for node in ast.walk(test.test))
    safe = lock is test.body[0] and not calls
    return Fix(
        applicability=Applicability.SAFE if safe else Applicability.SUGGESTED,
        edits=text.replaced(block, block.with_changes(body=body)),
    )


def _names_needed_later(module: PythonModule, lock: ast.With) -> bool:
    """Return whether a local name that the block binds is read outside of it."""
    bound = {
        node.id for node in inside(list(lock.body)) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    function = module.tree.function(lock)
    if function is None or isinstance(function, ast.Lambda):
        return bool(bound)
    bound -= set(module.globals_by_function.get(function, ()))
    within = {id(node) for node in ast.walk(lock)}
    return any(
        isinstance(node, ast.Name) and node.id in bound and isinstance(node.ctx, ast.Load) and id(node) not in within
        for node in ast.walk(function)
    )


def set_flag_last(module: PythonModule, flag: ast.stmt) -> Fix | NoFix:
    """Return the edits that move a flag's assignment to the end of its block."""
    import libcst

    text = rewriting(module)
    line = text.found(module.place(flag), libcst.SimpleStatementLine)
    block = next(text.above(line)) if line is not None else None
    if line is None or not isinstance(block, libcst.IndentedBlock) or len(line.body) != 1:
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    others: Sequence[libcst.BaseStatement] = [each for each in block.body if each is not line]
    ends = (libcst.Return, libcst.Raise, libcst.Break, libcst.Continue)
    last = others[-1] if others else None
    if isinstance(last, libcst.SimpleStatementLine) and isinstance(last.body[-1], ends):
        body = [*others[:-1], line, last]
    else:
        body = [*others, line]
    return Fix(applicability=Applicability.SUGGESTED, edits=text.replaced(block, block.with_changes(body=body)))
