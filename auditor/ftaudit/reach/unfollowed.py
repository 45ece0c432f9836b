"""What the run did not follow in the user's own code: each import that it never reached, and each other way to import.

An import that the run did not reach is left out only for a reason that cannot change while the program runs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Final

from ftaudit.model.reachability import OpenKind
from ftaudit.reach.abstract_run import AbstractRun
from ftaudit.reach.abstract_values import Module, Scope
from ftaudit.reach.finder import FoundKind
from ftaudit.reach.import_statements import absolute_name

_FIXED_MODULES: Final = frozenset({"sys", "os", "platform", "typing", "typing_extensions", "builtins"})
"""Modules whose values are the same in every run on a platform, if only attributes are read."""
_FIXED_NAMES: Final = frozenset({"__name__", "__debug__", "__package__"})
_IMPORTERS: Final = frozenset({"import_module", "__import__", "exec", "eval", "load"})
"""The last parts of the names of functions that import."""
_WAYS: Final = (
    "builtins.__import__", "builtins.__dict__", "code", "codeop", "doctest", "imp",
    "importlib.__import__", "importlib._bootstrap", "importlib.import_module", "importlib.machinery",
    "importlib.metadata.EntryPoint", "importlib.metadata.distribution", "importlib.metadata.distributions",
    "importlib.resources", "importlib.util.LazyLoader", "importlib.util.find_spec", "importlib.util.module_from_spec",
    "importlib.util.spec_from_file_location", "importlib.util.spec_from_loader",
    "logging.config", "marshal", "operator.attrgetter", "operator.methodcaller", "operator.setitem", "pickle",
    "pkgutil", "pydoc", "runpy", "shelve", "site.addsitedir", "sys.meta_path", "sys.path", "sys.path_hooks",
    "timeit", "types.FunctionType", "unittest", "zipimport",
)  # fmt: skip
"""Objects of the standard library through which code imports, or changes what is imported."""
_PLAIN_CALLS: Final = frozenset({"importlib.import_module", "builtins.__import__", "importlib.__import__"})
"""Those that the run follows where code calls them by name."""
_NAMESPACES: Final = frozenset({"globals", "vars", "locals"})


def note_unfollowed(machine: AbstractRun) -> None:
    """Leave an open site for each place of the user's own code that may import and was not followed."""
    for module in list(machine.modules.values()):
        if module.tree is not None and module.found.is_own:
            machine.unit = module.unit
            _OwnModule(machine, module, module.tree).note()


class _OwnModule:
    """One module of the user, after the run."""

    def __init__(self, machine: AbstractRun, module: Module, tree: ast.Module) -> None:
        self.machine = machine
        self.module = module
        self.nodes = list(ast.walk(tree))
        self.excused = frozenset(_excused(machine, module, self.nodes))
        self.imported = dict(_imported(self.nodes, module.scope))

    def note(self) -> None:
        """Leave the open sites."""
        called = {id(each.func) for each in self.nodes if isinstance(each, ast.Call)}
        for node in self.nodes:
            match node:
                case ast.Import(names=names) if self._is_left_out(node):
                    self._note_imports(node, (alias.name for alias in names))
                case ast.ImportFrom(module=name, level=level) if self._is_left_out(node):
                    base = absolute_name(name or "", level, self.module.scope)
                    self._note_imports(node, () if base is None else (base,))
                case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if self._is_left_out(node):
                    if name in _IMPORTERS:
                        self._note(node)
                case ast.Name() | ast.Attribute() if self._is_way(node, is_called=id(node) in called):
                    self._note(node)
                case ast.Attribute(attr="__path__", ctx=ast.Store()) | ast.Name(id="__path__", ctx=ast.Store()):
                    self._note(node)
                case ast.Attribute(value=ast.Name(id="__path__")) | ast.Call(func=ast.Name(id="vars"), args=[_]):
                    self._note(node)
                case ast.Name(id="__package__" | "__spec__" | "__loader__", ctx=ast.Store()):
                    self._note(node)
                case ast.Call(func=ast.Name(id="eval" | "exec" | "compile"), args=[code, *_]):
                    if not isinstance(code, ast.Constant):
                        self._note(node)
                case _:
                    pass
            if _hides_names(node):
                self._note(node)

    def _is_left_out(self, node: ast.AST) -> bool:
        return node not in self.machine.ran and node not in self.excused

    def _note_imports(self, node: ast.stmt, names: Iterable[str]) -> None:
        for name in names:
            found = self.machine.finder.find(name.partition(".")[0])
            if found.kind in (FoundKind.STDLIB, FoundKind.ABSENT) or name == "__future__":
                continue
            self._note(node, "" if found.is_own else name.partition(".")[0])

    def _is_way(self, node: ast.Name | ast.Attribute, *, is_called: bool) -> bool:
        name = self._qualified(node)
        if name is None or (is_called and name in _PLAIN_CALLS):
            return False
        return any(name == way or name.startswith(f"{way}.") for way in _WAYS)

    def _qualified(self, node: ast.expr) -> str | None:
        """Return the full name of an object that code reaches through its imports."""
        match node:
            case ast.Name(id="__import__"):
                return "builtins.__import__"
            case ast.Name(id="__builtins__"):
                return "builtins.__dict__"
            case ast.Name(id=name):
                return self.imported.get(name)
            case ast.Attribute(value=value, attr=attr):
                owner = self._qualified(value)
                return None if owner is None else f"{owner}.{attr}"
            case _:
                return None

    def _note(self, node: ast.AST, prefix: str = "") -> None:
        self.machine.note(OpenKind.COMPUTED, self.module.scope, getattr(node, "lineno", 0), prefix)


