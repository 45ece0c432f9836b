"""Preprocessor conditions, evaluated as in a free-threaded build of the target: true, false, or unknown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ftaudit.cpython.versions import ABI3T_SINCE, gil_slot
from ftaudit.target import Target

UNDEFINED: Final = "undefined"
"""The value of a macro that is known to be undefined."""
UNKNOWN: Final = "unknown"
"""The value of an unknown macro."""

MacroValue = int | str
"""The integer value of a macro, `UNDEFINED` or `UNKNOWN`."""

_FREE_THREADED: Final = re.compile(r"(?i)^(?!.*without).*(?:free_?thread(?:ed|ing)?|gil_disabled|no_?gil)(?!.*lock)")
"""Names that projects use for the free-threaded build, other than CPython's own `Py_GIL_DISABLED`."""
_PACKS_VERSION: Final = re.compile(r"(?i)^_*py_?pack_(?:full_)?version$")
_OTHER_PYTHON: Final = re.compile(r"(?i)pypy|graal|ironpython|jython|^(?:is_?)?py(?:thon)?_?(?:2|2k)$")
_PYTHON_3: Final = re.compile(r"(?i)^(?:is_?)?py(?:thon)?_?3k?$")
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>0[xX][0-9a-fA-F]+|\d+)[uUlL]*|(?P<name>[A-Za-z_]\w*)|(?P<op>\|\||&&|==|!=|<=|>=|<<|>>|[-+*/%<>!()&|~,?:]))"
)
_LEVELS: Final[tuple[frozenset[str], ...]] = (
    frozenset({"||"}),
    frozenset({"&&"}),
    frozenset({"|", "&"}),
    frozenset({"==", "!="}),
    frozenset({"<", ">", "<=", ">="}),
    frozenset({"<<", ">>"}),
    frozenset({"+", "-"}),
    frozenset({"*", "/", "%"}),
)
_RANKS: Final = {operator: rank for rank, operators in enumerate(_LEVELS) for operator in operators}
_LONGEST: Final = 1000
"""Conditions longer than this (in characters) are not read; real ones are shorter."""
_DEEPEST: Final = 20
"""Conditions with more brackets in brackets, or more `?`, are not read either: they would need too much stack."""
_UNARY_RUN: Final = re.compile(r"(?:[!~+-]\s*){8}")


def known_macros(target: Target, *, cpp: bool) -> dict[str, MacroValue]:
    """Return the macros that the headers of the target's free-threaded build define (`patchlevel.h`, `pyconfig.h`)."""
    major, minor = target.version
    return {
        "Py_GIL_DISABLED": 1,
        "Py_PYTHON_H": 1,
        "PY_VERSION_HEX": (major << 24) | (minor << 16) | 0xF0,
        "PY_MAJOR_VERSION": major,
        "PY_MINOR_VERSION": minor,
        "Py_mod_gil": gil_slot(target.version),
        "WITH_THREAD": 1,
        **({"Py_LIMITED_API": UNDEFINED} if target.version < ABI3T_SINCE else {}),
        "Py_DEBUG": UNDEFINED,
        "Py_TRACE_REFS": UNDEFINED,
        "Py_REF_DEBUG": UNDEFINED,
        "__cplusplus": 201703 if cpp else UNDEFINED,
    }


def lookup(name: str, macros: Mapping[str, MacroValue]) -> MacroValue:
    """Return the value of a name, by the known macros and by projects' names for the free-threaded build."""
    value = macros.get(name)
    if value is not None:
        return value
    if _OTHER_PYTHON.search(name):
        return UNDEFINED
    if _PYTHON_3.match(name) or (_FREE_THREADED.match(name) and name.upper() == name):
        return 1
    return UNKNOWN


_DEBUG: Final = re.compile(
    r"(?:^|_)(?:DEBUG|DEBUGGING|TRACE|TRACING|VERBOSE|PROFILING|SANITIZE|SELFTEST)(?:_\w+)?$|^Py_REF_DEBUG$"
)
"""Macros that only a developer's own build defines, unless the tree defines them."""


def is_defined(name: str, macros: Mapping[str, MacroValue]) -> bool | None:
    """Evaluate `#ifdef name`; `None` if nothing is known."""
    value = lookup(name, macros)
    if value == UNKNOWN:
        return False if _DEBUG.search(name) else None
    return value != UNDEFINED


