"""What of a Python module runs with a lock held."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cached_property
from typing import Final

from ftaudit.source.python.kinds import Kind, kind_of, looks_like_lock
from ftaudit.source.python.timing import Timing
from ftaudit.source.python.tree import FunctionNode, dotted, last_name, targets_of

_HOLDS: Final = re.compile(
    r"(?i)(?:must|should|is|be|caller|while|already)\b[^.\n]{0,40}\b(?:hold|held|locked|lock is)"
)


class Locking(Timing):
    """A module with its locks: lexical, by decorator, by name, and held by every caller."""

    def locked(self, node: ast.AST) -> bool:
        """Tell whether a node runs with a lock held: lexically, by decorator, or because every caller here has it."""
        function = self.tree.function(node)
        return self._locked_lexically(node, function) or (function is not None and function in self._locked_functions)

    def _locked_lexically(self, node: ast.AST, function: FunctionNode | None) -> bool:
        below = node
        for parent in self.tree.above(node):
            if parent is function:
                break
            match parent:
                case ast.With(items=items) | ast.AsyncWith(items=items):
                    held = (
                        items if isinstance(below, ast.stmt) else items[: items.index(below)] if below in items else []
                    )
                    if any(self.is_lock(item.context_expr) for item in held):
                        return True
                case ast.Try(finalbody=final) if final and below not in final:
                    if any(_releases(statement) for statement in final):
                        return True
                case _:
                    pass
            if isinstance(below, ast.stmt) and self._acquired_before(below):
                return True
            below = parent
        return isinstance(below, ast.stmt) and self._acquired_before(below)

    def _acquired_before(self, statement: ast.stmt) -> bool:
        """Tell whether a statement of the same block took a lock before and none gave it back."""
        held = False
        for earlier in self.tree.block(statement):
            if earlier is statement:
                return held
            match earlier:
                case ast.Expr(value=ast.Call(func=ast.Attribute(attr="acquire"))):
                    held = True
                case ast.Expr(value=ast.Call(func=ast.Attribute(attr="enter_context"), args=[argument])) if (
                    self.is_lock(argument)
                ):
                    held = True
                case ast.Expr() if _releases(earlier):
                    held = False
                case ast.Expr(value=ast.Call(func=func)) if _is_lock_call(last_name(func)):
                    held = True
                case _:
                    pass
        return False

    def is_lock(self, value: ast.expr) -> bool:
        """Tell whether an expression after `with` is a lock or takes one, by what it was made from or by its name."""
        match value:
            case ast.BoolOp(values=values):
                return any(self.is_lock(each) for each in values)
            case ast.IfExp(body=body, orelse=orelse):
                return self.is_lock(body) or self.is_lock(orelse)
            case ast.Call(func=func, args=arguments):
                if dotted(func) in ("threading.Lock", "threading.RLock", "Lock", "RLock"):
                    return False
                return self.is_lock(func) or any(
                    self.is_lock(argument) for argument in arguments if isinstance(argument, (ast.Name, ast.Attribute))
                )
            case ast.Name(id=name):
                return self.module_kinds.get(name) is Kind.LOCK or looks_like_lock(name) or name in self._local_locks
            case ast.Attribute(value=inner, attr=name):
                if looks_like_lock(name) or (name in ("acquire", "get_lock", "hold") and self.is_lock(inner)):
                    return True
                return any(kinds.get(name) is Kind.LOCK for kinds in self._all_attribute_kinds)
            case ast.Subscript(value=inner):
                return self.is_lock(inner)
            case _:
                return False

    def takes_module_lock(self, function: FunctionNode | None) -> bool:
        """Tell whether a function takes a lock of the module somewhere: what it works on, several threads reach."""
        return function in self._taking_module_lock

    @cached_property
    def _taking_module_lock(self) -> frozenset[FunctionNode | None]:
        return frozenset(
            self.tree.function(node)
            for node in self.tree.all(ast.With)
            for item in node.items
            if isinstance(item.context_expr, ast.Name) and self.module_kinds.get(item.context_expr.id) is Kind.LOCK
        )

    @cached_property
    def _all_attribute_kinds(self) -> list[dict[str, Kind]]:
        return [*self.class_kinds.values(), *self.instance_kinds.values()]

    @cached_property
    def _local_locks(self) -> frozenset[str]:
        """The names that a function binds to a lock."""
        return frozenset(
            target.id
            for node in self.tree.all(ast.Assign)
            if kind_of(node.value) is Kind.LOCK
            for target in targets_of(node)
            if isinstance(target, ast.Name)
        )

    @cached_property
    def _locked_functions(self) -> frozenset[FunctionNode]:
        """The functions that hold a lock throughout: by decorator, by name, or because each call of them here does."""
        found: set[FunctionNode] = set()
        calls: dict[str, list[ast.Call]] = defaultdict(list)
        for call in self.tree.all(ast.Call):
            name = last_name(call.func) if isinstance(call.func, (ast.Name, ast.Attribute)) else None
            if name is not None:
                calls[name].append(call)
        candidates: list[ast.FunctionDef | ast.AsyncFunctionDef] = []
        for function in self.tree.functions():
            decorators = [last_name(d.func if isinstance(d, ast.Call) else d) or "" for d in function.decorator_list]
            if any(looks_like_lock(name) for name in decorators) or _says_locked(function):
                found.add(function)
            elif calls.get(function.name):
                candidates.append(function)
        changed = True
        while changed:
            changed = False
            for function in candidates:
                if function not in found and all(self._call_is_locked(c, found) for c in calls[function.name]):
                    found.add(function)
                    changed = True
        return frozenset(found)

    def _call_is_locked(self, call: ast.Call, known: set[FunctionNode]) -> bool:
        function = self.tree.function(call)
        return self._locked_lexically(call, function) or (function is not None and function in known)


def _releases(statement: ast.stmt) -> bool:
    match statement:
        case ast.Expr(value=ast.Call(func=func)):
            name = (last_name(func) or "").lstrip("_")
            return name.startswith(("release", "unlock")) or name.endswith("_release")
        case ast.If(body=body):
            return any(_releases(inner) for inner in body)
        case _:
            return False


def _is_lock_call(name: str | None) -> bool:
    return (
        name is not None and name.lower().lstrip("_").startswith(("acquire", "lock_", "lock")) and "locked" not in name
    )


def _says_locked(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether a function's name or docstring says that its caller holds the lock."""
    name = function.name.lower()
    if name.endswith(
        ("_locked", "_with_lock", "_under_lock", "_unlocked", "_nolock", "_unsafe", "_no_lock", "_lock_held")
    ):
        return True
    documentation = ast.get_docstring(function, clean=False) or ""
    return "lock" in documentation.lower() and _HOLDS.search(documentation) is not None
