"""Saving, changing and putting back of shared state in Python."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from ftaudit.source.python.kinds import CONTAINERS
from ftaudit.source.python.module import PythonModule
from ftaudit.source.python.tree import FunctionNode, dotted, inside

_MODULE_HELD = re.compile(r"self\._*(?:module|mod|target|owner|klass|cls|patched|namespace)|self\.__class__")
"""An attribute that holds a module or a class that other code has its own names for."""
_PROCESS = ("sys.", "os.", "warnings.", "signal.", "locale.", "socket.socket")
"""State of the whole process: another rule reports writes of it."""


def save_and_restore(module: PythonModule) -> Iterator[tuple[ast.stmt, str]]:
    """Yield the places that change shared state which was saved before and is restored later, with its name."""
    attempts = {module.tree.function(node) for node in module.tree.all(ast.Try) if node.finalbody}
    for function in module.tree.functions():
        if function not in attempts and not _is_context_manager(function):
            continue
        if module.in_function(function.body[0]) is None:
            continue
        pairs = list(_pairs(module, function.body))
        for attempt in inside(function.body):
            if isinstance(attempt, ast.Try):
                restored = {(target, value) for _, target, value in _pairs(module, attempt.finalbody)}
                yield from _changes(module, function, pairs, restored)
        if _is_context_manager(function):
            after = _after_yield(function)
            restored = {(target, value) for statement, target, value in pairs if statement.lineno > after}
            yield from _changes(module, function, pairs, restored)
        yield from _levels(module, function)
    for owner in _putting_back(module):
        yield from _by_methods(module, owner)


def _accessors(module: PythonModule) -> tuple[dict[str, str], dict[str, str]]:
    """Return the functions of a module that return shared state, and those that store it, with the state's name.

    `def current(): return _holder.context` and `def switch(context): _holder.context = context`.
    """
    reading: dict[str, str] = {}
    storing: dict[str, str] = {}
    for function in module.tree.functions():
        if module.in_function(function) is not None or module.tree.enclosing_class(function) is not None:
            continue
        body = [statement for statement in function.body if not isinstance(statement, (ast.Global, ast.Expr))]
        match body:
            case [ast.Return(value=ast.Name() | ast.Attribute() as place)] if not function.args.args:
                name = dotted(place)
                if name is not None and module.is_module_name(name.partition(".")[0], function.body[-1]):
                    reading[function.name] = name
            case [ast.Assign(targets=[ast.Name() | ast.Attribute() as place], value=ast.Name(id=value))] if [
                argument.arg for argument in function.args.args
            ] == [value]:
                name = dotted(place)
                if name is not None and _is_shared(module, function, name):
                    storing[function.name] = name
            case _:
                pass
    both = set(reading.values()) & set(storing.values())
    return (
        {function: name for function, name in reading.items() if name in both},
        {function: name for function, name in storing.items() if name in both},
    )


def _putting_back(module: PythonModule) -> Iterator[ast.ClassDef]:
    """Yield the classes with a method that restores a value which the object kept: `module.name = self.old`."""
    found: dict[ast.ClassDef, None] = {}
    for statement in module.tree.all(ast.Assign):
        if (dotted(statement.value) or "").startswith("self.") and any(map(_is_elsewhere, statement.targets)):
            owner = module.tree.enclosing_class(statement)
            if owner is not None:
                found[owner] = None
    storing = module.once(_accessors)[1]
    for call in module.tree.all(ast.Call):
        match call:
            case ast.Call(func=ast.Name(id=function), args=[ast.Attribute() as kept]) if function in storing:
                owner = module.tree.enclosing_class(call) if (dotted(kept) or "").startswith("self.") else None
                if owner is not None:
                    found[owner] = None
            case ast.Call(func=ast.Name(id="setattr"), args=[_, _, ast.Attribute() as kept]):
                owner = module.tree.enclosing_class(call) if (dotted(kept) or "").startswith("self.") else None
                if owner is not None:
                    found[owner] = None
            case _:
                pass
    yield from found


def _is_elsewhere(target: ast.expr) -> bool:
    """Return whether an assignment stores outside the object's own attributes and local names."""
    match target:
        case ast.Attribute(value=ast.Name(id="self")):
            return False
        case ast.Attribute() | ast.Subscript():
            return True
        case _:
            return False


def _levels(module: PythonModule, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[ast.stmt, str]]:
    """Yield the places that set a logger's level temporarily: it is set again when the function or the block ends."""
    calls = [
        node
        for node in inside(function.body)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
        and node.value.func.attr == "setLevel"
    ]
    if len(calls) < 2:
        return
    ends = [node for node in inside(function.body) if isinstance(node, ast.Try) and node.finalbody]
    last = {id(inner) for attempt in ends for statement in attempt.finalbody for inner in inside(statement)}
    after = _after_yield(function) if _is_context_manager(function) else 1 << 30
    put_back = [call for call in calls if id(call) in last or call.lineno > after]
    begun = [call for call in calls if call not in put_back]
    if put_back and begun:
        first = min(begun, key=lambda call: call.lineno)
        yield first, f"the level of {ast.unparse(first.value.func.value)}"  # type: ignore[attr-defined]


