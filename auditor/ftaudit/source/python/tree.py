"""Parents, nodes by kind, and small helpers for an `ast` tree."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, TypeAlias, TypeVar

Node = TypeVar("Node", bound=ast.AST)
FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def _child_fields() -> dict[type[ast.AST], tuple[str, ...]]:
    """Return for each kind of node the fields that may hold nodes; the others are skipped."""
    plain = {"id", "attr", "arg", "value_kind", "kind", "type_comment", "name", "names_", "level", "module", "asname"}
    plain |= {"lineno", "ctx", "op", "ops", "is_async", "simple", "conversion", "tag", "type_ignores"}
    fields: dict[type[ast.AST], tuple[str, ...]] = {}
    for kind in vars(ast).values():
        if isinstance(kind, type) and issubclass(kind, ast.AST):
            fields[kind] = tuple(field for field in kind._fields if field not in plain)
    fields[ast.Name] = fields[ast.Constant] = fields[ast.Global] = fields[ast.Nonlocal] = ()
    return fields


_FIELDS: Final = _child_fields()
_LEAVES: Final = frozenset(kind for kind, fields in _FIELDS.items() if not fields)


_BLOCKS: Final = tuple(
    kind
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST) and "body" in kind._fields and kind is not ast.Lambda
)
"""The kinds of node that hold statements."""


class Tree:
    """A module's `ast`, indexed once by a loop (never recursively: real files are nested too deep)."""

    def __init__(self, root: ast.Module) -> None:
        self.root = root
        self._before: dict[ast.stmt, ast.stmt] | None = None
        self.parents: dict[ast.AST, ast.AST] = {}
        self._kinds: dict[type[ast.AST], list[ast.AST]] = defaultdict(list)
        # One turn for each node of the file: names and constants, which are half of them, are not put on the stack.
        kinds, parents, fields, leaves = self._kinds, self.parents, _FIELDS, _LEAVES
        stack: list[ast.AST] = [root]
        while stack:
            node = stack.pop()
            kind = node.__class__
            kinds[kind].append(node)
            for field in fields[kind]:
                value = getattr(node, field)
                below = value if value.__class__ is list else (value,)
                for item in below:
                    kind = item.__class__
                    if kind in leaves:
                        parents[item] = node
                        kinds[kind].append(item)
                    elif kind in fields:
                        parents[item] = node
                        stack.append(item)

    def all(self, kind: type[Node]) -> Iterator[Node]:
        """Yield the nodes of a kind; in no particular order."""
        yield from self._kinds.get(kind, ())  # type: ignore[misc]

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Yield every `def`."""
        yield from self.all(ast.FunctionDef)
        yield from self.all(ast.AsyncFunctionDef)

    def scopes(self) -> Iterator[FunctionNode]:
        """Yield every `def` and `lambda`."""
        yield from self.functions()
        yield from self.all(ast.Lambda)

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the parents of a node, nearest first."""
        parent = self.parents.get(node)
        while parent is not None:
            yield parent
            parent = self.parents.get(parent)

    def function(self, node: ast.AST) -> FunctionNode | None:
        """Return the function in whose body the node is run, or `None`; decorators and defaults are run outside it."""
        below = node
        for parent in self.above(node):
            match parent:
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    if isinstance(below, ast.stmt):
                        return parent
                case ast.Lambda():
                    if below is parent.body:
                        return parent
                case _:
                    pass
            below = parent
        return None

    def method_owner(self, function: ast.AST) -> ast.ClassDef | None:
        """Return the class whose body directly contains a function."""
        for parent in self.above(function):
            match parent:
                case ast.ClassDef():
                    return parent
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda() | ast.Module():
                    return None
                case _:
                    pass
        return None

    def enclosing_class(self, node: ast.AST) -> ast.ClassDef | None:
        """Return the class whose method (or a function within one) the node is in."""
        return next((parent for parent in self.above(node) if isinstance(parent, ast.ClassDef)), None)

    def statement(self, node: ast.AST) -> ast.stmt | None:
        """Return the statement that the node is part of."""
        if isinstance(node, ast.stmt):
            return node
        return next((parent for parent in self.above(node) if isinstance(parent, ast.stmt)), None)

    def blocks(self) -> Iterator[list[ast.stmt]]:
        """Yield every list of statements."""
        for kind in _BLOCKS:
            for node in self._kinds.get(kind, ()):
                for field in ("body", "orelse", "finalbody"):
                    block = getattr(node, field, None)
                    if block.__class__ is list and block:
                        yield block

    def before(self, statement: ast.stmt) -> ast.stmt | None:
        """Return the statement before another one of the same block."""
        if self._before is None:
            self._before = {later: earlier for block in self.blocks() for earlier, later in pairwise(block)}
        return self._before.get(statement)

    def block(self, statement: ast.stmt) -> list[ast.stmt]:
        """Return the list of statements that contains a statement."""
        parent = self.parents.get(statement)
        for field in ("body", "orelse", "finalbody"):
            block = getattr(parent, field, None)
            if isinstance(block, list) and statement in block:
                return block
        return [statement]


def inside(nodes: ast.AST | list[ast.stmt], *, functions: bool = False) -> Iterator[ast.AST]:
    """Yield a node and all below it, without the bodies of functions defined there unless requested."""
    stack: list[ast.AST] = list(nodes) if isinstance(nodes, list) else [nodes]
    while stack:
        node = stack.pop()
        yield node
        if not functions and isinstance(node, SCOPES):
            continue
        for field in _FIELDS[node.__class__]:
            value = getattr(node, field, None)
            if value.__class__ is list:
                stack.extend(item for item in value if isinstance(item, ast.AST))
            elif isinstance(value, ast.AST):
                stack.append(value)


def dotted(node: ast.AST | None) -> str | None:
    """Return `a.b.c` for a name or an attribute of one, `self.__class__` included, else `None`."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        parts.append(node.id)
        return ".".join(reversed(parts))
    return None


def last_name(node: ast.AST | None) -> str | None:
    """Return the last part of a name: `c` of `a.b.c`, of `f().c` and of `x[0].c`."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=value):
            return last_name(value)
        case _:
            return None


def targets_of(statement: ast.AST) -> list[ast.expr]:
    """Return what a statement assigns to, with tuples taken apart."""
    match statement:
        case ast.Assign(targets=targets):
            found = list(targets)
        case ast.AnnAssign(target=target, value=value) if value is not None:
            found = [target]
        case ast.AugAssign(target=target) | ast.For(target=target) | ast.AsyncFor(target=target):
            found = [target]
        case ast.NamedExpr(target=target):
            found = [target]
        case ast.Delete(targets=targets):
            found = list(targets)
        case _:
            return []
    flat: list[ast.expr] = []
    while found:
        target = found.pop()
        match target:
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                found.extend(elements)
            case ast.Starred(value=value):
                found.append(value)
            case _:
                flat.append(target)
    return flat
