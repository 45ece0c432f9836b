"""Find the attributes of shared Python objects that race in a way that a maintainer wants to know about.

Nothing frees memory here: a plain read gets the old or the new value. Only several steps go wrong: a loop, a test and
then an action, an addition, or a change that another method keeps out by a lock which this one does not take.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from ftaudit.source.python.object_states import AttributeUse, ObjectState
from ftaudit.source.shared_state import Access, AccessKind, Effect, EntryKind, Race

_ORDER: Final = (AccessKind.DECIDE, AccessKind.WALK, AccessKind.COUNT, AccessKind.CHANGE, AccessKind.WRITE)
"""The kind that is reported first if several places are at fault."""
_LIFECYCLE: Final = re.compile(
    r"_*(?:re_?)?(?:init|set|setup|reset|configure|connect|open|start|begin|new|close|stop|end|shutdown|join|enter|exit|run"
    r"|register|install|bind|attach|populate|load|prepare|(?:before|after|pre|post|on)_(?:\w+_)?(?:start|stop|init|fork|exit))"
    r"|\w*_init$",
    re.IGNORECASE,
)
_ENOUGH: Final = 2
"""Places that call an object's methods under a lock, from which on one that does not is odd."""
_IN_PLACE: Final = frozenset({AccessKind.CHANGE, AccessKind.COUNT, AccessKind.DECIDE})
_COMPOUND: Final = frozenset({AccessKind.DECIDE, AccessKind.WALK, AccessKind.COUNT})


@dataclass(frozen=True, slots=True)
class StateRace:
    """An attribute that races, and the place at fault."""

    race: Race
    at: Access
    kind: AccessKind
    """The access at the place at fault."""
    lookup: bool
    only_counts: bool
    """The most that can be lost is an update of a number."""
    reported: bool
    """Whether a maintainer wants to know; else it is a note."""


def find_races(states: Iterable[ObjectState]) -> Iterator[StateRace]:
    """Yield the attributes that race, one each, in order of the states."""
    for state in states:
        found = _race(state)
        if found is not None:
            yield found


def _race(state: ObjectState) -> StateRace | None:
    live = [(a, u) for a, u in zip(state.accesses, state.uses, strict=True) if not a.alone]
    locked = [(a, u) for a, u in live if a.locks]
    bare = [(a, u) for a, u in live if not a.locks]
    if not bare or {access.entry_point.kind for access, _ in live} == {EntryKind.THREAD}:
        # Accesses of a single thread do not race.
        return None
    if not any(access.writes for access, _ in live):
        return _stray_call(state, locked, bare)
    at_fault = list(_against_lock(locked, bare)) if locked else list(_without_lock(state, bare))
    odd = list(_odd_ones(at_fault, bare)) if locked else at_fault
    reported = bool(odd)
    at_fault = odd or at_fault
    if not at_fault and (stray := _stray_call(state, locked, bare)) is not None:
        return stray
    if not at_fault:
        at_fault = [(a, u) for a, u in bare if u.kind is AccessKind.COUNT]
    if not at_fault:
        return None
    first, use = min(at_fault, key=lambda pair: (_ORDER.index(pair[1].kind), *_place(pair[0])))
    others = [access for access, _ in (*locked, *bare) if access is not first]
    second = _meets(first, others)
    write, other = (first, second) if first.writes else (second, first)
    return StateRace(
        race=Race(state=state.state, effect=Effect.TORN, first=write, second=other, sites=_once(a for a, _ in live)),
        at=first,
        kind=use.kind,
        lookup=use.lookup,
        only_counts=all(u.kind is AccessKind.COUNT for _, u in at_fault),
        reported=reported,
    )


def _stray_call(
    state: ObjectState, locked: list[tuple[Access, AttributeUse]], bare: list[tuple[Access, AttributeUse]]
) -> StateRace | None:
    """Return the only place that calls a method of an object without the lock that all others hold: a note."""
    kept = [access for access, use in locked if use.calls]
    stray = [access for access, use in bare if use.calls]
    places = {_place(access) for access in kept}
    if len({_place(access) for access in stray}) != 1 or len(places) < _ENOUGH:
        return None
    at = replace(min(stray, key=_place), kind=AccessKind.CHANGE)
    other = replace(min(kept, key=_place), kind=AccessKind.CHANGE)
    sites = _once(replace(access, kind=AccessKind.CHANGE) for access in (*kept, *stray))
    return StateRace(
        race=Race(state=state.state, effect=Effect.TORN, first=at, second=other, sites=sites),
        at=at,
        kind=AccessKind.CHANGE,
        lookup=False,
        only_counts=False,
        reported=False,
    )