def _by_methods(module: PythonModule, owner: ast.ClassDef) -> Iterator[tuple[ast.stmt, str]]:
    """Yield the state that one method of a class saves in the object and changes, and another restores."""
    methods = [node for node in owner.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    pairs = {method.name: list(_pairs(module, method.body)) for method in methods}
    put_back: dict[tuple[str, str], set[str]] = {}
    for name, some in pairs.items():
        for _, target, value in some:
            if value.startswith("self."):
                put_back.setdefault((target, value), set()).add(name)
    if not put_back:
        return
    for method in methods:
        if method.name == "__init__":
            continue
        made = pairs.get("__init__", []) if method.name == "__enter__" else []
        begun = [*made, *pairs[method.name]]
        restored = {
            (value, target) for _, target, value in begun if put_back.get((value, target), set()) - {method.name}
        }
        if restored:
            yield from _changes(module, method, begun, restored)


def _changes(
    module: PythonModule,
    function: FunctionNode,
    pairs: list[tuple[ast.stmt, str, str]],
    restored: set[tuple[str, str]],
) -> Iterator[tuple[ast.stmt, str]]:
    """Yield the first assignment between `saved = X` and `X = saved` for each such X that is shared."""
    saved = {(value, target) for _, target, value in pairs}
    for name, keeper in sorted(restored):
        stored_by_function = name in module.once(_accessors)[1].values()
        if (name, keeper) not in saved or not (stored_by_function or _is_shared(module, function, name)):
            continue
        for statement, target, value in pairs:
            if target == name and value != keeper:
                yield statement, name
                break


def _pairs(module: PythonModule, body: list[ast.stmt]) -> Iterator[tuple[ast.stmt, str, str]]:
    """Yield statement, target and value of the assignments, in order, with names written out; tuples pairwise."""
    reading, storing = module.once(_accessors)
    statements = [node for node in inside(body) if isinstance(node, (ast.Assign, ast.AnnAssign))]
    for statement in sorted(statements, key=lambda node: node.lineno):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            match target, statement.value:
                case ast.Tuple(elts=lefts), ast.Tuple(elts=rights) if len(lefts) == len(rights):
                    for left, right in zip(lefts, rights, strict=True):
                        yield statement, _name(left), _name(right, reading)
                case _, value if value is not None:
                    yield statement, _name(target), _name(value, reading)
                case _:
                    pass
    for node in inside(body):
        match node:
            case ast.Expr(value=ast.Call(func=ast.Name(id="setattr"), args=[owner, attribute, value])):
                yield node, _attribute(owner, attribute), _name(value)
            case ast.Expr(value=ast.Call(func=ast.Name(id=function), args=[value])) if function in storing:
                yield node, storing[function], _name(value)
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=owner, attr="update"), args=arguments)):
                # The whole of it: `old = CONFIG.copy()`, `CONFIG.update(new)`, `CONFIG.update(old)`.
                yield node, _name(owner), _name(arguments[0]) if arguments else f"<{node.lineno}:{node.col_offset}>"
            case _:
                pass


def _name(node: ast.expr, reading: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return a name that is equal for every spelling of one place; for anything else an unused name."""
    match node:
        case ast.Call(func=ast.Name(id=function), args=[]) if function in reading:
            return reading[function]
        case ast.Subscript(value=value) if dotted(value) is not None:
            return f"{dotted(value)}.[{ast.unparse(node.slice)}]"
        case ast.Call(func=ast.Name(id="getattr"), args=[owner, attribute, *_]):
            return _attribute(owner, attribute)
        case ast.Call(func=ast.Attribute(value=owner, attr="copy"), args=[]) if dotted(owner) is not None:
            return _name(owner)
        case ast.Call(func=ast.Name(id="dict"), args=[ast.Name() | ast.Attribute() as whole], keywords=[]):
            return _name(whole)
        case _:
            return dotted(node) or f"<{node.lineno}:{node.col_offset}>"


def _attribute(owner: ast.expr, attribute: ast.expr) -> str:
    match attribute:
        case ast.Constant(value=str(name)):
            return f"{dotted(owner)}.{name}"
        case _:
            return f"{dotted(owner)}.[{ast.unparse(attribute)}]"


def _is_shared(module: PythonModule, function: FunctionNode, name: str) -> bool:
    """Return whether a name is a global that the function declares, or an attribute of a module or class."""
    owner, _, attribute = name.rpartition(".")
    if not owner:
        at = function.body[0] if isinstance(function.body, list) else function.body
        kept = module.module_kinds.get(name) in CONTAINERS and module.is_module_name(name, at)
        return kept or name in module.globals_by_function.get(function, ())
    if name.startswith(_PROCESS) or attribute.startswith("__"):
        return False
    root = owner.partition(".")[0]
    if root == "self":
        return _MODULE_HELD.fullmatch(owner) is not None
    if root == "cls" or not module.is_module_name(
        root, function.body[0] if isinstance(function.body, list) else function.body
    ):
        return root == "cls"
    return root in module.classes or root in module.imported or root[:1].isupper() or root in module.module_bindings


def _is_context_manager(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("contextmanager" in (dotted(d) or "") or "fixture" in (dotted(d) or "") for d in function.decorator_list)


def _after_yield(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = [node.lineno for node in inside(function.body) if isinstance(node, (ast.Yield, ast.YieldFrom))]
    return min(lines, default=1 << 30)
