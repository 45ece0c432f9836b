"""The race model by itself: which accesses race, and the severity."""

from __future__ import annotations

from ftaudit.model import Location, Severity
from ftaudit.source.race_words import describe, describe_type
from ftaudit.source.shared_state import (
    Access,
    AccessKind,
    EntryKind,
    EntryPoint,
    Lock,
    State,
    StateKind,
    by_cause,
    races,
    state_table,
)

_LOCK = Lock(name="self->mutex", owner="Trie")


def _access(
    entry: str, kind: AccessKind, *locks: Lock, line: int = 1, name: str = "count", of: EntryKind = EntryKind.METHOD
) -> Access:
    place = Location(path="trie.c", line=line)
    return Access(
        state=State(owner="Trie", name=name),
        kind=kind,
        locks=frozenset(locks),
        entry_point=EntryPoint(name=entry, kind=of, location=place),
        location=place,
    )


def test_a_write_without_a_lock_races_with_itself() -> None:
    (race,) = races([_access("add", AccessKind.COUNT)])
    assert (race.effect.severity, race.first, race.second) == (Severity.INFO, race.sites[0], race.sites[0])


def test_readers_alone_do_not_race() -> None:
    assert races([_access("get", AccessKind.READ), _access("size", AccessKind.READ)]) == ()


def test_a_common_lock_prevents_a_race_and_different_locks_do_not() -> None:
    other = Lock(name="big_lock")
    assert races([_access("add", AccessKind.WRITE, _LOCK), _access("get", AccessKind.READ, _LOCK, other)]) == ()
    assert races([_access("add", AccessKind.WRITE, _LOCK), _access("get", AccessKind.READ, other)])


def test_readers_share_a_lock_that_a_writer_holds_alone() -> None:
    shared = Lock(name=_LOCK.name, owner=_LOCK.owner, shared=True)
    assert races([_access("add", AccessKind.WRITE, _LOCK), _access("get", AccessKind.READ, shared)]) == ()
    assert races([_access("add", AccessKind.WRITE, shared), _access("get", AccessKind.READ, shared)])


def test_one_finding_for_each_state_with_the_worst_first() -> None:
    found = races(
        [
            _access("add", AccessKind.COUNT, line=1),
            _access("add", AccessKind.FREE, line=2, name="root"),
            _access("find", AccessKind.READ, line=9, name="root"),
            _access("remove", AccessKind.COUNT, line=5),
        ]
    )
    assert [(str(race.state), race.effect.severity) for race in found] == [
        ("Trie.root", Severity.ERROR),
        ("Trie.count", Severity.INFO),
    ]


def test_no_other_thread_has_the_object_in_its_constructor_and_destructor() -> None:
    alone = [_access("new", AccessKind.WRITE, of=EntryKind.CONSTRUCTOR), _access("get", AccessKind.READ)]
    assert races([*alone, _access("dealloc", AccessKind.FREE, of=EntryKind.DESTRUCTOR)]) == ()


def test_a_constructor_does_not_have_a_global_to_itself() -> None:
    place = Location(path="m.c", line=3)
    access = Access(
        state=State(owner="", name="cache", kind=StateKind.GLOBAL),
        kind=AccessKind.REPLACE,
        locks=frozenset(),
        entry_point=EntryPoint(name="T", kind=EntryKind.CONSTRUCTOR, location=place),
        location=place,
    )
    assert len(races([access])) == 1


def test_the_state_table_has_states_without_a_race_too() -> None:
    rows = state_table([_access("add", AccessKind.WRITE, _LOCK), _access("get", AccessKind.READ, _LOCK)])
    assert [(row.writers, row.readers, row.locks, row.race) for row in rows] == [
        (("add",), ("get",), ("self->mutex",), None)
    ]


def test_the_words_name_both_threads_and_the_lock_that_one_of_them_lacks() -> None:
    (race,) = races([_access("add", AccessKind.FREE, _LOCK, line=4), _access("get", AccessKind.READ, line=8)])
    text = describe(race)
    assert text.message == "`Trie.count` is written by `add` and read by `get`; `get` takes no lock"
    assert text.interleaving == (
        "Thread 1, in `add`, frees or moves the memory of `Trie.count` (trie.c:4).",
        "Thread 2, in `get`, reads it at the same time (trie.c:8): it uses memory that the first has freed.",
    )
    assert [(site.access, site.entry_point, site.locks) for site in text.sites] == [
        ("read", "get", ()),
    ]


def test_a_type_with_many_racing_fields_is_one_cause_and_one_with_few_is_as_many() -> None:
    few = races(_access("add", AccessKind.COUNT, name=name) for name in ("a", "b", "c"))
    assert [len(cause) for cause in by_cause(few)] == [1, 1, 1]
    (cause,) = by_cause(
        races(
            _access("add", kind, name=name, line=line)
            for line, (name, kind) in enumerate(
                (*zip("abcd", [AccessKind.COUNT] * 4, strict=True), ("z", AccessKind.FREE))
            )
        )
    )
    text = describe_type(cause)
    assert text.message == "5 fields of `Trie` (`z`, `a`, `b` and 2 more) are written by `add` without a lock"
    assert [site.state for site in text.sites] == ["z", "a", "b", "c", "d"]
