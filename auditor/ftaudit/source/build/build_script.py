"""The model of a build script in Python (`setup.py` and its helpers): bindings, and what depends on the build."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from ftaudit.source.base import ParseError
from ftaudit.source.build.build_facts import mentions_free_threading

_EXITS = (ast.Return, ast.Raise, ast.Continue)
_MAX_NAMES = 100
"""How many names a value is traced through; real scripts need a dozen."""
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, kw_only=True, slots=True)
class Binding:
    """A value that a name gets, or that is stored in its object (`X[k] = v`, `X.update(v)`, `X += v`)."""

    name: str
    node: ast.AST
    value: ast.expr
    updates: bool = False


class BuildScript:
    """One parsed script. Names are looked up by spelling, whatever their scope: scripts are short and flat."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        try:
            self.tree = ast.parse(text)
        except SyntaxError as error:
            raise ParseError(f"not valid Python: {error.msg}", line=error.lineno) from error
        except (ValueError, RecursionError, MemoryError) as error:
            raise ParseError(f"not valid Python: {error or type(error).__name__}") from error
        self.parents: dict[ast.AST, ast.AST] = {}
        self.nodes: list[ast.AST] = []
        for node in ast.walk(self.tree):
            self.nodes.append(node)
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node
        self._exits: dict[ast.AST, float] = {}
        self._deciding: dict[str, list[ast.AST]] = {}
        self._guarded_names: dict[str, bool] = {}

    def every(self, kind: type[ast.AST]) -> Iterator[ast.AST]:
        """Yield the nodes of one type."""
        return (node for node in self.nodes if isinstance(node, kind))

    @cached_property
    def calls(self) -> list[ast.Call]:
        """Every call, in order of the source."""
        found = [node for node in self.nodes if isinstance(node, ast.Call)]
        return sorted(found, key=lambda call: (call.lineno, call.col_offset))

    @cached_property
    def bindings(self) -> dict[str, list[Binding]]:
        """The values that each name is bound to or updated with, in order of the source."""
        found: dict[str, list[Binding]] = {}
        for node in self.nodes:
            for binding in _bindings_of(node):
                found.setdefault(binding.name, []).append(binding)
        return found

    def bindings_at(self, statement: ast.stmt) -> Iterator[Binding]:
        """Yield the bindings and updates of one statement, without nested statements."""
        yield from _bindings_of(statement)
        if isinstance(statement, ast.Expr):
            yield from _bindings_of(statement.value)

    @cached_property
    def functions(self) -> dict[str, list[ast.AST]]:
        """The definitions of each function name."""
        found: dict[str, list[ast.AST]] = {}
        for node in self.nodes:
            if isinstance(node, _FUNCTIONS):
                found.setdefault(node.name, []).append(node)
        return found

    @cached_property
    def uses(self) -> dict[str, list[ast.Name]]:
        """The places that read each name."""
        found: dict[str, list[ast.Name]] = {}
        for node in self.nodes:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                found.setdefault(node.id, []).append(node)
        return found

    @cached_property
    def aware(self) -> frozenset[str]:
        """The names whose value depends on whether the build is free-threaded: by value, by branch or as a function."""
        return self._derived(_says_free_threading)

    @cached_property
    def requested(self) -> frozenset[str]:
        """The names whose value comes from the command line."""
        return self._derived(_reads_arguments)

    def _derived(self, says: Callable[[ast.AST], bool]) -> frozenset[str]:
        """Return the names into which a value flows, found by following bindings backwards from it."""
        users: dict[str, set[str]] = {}
        known: list[str] = []

        def feed(name: str, sources: Iterable[ast.AST]) -> None:
            for source in sources:
                if says(source):
                    known.append(name)
                for used in names_in(source):
                    users.setdefault(used, set()).add(name)

        for name, bindings in self.bindings.items():
            for binding in bindings:
                if not binding.updates:
                    feed(name, (binding.value, *self.tests_above(binding.node)))
        for node in self.nodes:
            if isinstance(node, _FUNCTIONS):
                feed(node.name, node.body)
        found: set[str] = set()
        while known:
            name = known.pop()
            if name not in found:
                found.add(name)
                known.extend(users.get(name, ()))
        return frozenset(found)

    def is_aware(self, node: ast.AST) -> bool:
        """Return whether an expression or statement depends on whether the build is free-threaded."""
        return _says_free_threading(node) or not self.aware.isdisjoint(names_in(node))

    def settled(self, node: ast.AST) -> bool:
        """Return whether the script tests for a free-threaded build before the code at `node` takes effect."""
        if self._guarded(node) or any(self._on_request(test) for test in self.tests_above(node)):
            return True
        for above in self.above(node):
            if (name := _sole_target(above)) is not None:
                if self._decided_elsewhere(name, above) or self._only_guarded_uses(name):
                    return True
            elif isinstance(above, (*_FUNCTIONS, ast.ClassDef)) and self._only_guarded_uses(above.name):
                return True
        return False

    def closure(self, nodes: Iterable[ast.AST]) -> list[ast.AST]:
        """Return the nodes with every value that flows into the names they read: bindings and updates, transitively."""
        found = list(nodes)
        seen: set[str] = set()
        for node in found:  # The list grows while it is walked; each name is added once.
            for name in names_in(node):
                if name not in seen and len(seen) < _MAX_NAMES:
                    seen.add(name)
                    found.extend(binding.node for binding in self.bindings.get(name, ()))
                    found.extend(self.functions.get(name, ()))
        return found

    def function_of(self, node: ast.AST) -> str | None:
        """Return the name of the innermost function around the node."""
        return next((above.name for above in self.above(node) if isinstance(above, _FUNCTIONS)), None)

    def keyword_above(self, node: ast.AST) -> str | None:
        """Return the name of the innermost keyword argument that the node is part of."""
        return next((above.arg for above in self.above(node) if isinstance(above, ast.keyword)), None)

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the parents of a node, nearest first."""
        above = self.parents.get(node)
        while above is not None:
            yield above
            above = self.parents.get(above)

    def tests_above(self, node: ast.AST) -> Iterator[ast.expr]:
        """Yield the conditions around a node, up to its function; else-branches count too."""
        for above in self.above(node):
            if isinstance(above, (ast.If, ast.IfExp, ast.While)):
                yield above.test
            elif isinstance(above, _FUNCTIONS):
                return

    def _guarded(self, node: ast.AST) -> bool:
        below = node
        for above in self.above(node):
            if isinstance(above, (ast.If, ast.IfExp, ast.While)) and below is not above.test:
                if self.is_aware(above.test):
                    return True
            elif isinstance(above, ast.BoolOp):
                if any(value is not below and self.is_aware(value) for value in above.values):
                    return True
            elif isinstance(above, ast.comprehension) and any(self.is_aware(test) for test in above.ifs):
                return True
            if isinstance(below, ast.stmt) and self._left_before(above, below):
                return True
            below = above
        return False

    def _on_request(self, test: ast.expr) -> bool:
        """Return whether a condition is a command-line option: whoever passes it has checked the interpreter."""
        return _reads_arguments(test) or not self.requested.isdisjoint(names_in(test))

    def _left_before(self, above: ast.AST, statement: ast.stmt) -> bool:
        """Return whether an earlier statement of the same block leaves it on a free-threaded build."""
        body = getattr(above, "body", None)
        return isinstance(body, list) and getattr(statement, "lineno", 0) > self._first_exit(above, body)

    def _first_exit(self, above: ast.AST, body: list[ast.stmt]) -> float:
        """Return the line of the first statement of a block that leaves it on a free-threaded build."""
        if above not in self._exits:
            self._exits[above] = next(
                (
                    float(each.end_lineno or each.lineno)
                    for each in body
                    if isinstance(each, ast.If) and isinstance(each.body[-1], _EXITS) and self.is_aware(each.test)
                ),
                math.inf,
            )
        return self._exits[above]

    def _decided_elsewhere(self, name: str, definition: ast.AST) -> bool:
        """Return whether another binding of the name depends on the build's kind."""
        if name not in self._deciding:
            self._deciding[name] = [
                binding.node
                for binding in self.bindings.get(name, ())
                if not binding.updates
                and (
                    self.is_aware(binding.value) or any(self.is_aware(test) for test in self.tests_above(binding.node))
                )
            ]
        return any(node is not definition for node in self._deciding[name][:2])

    def _only_guarded_uses(self, name: str) -> bool:
        """Return whether all code that reads the name, outside its own definitions, checks the build's kind first."""
        if name not in self._guarded_names:
            uses = [use for use in self.uses.get(name, ()) if not self._defines(use, name)]
            self._guarded_names[name] = bool(uses) and all(self._guarded(use) for use in uses)
        return self._guarded_names[name]

    def _defines(self, use: ast.AST, name: str) -> bool:
        return any(
            _sole_target(above) == name or (isinstance(above, (*_FUNCTIONS, ast.ClassDef)) and above.name == name)
            for above in self.above(use)
        )


