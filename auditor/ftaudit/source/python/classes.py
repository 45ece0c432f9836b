"""The classes of a Python module: the values of their attributes, and which classes use threads."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from typing import Final

from ftaudit.source.python.kinds import CONTAINERS, Kind, kind_of
from ftaudit.source.python.scopes import Scopes, common_kind
from ftaudit.source.python.tree import dotted, inside, last_name, targets_of

_STARTERS: Final = frozenset(
    [
        "Thread",
        "Timer",
        "ThreadPoolExecutor",
        "ThreadPool",
        "start_new_thread",
        "current_thread",
        "get_ident",
        "settrace",
        "setprofile",
        "settrace_all_threads",
        "register_callback",
        "add_done_callback",
        "run_in_executor",
        "to_thread",
        "call_soon_threadsafe",
    ]
)
"""Names that show that a class uses threads."""
_SELF: Final = frozenset({"self", "_self"})


class Classes(Scopes):
    """A module with its classes."""

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        """The module's classes by name."""
        return {node.name: node for node in self.tree.all(ast.ClassDef)}

    @cached_property
    def class_kinds(self) -> dict[str, dict[str, Kind]]:
        """The values of the attributes that each class body assigns, by class name."""
        found: dict[str, dict[str, Kind]] = {}
        for name, node in self.classes.items():
            attributes: dict[str, list[ast.stmt]] = defaultdict(list)
            for statement in node.body:
                for target in targets_of(statement):
                    if isinstance(target, ast.Name) and not isinstance(statement, (ast.Delete, ast.For)):
                        attributes[target.id].append(statement)
            found[name] = {attribute: common_kind(statements) for attribute, statements in attributes.items()}
            for attribute, kind in _declared_class_variables(node):
                found[name].setdefault(attribute, kind)
            if self.is_metaclass(node):
                for attribute, kind in self._given_to_classes(node):
                    found[name].setdefault(attribute, kind)
        return found

    def _given_to_classes(self, owner: ast.ClassDef) -> Iterator[tuple[str, Kind]]:
        """Yield the attributes that a metaclass sets on each class: class attributes, although a method sets them."""
        for declared in owner.body:
            match declared:
                case ast.AnnAssign(target=ast.Name(id=attribute), annotation=annotation, value=None):
                    yield attribute, kind_of(None, annotation)
                case _:
                    pass
        for method in owner.body:
            if not isinstance(method, ast.FunctionDef) or method.name != "__init__" or not method.args.args:
                continue
            made = method.args.args[0].arg
            for node in inside(method.body):
                for target in targets_of(node):
                    match target:
                        case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name == made:
                            yield attribute, kind_of(getattr(node, "value", None), getattr(node, "annotation", None))
                        case _:
                            pass

    def is_metaclass(self, owner: ast.ClassDef) -> bool:
        """Return whether a class makes classes, by the names of its bases and of their bases in this module."""
        seen: set[str] = set()
        pending = [owner]
        while pending:
            names = [last_name(base) or "" for base in pending.pop().bases]
            if any(name == "type" or name.endswith("Meta") for name in names):
                return True
            pending += (self.classes[name] for name in names if name in self.classes and name not in seen)
            seen.update(names)
        return False

    @cached_property
    def instance_kinds(self) -> dict[str, dict[str, Kind]]:
        """The values of the attributes that methods assign through `self`, by class name."""
        found: dict[str, dict[str, Kind]] = defaultdict(dict)
        for node in self.assignments():
            if not isinstance(node, (ast.Assign, ast.AnnAssign)):
                continue
            for target in targets_of(node):
                match target:
                    case ast.Attribute(value=ast.Name(id="self"), attr=attribute):
                        owner = self.tree.enclosing_class(node)
                        if owner is not None:
                            kind = kind_of(node.value, getattr(node, "annotation", None))
                            known = found[owner.name].get(attribute)
                            if known is None or (known is not Kind.LOCK and kind in CONTAINERS | {Kind.LOCK}):
                                found[owner.name][attribute] = kind
                    case _:
                        pass
        return found

    def attributes_set_on_instances(self, owner: str) -> frozenset[str]:
        """Return the attributes that methods of the class assign through `self`."""
        return frozenset(self.instance_kinds.get(owner, ()))

    def declared_only(self, owner: ast.ClassDef) -> frozenset[str]:
        """Return the attributes that the class's methods annotate without giving them a value."""
        return self._declared_only.get(owner.name, frozenset())

    @cached_property
    def _declared_only(self) -> dict[str, frozenset[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for node in self.tree.all(ast.AnnAssign):
            match node:
                case ast.AnnAssign(target=ast.Attribute(value=ast.Name(id="self"), attr=attribute), value=None):
                    owner = self.tree.enclosing_class(node)
                    if owner is not None:
                        found[owner.name].add(attribute)
                case _:
                    pass
        return {name: frozenset(names) - self.attributes_set_on_instances(name) for name, names in found.items()}

    @cached_property
    def generators(self) -> frozenset[str]:
        """The names of the module's generator functions."""
        found: set[str] = set()
        for node in (*self.tree.all(ast.Yield), *self.tree.all(ast.YieldFrom)):
            function = self.tree.function(node)
            if not isinstance(function, ast.FunctionDef) or self.tree.method_owner(function) is not None:
                continue
            if not any("context" in (dotted(decorator) or "") for decorator in function.decorator_list):
                found.add(function.name)
        return frozenset(found)

    @cached_property
    def threaded_classes(self) -> frozenset[str]:
        """The classes whose objects are meant for several threads: they own a lock, mention threads or are a thread.

        So is a class whose metaclass or decorator makes a single object of it.
        """
        found: set[str] = set()
        for name, node in self.classes.items():
            kinds = {*self.instance_kinds.get(name, {}).values(), *self.class_kinds.get(name, {}).values()}
            is_thread = any(dotted(base) in ("threading.Thread", "Thread") for base in node.bases)
            is_single = any("singleton" in (last_name(maker) or "").lower() for maker in _makers(node))
            if Kind.LOCK in kinds or is_thread or is_single:
                found.add(name)
        mentions: list[ast.AST] = [node for node in self.tree.all(ast.Attribute) if node.attr in _STARTERS]
        mentions += (node for node in self.tree.all(ast.Name) if node.id in _STARTERS)
        owners = (self.tree.enclosing_class(mention) for mention in mentions)
        found.update(owner.name for owner in owners if owner is not None)
        return frozenset(found)

    @cached_property
    def assigned_attributes(self) -> frozenset[str]:
        """The names of all attributes that the module assigns on any object."""
        stored = {node.attr for node in self.tree.all(ast.Attribute) if not isinstance(node.ctx, ast.Load)}
        for call in self.tree.all(ast.Call):
            match call:
                case ast.Call(func=ast.Name(id="setattr"), args=[_, ast.Constant(value=str(name)), _]):
                    stored.add(name)
                case _:
                    pass
        return frozenset(stored)

    @cached_property
    def singletons(self) -> dict[str, str]:
        """Module-level names that hold the only object that this module makes of one of its classes: name and class."""
        made: dict[str, list[ast.Call]] = defaultdict(list)
        for call in self.tree.all(ast.Call):
            match call.func:
                case ast.Name(id=name) if name in self.classes:
                    made[name].append(call)
                case _:
                    pass
        only = {calls[0]: owner for owner, calls in made.items() if len(calls) == 1}
        return {
            name: only[value]
            for name, statements in self.module_bindings.items()
            for statement in statements
            if (value := getattr(statement, "value", None)) in only
        }

    def first_argument(self, node: ast.AST) -> tuple[str, ast.ClassDef, bool] | None:
        """Return the name of `self` or `cls` in a node's method, the method's class, and whether it names the class."""
        function = self.tree.function(node)
        while function is not None:
            owner = self.tree.method_owner(function)
            if owner is None and not isinstance(function, ast.Lambda) and function.args.args:
                # A function made in a method, to become one: `def log(_self, message)`.
                outer = self.tree.enclosing_class(function) if function.args.args[0].arg in _SELF else None
                if outer is not None:
                    return function.args.args[0].arg, outer, False
            if owner is not None and not isinstance(function, ast.Lambda) and function.args.args:
                names = {last_name(decorator) for decorator in function.decorator_list}
                if "staticmethod" in names:
                    return None
                is_class = "classmethod" in names or function.name in ("__new__", "__init_subclass__")
                is_class = is_class or "validator" in " ".join(filter(None, names)) or self.is_metaclass(owner)
                return (
                    function.args.args[0].arg,
                    owner,
                    is_class or function.args.args[0].arg in ("cls", "klass", "mcs"),
                )
            function = self.tree.function(function)
        return None


def _declared_class_variables(owner: ast.ClassDef) -> Iterator[tuple[str, Kind]]:
    """Yield the containers that a class body declares as `ClassVar` and leaves to its subclasses to make."""
    for statement in owner.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=attribute), annotation=ast.Subscript() as annotation, value=None):
                if last_name(annotation) == "ClassVar" and (kind := kind_of(None, annotation.slice)) in CONTAINERS:
                    yield attribute, kind
            case _:
                pass


def _makers(owner: ast.ClassDef) -> Iterator[ast.expr]:
    """Yield the metaclass and the decorators of a class."""
    yield from owner.decorator_list
    yield from (keyword.value for keyword in owner.keywords if keyword.arg == "metaclass")
