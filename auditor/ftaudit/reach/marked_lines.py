"""Finds which statements of a text hold a place of interest, without walking their syntax trees."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator


class MarkedLines:
    """The lines of a text that have one of the given places."""

    def __init__(self, text: str, places: Iterable[int]) -> None:
        """Take places as offsets into the text, in any order."""
        self._lines = list(_lines(text, sorted(places)))

    def __bool__(self) -> bool:
        """Return whether there is any place."""
        return bool(self._lines)

    def any_within(self, first: int, last: int) -> bool:
        """Return whether one of the lines from `first` to `last` is marked; lines count from 1."""
        at = bisect_left(self._lines, first)
        return at < len(self._lines) and self._lines[at] <= last


def _lines(text: str, places: Iterable[int]) -> Iterator[int]:
    line, at = 1, 0
    for place in places:
        line += text.count("\n", at, place)
        at = place
        yield line
