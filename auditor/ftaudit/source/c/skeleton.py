"""The part of a file that tree-sitter parses: of functions, only the declarations that outlive their calls."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_SHORTEST: Final = 40
"""In characters; leaving out less saves nothing."""
_PARAMETERS_END: Final = re.compile(r"\)\s*(?:(?:const|noexcept|override|final)\s*)*\Z")
_CLASS_MACRO: Final = re.compile(r"\b(?:class|struct|union)\s+\w+\s*\(")
"""`class NAME_OF(x) {` and `struct __attribute__((packed)) {`: text that ends with a bracket and is not a function."""
_OUTLIVES: Final = ("static", "hread")
"""Text in a body that declares a variable which outlives the call."""
_REST: Final = ";}"
"""The replacement for the rest of a body: with a statement in it, because `{}` could be an initializer."""


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A file without the insides of most functions."""

    text: str
    cuts: list[int]
    """The places where the text continues after a cut, in order."""
    missing: list[int]
    """How many characters are left out before the first cut (none), the second, …, the end."""

    def place(self, offset: int) -> int:
        """Return the file offset of a character of the skeleton."""
        return offset + self.missing[bisect_right(self.cuts, offset)]


def skeleton_of(code: str, blocks: Iterable[tuple[int, int]]) -> Skeleton:
    """Leave out the code of functions after the last declaration that outlives the call. `code` is masked C.

    `blocks` are the spans of `{…}` at file scope.
    """
    pieces: list[str] = []
    cuts: list[int] = []
    missing = [0]
    done = length = 0
    for start, end in blocks:
        begin = _rest(code, start, end) if end - start > _SHORTEST and is_body(code, start) else end
        if end - begin < _SHORTEST:
            continue
        pieces += (code[done:begin], _REST)
        length += begin - done + len(_REST)
        done = end
        cuts.append(length - 1)
        missing.append(done - length)
    pieces.append(code[done:])
    return Skeleton("".join(pieces), cuts, missing)


def is_body(code: str, start: int) -> bool:
    """Return whether a bracket follows parameters, and nothing that would make it an initializer."""
    head = code[max(0, start - 400) : start]
    head = head[max(head.rfind(";"), head.rfind("{"), head.rfind("}")) + 1 :]
    return "=" not in head and bool(_PARAMETERS_END.search(head)) and not _CLASS_MACRO.search(head)


def _rest(code: str, start: int, end: int) -> int:
    """Return the start of the rest of a body that declares nothing that outlives the call; its end if unsure.

    If a line begins with a bracket, the brackets may be unbalanced and the block may be several functions.
    """
    if code.find("\n}", start, end - 1) > 0 or code.find("\n{", start, end) > 0:
        return end
    last = max(code.rfind(word, start, end) for word in _OUTLIVES)
    if last < 0:
        return start + 1
    begin = code.find(";", last, end) + 1
    declared = code[start:begin]
    whole = declared.count("{") == declared.count("}") + 1 and declared.count("(") == declared.count(")")
    return begin if whole else end
