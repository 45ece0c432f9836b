"""Which names of a Python module are the module's own, and what they are bound to."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property

from ftaudit.source.base import SourceFile, TreeContext, Unit
from ftaudit.source.python.kinds import Kind, kind_of
from ftaudit.source.python.tree import FunctionNode, Tree, dotted, targets_of


class Scopes(Unit):
    """A module's tree, names and scopes. Everything is computed on first use, and once."""

    def __init__(self, source: SourceFile, context: TreeContext, root: ast.Module) -> None:
        super().__init__(source, context)
        self.tree = Tree(root)

    @cached_property
    def globals_by_function(self) -> dict[FunctionNode, frozenset[str]]:
        """The names that each function declares `global`."""
        found: dict[FunctionNode, set[str]] = defaultdict(set)
        for statement in self.tree.all(ast.Global):
            function = self.tree.function(statement)
            if function is not None:
                found[function].update(statement.names)
        return {function: frozenset(names) for function, names in found.items()}

    @cached_property
    def rebound_globals(self) -> frozenset[str]:
        """The names that some function declares `global`."""
        return frozenset(name for names in self.globals_by_function.values() for name in names)

    @cached_property
    def _locals(self) -> dict[FunctionNode, set[str]]:
        found: dict[FunctionNode, set[str]] = defaultdict(set)
        for scope in self.tree.scopes():
            arguments = scope.args
            every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
            found[scope].update(argument.arg for argument in every if argument is not None)
        for name in self.tree.all(ast.Name):
            if not isinstance(name.ctx, ast.Load):
                binding = self._binding_scope(name)
                if binding is not None and name.id not in self.globals_by_function.get(binding, ()):
                    found[binding].add(name.id)
        for node, names in self._other_bindings():
            function = self.tree.function(node)
            if function is not None:
                found[function].update(set(names) - self.globals_by_function.get(function, frozenset()))
        for statement in self.tree.all(ast.Nonlocal):
            function = self.tree.function(statement)
            if function is not None:
                found[function].difference_update(statement.names)
        return found

    def _other_bindings(self) -> Iterator[tuple[ast.AST, list[str]]]:
        """Yield statements that bind names without a stored name in the tree: imports, definitions, `except … as`."""
        for kind in (ast.Import, ast.ImportFrom):
            for statement in self.tree.all(kind):
                yield statement, [(alias.asname or alias.name).split(".")[0] for alias in statement.names]  # type: ignore[attr-defined]
        for function in self.tree.functions():
            if self.tree.method_owner(function) is None:
                yield function, [function.name]
        for definition in self.tree.all(ast.ClassDef):
            if self.tree.method_owner(definition) is None:
                yield definition, [definition.name]
        for handler in self.tree.all(ast.ExceptHandler):
            yield handler, [handler.name] if handler.name else []

    def _binding_scope(self, node: ast.AST) -> FunctionNode | None:
        """Return the function whose local a stored name becomes; class bodies keep theirs to themselves."""
        for parent in self.tree.above(node):
            match parent:
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                    return parent
                case ast.ClassDef():
                    return None
                case _:
                    pass
        return None

    @cached_property
    def _bound_in_local_classes(self) -> dict[str, set[ast.AST | None]]:
        """The classes inside functions whose body assigns each name: it is their attribute."""
        found: dict[str, set[ast.AST | None]] = defaultdict(set)
        for definition in self.tree.all(ast.ClassDef):
            if self.tree.function(definition) is not None:
                for statement in definition.body:
                    for target in targets_of(statement):
                        if isinstance(target, ast.Name):
                            found[target.id].add(definition)
        return found

    def is_module_name(self, name: str, at: ast.AST) -> bool:
        """Return whether a name, used at a node, is the module's."""
        function = self.tree.function(at)
        if name in self._bound_in_local_classes and self.tree.method_owner(at) in self._bound_in_local_classes[name]:
            return False
        while function is not None:
            if name in self.globals_by_function.get(function, ()):
                return True
            if name in self._locals.get(function, ()):
                return False
            function = self.tree.function(function)
        return True

    @cached_property
    def _origins(self) -> dict[tuple[FunctionNode | None, str], str]:
        """The meaning of each name that an import binds, by the function of the import."""
        found: dict[tuple[FunctionNode | None, str], str] = {}
        for plain in self.tree.all(ast.Import):
            for alias in plain.names:
                name = alias.asname or alias.name.partition(".")[0]
                found[self.tree.function(plain), name] = alias.name if alias.asname else name
        for statement in self.tree.all(ast.ImportFrom):
            for alias in statement.names:
                origin = f"{'.' * statement.level}{statement.module or ''}.{alias.name}"
                found[self.tree.function(statement), alias.asname or alias.name] = origin
        return found

    def qualified(self, node: ast.AST | None) -> str | None:
        """Return the full name of what an import binds: `os.environ` for `environ` after `from os import environ`.

        `None` for a name that no import binds at the node.
        """
        name = dotted(node)
        if name is None or node is None:
            return None
        root, dot, rest = name.partition(".")
        function = self.tree.function(node)
        while function is not None:
            origin = self._origins.get((function, root))
            if origin is not None:
                return f"{origin}{dot}{rest}"
            if root in self._locals.get(function, ()):
                return None
            function = self.tree.function(function)
        origin = self._origins.get((None, root))
        return None if origin is None else f"{origin}{dot}{rest}"

    def assignments(self) -> Iterator[ast.stmt]:
        """Yield every assignment, annotated and augmented ones and `del` included."""
        yield from self.tree.all(ast.Assign)
        yield from self.tree.all(ast.AnnAssign)
        yield from self.tree.all(ast.AugAssign)
        yield from self.tree.all(ast.Delete)

    @cached_property
    def module_bindings(self) -> dict[str, list[ast.stmt]]:
        """The statements outside functions and classes that assign each name."""
        found: dict[str, list[ast.stmt]] = defaultdict(list)
        stack: list[ast.stmt] = list(self.tree.root.body)
        while stack:
            statement = stack.pop()
            if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                continue
            for target in targets_of(statement):
                if isinstance(target, ast.Name) and not isinstance(statement, ast.Delete):
                    found[target.id].append(statement)
            for field in ("body", "orelse", "finalbody"):
                stack.extend(getattr(statement, field, ()))
            for handler in getattr(statement, "handlers", ()):
                stack.extend(handler.body)
        return found

    @cached_property
    def imported(self) -> frozenset[str]:
        """The names that the module's imports bind, at any place."""
        names: set[str] = set()
        for plain in self.tree.all(ast.Import):
            names.update((alias.asname or alias.name).split(".")[0] for alias in plain.names)
        for statement in self.tree.all(ast.ImportFrom):
            names.update(alias.asname or alias.name for alias in statement.names)
        return frozenset(names)

    @cached_property
    def module_kinds(self) -> dict[str, Kind]:
        """The kind of each module-level name, by the assignments at module level."""
        return {
            name: kind
            for name, statements in self.module_bindings.items()
            if (kind := common_kind(statements)) is not Kind.OTHER
        }


def common_kind(statements: list[ast.stmt]) -> Kind:
    """Return the most specific kind among the assignments: `None` next to a container leaves it a container."""
    kinds = [
        kind_of(statement.value, getattr(statement, "annotation", None))
        for statement in statements
        if isinstance(statement, (ast.Assign, ast.AnnAssign))
        and not (isinstance(statement, ast.Assign) and isinstance(statement.targets[0], (ast.Tuple, ast.List)))
    ]
    for kind in kinds:
        if kind not in (Kind.OTHER, Kind.CONSTANT):
            return kind
    return kinds[0] if kinds else Kind.OTHER
