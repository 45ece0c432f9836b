"""The values of an iteration."""

from __future__ import annotations

from ftaudit.reach.abstract_run import AbstractRun
from ftaudit.reach.abstract_values import UNKNOWN, DictValue, Instance, Items, OneOf, Pending, Value, is_constant


def iterate(machine: AbstractRun, value: Value) -> tuple[list[Value], bool]:
    """Return the values that an iteration certainly yields, and whether they are complete."""
    match value:
        case Items(items=items, complete=complete):
            return list(items), complete
        case Pending(result=result):
            if result is None:
                value.result = Items("generator", [], complete=False)  # Its own code may iterate over it.
                result = value.result = value.run()
            return list(result.items), result.complete
        case DictValue(entries=entries, complete=complete):
            return [from_key(key) for key in list(entries) if not _is_hidden(key)], complete
        case str():
            return list(value), True
        case Instance(payload=payload) if payload is not None:
            return iterate(machine, payload)
        case OneOf(choices=choices):
            every = [iterate(machine, each) for each in choices if each is not None]
            known = next((items for items, complete in every if complete), [])
            return (known if len(every) == 1 else []), len(every) == 1 and every[0][1]
        case _:
            return [], False


def _is_hidden(key: object) -> bool:
    return isinstance(key, str) and key.startswith("\0")


def from_key(key: object) -> Value:
    """Return the value for a key of a table."""
    return Items("tuple", list(key)) if isinstance(key, tuple) else key


def to_key(value: Value) -> Value:
    """Return the key of a table for a value; `UNKNOWN` if the value is not fully known."""
    match value:
        case Items(items=items, complete=True) if all(map(is_constant, items)):
            return tuple(items)
        case _:
            return value if is_constant(value) else UNKNOWN
