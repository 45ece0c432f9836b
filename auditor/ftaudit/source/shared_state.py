"""State that threads share: which code reads and writes it under which locks, and which pairs of accesses race.

The model is that of RacerD (Blackshear et al., OOPSLA 2018), without a language in it. A room's reader turns each file
into a summary, composes the summaries of all files through their calls, and arrives at `Access` values: one for each
way in which an entry point reaches a piece of state. Two accesses race when they touch the same state, one of them
writes, no lock is common to both, and different threads can run both. An entry point races with itself, because two
threads can call it at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final

from ftaudit.model import Location, Severity, StrEnum


class StateKind(StrEnum):
    """The kind of owner of a piece of state."""

    FIELD = "field"
    """A field of each object of a type."""
    GLOBAL = "global"
    """One for the whole process: a static variable, a module variable, a class attribute."""


class EntryKind(StrEnum):
    """How code outside the project gets to run a function."""

    METHOD = "method"
    PROPERTY = "property"
    SLOT = "slot"
    """A special method: `tp_iternext`, `__len__`."""
    FUNCTION = "function"
    """A function of a module."""
    THREAD = "thread"
    """A function that one of the project's own threads runs, or a callback from another thread."""
    CONSTRUCTOR = "constructor"
    """No other thread has the object yet."""
    DESTRUCTOR = "destructor"
    """No other thread has the object any more."""
    IMPORT = "import"
    """Runs once, while the import lock of its module is held."""


ALONE = frozenset({EntryKind.CONSTRUCTOR, EntryKind.DESTRUCTOR, EntryKind.IMPORT})
"""Entry points whose accesses to fields of their own object no other thread can meet."""


class AccessKind(StrEnum):
    """The kinds of access, the least harmful first. Those after `WALK` write."""

    READ = "read"
    INDEX = "index"
    """Reads a number and reaches into memory with it."""
    WALK = "walk"
    """Reads it in several steps, between which it must not change: a loop, a test and then a look-up."""
    SET = "set"
    """Stores a number that stands for itself: a flag, a limit."""
    WRITE = "write"
    """Stores a value that belongs together with others: a pointer, one of several fields."""
    COUNT = "count"
    """Reads a number, changes it and stores it: two of these lose an update."""
    CHANGE = "change"
    """Changes a container or an object that does its own locking, one whole operation at a time."""
    DECIDE = "decide"
    """Changes it because of what an earlier read said: two steps, of which the second may come too late."""
    REPLACE = "replace"
    """Stores a reference and releases the one that was there."""
    FREE = "free"
    """Gives the memory back, or moves it: `free`, `realloc`, `delete`, a C++ container that grows."""


_READS: Final = frozenset({AccessKind.READ, AccessKind.INDEX, AccessKind.WALK})
_HARMLESS: Final = frozenset({AccessKind.READ, AccessKind.SET, AccessKind.COUNT, AccessKind.CHANGE})
"""The kinds whose worst result is a stale or lost number."""


class Effect(Enum):
    """The worst that can happen when two accesses race."""

    MEMORY = "memory"
    """One thread uses what the other has freed: a crash, or worse."""
    TORN = "torn"
    """A thread sees a state that no single thread would ever see."""
    LOST = "lost"
    """An update of a number is lost, or a stale value is read."""

    @property
    def severity(self) -> Severity:
        """The severity of a finding with this effect."""
        return _SEVERITIES[self]


