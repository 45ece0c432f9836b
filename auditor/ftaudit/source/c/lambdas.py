"""Lambdas that C++ bindings hand to Python: functions of their own, which run at calls and not in the module's body."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ftaudit.source.c.functions import Function
from ftaudit.source.c.text import closing

_BINDS: Final = re.compile(r"\.\s*(?:def\w*|add_property)\s*\(")
"""`.def`, `.def_static`, `.def_property_readonly`, `.def_prop_rw` and their like of pybind11, nanobind and Boost."""
_LAMBDA: Final = re.compile(r"[(,{+]\s*(\[[^\[\]{};]*\])\s*")
_SPECIFIERS: Final = re.compile(r"\s*(?:(?:mutable|noexcept|constexpr)\b\s*)*(?:->[^{};]{0,400})?\{")
_MOST_UNCLOSED: Final = 20
"""Calls without an end after which a text is taken for no bindings: each costs a search to the end of the file."""
_LONGEST_PARAMETERS: Final = 4_000
"""Characters."""
_NAME: Final = re.compile(r"""\s*"([^"\n]{1,80})\"""")


def find_bound_lambdas(code: str, text: str) -> Iterator[Function]:
    """Yield the lambdas among the arguments of `.def` and its kin, named as Python knows them.

    `code` is masked, `text` holds the names at the same offsets. What stands inside such a lambda is its own: a lambda
    that it makes in turn runs where it says.
    """
    done = unclosed = 0
    for binding in _BINDS.finditer(code) if ".def" in code or "add_property" in code else ():
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
        at = binding.end() - 1
        while (head := _LAMBDA.search(code, at, end)) is not None:
            function = _lambda(code, head, f"the lambda {known[1]!r}" if known else "a lambda that is bound", end)
            at = head.end(1)
            if function is not None:
                yield function
                at = function.end


def _lambda(code: str, head: re.Match[str], name: str, limit: int) -> Function | None:
    """Return the function that begins with a capture, or `None` where no body follows: an index, an attribute."""
    parameters, after = "", head.end()
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
        start=head.start(1),
        at=head.start(1),
        body=opened.end() - 1,
        end=end + 1,
        header="",
        parameter_text=parameters,
        bound=True,
    )
