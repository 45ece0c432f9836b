"""Reads an attribute of a value: names of modules, methods, and the results of `__getattr__`."""

from __future__ import annotations

import ast
from typing import Final

from ftaudit.model.reachability import ConditionKind
from ftaudit.reach.abstract_run import AbstractRun
from ftaudit.reach.abstract_values import (
    UNKNOWN,
    UNSET,
    Bound,
    Class,
    DictValue,
    Failed,
    FunctionValue,
    Instance,
    Items,
    Lazy,
    LibraryObject,
    Module,
    OneOf,
    Pattern,
    Scope,
    Super,
    Value,
    join,
)
from ftaudit.reach.class_values import look_up
from ftaudit.reach.finder import FoundKind
from ftaudit.reach.library_calls import METHODS
from ftaudit.reach.target_values import VALUES

_TYPES: Final = {str: "str", bytes: "str", int: "int", float: "int"}


def attribute(machine: AbstractRun, owner: Value, name: str, scope: Scope, node: ast.AST) -> Value:
    """Return the known facts about an attribute; run what reading it runs."""
    match owner:
        case Module():
            return _of_module(machine, owner, name, scope, node)
        case LibraryObject():
            return _of_known(machine, owner, name, scope, node)
        case Instance():
            return _of_instance(machine, owner, name, scope, node)
        case Class():
            return _of_class(machine, owner, name, scope, node)
        case Super(cls=cls, first=first):
            value = look_up(first.cls if isinstance(first, Instance) else cls, name, after=cls)
            return _bind_method(machine, value, first, scope, node)
        case FunctionValue(attributes=attributes):
            if name in attributes:
                return attributes[name]
            if name in ("__name__", "__qualname__"):
                return owner.label.rpartition(".")[2]
            if name == "__module__":
                return owner.scope.module.name
            if name == "__get__":
                return LibraryObject("function.__get__", owner)
            if name in ("setter", "deleter", "getter"):
                return LibraryObject("builtins.property.setter", owner)
            return UNKNOWN
        case Items(kind=kind):
            key = f"{'set' if kind == 'set' else 'list'}.{name}"
            return Bound(LibraryObject(key), [owner]) if key in METHODS else UNKNOWN
        case DictValue():
            key = f"dict.{name}"
            return Bound(LibraryObject(key), [owner]) if key in METHODS else UNKNOWN
        case str() | Pattern():
            key = f"str.{name}"
            return Bound(LibraryObject(key), [owner]) if key in METHODS else UNKNOWN
        case Bound(function=inner):
            if name == "__func__":
                return inner
            if name == "func":
                return inner
            return attribute(machine, inner, name, scope, node) if name in ("__name__", "__module__") else UNKNOWN
        case OneOf(choices=choices):
            result: Value = UNSET
            for each in choices:
                with machine.under(ConditionKind.SEVERAL, scope, getattr(node, "lineno", 0), f".{name}"):
                    result = join(result, attribute(machine, each, name, scope, node))
            return UNKNOWN if result is UNSET else result
        case _:
            return UNKNOWN


def _of_module(machine: AbstractRun, module: Module, name: str, scope: Scope, node: ast.AST) -> Value:
    if module.found.kind is FoundKind.STDLIB:
        return attribute(machine, LibraryObject(module.name), name, scope, node)
    if module.replacement is not None and module.replacement is not module:
        # What replaces a module may be the module itself, or lead back to it.
        replacement, module.replacement = module.replacement, None
        try:
            value = attribute(machine, replacement, name, scope, node)
        finally:
            module.replacement = replacement
        if value is not UNKNOWN:
            return value
    names = module.scope.names
    if name in names:
        value = names[name]
        if isinstance(value, Lazy):
            from ftaudit.reach.expressions import resolve

            return resolve(machine, value, module.scope, getattr(node, "lineno", 0))
        if (module.name, name) in machine.made_names and scope.module.found.is_own and isinstance(value, Module):
            machine.import_name(value.name, scope, getattr(node, "lineno", 0))  # This place would load it too.
        return value
    if name == "__name__":
        return module.name
    if name == "__dict__":
        return DictValue(names, complete=not module.is_open)
    if name == "__package__":
        return module.package
    if name in ("__file__", "__path__", "__spec__"):
        return LibraryObject(name, module)
    known = machine.modules.get(f"{module.name}.{name}")
    if known is not None and known.failed is None:
        return known
    hook = names.get("__getattr__")
    if not isinstance(hook, (FunctionValue, Bound, OneOf)):
        return UNKNOWN
    key = module.name, name
    if key in machine.names_not_made:
        return UNKNOWN
    try:
        value = machine.language.call(machine, hook, [name], {}, scope, node)
    except Failed as failed:
        if failed.kind != "AttributeError":
            raise
        value = UNKNOWN
    if isinstance(value, Module):
        machine.made_names.add(key)
    if value is UNKNOWN and machine.unit.function is None and not machine.conditions and not scope.module.found.is_own:
        machine.names_not_made.add(key)
    return value


