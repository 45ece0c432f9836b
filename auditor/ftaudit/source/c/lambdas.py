"""Lambdas that C++ bindings pass to Python: separate functions, which run at calls and not in the module's body."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator
from typing import Final

from ftaudit.source.c.functions import Function
from ftaudit.source.c.text import closing

_BINDS: Final = re.compile(r"\.\s*(?:def\w*|add_property)\s*\(")
"""`.def`, `.def_static`, `.def_property_readonly`, `.def_prop_rw` and the like of pybind11, nanobind and Boost."""
_LAMBDA: Final = re.compile(r"[(,{+]\s*(\[[^\[\]{};]*\])\s*")
_STORED: Final = re.compile(
    r"\b(?:auto|function\s?<[^;{}]{0,200}>)\s{0,40}[&*]{0,2}\s{0,40}([A-Za-z_]\w*)\s*[=({]\s*"
    r"(\[[^\[\]{};]{0,200}\])\s*"
)
"""A lambda that gets a name first: `auto add = [](int a) {`, `std::function<int(int)> add([](int a) {`."""
_SPECIFIERS: Final = re.compile(r"\s*(?:(?:mutable|noexcept|constexpr)\b\s*)*(?:->[^{};]{0,400})?\{")
_MOST_UNCLOSED: Final = 20
"""How many unterminated calls a text of bindings may have: each costs a search to the end of the file."""
_LONGEST_PARAMETERS: Final = 4_000
"""Characters."""
_ARGUMENT: Final = re.compile(r"[(,]\s*(?:std\s*::\s*move\s*\(\s*)?([A-Za-z_]\w*)\s*(?=[),])")
_NAME: Final = re.compile(r"""\s*"([^"\n]{1,80})\"""")


def find_bound_lambdas(code: str, text: str) -> Iterator[Function]:
    """Yield the lambdas among the arguments of `.def` and similar functions, by their Python names.

    A lambda that was stored in a variable before counts if the variable is such an argument. `code` is masked,
    `text` holds the names at the same offsets. What stands inside such a lambda is its own: a lambda that it makes in
    turn runs at its own place.
    """
    done = unclosed = 0
    if ".def" not in code and "add_property" not in code:
        return
    stored: dict[str, list[re.Match[str]]] = {}
    for made in _STORED.finditer(code):
        stored.setdefault(made[1], []).append(made)
    yielded: set[int] = set()
    for binding in _BINDS.finditer(code):
        if binding.start() < done:
            continue
        end = closing(code, binding.end() - 1)
        if end < 0:
            unclosed += 1
            if unclosed > _MOST_UNCLOSED:
                return
            continue
        done = end
        known = _NAME.match(text, binding.end())
        name = f"the lambda {known[1]!r}" if known else "a lambda that is bound"
        at = binding.end() - 1
        while (head := _LAMBDA.search(code, at, end)) is not None:
            function = _lambda(code, head.start(1), head.end(), name, end)
            at = head.end(1)
            if function is not None:
                yield function
                at = function.end
        for made in _handed_over(code, stored, binding.end() - 1, end):
            function = _lambda(code, made.start(2), made.end(), name, len(code))
            if function is not None and made.start(2) not in yielded and function.end <= binding.start():
                yielded.add(made.start(2))
                yield function


def _handed_over(code: str, stored: dict[str, list[re.Match[str]]], start: int, end: int) -> Iterator[re.Match[str]]:
    """Yield the stored lambdas whose names are arguments in the range; of several of a name the nearest above."""
    for argument in _ARGUMENT.finditer(code, start, end + 1) if stored else ():
        every = stored.get(argument[1], [])
        nearest = bisect.bisect_left(every, start, key=re.Match.start) - 1
        if nearest >= 0:
            yield every[nearest]


def _lambda(code: str, start: int, after: int, name: str, limit: int) -> Function | None:
    """Return the function whose capture begins at `start`, or `None` if no body follows: an index, an attribute."""
    parameters = ""
    if code[after : after + 1] == "(":
        closed = closing(code, after, min(limit, after + _LONGEST_PARAMETERS))
        if closed < 0:
            return None
        parameters, after = code[after + 1 : closed], closed + 1
    opened = _SPECIFIERS.match(code, after, limit)
    end = closing(code, opened.end() - 1, limit) if opened else -1
    if opened is None or end < 0:
        return None
    return Function(
        name=name,
        start=start,
        at=start,
        body=opened.end() - 1,
        end=end + 1,
        header="",
        parameter_text=parameters,
        bound=True,
    )
