"""The texts of a race: the message, two lines of an interleaving, and the sites. No other module makes text of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ftaudit.model import Site
from ftaudit.source.shared_state import Access, AccessKind, Effect, Race

_MOST_NAMES: Final = 4
"""How many entry points a message names before it counts the rest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """The texts of one race."""

    message: str
    interleaving: tuple[str, ...]
    """Two sentences: one thread's action, and another thread's action meanwhile."""
    sites: tuple[Site, ...]


def describe(race: Race) -> Description:
    """Return the texts of one race."""
    return describe_type((race,))


def describe_type(races: Sequence[Race]) -> Description:
    """Return the texts of races on fields of one type, the worst first: its message names fields, its sites all."""
    race = races[0]
    several = len(races) > 1
    return Description(
        message=_message_of_type(races) if several else _message(race),
        interleaving=(
            f"Thread 1, in `{_named(race.first)}`, {_DOES[race.first.kind]} `{race.state}` ({race.first.location}).",
            f"Thread 2, in `{_named(race.second)}`, {_DOES[race.second.kind]} it at the same time "
            f"({race.second.location}): {_result(race)}.",
        ),
        sites=tuple(
            Site(
                location=site.location,
                access=site.kind.value,
                entry_point=site.entry_point.name,
                locks=tuple(sorted(lock.name for lock in site.locks)),
                state=one.state.name if several else "",
            )
            for one in races
            for site in one.faults
        ),
    )


def _message(race: Race) -> str:
    writers = {site.entry_point.name for site in race.sites if site.writes}
    readers = {site.entry_point.name for site in race.sites} - writers
    parts = [f"`{race.state}` is written by {_quoted(writers)}"]
    if readers:
        parts.append(f"read by {_quoted(readers)}")
    return f"{' and '.join(parts)}{_locks(race.sites)}"


def _message_of_type(races: Sequence[Race]) -> str:
    fields = _names((f"`{race.state.name}`" for race in races), in_order=True)
    writers = {site.entry_point.name for race in races for site in race.sites if site.writes}
    locks = _locks([site for race in races for site in race.sites])
    return f"{len(races)} fields of `{races[0].state.owner}` ({fields}) are written by {_quoted(writers)}{locks}"


def _locks(sites: Iterable[Access]) -> str:
    sites = tuple(sites)
    locks = [site.locks for site in sites]
    if not any(locks):
        return " without a lock"
    if all(locks):
        return " under different locks"
    bare = {site.entry_point.name for site in sites if not site.locks}
    return f"; {_quoted(bare)} {'takes' if len(bare) == 1 else 'take'} no lock"


def _names(names: Iterable[str], *, in_order: bool = False) -> str:
    ordered = list(names) if in_order else sorted(names)
    if len(ordered) > _MOST_NAMES:
        ordered = [*ordered[: _MOST_NAMES - 1], f"{len(ordered) - _MOST_NAMES + 1} more"]
    return ordered[0] if len(ordered) == 1 else f"{', '.join(ordered[:-1])} and {ordered[-1]}"


def _quoted(names: Iterable[str]) -> str:
    return _names((f"`{name}`" for name in sorted(names)), in_order=True)


def _named(access: Access) -> str:
    return " → ".join((access.entry_point.name, *access.chain))


_DOES: Final = {
    AccessKind.READ: "reads",
    AccessKind.INDEX: "indexes memory with",
    AccessKind.WALK: "iterates over",
    AccessKind.SET: "sets",
    AccessKind.WRITE: "changes",
    AccessKind.COUNT: "adds to or subtracts from",
    AccessKind.CHANGE: "changes",
    AccessKind.DECIDE: "tests and then changes",
    AccessKind.REPLACE: "replaces and releases",
    AccessKind.FREE: "frees or moves the memory of",
}


def _result(race: Race) -> str:
    match race.effect, race.second.writes:
        case Effect.MEMORY, _ if AccessKind.INDEX in {site.kind for site in race.sites}:
            return "it accesses memory beyond the end"
        case Effect.MEMORY, True:
            return "both release the same old value, or one uses memory that the other has freed"
        case Effect.MEMORY, False:
            return "it uses memory that the first has freed"
        case Effect.LOST, True:
            return "one of the two updates is lost"
        case Effect.LOST, False:
            return "it gets a stale value"
        case _ if race.second.kind is AccessKind.WALK:
            return "an item disappears while it is in use, or the loop fails"
        case _:
            return "it sees a state that never occurs in a single thread"