def _of_known(machine: AbstractRun, owner: LibraryObject, name: str, scope: Scope, node: ast.AST) -> Value:
    full = f"{owner.name}.{name}"
    made = VALUES.get(full)
    if made is not None:
        return made(machine, owner)
    if owner.name == "__spec__" and isinstance(owner.about, Module):
        spec = {"name": owner.about.name, "parent": owner.about.package}
        if name in spec:
            return spec[name]
    return LibraryObject(full, owner.about)


def _of_instance(machine: AbstractRun, owner: Instance, name: str, scope: Scope, node: ast.AST) -> Value:
    if name in owner.attributes:
        return owner.attributes[name]
    if name == "__class__":
        return owner.cls
    if name == "__dict__":
        return DictValue(owner.attributes)
    value = look_up(owner.cls, name)
    if value is not UNSET and value is not UNKNOWN:
        return _bind_method(machine, value, owner, scope, node)
    if owner.payload is not None:
        of_payload = attribute(machine, owner.payload, name, scope, node)
        if of_payload is not UNKNOWN:
            return of_payload
    hook = look_up(owner.cls, "__getattr__")
    if isinstance(hook, FunctionValue) and hook.node not in machine.active and not name.startswith("__"):
        try:
            return machine.language.call(machine, hook, [owner, name], {}, scope, node)
        except Failed as failed:
            if failed.kind != "AttributeError":
                raise
    return UNKNOWN


def _of_class(machine: AbstractRun, owner: Class, name: str, scope: Scope, node: ast.AST) -> Value:
    if name == "__name__":
        return owner.name
    if name == "__dict__":
        return DictValue(owner.names)
    if name == "__subclasses__":
        return UNKNOWN
    value = look_up(owner, name)
    if isinstance(value, FunctionValue) and value.kind == "class":
        return Bound(value, [owner])
    if isinstance(value, FunctionValue) and value.kind == "property":
        return UNKNOWN
    if value is UNSET or value is UNKNOWN:
        if isinstance(owner.meta, Class):
            method = look_up(owner.meta, name)
            if isinstance(method, FunctionValue):
                return Bound(method, [owner])
        return UNKNOWN
    return value


def _bind_method(machine: AbstractRun, value: Value, first: Value, scope: Scope, node: ast.AST) -> Value:
    match value:
        case FunctionValue(kind="static"):
            return value
        case FunctionValue(kind="class"):
            return Bound(value, [first.cls if isinstance(first, Instance) else first])
        case FunctionValue(kind="property"):
            if value.node in machine.active:
                return UNKNOWN
            return machine.language.call(machine, value, [first], {}, scope, node)
        case FunctionValue():
            return Bound(value, [first])
        case Instance(cls=cls) if isinstance(getter := look_up(cls, "__get__"), FunctionValue):
            owner = first.cls if isinstance(first, Instance) else first
            if getter.node in machine.active:
                return UNKNOWN
            return machine.language.call(machine, getter, [value, first, owner], {}, scope, node)
        case _ if value is UNSET:
            return UNKNOWN
        case _:
            return value
