"""The parts of a Python module that run with a lock held."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from typing import Final

from ftaudit.source.python.kinds import Kind, kind_of, looks_like_lock
from ftaudit.source.python.timing import Timing
from ftaudit.source.python.tree import FunctionNode, dotted, inside, last_name, targets_of

_HOLDS: Final = re.compile(
    r"(?i)(?:must|should|is|be|caller|while|already)\b[^.\n]{0,40}\b(?:hold|held|locked|lock is)"
)


_MOST_HELD: Final = 16
"""How many locks a block may take without release before its locks are ignored."""


class Locking(Timing):
    """A module with its locks: lexical, by decorator, by name, and held by every caller."""

    _looking_for_takers = False

    def locked(self, node: ast.AST) -> bool:
        """Return whether a node runs with a lock held: lexically, by decorator, or because every caller here does."""
        function = self.tree.function(node)
        return self._locked_lexically(node, function) or (function is not None and function in self._locked_functions)

    def held(self, node: ast.AST) -> frozenset[str]:
        """Return the locks that a node's function takes around it, as the source writes them; decorators count."""
        function = self.tree.function(node)
        locks = {name for name, _ in self.holds(node)}
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            locks.update(self.decorator_locks(function))
        return frozenset(locks)

    def decorator_locks(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
        """Yield the locks that a function's decorators take around each call of it."""
        for decorator in function.decorator_list:
            name = last_name(decorator.func if isinstance(decorator, ast.Call) else decorator) or ""
            if name in self._known_takers:
                yield from self._known_takers[name]
            elif looks_like_lock(name):
                yield f"@{name}"

    def _locked_lexically(self, node: ast.AST, function: FunctionNode | None) -> bool:
        return next(self.holds(node, function), None) is not None

    def holds(self, node: ast.AST, function: FunctionNode | None = None) -> Iterator[tuple[str, ast.AST]]:
        """Yield each lock that is taken around a node in its function, with the statement that takes it."""
        function = function or self.tree.function(node)
        below = node
        for parent in self.tree.above(node):
            if parent is function:
                break
            match parent:
                case ast.With(items=items) | ast.AsyncWith(items=items):
                    held = (
                        items if isinstance(below, ast.stmt) else items[: items.index(below)] if below in items else []
                    )
                    for item in held:
                        if self.is_lock(item.context_expr):
                            for name in self.lock_names(item.context_expr):
                                yield name, parent
                case ast.Try(finalbody=final) if final and below not in final:
                    for statement in final:
                        if _releases(statement):
                            yield _released(statement), parent
                case _:
                    pass
            if isinstance(below, ast.stmt):
                yield from self._acquired_before(below)
            below = parent
        if isinstance(below, ast.stmt):
            yield from self._acquired_before(below)

    def _acquired_before(self, statement: ast.stmt) -> Iterator[tuple[str, ast.AST]]:
        """Yield the locks that earlier statements of the same block took and did not release."""
        yield from self._acquired.get(statement, ())

    @cached_property
    def _acquired(self) -> dict[ast.stmt, tuple[tuple[str, ast.AST], ...]]:
        """The locks that earlier statements of its block took, by statement; statements without locks are left out."""
        found: dict[ast.stmt, tuple[tuple[str, ast.AST], ...]] = {}
        for block in self.tree.blocks():
            held: dict[str, ast.AST] = {}
            for statement in block:
                if held:
                    found[statement] = tuple(held.items())
                match statement:
                    case _ if len(held) >= _MOST_HELD:
                        held.clear()
                    case ast.Expr(value=ast.Call(func=ast.Attribute(attr="acquire", value=lock))):
                        held[ast.unparse(lock)] = statement
                    case ast.Expr(value=ast.Call(func=ast.Attribute(attr="enter_context"), args=[argument])) if (
                        self.is_lock(argument)
                    ):
                        held.update(dict.fromkeys(self.lock_names(argument), statement))
                    case ast.Expr() if _releases(statement):
                        held.clear()
                    case ast.Expr(value=ast.Call(func=func)) if _is_lock_call(last_name(func)):
                        held[ast.unparse(func)] = statement
                    case _:
                        pass
        return found

    def lock_names(self, value: ast.expr) -> tuple[str, ...]:
        """Return the locks that an expression after `with` takes, as the source writes them."""
        match value:
            case ast.Call(func=func) if (last_name(func) or "") in self._known_takers and not self._names_a_lock(func):
                return self._known_takers[last_name(func) or ""]
            case ast.Call(func=ast.Attribute(value=inner, attr="acquire" | "get_lock" | "hold")):
                return self.lock_names(inner)
            case ast.Call(func=func):
                return self.lock_names(func)
            case ast.BoolOp(values=values):
                return tuple(name for each in values for name in self.lock_names(each) if self.is_lock(each))
            case ast.Name(id="self") if "self" in self._known_takers:
                return self._known_takers["self"]
            case _:
                return (ast.unparse(value),)

    def _names_a_lock(self, func: ast.expr) -> bool:
        return isinstance(func, ast.Attribute) and func.attr in ("acquire", "get_lock", "hold")

    @property
    def _known_takers(self) -> dict[str, tuple[str, ...]]:
        """`_takers`, or nothing during the search for them: one that is built from another is found by its name."""
        return {} if self._looking_for_takers else self._takers

    @cached_property
    def _takers(self) -> dict[str, tuple[str, ...]]:
        """The module's own context managers and decorators that take a lock, with the locks that they take.

        A generator that yields with a lock held, a decorator whose wrapper calls the function with one held, a class
        whose `__enter__` takes one (under the name `self`).
        """
        found: dict[str, tuple[str, ...]] = {}
        self._looking_for_takers = True
        for function in self.tree.functions():
            if any("contextmanager" in (dotted(decorator) or "") for decorator in function.decorator_list):
                places: list[ast.AST] = [n for n in inside(function.body) if isinstance(n, (ast.Yield, ast.YieldFrom))]
            elif self._wrapped_name(function) is not None:
                name = self._wrapped_name(function)
                places = [
                    node
                    for node in inside(function.body, functions=True)
                    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
                ]
            elif function.name == "__enter__" and self.tree.method_owner(function) is not None:
                taken = [
                    ast.unparse(call.func.value)
                    for call in inside(function.body)
                    if isinstance(call, ast.Call)
                    and isinstance(call.func, ast.Attribute)
                    and call.func.attr in ("acquire", "__enter__")
                    and self.is_lock(call.func.value)
                ]
                owner = self.tree.method_owner(function)
                if taken and owner is not None:
                    found["self"] = found[owner.name] = tuple(taken)
                continue
            else:
                continue
            held = [{name for name, _ in self.holds(place)} for place in places]
            if held and all(held):
                found[function.name] = tuple(sorted(set.intersection(*held) or held[0]))
        self._looking_for_takers = False
        return found

    def _wrapped_name(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> str | None:
        """Return the name of the function that a decorator wraps: its first argument, if it returns an inner one."""
        if not function.args.args or self.tree.function(function) is not None:
            return None
        inner = {node.name for node in function.body if isinstance(node, ast.FunctionDef)}
        match function.body[-1]:
            case ast.Return(value=ast.Name(id=name)) if name in inner:
                return function.args.args[0].arg
            case _:
                return None

    def is_lock(self, value: ast.expr) -> bool:
        """Return whether an expression after `with` is a lock or takes one, by what it was made from or by its name."""
        match value:
            case ast.BoolOp(values=values):
                return any(self.is_lock(each) for each in values)
            case ast.IfExp(body=body, orelse=orelse):
                return self.is_lock(body) or self.is_lock(orelse)
            case ast.Call(func=func, args=arguments):
                if dotted(func) in ("threading.Lock", "threading.RLock", "Lock", "RLock"):
                    return False
                if (last_name(func) or "") in self._known_takers:
                    return True
                return self.is_lock(func) or any(
                    self.is_lock(argument) for argument in arguments if isinstance(argument, (ast.Name, ast.Attribute))
                )
            case ast.Name(id="self") if "self" in self._known_takers:
                return True
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
        """Return whether a function takes a lock of the module anywhere: several threads reach its data."""
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
            by_decorator = any(looks_like_lock(name) or name in self._takers for name in decorators)
            if by_decorator or says_locked(function):
                found.add(function)
            elif calls.get(function.name) and self._is_called_here_alone(function):
                candidates.append(function)
        changed = True
        while changed:
            changed = False
            for function in candidates:
                if function not in found and all(self._call_is_locked(c, found) for c in calls[function.name]):
                    found.add(function)
                    changed = True
        return frozenset(found)

    def _is_called_here_alone(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        """Return whether no other module is meant to call a function: its name is private, or it is an inner one."""
        return function.name.startswith("_") or self.tree.function(function) is not None

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


def _released(statement: ast.stmt) -> str:
    """Return the lock that a statement releases, as in the source."""
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=lock, attr=attribute))) if "release" in attribute:
            return ast.unparse(lock)
        case ast.If(body=body):
            return next((_released(inner) for inner in body if _releases(inner)), "a lock")
        case _:
            return "a lock"


def _is_lock_call(name: str | None) -> bool:
    return (
        name is not None and name.lower().lstrip("_").startswith(("acquire", "lock_", "lock")) and "locked" not in name
    )


def says_locked(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether a function's name or docstring says that its caller holds the lock."""
    name = function.name.lower()
    if name.endswith(
        ("_locked", "_with_lock", "_under_lock", "_unlocked", "_nolock", "_unsafe", "_no_lock", "_lock_held")
    ):
        return True
    documentation = ast.get_docstring(function, clean=False) or ""
    return "lock" in documentation.lower() and _HOLDS.search(documentation) is not None