def _hides_names(node: ast.AST) -> bool:
    """Return whether code changes names that it does not spell out, or modules by another way than importing."""
    match node:
        case ast.Subscript(value=ast.Call(func=ast.Name(id=name)), ctx=ast.Store()):
            return name in _NAMESPACES
        case ast.Subscript(value=ast.Attribute(attr="__dict__"), ctx=ast.Store()):
            return True
        case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[_, name, *_]):
            return not isinstance(name, ast.Constant)
        case ast.Call(func=ast.Attribute(value=value, attr="update" | "setdefault" | "pop" | "clear" | "__setitem__")):
            match value:
                case ast.Attribute(value=ast.Name(id="sys"), attr="modules") | ast.Attribute(attr="__dict__"):
                    return True
                case ast.Call(func=ast.Name(id=name)):
                    return name in _NAMESPACES
                case _:
                    return False
        case ast.Assign(targets=[ast.Subscript(value=ast.Attribute(value=ast.Name(id="sys"), attr="modules"))]):
            return isinstance(node.value, ast.Constant)
        case _:
            return False


def _imported(nodes: Iterable[ast.AST], scope: Scope) -> Iterator[tuple[str, str]]:
    """Yield the names that import statements bind, with the full names of their objects."""
    for node in nodes:
        match node:
            case ast.Import(names=names):
                for alias in names:
                    top = alias.name.partition(".")[0]
                    yield (alias.asname, alias.name) if alias.asname else (top, top)
            case ast.ImportFrom(module=str(module), level=0, names=names):
                for alias in names:
                    yield alias.asname or alias.name, f"{module}.{alias.name}"
            case _:
                pass


