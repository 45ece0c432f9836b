"""The edit that makes a counter of a module an `itertools.count`, whose next number two threads never share."""

from __future__ import annotations

import ast

from ftaudit.model import Applicability, Finding, Fix, NoFix, Obstacle
from ftaudit.source.python.module import PythonModule
from ftaudit.source.python.rewrite import rewriting


def count_atomically(module: PythonModule, finding: Finding) -> Fix | NoFix:
    """Return the edits for a global number that one function adds to and returns, and that nothing else reads.

    Such a function declares the name global, adds to it, and returns it. The fix is safe if the name is private.
    """
    added = next((node for node in module.assignments() if module.place(node) == finding.location), None)
    match added:
        case ast.AugAssign(target=ast.Name(id=name), op=ast.Add(), value=ast.Constant(value=int() as step)):
            pass
        case ast.Assign(
            targets=[ast.Name(id=name)],
            value=ast.BinOp(left=ast.Name(id=read), op=ast.Add(), right=ast.Constant(value=int() as step)),
        ) if read == name:
            pass
        case _:
            return NoFix(obstacle=Obstacle.NOT_MECHANICAL)
    function = module.tree.function(added)
    if not isinstance(function, ast.FunctionDef):
        return NoFix(obstacle=Obstacle.NOT_MECHANICAL)
    block = module.tree.block(added)
    following = block[block.index(added) + 1] if added is not block[-1] else None
    declared = next((each for each in function.body if isinstance(each, ast.Global) and each.names == [name]), None)
    first = next(
        (
            each
            for each in module.tree.root.body
            if isinstance(each, ast.Assign) and [ast.unparse(target) for target in each.targets] == [name]
        ),
        None,
    )
    match first, following:
        case ast.Assign(value=ast.Constant(value=int() as start)), ast.Return(value=ast.Name(id=returned)) if (
            returned == name and not isinstance(start, bool) and declared is not None
        ):
            pass
        case _:
            return NoFix(obstacle=Obstacle.KEPT)
    own = {id(node) for each in (first, added, following) if each is not None for node in ast.walk(each)}
    if any(
        isinstance(node, ast.Name) and node.id == name and id(node) not in own for node in ast.walk(module.tree.root)
    ):
        return NoFix(obstacle=Obstacle.KEPT)
    if any(name in each.names for each in module.tree.all(ast.Global) if each is not declared):
        return NoFix(obstacle=Obstacle.KEPT)
    given = f"itertools.count({start + step})" if step == 1 else f"itertools.count({start + step}, {step})"
    begin = module.offset_of(module.place(first.value))
    edits = [
        *rewriting(module).imported("itertools"),
        module.edit(begin, begin + len(str(ast.get_source_segment(module.text, first.value)).encode()), given),
    ]
    for statement in (declared, added):
        line = module.offset_of(module.location(statement.lineno))
        after = module.offset_of(module.location((statement.end_lineno or statement.lineno) + 1))
        if module.data[line:after].split(b"#")[0].count(b";"):
            return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
        edits.append(module.edit(line, after, ""))
    begin = module.offset_of(module.place(following)) + len("return ")
    edits.append(module.edit(begin, begin + len(name.encode()), f"next({name})"))
    private = name.startswith("_")
    return Fix(applicability=Applicability.SAFE if private else Applicability.SUGGESTED, edits=tuple(edits))