def number(text: str) -> int:
    """Read a C integer; one with a leading zero and a digit above seven, which is not octal, as decimal."""
    octal = len(text) > 1 and text[0] == "0" and text[1].isdigit()
    return int(text, 8 if octal and not set(text) & set("89") else 10 if octal else 0)


def evaluate(condition: str, macros: Mapping[str, MacroValue]) -> int | None:
    """Evaluate `#if condition`; `None` if it depends on something unknown or cannot be read."""
    deep = _depth(condition) > _DEEPEST or condition.count("?") > _DEEPEST
    if len(condition) > _LONGEST or deep or _UNARY_RUN.search(condition):
        return None
    tokens = [(found.lastgroup or "", found[found.lastgroup or 0]) for found in _TOKEN.finditer(condition)]
    parser = _Parser(tokens, macros)
    value = parser.expression()
    return value if parser.at == len(tokens) else None


def _depth(condition: str) -> int:
    if condition.count("(") <= _DEEPEST:
        return 0
    depth = deepest = 0
    for char in condition:
        depth += (char == "(") - (char == ")")
        deepest = max(deepest, depth)
    return deepest


class _Parser:
    """A recursive descent over the condition's tokens; `None` stands for an unknown value throughout."""

    def __init__(self, tokens: list[tuple[str, str]], macros: Mapping[str, MacroValue]) -> None:
        self.tokens = tokens
        self.macros = macros
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def expression(self) -> int | None:
        """Read a whole condition, `a ? b : c` too."""
        condition = self.binary(0)
        if self.peek() != "?":
            return condition
        self.at += 1
        chosen = self.expression()
        self.at += self.peek() == ":"
        other = self.expression()
        if condition is None:
            return chosen if chosen == other else None
        return chosen if condition else other

    def binary(self, level: int) -> int | None:
        """Read operators that bind as strongly as `level` or stronger, from the left."""
        left = self.unary()
        while (rank := _RANKS.get(operator := self.peek(), -1)) >= level:
            self.at += 1
            left = _apply(operator, left, self.binary(rank + 1))
        return left

    def unary(self) -> int | None:
        text = self.peek()
        if not text:
            return None
        kind = self.tokens[self.at][0]
        self.at += 1
        if text == "(":
            value = self.expression()
            self.at += self.peek() == ")"
            return value
        if text in "!-+~" and kind == "op":
            value = self.unary()
            if value is None:
                return None
            return {"!": int(not value), "-": -value, "+": value, "~": ~value}[text]
        if kind == "number":
            return number(text)
        if kind == "name":
            return self.name(text)
        return None

    def name(self, text: str) -> int | None:
        if text == "defined":
            parenthesis = self.peek() == "("
            self.at += parenthesis
            name = self.peek()
            self.at += 1
            self.at += parenthesis and self.peek() == ")"
            known = is_defined(name, self.macros)
            return None if known is None else int(known)
        if self.peek() == "(":
            return self.call(text)
        value = lookup(text, self.macros)
        if value == UNDEFINED:
            return 0
        return value if isinstance(value, int) else None

    def call(self, name: str) -> int | None:
        """Skip the arguments of a function-like macro; only macros that pack a version number are known."""
        depth = 0
        numbers: list[int] = []
        while self.peek():
            kind, text = self.tokens[self.at]
            depth += {"(": 1, ")": -1}.get(text, 0)
            if kind == "number":
                numbers.append(number(text))
            self.at += 1
            if depth == 0:
                break
        if _PACKS_VERSION.match(name) and len(numbers) >= 2:
            return (numbers[0] << 24) | (numbers[1] << 16)
        return None


def _apply(operator: str, left: int | None, right: int | None) -> int | None:
    if operator == "&&":
        return 0 if left == 0 or right == 0 else None if left is None or right is None else 1
    if operator == "||":
        return 1 if left or right else None if left is None or right is None else 0
    if left is None or right is None:
        return None
    match operator:
        case "==" | "!=":
            return int((left == right) == (operator == "=="))
        case "<":
            return int(left < right)
        case ">":
            return int(left > right)
        case "<=":
            return int(left <= right)
        case ">=":
            return int(left >= right)
        case "|":
            return left | right
        case "&":
            return left & right
        case "<<" | ">>":
            shift = min(max(right, 0), 64)
            return left << shift if operator == "<<" else left >> shift
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case _:
            return None if right == 0 else left // right if operator == "/" else left % right
