"""Comparisons of values, as far as they are known."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any, Final

from ftaudit.reach.abstract_run import AbstractRun
from ftaudit.reach.abstract_values import (
    UNKNOWN,
    DictValue,
    Instance,
    Items,
    Lazy,
    LibraryObject,
    OneOf,
    Value,
    choices_of,
    is_constant,
)

_ORDER: Final[dict[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def compare(machine: AbstractRun, kind: ast.cmpop, left: Value, right: Value) -> bool | None:
    """Return the result of one comparison, or `None` if it is unknown."""
    match kind:
        case ast.Is() | ast.IsNot():
            same = _is(left, right)
            return None if same is None else same is isinstance(kind, ast.Is)
        case ast.In() | ast.NotIn():
            inside = _contains(machine, left, right)
            return None if inside is None else inside is isinstance(kind, ast.In)
        case _:
            return _ordered(_ORDER[type(kind)], left, right)


def _is(left: Value, right: Value) -> bool | None:
    if left is UNKNOWN or right is UNKNOWN or isinstance(left, OneOf) or isinstance(right, OneOf):
        if isinstance(left, OneOf) and is_constant(right) and not any(_may_be(e, right) for e in left.choices):
            return False
        return None
    if is_constant(left) and is_constant(right):
        return left is right or (type(left) is type(right) and left == right)
    if left is None or right is None:
        other = right if left is None else left
        return None if isinstance(other, (LibraryObject, Lazy)) and "()" in getattr(other, "name", "()") else False
    if isinstance(left, LibraryObject) and isinstance(right, LibraryObject):
        return True if left.name == right.name and "()" not in left.name else None
    return left is right if not isinstance(left, LibraryObject) and not isinstance(right, LibraryObject) else None


def _may_be(value: Value, constant: Value) -> bool:
    return value is UNKNOWN or (is_constant(value) and value == constant) or isinstance(value, LibraryObject)


def _contains(machine: AbstractRun, left: Value, right: Value) -> bool | None:
    match right:
        case LibraryObject(name="sys.modules"):
            if isinstance(left, str) and left in machine.modules and not machine.modules[left].failed:
                return True
            return None
        case LibraryObject(name="sys.builtin_module_names"):
            return None
        case str() if isinstance(left, str):
            return left in right
        case Items(items=items, complete=complete) if is_constant(left):
            if any(is_constant(each) and each == left for each in items):
                return True
            return False if complete and all(map(is_constant, items)) else None
        case DictValue(entries=entries, complete=complete) if is_constant(left):
            return True if left in entries else (False if complete else None)
        case Instance(payload=payload) if payload is not None:
            return _contains(machine, left, payload)
        case _:
            return None


def _ordered(work: Callable[[Any, Any], bool], left: Value, right: Value) -> bool | None:
    if is_constant(left) and is_constant(right):
        try:
            return bool(work(left, right))
        except TypeError:
            return None
    if isinstance(left, Items) and isinstance(right, Items) and left.complete and right.complete:
        return _ordered_items(work, left.items, right.items)
    if isinstance(left, OneOf) or isinstance(right, OneOf):
        answers = {_ordered(work, one, other) for one in choices_of(left) for other in choices_of(right)}
        return answers.pop() if len(answers) == 1 else None
    both = isinstance(left, LibraryObject) and isinstance(right, LibraryObject) and "()" not in left.name + right.name
    if both and work in (operator.eq, operator.ne) and left.name == right.name:
        return work is operator.eq
    return None


def _ordered_items(work: Callable[[Any, Any], bool], left: list[Value], right: list[Value]) -> bool | None:
    """Compare element by element, as Python does; an unknown deciding element makes the result unknown."""
    for one, other in zip(left, right, strict=False):
        if not (is_constant(one) and is_constant(other)):
            return None
        if one != other:
            try:
                return bool(work(one, other))
            except TypeError:
                return None
    return bool(work(len(left), len(right)))