def _excused(machine: AbstractRun, module: Module, nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield what the run left out for a reason that cannot change: the platform, a constant, a module that exists."""
    fixed = _Fixed(machine, module, {})
    for node in nodes:
        match node:
            case ast.If(test=test) if fixed.is_fixed(test):
                for block in (node.body, node.orelse):
                    yield from _all(block)
            case ast.IfExp(test=test) if fixed.is_fixed(test):
                yield from _all([node.body, node.orelse])
            case ast.Try() if node not in machine.surprises and _only_imports(node.body):
                yield from _all([*node.body, *node.handlers, *node.orelse])
            case ast.With() if _only_imports(node.body):
                yield from _all(node.body)
            case _:
                pass
        for name in ("body", "orelse", "finalbody"):
            statements = getattr(node, name, None)
            if isinstance(statements, list):  # Nothing after a statement that leaves the block runs.
                ends = (number for number, each in enumerate(statements) if isinstance(each, _LEAVES))
                yield from _all(statements[next(ends, len(statements)) + 1 :])


_LEAVES: Final = (ast.Raise, ast.Return, ast.Break, ast.Continue)


def _only_imports(block: Iterable[ast.stmt]) -> bool:
    return all(isinstance(each, (ast.Import, ast.ImportFrom, ast.Pass)) for each in block)


def _all(block: Iterable[ast.AST]) -> Iterator[ast.AST]:
    for each in block:
        yield from ast.walk(each)


class _Fixed:
    """Which expressions have one value in every run on a platform."""

    def __init__(self, machine: AbstractRun, module: Module, known: dict[str, dict[str, list[ast.AST]]]) -> None:
        self.machine = machine
        self.module = module
        self.known = known
        if module.name not in known:
            known[module.name] = {}
            if module.tree is not None:
                known[module.name] = _bindings(module.tree)
        self.names = known[module.name]

    def is_fixed(self, node: ast.expr) -> bool:
        """Return whether an expression is built from constants and facts about the platform only."""
        match node:
            case ast.Constant():
                return True
            case ast.Name(id=name):
                return name in _FIXED_NAMES or self._is_fixed_name(name)
            case ast.Attribute(value=ast.Name(id=owner), attr=name):
                return self._is_fixed_attribute(owner, name)
            case ast.UnaryOp(operand=operand):
                return self.is_fixed(operand)
            case ast.BoolOp(values=values) | ast.Tuple(elts=values):
                return all(self.is_fixed(each) for each in values)
            case ast.Compare(left=left, comparators=others):
                return all(self.is_fixed(each) for each in (left, *others))
            case ast.Subscript(value=ast.Attribute(value=ast.Name(id="sys"), attr="version_info")):
                return True
            case ast.Call(func=ast.Attribute(value=ast.Name(id="platform" | "sys" as owner)) as function, args=[]):
                return self._is_fixed_attribute(owner, function.attr)
            case ast.Call(func=ast.Attribute(value=ast.Attribute() as inner, attr="startswith"), args=[ast.Constant()]):
                return self.is_fixed(inner)
            case _:
                return False

    def _is_fixed_name(self, name: str) -> bool:
        match self.names.get(name):
            case [ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value)]:
                return self.is_fixed(value)
            case [ast.ImportFrom(module=str(base), level=level) as node]:
                return self._is_fixed_in(absolute_name(base, level, self.module.scope) or "", _original(node, name))
            case _:
                return False

    def _is_fixed_attribute(self, owner: str, name: str) -> bool:
        match self.names.get(owner):
            case [ast.Import(names=aliases)]:
                for alias in aliases:
                    if (alias.asname or alias.name) == owner:
                        return self._is_fixed_in(alias.name, name)
                return False
            case [ast.ImportFrom(level=level, module=base) as node]:
                package = absolute_name(base or "", level, self.module.scope)
                return package is not None and self._is_fixed_in(f"{package}.{_original(node, owner)}", name)
            case _:
                return False

    def _is_fixed_in(self, module: str, name: str) -> bool:
        if module in _FIXED_MODULES:
            return True
        loaded = self.machine.modules.get(module)
        if loaded is None or loaded.tree is None or loaded.name in self.known:
            return False
        return _Fixed(self.machine, loaded, {**self.known})._is_fixed_name(name)


def _original(node: ast.ImportFrom, name: str) -> str:
    return next((alias.name for alias in node.names if (alias.asname or alias.name) == name), name)


def _bindings(tree: ast.Module) -> dict[str, list[ast.AST]]:
    """Return what binds each name anywhere in a module."""
    found: dict[str, list[ast.AST]] = {}
    plain: set[int] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                for alias in names:
                    found.setdefault(alias.asname or alias.name, []).append(node)
            case ast.Assign(targets=[ast.Name(id=name) as target]) | ast.AnnAssign(target=ast.Name(id=name) as target):
                found.setdefault(name, []).append(node)
                plain.add(id(target))
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) if id(node) not in plain:
                found.setdefault(name, []).append(node)
            case ast.Attribute(attr=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
                found.setdefault(name, []).append(node)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.setdefault(name, []).append(node)
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.ExceptHandler(name=str(name)):
                found.setdefault(name, []).append(node)
            case _:
                pass
    return found