def _sole_target(node: ast.AST) -> str | None:
    """Return the name that an assignment binds, if it binds just one."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.NamedExpr(target=ast.Name(id=name)):
            return name
        case _:
            return None


def names_in(node: ast.AST) -> Iterator[str]:
    """Yield the names that are read in an expression or statement."""
    return (each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load))


def strings_in(nodes: Iterable[ast.AST]) -> Iterator[ast.Constant]:
    """Yield the string constants in the nodes."""
    for node in nodes:
        for each in ast.walk(node):
            if isinstance(each, ast.Constant) and isinstance(each.value, str):
                yield each


def called_name(call: ast.Call) -> str:
    """Return the last name of the called expression: `compile` for `a.b.compile(…)`."""
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _says_free_threading(node: ast.AST) -> bool:
    for each in ast.walk(node):
        match each:
            case ast.Constant(value=str(text)) if len(text) < 200 and mentions_free_threading(text):
                return True
            case ast.Attribute(attr=name) | ast.Name(id=name) if mentions_free_threading(name):
                return True
            case ast.Call(func=ast.Attribute(attr="endswith"), args=[ast.Constant(value="t")]):
                # The tag of a free-threaded interpreter: `cp314t`.
                return True
            case _:
                pass
    return False


def _reads_arguments(node: ast.AST) -> bool:
    return any(isinstance(each, ast.Attribute) and each.attr == "argv" for each in ast.walk(node))


def _bindings_of(node: ast.AST) -> Iterator[Binding]:
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _bound(target, node, value)
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            yield from _bound(target, node, value)
        case ast.NamedExpr(target=ast.Name(id=name), value=value):
            yield Binding(name=name, node=node, value=value)
        case ast.AugAssign(target=ast.Name(id=name), value=value):
            yield Binding(name=name, node=node, value=value, updates=True)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append" | "extend" | "update" | "insert")):
            for value in (*node.args, *(keyword.value for keyword in node.keywords)):
                yield Binding(name=name, node=node, value=value, updates=True)
        case _:
            pass


def _bound(target: ast.expr, node: ast.AST, value: ast.expr) -> Iterator[Binding]:
    match target:
        case ast.Name(id=name):
            yield Binding(name=name, node=node, value=value)
        case ast.Subscript(value=ast.Name(id=name)):
            yield Binding(name=name, node=node, value=value, updates=True)
        case ast.Tuple(elts=targets) | ast.List(elts=targets):
            for each in targets:
                if isinstance(each, ast.Name):
                    yield Binding(name=each.id, node=node, value=value)
        case _:
            pass
