"""The results of binary operators: texts, numbers, and sets."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence

from ftaudit.reach.abstract_values import (
    MOST_ITEMS,
    MOST_TEXT,
    UNKNOWN,
    UNSET,
    Items,
    OneOf,
    Pattern,
    Value,
    choices_of,
    is_constant,
    join,
)


def only_text(value: Value, *, plain: bool) -> Value:
    """Return a value that is formatted into a text, if its text is known."""
    return value if plain and isinstance(value, (Pattern, OneOf)) else UNKNOWN


def concatenate(parts: Sequence[Value]) -> Value:
    """Return the text that the parts form, as far as known."""
    results: list[list[Value]] = [[]]
    for part in parts:
        options = choices_of(part)
        if len(options) * len(results) > 64:
            options = (UNKNOWN,)
        results = [[*one, option] for one in results for option in options]
    texts: Value = UNSET
    for one in results:
        texts = join(texts, _concatenate(one))
    return UNKNOWN if texts is UNSET else texts


def _concatenate(parts: Sequence[Value]) -> Value:
    if all(isinstance(part, str) for part in parts):
        text = "".join(parts)
        return text if len(text) <= MOST_TEXT else UNKNOWN
    prefix = ""
    for part in parts:
        if isinstance(part, Pattern):
            prefix += part.prefix
        if not isinstance(part, str):
            break
        prefix += part
    suffix = ""
    for part in reversed(parts):
        if isinstance(part, Pattern):
            suffix = part.suffix + suffix
        if not isinstance(part, str):
            break
        suffix = part + suffix
    return Pattern(prefix, suffix)


def is_set(value: Value) -> bool:
    """Return whether a value is a set."""
    return isinstance(value, Items) and value.kind == "set"


def combine_sets(kind: ast.operator, one: Value, other: Value) -> Value:
    """Return a union, a difference, or an intersection of sets; what is certainly in it if one is not fully known."""
    left = one if isinstance(one, Items) else Items("set", [], complete=False)
    right = other if isinstance(other, Items) else Items("set", [], complete=False)
    complete = left.complete and right.complete
    if not all(map(is_constant, (*left.items, *right.items))):
        return Items("set", [*left.items, *right.items][:MOST_ITEMS], complete=False)
    match kind:
        case ast.BitOr():
            items = list(dict.fromkeys((*left.items, *right.items)))
        case ast.Sub():
            items = [each for each in left.items if right.complete and each not in right.items]
        case _:
            items = [each for each in left.items if each in right.items]
    return Items("set", items[:MOST_ITEMS], complete and len(items) <= MOST_ITEMS)


def combine_numbers(kind: ast.operator, one: int, other: int) -> Value:
    """Return the result of an operator on two numbers, or `UNKNOWN`."""
    work: Callable[[int, int], int] | None = {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.FloorDiv: operator.floordiv,
        ast.Mod: operator.mod,
        ast.BitAnd: operator.and_,
        ast.BitOr: operator.or_,
    }.get(type(kind))
    if work is None or max(one.bit_length(), other.bit_length()) > 256:
        return UNKNOWN
    try:
        return work(one, other)
    except ArithmeticError:
        return UNKNOWN


def formatted(text: str, given: Value) -> Value:
    """Return the result of `text % given`, as far as known."""
    values = tuple(given.items) if isinstance(given, Items) else (given,)
    if all(isinstance(each, (str, int)) for each in values) and len(text) < MOST_TEXT:
        try:
            result = text % values
        except (TypeError, ValueError, OverflowError, MemoryError):
            return UNKNOWN
        return result if len(result) < MOST_TEXT else UNKNOWN
    return Pattern(text.partition("%")[0])
