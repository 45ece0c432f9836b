"""Ways out of critical sections that do not pass their end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ftaudit.source.c.functions import Function
from ftaudit.source.c.text import closing
from ftaudit.source.c.unit import CUnit

_EDGE: Final = re.compile(r"(?P<edge>BEGIN|END)_CRITICAL_SECTION\w*")
_STEP: Final = re.compile(r"[{};]|\b(?:return|goto|break|continue|throw|for|while|do|switch)\b|\bPy_RETURN_\w+")
_LABEL: Final = r"\b{n}\s*:(?!:)"
_LAMBDA: Final = re.compile(r"\[[^\[\]]*\]\s*(?:\([^()]*\))?\s*(?:mutable\s*|noexcept\s*)*(?:->\s*[\w:<>*&\s]+)?$")


_ENDED: Final = re.compile(r"\b\w*(?:EXIT|END|LEAVE)_CRITICAL_SECTION2?\w*\s*\([^;{}]*\)\s*;\s*\Z")
"""A macro of the project that ends the section without closing its block, before the function is left."""


@dataclass(frozen=True, slots=True)
class Escape:
    """One statement that leaves a section."""

    at: int
    how: str
    opened: int


def find_escapes(unit: CUnit) -> Iterator[Escape]:
    """Yield the statements between a section's begin and end that leave it."""
    edges = list(_EDGE.finditer(unit.code))
    open_: list[re.Match[str]] = []
    for edge in edges:
        if edge["edge"] == "BEGIN":
            open_.append(edge)
            continue
        if not open_:
            continue
        begin = open_.pop()
        function = unit.function_at(begin.start())
        if function is None or edge.start() > function.end or open_:
            continue
        yield from _escapes(unit, function, begin.end(), edge.start(), begin.start())


def _escapes(unit: CUnit, function: Function, start: int, end: int, opened: int) -> Iterator[Escape]:
    code = unit.code
    blocks: list[str] = []
    waiting = ""
    skip_to = -1
    for found in _STEP.finditer(code, start, end):
        at, text = found.start(), found[0]
        if at < skip_to:
            continue
        if text == "{":
            if _LAMBDA.search(code, max(start, at - 120), at):
                skip_to = closing(code, at, function.end)
                continue
            blocks.append(waiting or "block")
            waiting = ""
        elif text == "}":
            if blocks:
                blocks.pop()
        elif text == ";":
            if not _inside_brackets(code, at, start):
                waiting = ""
        elif text in ("for", "while", "do", "switch"):
            waiting = "switch" if text == "switch" and waiting != "loop" else "loop"
        elif text in ("break", "continue"):
            enclosing = {*blocks, waiting} & ({"loop"} if text == "continue" else {"loop", "switch"})
            if not enclosing:
                yield Escape(at, text, opened)
        elif text == "goto":
            label = re.compile(r"\s*(\w+)").match(code, found.end())
            if label is None or not re.compile(_LABEL.replace("{n}", label[1])).search(code, start, end):
                yield Escape(at, f"goto {label[1]}" if label else text, opened)
        elif not _ENDED.search(code, max(start, at - 80), at):
            yield Escape(at, text, opened)


def _inside_brackets(code: str, at: int, start: int) -> bool:
    """Return whether a semicolon is one of those in `for (…;…;…)`."""
    depth = 0
    for place in range(at - 1, max(start, at - 300), -1):
        char = code[place]
        if char == ")":
            depth += 1
        elif char == "(":
            depth -= 1
            if depth < 0:
                return True
        elif char in "{};" and depth == 0 and char != ";":
            return False
    return False