_SEVERITIES = {Effect.MEMORY: Severity.ERROR, Effect.TORN: Severity.WARNING, Effect.LOST: Severity.INFO}


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class State:
    """A piece of state: the field of a type, or a variable."""

    owner: str
    """The type or the module, as the source names it; empty for a static variable of C."""
    name: str
    """The field or variable; empty for an object as a whole if only its methods are known."""
    kind: StateKind = StateKind.FIELD

    def __str__(self) -> str:
        return ".".join(filter(None, (self.owner, self.name)))


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryPoint:
    """A function that code outside the project can run on any thread."""

    name: str
    """Its Python name if that is known (`add_word`, `__len__`), else the function's own name."""
    kind: EntryKind
    location: Location


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """A lock that is held during an access. Two accesses exclude each other when they hold an equal one."""

    name: str
    """As the source names it, for readers: `self->lock`."""
    owner: str = ""
    """Its owner: the name of a type for one lock per object, empty for a lock of the process."""
    shared: bool = False
    """Held by several readers at once: it excludes only exclusive holders."""
    atomic: bool = False
    """No lock: the access is one atomic operation, which is safe with other atomic ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """One way in which an entry point reaches a piece of state."""

    state: State
    kind: AccessKind
    locks: frozenset[Lock]
    """The locks held on the whole path and during the access."""
    entry_point: EntryPoint
    location: Location
    """The place of the access itself."""
    chain: tuple[str, ...] = ()
    """The functions between the entry point and the access, outermost first."""
    field_of_own: bool = True
    """The object is the one that the entry point was called on."""

    @property
    def writes(self) -> bool:
        """Whether it changes the state."""
        return self.kind not in _READS

    @property
    def alone(self) -> bool:
        """Whether no other thread can reach the state during the access, because of what the entry point is."""
        match self.entry_point.kind:
            case EntryKind.IMPORT:
                return True
            case EntryKind.CONSTRUCTOR | EntryKind.DESTRUCTOR:
                return self.state.kind is StateKind.FIELD and self.field_of_own
            case _:
                return False


@dataclass(frozen=True, kw_only=True, slots=True)
class Race:
    """A piece of state with accesses that race; one for each state."""

    state: State
    effect: Effect
    first: Access
    """A write that races."""
    second: Access
    """An access that meets it in another thread; the first one itself when only one place is at fault."""
    sites: tuple[Access, ...]
    """Every access that takes part in a race, by place; each place and entry point once."""

    @property
    def faults(self) -> tuple[Access, ...]:
        """The sites that hold the fewest locks: if only some take the lock, those that do not."""
        fewest = min(len(site.locks) for site in self.sites)
        return tuple(site for site in self.sites if len(site.locks) == fewest)

    @property
    def fault(self) -> Access:
        """The site to fix first: the first of the most harmful faults."""
        return max(self.faults, key=_rank)


@dataclass(frozen=True, kw_only=True, slots=True)
class StateRow:
    """One line of the state table: which code reads and writes a piece of state, and under which lock."""

    state: State
    accesses: tuple[Access, ...]
    """By place."""
    race: Race | None

    @property
    def readers(self) -> tuple[str, ...]:
        """The names of the entry points that only read it, sorted."""
        return tuple(sorted({a.entry_point.name for a in self.accesses if not a.writes} - set(self.writers)))

    @property
    def writers(self) -> tuple[str, ...]:
        """The names of the entry points that write it, sorted."""
        return tuple(sorted({a.entry_point.name for a in self.accesses if a.writes}))

    @property
    def locks(self) -> tuple[str, ...]:
        """The names of the locks that every access of several threads holds, sorted."""
        shared = [access.locks for access in self.accesses if not access.alone]
        common = frozenset.intersection(*shared) if shared else frozenset()
        return tuple(sorted(lock.name for lock in common))


def access_row(access: Access) -> list[Any]:
    """Return an access as JSON values; `access_of` is the inverse."""
    place, entry = access.location, access.entry_point
    return [
        [access.state.owner, access.state.name, access.state.kind.value],
        access.kind.value,
        sorted([lock.name, lock.owner, lock.shared, lock.atomic] for lock in access.locks),
        [entry.name, entry.kind.value, entry.location.path, entry.location.line, entry.location.column],
        [place.path, place.line, place.column],
        list(access.chain),
        access.field_of_own,
    ]


def access_of(row: Sequence[Any]) -> Access:
    """Return the access that `access_row` wrote."""
    (owner, name, state_kind), kind, locks, entry, place, chain, field_of_own = row
    return Access(
        state=State(owner=owner, name=name, kind=StateKind(state_kind)),
        kind=AccessKind(kind),
        locks=frozenset(Lock(name=n, owner=o, shared=shared, atomic=atomic) for n, o, shared, atomic in locks),
        entry_point=EntryPoint(
            name=entry[0],
            kind=EntryKind(entry[1]),
            location=Location(path=entry[2], line=entry[3], column=entry[4]),
        ),
        location=Location(path=place[0], line=place[1], column=place[2]),
        chain=tuple(chain),
        field_of_own=field_of_own,
    )


def races(accesses: Iterable[Access]) -> tuple[Race, ...]:
    """Return the states with accesses that race, sorted by severity, owner and name."""
    by_state: dict[State, list[Access]] = {}
    for access in accesses:
        if not access.alone:
            by_state.setdefault(access.state, []).append(access)
    found = [race for state, some in by_state.items() if (race := _race(state, some)) is not None]
    return tuple(sorted(found, key=lambda race: (_EFFECTS.index(race.effect), race.state)))


def by_cause(found: Iterable[Race]) -> tuple[tuple[Race, ...], ...]:
    """Return the races grouped by cause, the worst first in each group; groups in the order of their first race.

    A type with more than `_MOST_APART` fields that race was written without threads in mind: one lock for its methods
    is one change, so its fields are one finding. Fewer fields each have a separate finding.
    """
    by_owner: dict[object, list[Race]] = {}
    for race in found:
        of_type = race.state.owner and race.state.kind is StateKind.FIELD
        by_owner.setdefault(race.state.owner if of_type else race.state, []).append(race)
    causes: list[tuple[Race, ...]] = []
    for races_of_owner in by_owner.values():
        if len(races_of_owner) > _MOST_APART:
            causes.append(tuple(races_of_owner))
        else:
            causes += ((race,) for race in races_of_owner)
    return tuple(sorted(causes, key=lambda cause: (_EFFECTS.index(cause[0].effect), cause[0].state)))


def state_table(accesses: Iterable[Access]) -> tuple[StateRow, ...]:
    """Return every state that any access reaches, sorted by owner and name, with its race if it has one."""
    accesses = tuple(accesses)
    racing = {race.state: race for race in races(accesses)}
    by_state: dict[State, list[Access]] = {}
    for access in accesses:
        by_state.setdefault(access.state, []).append(access)
    return tuple(
        StateRow(state=state, accesses=tuple(sorted(some, key=_place)), race=racing.get(state))
        for state, some in sorted(by_state.items())
    )


def exclude(left: frozenset[Lock], right: frozenset[Lock]) -> bool:
    """Return whether two accesses that hold these locks can never run at once."""
    for lock in left:
        if lock in right and not lock.shared:
            return True
        other = replace(lock, shared=not lock.shared)
        if other in right:
            return True
    return False


def _race(state: State, accesses: list[Access]) -> Race | None:
    # Accesses that hold the same locks are alike: there are few sets of locks, and many accesses.
    by_locks: dict[frozenset[Lock], list[Access]] = {}
    for access in accesses:
        by_locks.setdefault(access.locks, []).append(access)
    racing: dict[int, Access] = {}
    pairs: list[tuple[Access, Access]] = []
    for locks, some in by_locks.items():
        writes = [access for access in some if access.writes]
        if not writes:
            continue
        for others_locks, others in by_locks.items():
            if exclude(locks, others_locks):
                continue
            for access in (*writes, *others):
                racing[id(access)] = access
            pairs.append((_worst(writes), _met(others, _worst(writes))))
    if not pairs:
        return None
    first, second = max(pairs, key=lambda pair: (_rank(pair[0]), _rank(pair[1])))
    return Race(
        state=state,
        effect=_effect(racing.values()),
        first=first,
        second=second,
        sites=_once(sorted(racing.values(), key=_place)),
    )


_KINDS: Final = list(AccessKind)
_EFFECTS: Final = list(Effect)
_MOST_APART: Final = 3
"""How many fields of one type are reported one by one."""


def _rank(access: Access) -> int:
    return _KINDS.index(access.kind)


def _worst(accesses: list[Access]) -> Access:
    return max(accesses, key=_rank)


def _met(others: list[Access], first: Access) -> Access:
    """Return the best partner of a write for an example: a read of another entry point, else any other access."""

    def order(other: Access) -> tuple[bool, bool, bool, tuple[str, int, int, str]]:
        return other.entry_point.name == first.entry_point.name, other.writes, other is first, _place(other)

    return min(others, key=order)


def _effect(accesses: Iterable[Access]) -> Effect:
    kinds = {access.kind for access in accesses}
    if kinds & {AccessKind.FREE, AccessKind.REPLACE} or AccessKind.INDEX in kinds:
        return Effect.MEMORY
    return Effect.LOST if kinds <= _HARMLESS else Effect.TORN


def _place(access: Access) -> tuple[str, int, int, str]:
    place = access.location
    return place.path, place.line or 0, place.column or 0, access.entry_point.name


def _once(accesses: Iterable[Access]) -> tuple[Access, ...]:
    """Keep one access of each place and entry point, the most harmful one."""
    kept: dict[tuple[str, int, str], Access] = {}
    for access in accesses:
        key = access.location.path, access.location.line or 0, access.entry_point.name
        if key not in kept or _rank(access) > _rank(kept[key]):
            kept[key] = access
    return tuple(kept.values())
