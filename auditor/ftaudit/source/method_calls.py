"""Follows calls between the methods of one object, from the entry points to every method that they reach."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from ftaudit.source.shared_state import EntryPoint

_MOST_CONTEXTS: Final = 6
"""How many ways to reach a method, by entry point and locks, are followed further: the work stays linear."""


class Calling(Protocol):
    """The actions of one method."""

    @property
    def calls(self) -> Sequence[tuple[str, frozenset[str]]]:
        """The methods of the same object that it calls, and the locks that it holds then."""
        ...


Body = TypeVar("Body", bound=Calling)


def reach(
    bodies: Mapping[str, Sequence[Body]], entries: Iterable[tuple[str, EntryPoint]]
) -> Iterator[tuple[Body, EntryPoint, frozenset[str], tuple[str, ...]]]:
    """Yield each method with the entry points that reach it, the locks held on the path, and the path itself.

    `bodies` has the methods by name: a property's getter and setter are two of one name. Each entry point comes with
    the name under which `bodies` has it.
    """
    seen: dict[str, set[tuple[str, frozenset[str]]]] = defaultdict(set)
    for key, entry in entries:
        pending: list[tuple[str, frozenset[str], tuple[str, ...]]] = [(key, frozenset(), ())]
        while pending:
            reached, locks, chain = pending.pop()
            if (key, locks) in seen[reached] or len(seen[reached]) >= _MOST_CONTEXTS:
                continue
            seen[reached].add((key, locks))
            for body in bodies[reached]:
                yield body, entry, locks, chain
                pending += (
                    (callee, locks | held, (*chain, callee.rpartition(".")[2])[-3:])
                    for callee, held in body.calls
                    if callee in bodies and callee != reached
                )
