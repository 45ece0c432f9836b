"""The parts of a Python module that run during import, and the parts that run when threads exist."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cached_property
from typing import Final

from ftaudit.source.python.sharing import Sharing
from ftaudit.source.python.tree import FunctionNode, inside, last_name

_STARTUP: Final = frozenset({"__init_subclass__", "__set_name__", "__class_getitem__", "__prepare__"})
_SCRIPT_NAMES: Final = re.compile(
    r"(?:^|/)(?:__main__|cli|_cli|setup|conftest|manage|noxfile|fabfile|versioneer|conf|runtests|run_tests|hatch_build"
    r"|cmdline|command_line|entrypoints?)\.pyw?$"
    r"|(?:^|/)(?:management|commands?|scripts?|tools?|bin|ci|cli|cmd|dev|build_tools|maint|distutils|\.github)/"
    r"|(?:^|/)autoreload\.py$"
)
_REGISTERS: Final = re.compile(
    r"_*(?:un)?(?:register|install|setup|set_up|configure|implements|dispatch|declare|define|overload|contribute_to_class)"
)


class Timing(Sharing):
    """A module with the time at which its functions run."""

    @cached_property
    def is_script(self) -> bool:
        """Whether it is a program or belongs to one: a program may do as it likes with its process."""
        return _SCRIPT_NAMES.search(self.path) is not None

    def in_function(self, node: ast.AST) -> FunctionNode | None:
        """Return the function that a node runs in if it can run in several threads: not at import, not in a script."""
        function = self.tree.function(node)
        if function is None or self.is_import_time(function):
            return None
        return None if self._in_main_block(function) else function

    def _in_main_block(self, node: ast.AST) -> bool:
        return any(isinstance(parent, ast.If) and _tests_main(parent.test) for parent in self.tree.above(node))

    def is_import_time(self, function: FunctionNode) -> bool:
        """Return whether a function runs only while modules are imported or classes are created."""
        return function in self._import_time

    @cached_property
    def _import_time(self) -> frozenset[FunctionNode]:
        found: set[FunctionNode] = set()
        named: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
        for function in self.tree.functions():
            owner = self.tree.method_owner(function)
            if (
                function.name in _STARTUP
                or self._returns_its_argument(function)
                or self._is_fork_hook(function)
                or (owner is not None and self.is_metaclass(owner) and function.name != "__call__")
            ):
                found.add(function)
            elif self.tree.function(function) is None and owner is None and function.name.startswith("_"):
                named[function.name] = function
        uses: dict[str, list[ast.Name]] = defaultdict(list)
        for name in self.tree.all(ast.Name):
            if name.id in named and isinstance(name.ctx, ast.Load):
                uses[name.id].append(name)
        for name_, candidate in named.items():
            places = uses.get(name_, [])
            if places and all(self.tree.function(place) is None and self._is_called(place) for place in places):
                found.add(candidate)
        for scope in self.tree.scopes():
            outer = self.tree.function(scope)
            if outer is not None and outer in found and self._only_called(scope, outer):
                found.add(scope)
        return frozenset(found)

    def _is_fork_hook(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        """Return whether a function is registered to run around a fork: the child has one thread only."""
        return function.name in self._fork_hooks

    @cached_property
    def _fork_hooks(self) -> frozenset[str]:
        """The last names of arguments to `os.register_at_fork` or `multiprocessing.util.register_after_fork`."""
        found: set[str] = set()
        for call in self.tree.all(ast.Call):
            if last_name(call.func) in ("register_at_fork", "register_after_fork"):
                handed = [*call.args, *(keyword.value for keyword in call.keywords)]
                found.update(name for value in handed if (name := last_name(value)) is not None)
        return frozenset(found)

    def _returns_its_argument(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        """Return whether a decorator registers: it does something with a function or class and returns it."""
        arguments = [*function.args.posonlyargs, *function.args.args]
        if self.tree.method_owner(function) is not None:
            arguments = arguments[1:]
        if not arguments or not isinstance(function.body[-1], ast.Return) or len(arguments) > 2:
            return False
        decorated = re.match(
            r"_?(?:fn|func|function|f|cls|klass|class_|type_?|method|callable|wrapped|obj|handler|target|c)\w*$",
            arguments[0].arg,
        )
        returned = function.body[-1].value
        return decorated is not None and isinstance(returned, ast.Name) and returned.id == arguments[0].arg

    def registers(self, node: ast.AST) -> bool:
        """Return whether a node is in a function whose name says that it registers or sets up: run once, early."""
        function = self.tree.function(node)
        while function is not None:
            if _REGISTERS.match(getattr(function, "name", "")):
                return True
            function = self.tree.function(function)
        return False

    def _is_called(self, name: ast.Name) -> bool:
        parent = self.tree.parents.get(name)
        return isinstance(parent, ast.Call) and parent.func is name

    def _only_called(self, function: FunctionNode, outer: FunctionNode) -> bool:
        """Return whether an inner function stays within the outer one: every use of its name there is a call."""
        if isinstance(function, ast.Lambda):
            return False
        uses = [n for n in inside(outer, functions=True) if isinstance(n, ast.Name) and n.id == function.name]
        return all(self._is_called(use) for use in uses)


def _tests_main(test: ast.expr) -> bool:
    match test:
        case ast.Compare(left=ast.Name(id="__name__"), comparators=[ast.Constant(value="__main__")]):
            return True
        case _:
            return False
