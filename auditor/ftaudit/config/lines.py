"""Finds the line of a key in a TOML text, so that errors can show it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_PART: Final = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_NAME: Final = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADER: Final = re.compile(rf"[ \t]*\[\[?[ \t]*({_NAME})[ \t]*\]")
_ASSIGNED: Final = re.compile(rf"[ \t]*({_NAME})[ \t]*=")


class Lines:
    """The lines of a text's keys and tables, found in one pass."""

    def __init__(self, text: str) -> None:
        self._found: dict[tuple[str, ...], list[int]] = {}
        inside: tuple[str, ...] = ()
        for count, line in enumerate(text.split("\n"), 1):
            header = _HEADER.match(line)
            if header is not None:
                inside = _parts(header[1])
                self._found.setdefault(inside, []).append(count)
                continue
            assigned = _ASSIGNED.match(line)
            if assigned is not None:
                self._found.setdefault((*inside, *_parts(assigned[1])), []).append(count)

    def find(self, path: Sequence[str], *, number: int = 0) -> int | None:
        """Return the line, from 1, of the key or table of that path; for an array of tables, that of one item, from 0.

        `None` if the syntax is not supported, as in an inline table.
        """
        found = self._found.get(tuple(path), [])
        if number < len(found):
            return found[number]
        return found[0] if len(found) == 1 else None


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_PART, name))
