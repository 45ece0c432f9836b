"""Converts values of the model to plain JSON values and back, to store them between runs."""

from __future__ import annotations

import functools
import types
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, ClassVar, Union, get_args, get_origin, get_type_hints

from packaging.version import Version


def to_plain(value: Any) -> Any:
    """Return a value in a form that JSON supports: a dataclass becomes its fields and the name of its type."""
    if is_dataclass(value) and not isinstance(value, type):
        found = {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
        return {"": type(value).__name__} | found
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Version):
        return str(value)
    if isinstance(value, tuple):
        return [to_plain(each) for each in value]
    return value


def from_plain(kind: Any, value: Any, *, named: bool = True) -> Any:
    """Return a value of a type or closed union from its plain form; raise `ValueError` for any other form.

    Without `named`, a dataclass has only its fields (`dataclasses.asdict`).
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        for each in arguments:
            try:
                return from_plain(each, value, named=named)
            except ValueError:
                continue
    elif origin is tuple and isinstance(value, list):
        if len(arguments) == 2 and arguments[1] is ...:
            return tuple(from_plain(arguments[0], each, named=named) for each in value)
        if len(arguments) == len(value):
            return tuple(from_plain(each, item, named=named) for each, item in zip(arguments, value, strict=True))
    elif origin is dict and isinstance(value, dict):
        key, item = arguments
        return {from_plain(key, name, named=named): from_plain(item, each, named=named) for name, each in value.items()}
    elif is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind, value, named)
    elif kind is Version and isinstance(value, str):
        return Version(value)
    elif isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    elif isinstance(kind, type) and type(value) is kind:
        return value
    raise ValueError(f"not a value of {kind}")


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return {name: hint for name, hint in get_type_hints(kind).items() if get_origin(hint) is not ClassVar}


def _dataclass(kind: Any, value: Any, named: bool) -> Any:
    if not isinstance(value, dict) or (named and value.get("") != kind.__name__):
        raise ValueError(f"not a value of {kind.__name__}")
    hints = _hints(kind)
    if value.keys() - {""} != hints.keys():
        raise ValueError(f"not the fields of {kind.__name__}")
    return kind(**{name: from_plain(hint, value[name], named=named) for name, hint in hints.items()})
