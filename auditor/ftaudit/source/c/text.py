"""Reading C by its brackets: matching, splitting arguments, stripping casts; over masked text, without recursion."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

_NOT_INDENTED: Final = re.compile(r"\n[^ \t\n]")
_BRACES: Final = re.compile(r"[{}]")
_PARENS: Final = re.compile(r"[()\[\]{}]")
_CAST: Final = re.compile(
    r"\(\s*(?:const\s+|struct\s+|unsigned\s+)*[A-Za-z_][\w:]*(?:\s*<[^()]*>)?(?:\s+const)?\s*(?:\*\s*(?:const\s*)?)+\)\s*"
)
_CPP_CAST: Final = re.compile(r"(?:static|reinterpret|const|dynamic)_cast\s*<[^()]*>\s*\(")
_TEMPLATE: Final = re.compile(
    r"(?<=\w)<[^<>;{}()=&|]*[&*]*>|(?<=[Ff]unction)<[^<>;{}()=|]{0,200}\([^<>;{}()=|]{0,400}\)[^<>;{}()=|]{0,40}>"
)
"""Template arguments, among them the type of a function: `std::function<int(void *)>`."""

KEYWORDS: Final = frozenset(
    [
        "if",
        "for",
        "while",
        "switch",
        "return",
        "sizeof",
        "do",
        "else",
        "case",
        "goto",
        "break",
        "continue",
        "catch",
        "alignof",
        "decltype",
        "static_assert",
        "defined",
        "assert",
        "new",
        "delete",
        "throw",
        "typeof",
        "__typeof__",
        "_Alignof",
        "noexcept",
    ]
)
"""Words before `(` that are not a function call."""


def closing(text: str, start: int, limit: int | None = None) -> int:
    """Return the place of the bracket that closes the one at `start`, or -1 when it is not closed before `limit`."""
    end = len(text) if limit is None else limit
    depth = 0
    for found in _PARENS.finditer(text, start, end):
        if found[0] in "([{":
            depth += 1
        else:
            depth -= 1
            if depth <= 0:
                return found.start()
    return -1


def opening(text: str, end: int, limit: int = 0) -> int:
    """Return the place of the bracket that the one at `end` closes, or -1."""
    depth = 0
    for at in range(end, limit - 1, -1):
        char = text[at]
        if char in ")]}":
            depth += 1
        elif char in "([{":
            depth -= 1
            if depth == 0:
                return at
    return -1


def find_words(text: str, wanted: Collection[str]) -> Iterator[re.Match[str]]:
    """Yield the places of the wanted identifiers, in order.

    A match costs more than the characters between two, so the pattern takes what begins like one of them and is as
    long as the shortest; the text before is checked after the first letter, whose places are found at once.
    """
    names = {name for name in wanted if name.isidentifier()}
    if not names:
        return
    first = "".join(sorted({name[0] for name in names}))
    longer = min(map(len, names)) - 1
    for found in re.finditer(rf"[{first}](?<![A-Za-z0-9_].)\w{{{longer},}}", text):
        if found[0] in names:
            yield found


def split_arguments(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Return the spans between the commas of a list, brackets within it kept whole, blanks trimmed."""
    spans: list[tuple[int, int]] = []
    depth = 0
    begin = start
    for found in re.compile(r"[()\[\]{},]").finditer(text, start, end):
        char = found[0]
        if char == ",":
            if depth == 0:
                spans.append(_trim(text, begin, found.start()))
                begin = found.end()
        else:
            depth += 1 if char in "([{" else -1
    if text[begin:end].strip() or spans:
        spans.append(_trim(text, begin, end))
    return spans


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    left = len(piece) - len(piece.lstrip())
    return start + left, max(start + left, end - (len(piece) - len(piece.rstrip())))


def strip_casts(expression: str) -> str:
    """Return an expression without the casts and brackets around it: `((PyObject *)self)->x` keeps its inside."""
    text = expression.strip()
    for _ in range(8):
        before = text
        cast = _CAST.match(text)
        if cast and cast.end() < len(text):
            text = text[cast.end() :].strip()
        elif text.startswith("(") and closing(text, 0) == len(text) - 1:
            text = text[1:-1].strip()
        elif (cpp := _CPP_CAST.match(text)) and closing(text, cpp.end() - 1) == len(text) - 1:
            text = text[cpp.end() : -1].strip()
        if text == before:
            break
    return text


def normalized(expression: str) -> str:
    """Return an expression without casts and blanks, to compare it with another."""
    return re.sub(r"\s+", "", strip_casts(expression))


def mask_templates(text: str) -> str:
    """Return C++ text with template arguments blanked, innermost first, so that commas within them do not count."""
    for _ in range(6):
        masked = _TEMPLATE.sub(lambda found: " " * len(found[0]), text)
        if masked == text:
            break
        text = masked
    return text


def top_level_blocks(code: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of `{…}` at file scope, to which what is in `extern "C"`, namespaces and classes belongs."""
    return _blocks(code, _TRANSPARENT)


def namespace_blocks(code: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of `{…}` at file scope, to which what is in `extern "C"` and namespaces belongs."""
    return _blocks(code, _NAMESPACE)


def _blocks(code: str, transparent: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    at = code.find("{")
    while at >= 0:
        if transparent.search(_head(code, at)):
            at = code.find("{", at + 1)
            continue
        end = _block_end(code, at)
        if end < 0:
            return
        yield at, end
        at = code.find("{", end)


def _block_end(code: str, start: int) -> int:
    """Return the place after the bracket that closes the one at `start`, or -1.

    Most blocks end at the first line that is not indented: counting, which is fast, shows whether the bracket there is
    theirs. Those that end on the line on which they begin, as default arguments do, are read.
    """
    line = _NOT_INDENTED.search(code, start)
    if line and line[0] == "\n}" and code.count("{", start, line.end()) == code.count("}", start, line.end()):
        first = code.find("\n", start)
        if code.find("}", start, first) < 0:
            return line.end()
    depth = 0
    for found in _BRACES.finditer(code, start):
        depth += 1 if found[0] == "{" else -1
        if depth == 0:
            return found.end()
    return -1


_NAMESPACE: Final = re.compile(r"""^\s*(?:inline\s+)?(?:extern\s*"[^"]*"|namespace\b[\w:\s]*)\s*$""")
_TRANSPARENT: Final = re.compile(_NAMESPACE.pattern + r"""|^[^=(]*\b(?:class|struct)\s+[^=()]*$""")


def _head(code: str, at: int) -> str:
    head = code[max(0, at - 400) : at]
    return head[max(head.rfind(";"), head.rfind("{"), head.rfind("}")) + 1 :]
