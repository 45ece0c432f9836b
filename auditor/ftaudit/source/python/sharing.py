"""State that several threads can reach in a Python module."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Final

from ftaudit.model import StrEnum
from ftaudit.source.python.classes import Classes
from ftaudit.source.python.kinds import CONTAINERS, Kind
from ftaudit.source.python.tree import last_name

_NEVER_SHARED: Final = frozenset({Kind.THREAD_LOCAL, Kind.CONTEXT_VAR, Kind.LOCK})


class Where(StrEnum):
    """The owner of a shared object."""

    MODULE = "module"
    CLASS = "class"
    INSTANCE = "instance"


@dataclass(frozen=True, slots=True)
class Shared:
    """An object that several threads reach: a module-level name, a class attribute, an attribute of a shared object."""

    where: Where
    name: str
    """`_cache`, `Registry.items`, `self.data`: as in the source."""
    owner: str
    """The class's name, or empty."""
    kind: Kind

    @property
    def is_container(self) -> bool:
        """Whether it holds other objects and changes in place."""
        return self.kind in CONTAINERS


class Sharing(Classes):
    """A module with its shared state."""

    def shared(self, node: ast.expr) -> Shared | None:
        """Return the shared object that a name or attribute means, if several threads can reach it from here."""
        match node:
            case ast.Name(id=name):
                if name in self.module_kinds and self.is_module_name(name, node):
                    kind = self.module_kinds[name]
                    return None if kind in _NEVER_SHARED else Shared(Where.MODULE, name, "", kind)
            case ast.Attribute(value=value, attr=attribute):
                return self._shared_attribute(node, value, attribute)
            case _:
                pass
        return None

    def _shared_attribute(self, node: ast.Attribute, value: ast.expr, attribute: str) -> Shared | None:
        owner = self.class_named(value)
        if owner is not None:
            kind = self.class_attribute(owner, attribute)
            return (
                None
                if kind is None or kind in _NEVER_SHARED
                else Shared(Where.CLASS, f"{owner}.{attribute}", owner, kind)
            )
        first = self.first_argument(node)
        match value:
            case ast.Name(id=name) if first is not None and name == first[0] and not first[2]:
                owner = first[1].name
                if attribute not in self.attributes_set_on_instances(owner):
                    kind = self.class_attribute(owner, attribute)
                    if kind is not None and kind in CONTAINERS:
                        return Shared(Where.CLASS, f"{owner}.{attribute}", owner, kind)
                kind = self.instance_kinds.get(owner, {}).get(attribute)
                if kind is not None and (owner in self.threaded_classes or owner in self.singletons.values()):
                    return None if kind in _NEVER_SHARED else Shared(Where.INSTANCE, f"{name}.{attribute}", owner, kind)
            case ast.Name(id=name) if name in self.singletons and self.is_module_name(name, node):
                owner = self.singletons[name]
                kind = self.instance_kinds.get(owner, {}).get(attribute) or self.class_attribute(owner, attribute)
                if kind is not None and kind not in _NEVER_SHARED:
                    return Shared(Where.INSTANCE, f"{name}.{attribute}", owner, kind)
            case _:
                pass
        return None

    def class_attribute(self, owner: str, attribute: str) -> Kind | None:
        """Return the value of an attribute that the body of the class, or of a base in this module, assigns."""
        seen: set[str] = set()
        pending = [owner]
        while pending:
            name = pending.pop()
            if name in seen or name not in self.classes:
                continue
            seen.add(name)
            if attribute in self.class_kinds[name]:
                return self.class_kinds[name][attribute]
            pending += (base for base in map(last_name, self.classes[name].bases) if base is not None)
        return None

    def class_named(self, value: ast.expr) -> str | None:
        """Return the class that `cls`, `Name`, `type(self)` or `self.__class__` means, if it is one of this module."""
        match value:
            case ast.Name(id=name):
                if name in self.classes and self.is_module_name(name, value):
                    return name
                first = self.first_argument(value)
                if first is not None and first[2] and name == first[0]:
                    return first[1].name
            case (
                ast.Call(func=ast.Name(id="type"), args=[ast.Name(id=name)])
                | ast.Attribute(value=ast.Name(id=name), attr="__class__")
            ):
                first = self.first_argument(value)
                if first is not None and not first[2] and name == first[0]:
                    return first[1].name
            case _:
                pass
        return None


def identity(shared: Shared) -> str:
    """Return a key that is equal for every spelling of the same shared object in a module."""
    attribute = shared.name.rpartition(".")[2]
    return f"{shared.owner}.{attribute}" if shared.owner else shared.name
