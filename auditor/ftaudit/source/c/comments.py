"""Comments and string literals of C and C++: found, and blanked without moving any other text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_LITERAL: Final = re.compile(
    r"""[/"'R](?:"""
    r"""(?<=/)/[^\n]*(?<!\\)(?:\\\n[^\n]*(?<!\\))*"""
    r"""|(?<=/)\*[^*]*(?:\*(?!/)[^*]*)*(?:\*/|\Z)"""
    r"""|(?<=R)(?<![A-KM-TV-Za-tv-z0-79_].)"([^()\\\s"]{0,16})\([\s\S]*?(?:\)\1"|\Z)"""
    r"""|(?<=")(?:[^"\\\n]+|\\[\s\S])*"?"""
    r"""|(?<=')(?<![0-9A-Fa-f]')(?:[^'\\\n]|\\.)+'"""
    r""")"""
)
"""It begins with the characters that begin one: a search for a set of characters is fast."""


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment, with its delimiters and its place (character offsets)."""

    start: int
    end: int
    text: str


def blank(text: str) -> str:
    """Return as many spaces as the text is long, its line ends kept."""
    return " " * len(text) if "\n" not in text else "\n".join([" " * len(line) for line in text.split("\n")])


def mask_comments(source: str) -> tuple[str, list[tuple[int, int]]]:
    """Return the source with comments and the insides of literals blanked, and the places of the comments.

    The result is exactly as long as the source, line for line, so offsets into one are offsets into the other.
    """
    comments: list[tuple[int, int]] = []

    def masked(found: re.Match[str]) -> str:
        text = found.group()
        first = text[0]
        if first == "/":
            comments.append(found.span())
            return blank(text)
        if first == "'":
            return "'" + "_" * (len(text) - 2) + "'" if len(text) == 3 else "0" + " " * (len(text) - 1)
        if first == "R":
            return '"' + blank(text[1:-1]) + '"'
        return '"' + blank(text[1:-1]) + '"' if len(text) > 1 else " "

    return _LITERAL.sub(masked, source), comments