def _against_lock(
    locked: list[tuple[Access, AttributeUse]], bare: list[tuple[Access, AttributeUse]]
) -> Iterator[tuple[Access, AttributeUse]]:
    """Yield the accesses without a lock that undo what others hold one for."""
    kinds = {use.kind for _, use in locked}
    written = any(access.writes for access, _ in locked)
    steps = bool(kinds & _COMPOUND)
    in_place = any(use.kind in _IN_PLACE for _, use in (*locked, *bare))
    for access, use in bare:
        match use.kind:
            case AccessKind.WALK:
                # What is only replaced as a whole does not change under a loop.
                wrong = written and in_place
            case AccessKind.DECIDE:
                wrong = written
            case AccessKind.COUNT:
                wrong = True
            case AccessKind.CHANGE:
                wrong = steps and not (use.empties and _is_lifecycle(access))
            case AccessKind.WRITE:
                wrong = (steps if use.constant else written) and not _is_lifecycle(access)
            case _:
                wrong = False
        if wrong:
            yield access, use


def _odd_ones(
    at_fault: Iterable[tuple[Access, AttributeUse]], bare: list[tuple[Access, AttributeUse]]
) -> Iterator[tuple[Access, AttributeUse]]:
    """Yield the accesses at fault, except stores and single operations that routinely skip the lock.

    The interpreter makes each of these in one step. Where several methods make them without the lock, the class keeps
    its objects to one thread there, or needs no lock for them. One method that does so while all others take the lock
    was forgotten, and so was a place in a method that takes the lock a line later.
    """
    writers = {access.entry_point.name for access, _ in bare if access.writes}
    for access, use in at_fault:
        if use.kind not in (AccessKind.WRITE, AccessKind.CHANGE) or len(writers) == 1 or use.locks_elsewhere:
            yield access, use


def _is_lifecycle(access: Access) -> bool:
    """Return whether an attribute is stored at an object's creation, end or set-up, which only its owner does."""
    return any(_LIFECYCLE.match(name) for name in (access.entry_point.name, *access.chain[-1:]))


def _without_lock(state: ObjectState, bare: list[tuple[Access, AttributeUse]]) -> Iterator[tuple[Access, AttributeUse]]:
    """Yield the accesses that go wrong by themselves if no method takes a lock for the attribute."""
    threads = any(access.entry_point.kind is EntryKind.THREAD for access, _ in bare)
    changing = {a.entry_point.name for a, u in bare if u.kind in (AccessKind.CHANGE, AccessKind.DECIDE)}
    entries = {access.entry_point.name for access, _ in bare}
    yield from _drained(bare)
    for access, use in bare:
        match use.kind:
            case AccessKind.DECIDE:
                wrong = not use.lazy
            case AccessKind.WALK:
                wrong = bool(changing - {access.entry_point.name})
            case AccessKind.COUNT:
                wrong = (threads and len(entries) > 1 and state.owns_lock) or state.single
            case _:
                wrong = False
        if wrong:
            yield access, use


def _drained(bare: list[tuple[Access, AttributeUse]]) -> Iterator[tuple[Access, AttributeUse]]:
    """Yield the places that empty a container after they have read it, while another entry point adds to it.

    What the other thread adds between the two steps is lost.
    """
    adding = {a.entry_point.name for a, u in bare if u.kind is AccessKind.CHANGE and not u.empties}
    for access, use in bare:
        name = access.entry_point.name
        if not use.empties or not adding - {name} or _is_lifecycle(access):
            continue
        before = (
            a.entry_point.name == name and u.kind in (AccessKind.READ, AccessKind.WALK) and _place(a) != _place(access)
            for a, u in bare
        )
        if any(before):
            yield replace(access, kind=AccessKind.DECIDE), replace(use, kind=AccessKind.DECIDE)


def _meets(first: Access, others: list[Access]) -> Access:
    """Return the best partner of an access for an example: a write for a read, preferably of another entry point."""
    wanted = [other for other in others if other.writes or first.writes] or [first]
    return min(wanted, key=lambda o: (o.entry_point.name == first.entry_point.name, not o.writes, *_place(o)))


def _place(access: Access) -> tuple[int, int]:
    return access.location.line or 0, access.location.column or 0


def _once(accesses: Iterable[Access]) -> tuple[Access, ...]:
    kept: dict[tuple[int | None, str], Access] = {}
    for access in sorted(accesses, key=_place):
        key = access.location.line, access.entry_point.name
        if key not in kept or (access.writes and not kept[key].writes):
            kept[key] = access
    return tuple(kept.values())
