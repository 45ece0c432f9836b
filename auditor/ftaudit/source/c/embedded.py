"""C inside Python: the source that is passed to CFFI as a string."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from ftaudit.source.base import ParseError

_TAKES_C: Final = {"set_source": 1, "set_source_pkgconfig": 2, "verify": 0}
"""Methods of `FFI` that compile C, and the position of the argument that holds it."""
_KEYWORD: Final = frozenset({"source", "preamble"})
_QUOTES: Final = re.compile(r"[rRuU]{0,2}(\"\"\"|'''|\"|')")


@lru_cache(maxsize=4)
def embedded_c(text: str) -> str:
    """Return the C that a Python file passes to CFFI, each line in its place, and blanks for all the rest.

    The string may be in the call or be a name that the module binds to one. Raise `ParseError` for a file that is
    not Python.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ParseError("does not parse as Python") from error
    lines = text.split("\n")
    shown = [[" "] * len(line) for line in lines]
    for node in _strings(tree):
        for number, start, end in _span(node, lines):
            shown[number][start:end] = lines[number][start:end]
    return "\n".join("".join(line) for line in shown)


def _strings(tree: ast.Module) -> Iterator[ast.Constant]:
    bound: dict[str, ast.expr] = {}
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                bound[name] = value
            case _:
                pass
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=method)) if method in _TAKES_C:
                given = node.args[_TAKES_C[method] : _TAKES_C[method] + 1]
                given += [keyword.value for keyword in node.keywords if keyword.arg in _KEYWORD]
                for value in given:
                    held = bound.get(value.id) if isinstance(value, ast.Name) else value
                    match held:
                        case ast.Constant(value=str()):
                            yield held
                        case _:
                            pass
            case _:
                pass


def _span(node: ast.Constant, lines: list[str]) -> Iterator[tuple[int, int, int]]:
    """Yield the line (from 0) and the columns of each stretch of the string's text, without its quotes."""
    first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    start = _column(lines[first], node.col_offset)
    end = _column(lines[last], node.end_col_offset or 0)
    quotes = _QUOTES.match(lines[first], start)
    if quotes is None:
        return
    end -= len(quotes[1])
    start = quotes.end()
    for number in range(first, last + 1):
        yield number, start if number == first else 0, end if number == last else len(lines[number])


def _column(line: str, offset: int) -> int:
    """Return the column in characters of an offset that `ast` counts in bytes."""
    return len(line.encode()[:offset].decode("utf-8", "replace"))
