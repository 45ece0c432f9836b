"""Binds values to names, attributes, items, and modules in `sys.modules`."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from ftaudit.model.reachability import OpenKind
from ftaudit.reach.abstract_run import AbstractRun
from ftaudit.reach.abstract_values import (
    MOST_ITEMS,
    UNKNOWN,
    UNSET,
    Class,
    DictValue,
    FunctionValue,
    Instance,
    Items,
    LibraryObject,
    Module,
    Pending,
    Scope,
    Value,
    choices_of,
    join,
)
from ftaudit.reach.class_values import look_up
from ftaudit.reach.finder import FoundKind
from ftaudit.reach.iterating import iterate, to_key


def is_weak(machine: AbstractRun, scope: Scope) -> bool:
    """Return whether the assignment may not happen at all."""
    return len(machine.conditions) > scope.base


def bind(machine: AbstractRun, scope: Scope, name: str, value: Value) -> None:
    """Bind a name in the scope that owns it."""
    owner = scope
    if name in scope.declared:
        owner = scope.module.scope
    elif name in scope.outer:
        above = scope.parent
        while above is not None and name not in above.names and above.parent is not None:
            above = above.parent
        owner = above or scope
    if owner is not scope or is_weak(machine, scope):
        value = join(owner.names.get(name, UNSET), value)
    owner.names[name] = value


def assign(machine: AbstractRun, target: ast.expr, value: Value, scope: Scope) -> None:
    """Assign a value to a target."""
    match target:
        case ast.Name(id=name):
            bind(machine, scope, name, value)
        case ast.Tuple(elts=targets) | ast.List(elts=targets):
            _unpack(machine, targets, value, scope)
        case ast.Starred(value=inner):
            assign(machine, inner, value, scope)
        case ast.Attribute(value=owner, attr=name):
            set_attribute(machine, machine.language.evaluate(machine, owner, scope), name, value, scope, target.lineno)
        case ast.Subscript(value=owner, slice=index):
            table = machine.language.evaluate(machine, owner, scope)
            set_item(machine, table, machine.language.evaluate(machine, index, scope), value, scope)
        case _:
            pass


def _unpack(machine: AbstractRun, targets: Sequence[ast.expr], value: Value, scope: Scope) -> None:
    values: list[Value] = [UNKNOWN] * len(targets)
    if isinstance(value, Pending):
        value = Items("list", *iterate(machine, value))
    starred = next((number for number, target in enumerate(targets) if isinstance(target, ast.Starred)), None)
    if isinstance(value, Items) and value.complete:
        if starred is None and len(value.items) == len(targets):
            values = list(value.items)
        elif starred is not None and len(value.items) >= len(targets) - 1:
            after = len(targets) - starred - 1
            stop = len(value.items) - after
            values = [
                *value.items[:starred],
                Items("list", value.items[starred:stop]),
                *(value.items[stop:] if after else []),
            ]
    for target, each in zip(targets, values, strict=True):
        assign(machine, target, each, scope)


def set_attribute(machine: AbstractRun, owner: Value, name: str, value: Value, scope: Scope, line: int = 0) -> None:
    """Assign to an attribute."""
    owners = choices_of(owner)
    for each in owners:
        match each:
            case Module(found=found) if found.kind is FoundKind.STDLIB:
                if (found.name, name) == ("builtins", "__import__"):
                    machine.note(OpenKind.COMPUTED, scope, line)
            case Module() if name == "__class__" and isinstance(value, Class):
                each.replacement = Instance(value)
                each.is_open = True
            case Module():
                sure = each is scope.module and len(owners) == 1
                put(machine, each.scope.names, name, value, sure=sure)
            case Instance(attributes=names) | FunctionValue(attributes=names) | Class(names=names):
                put(machine, names, name, value, sure=len(owners) == 1)
            case _:
                pass
        if isinstance(each, Instance):
            _set_by_class(machine, each, name)


def _set_by_class(machine: AbstractRun, owner: Instance, name: str) -> None:
    """Record that the setter of a property, or `__set__` of another object, may run."""
    kept = look_up(owner.cls, name)
    setter = look_up(kept.cls, "__set__") if isinstance(kept, Instance) else kept
    if isinstance(setter, FunctionValue) and (setter is not kept or kept.kind == "property"):
        machine.cut_call(setter.scope, setter.label, setter.node.lineno)


def put(machine: AbstractRun, table: dict[Any, Value], key: Value, value: Value, *, sure: bool = True) -> None:
    """Put a value into a table; the old value stays possible under a condition, and if that is not `sure`."""
    table[key] = value if sure and not machine.conditions else join(table.get(key, UNSET), value)


def set_item(machine: AbstractRun, owner: Value, key: Value, value: Value, scope: Scope) -> None:
    """Assign to an item."""
    owners = choices_of(owner)
    for each in owners:
        if isinstance(each, Instance) and isinstance(each.payload, DictValue):
            each = each.payload
        match each:
            case DictValue(entries=entries):
                known = to_key(key)
                if known is UNKNOWN or len(entries) > MOST_ITEMS:
                    each.complete = False
                else:
                    put(machine, entries, known, value, sure=len(owners) == 1)
            case Items(items=items):
                if isinstance(key, int) and -len(items) <= key < len(items):
                    sure = len(owners) == 1 and not machine.conditions
                    items[key] = value if sure else join(items[key], value)
                else:
                    each.complete = False
            case LibraryObject(name="sys.modules"):
                _put_module(machine, key, value, scope)
            case _:
                pass


def _put_module(machine: AbstractRun, key: Value, value: Value, scope: Scope) -> None:
    if not isinstance(key, str):
        scope.module.is_open = True
        return
    own = machine.modules.get(key)
    if own is not None and value is not own:
        own.replacement = value
        own.is_open = True
    elif own is None:
        machine.aliases[key] = value
        parent = machine.modules.get(key.rpartition(".")[0])
        if parent is not None:
            parent.scope.names.setdefault(key.rpartition(".")[2], value)
