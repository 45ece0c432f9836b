"""Classes: their bodies, the order of name lookup, and the calls that create one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from ftaudit.reach.abstract_run import AbstractRun
from ftaudit.reach.abstract_values import (
    UNKNOWN,
    UNSET,
    Bound,
    Class,
    DictValue,
    FunctionValue,
    Instance,
    Items,
    LibraryObject,
    OneOf,
    Scope,
    Value,
    choices_of,
)

_FOLLOWED: Final = frozenset({"__init__", "__new__", "__call__", "__enter__", "__exit__", "__init_subclass__",
                              "__set_name__", "__getattr__"})  # fmt: skip
"""Special methods that the run calls itself."""
_THREADS: Final = ("threading.Thread", "threading.Timer", "multiprocessing.Process")


def make_class(machine: AbstractRun, node: ast.ClassDef, scope: Scope) -> Class:
    """Run a class statement, and the effects of its bases and its metaclass."""
    evaluate = machine.language.evaluate
    bases: list[Value] = []
    for base in node.bases:
        if isinstance(base, ast.Starred):
            bases.append(UNKNOWN)
        else:
            bases.append(evaluate(machine, base, scope))
    keywords = {each.arg: evaluate(machine, each.value, scope) for each in node.keywords if each.arg}
    label = f"{scope.label}.{node.name}" if scope.label else node.name
    meta = keywords.pop("metaclass", None)
    made = Class(name=node.name, module=scope.module, bases=[_first(base) for base in bases], names={}, meta=meta)
    inner = Scope(
        module=scope.module,
        names=made.names,
        parent=scope,
        label=label,
        base=len(machine.conditions),
        is_class=True,
        owner=made,
    )
    made.names["__module__"] = scope.module.name
    made.names["__qualname__"] = label
    machine.language.run_block(machine, node.body, inner)
    for value in made.names.values():
        own(value, made)
    if isinstance(meta, FunctionValue):
        machine.language.call(
            machine, meta, [made.name, Items("tuple", list(made.bases)), DictValue(made.names)], {}, scope, node
        )
    if isinstance(meta, Class) or (meta := inherited_meta(made)) is not None:
        made.meta = meta
        may_call_operators(machine, meta)
        names = DictValue(made.names)
        arguments = [made.name, Items("tuple", list(made.bases)), names]
        for hook, first in (("__new__", meta), ("__init__", made)):
            method = look_up(meta, hook)
            if isinstance(method, FunctionValue):
                machine.language.call(machine, method, [first, *arguments], dict(keywords), scope, node)
    for base in made.bases:
        hook = look_up(base, "__init_subclass__") if isinstance(base, Class) else UNSET
        if isinstance(hook, FunctionValue):
            machine.language.call(machine, hook, [made], dict(keywords), scope, node)
            break
    for name, value in list(made.names.items()):
        if isinstance(value, Instance):
            method = look_up(value.cls, "__set_name__")
            if isinstance(method, FunctionValue):
                machine.language.call(machine, Bound(method, [value]), [made, name], {}, scope, node)
    return made


def own(value: Value, made: Class) -> None:
    """Record the owner of a method."""
    for each in choices_of(value):
        if isinstance(each, FunctionValue) and each.owner is None:
            each.owner = made
        elif isinstance(each, Bound) and isinstance(each.function, FunctionValue) and each.function.owner is None:
            each.function.owner = made


def _first(base: Value) -> Value:
    """Return the first known class among the possible bases."""
    return next((each for each in choices_of(base) if isinstance(each, Class)), base)


def lineage(cls: Class, *, after: Class | None = None) -> Iterator[Class | None]:
    """Yield a class and its bases, approximately in Python's order; `None` for an unknown base."""
    order: list[Class | None] = []

    def visit(each: Value) -> None:
        if not isinstance(each, Class):
            from_object = getattr(each, "name", "") in ("builtins.object", "typing.Generic", "abc.ABC")
            if not from_object and None not in order:
                order.append(None)
            return
        if each in order:
            order.remove(each)  # A common base comes after all its subclasses.
        if len(order) > 200:
            return
        order.append(each)
        for base in each.bases:
            visit(base)

    visit(cls)
    if after is not None and after in order:
        order = order[order.index(after) + 1 :]
    yield from order


def look_up(cls: Class, name: str, *, after: Class | None = None) -> Value:
    """Return the value of a name in a class: `UNSET` if no class of its line has it, `UNKNOWN` if one may have it."""
    unsure = False
    for each in lineage(cls, after=after):
        if each is None:
            unsure = True
        elif name in each.names:
            return each.names[name]
    return UNKNOWN if unsure else UNSET


def inherited_meta(cls: Class) -> Class | None:
    """Return the metaclass that a class inherits from its bases."""
    for each in lineage(cls):
        if each is not None and each is not cls and isinstance(each.meta, Class):
            return each.meta
    return None


def may_call_operators(machine: AbstractRun, cls: Class) -> None:
    """Record that operators, statements and the standard library may call methods of a class during an import."""
    if cls in machine.made_classes or machine.unit.function is not None:
        return
    machine.made_classes.add(cls)
    for each in lineage(cls):
        if each is None:
            continue
        is_thread = any(isinstance(base, LibraryObject) and base.name in _THREADS for base in each.bases)
        for name, value in each.names.items():
            special = name.startswith("__") and name.endswith("__") and name not in _FOLLOWED
            if special or (is_thread and name == "run"):
                may_call(machine, value)


def may_call(machine: AbstractRun, value: Value) -> None:
    """Record that code outside the analysis may call a value during an import."""
    match value:
        case FunctionValue(node=body):
            machine.cut_call(value.scope, value.label, body.lineno)
        case Bound(function=inner):
            may_call(machine, inner)
        case Class():
            for name in ("__new__", "__init__"):
                may_call(machine, look_up(value, name))
        case OneOf(choices=choices):
            for each in choices:
                may_call(machine, each)
        case _:
            pass
