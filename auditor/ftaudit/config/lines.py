"""On which line of a TOML text a key stands, so that what is wrong with it can be shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_PART: Final = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_NAME: Final = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADER: Final = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_NAME})[ \t]*\]")
_ASSIGNED: Final = re.compile(rf"[ \t]*({_NAME})[ \t]*=")


def find_line(text: str, path: Sequence[str], *, number: int | None = None) -> int | None:
    """Return the line, from 1, of the key or table of that path; with `number` of that table of an array (from 0).

    `None` where it is written in a way that this does not follow, as in an inline table.
    """
    wanted = tuple(path)
    inside: tuple[str, ...] = ()
    seen = -1
    for count, line in enumerate(text.split("\n"), 1):
        header = _HEADER.match(line)
        if header is not None:
            inside = _parts(header[2])
            seen += inside == wanted and header[1] == "[["
            if inside == wanted and number in (None, seen):
                return count
            continue
        assigned = _ASSIGNED.match(line)
        if assigned is not None and (*inside, *_parts(assigned[1])) == wanted:
            return count
    return None


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_PART, name))
