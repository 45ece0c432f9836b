"""The units on shared objects of a type, and the units whose results are checked."""

from __future__ import annotations

import os
import re

from ftaudit.stress.child import arguments_to_try
from ftaudit.stress.child.schedule import (
    CALLBACK,
    MOST_TOGETHER,
    SLICE,
    Chance,
    options_for_many,
    shared_in,
    with_callback,
)
from ftaudit.stress.child.subjects import SharedType, by_call, swapped, unit_of, varied
from ftaudit.stress.child.units import COLLECTION, MEMORY, ThreadedUnit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

SLICE_COLLECTION = 1.2
"""Run time of a unit in which objects change while the garbage collector runs."""
SLICE_MEMORY = 0.6
"""Run time of a unit that checks the memory."""
GROWTH = 1 << 19
"""Bytes in each quarter of that time."""
MOST_MEMORY = 4
"""Methods of such a unit: more would get too few rounds each."""
MOST_PAIRS = 60
MOST_SELVES = 20
MOST_COUNTED, TIME_COUNTED = 10_000, 0.01
"""Limits on the calls of a thread before the state is checked: their number, and their seconds."""
_GOES_THROUGH = re.compile(r"islice|iter\(o|repr\(o|copy\(o|deepcopy\(o|pickle|list\(o|o == p|str\(o|sorted|bytes\(")
_GROWS = re.compile(r"setattr|operator\.i")
"""Operations that two objects cannot do on each other forever: each becomes larger by the other."""
STATES = ("len(o)", "sorted(o)", "repr(o)")


def together_on(subject: SharedType, chance: Chance) -> Iterator[ThreadedUnit]:
    """Yield units in which all pairs of an object's operations meet, a few changes and reads in each unit."""
    # What doubles an object in each call leaves no time for anything else.
    every = [each for each in subject.operations if not each["text"].startswith("operator.i")]
    changes = [each for each in every if each["mutates"]]
    reads = [each for each in every if not each["mutates"]]
    chance.random.shuffle(changes)
    chance.random.shuffle(reads)
    rows: list[list[dict[str, Any]]] = []
    while changes or reads:
        taken, changes = changes[: MOST_TOGETHER // 2], changes[MOST_TOGETHER // 2 :]
        left = MOST_TOGETHER - len(taken)
        rows.append(taken + reads[:left])
        reads = reads[left:]
    first = [each for each in every if each["mutates"]]
    for taken in rows:
        if first and not any(each["mutates"] for each in taken):
            taken = [*chance.random.sample(first, min(2, len(first))), *taken]
        if len(taken) < 2:
            continue
        texts = [by_call(each["text"]) or each["text"] if each["mutates"] else each["text"] for each in taken]
        yield unit_of(
            subject,
            "all pairs",
            texts,
            [each["name"] for each in taken],
            by_recipe=any(each["recipe"] for each in taken),
            rotating=True,
            **options_for_many(chance),
        )


def of_subject(subject: SharedType, chance: Chance) -> Iterator[ThreadedUnit]:
    """Yield the units on one shared object of a type: special schedules first, then pairs, then teardown."""
    every = list(subject.operations)
    if not every:
        return
    changes = [each for each in every if each["mutates"]]
    steps = [each for each in changes if each["text"].startswith("next(o")]
    for step in steps:
        yield _pair(subject, chance, step, step)
    pairs = [(one, other) for one in changes for other in every]
    chance.random.shuffle(pairs)
    pairs.sort(key=lambda pair: _likely(*pair), reverse=True)
    # Every kind of schedule takes its turn, pairs twice.
    kinds = [
        of_two_objects(subject, every, chance),
        (_pair(subject, chance, one, one) for one in changes[:MOST_SELVES]),
        of_arguments(subject, every, chance),
        (_pair(subject, chance, one, other) for one, other in pairs[:MOST_PAIRS] if one is not other),
        of_callbacks(subject, every, chance),
        of_collection(subject, changes, chance),
        of_teardown(subject, every, chance),
    ]
    kinds.insert(1, kinds[3])
    while kinds:
        for kind in list(kinds):
            unit = next(kind, None)
            if unit is None:
                kinds.remove(kind)
            else:
                yield unit


def _likely(one: dict[str, Any], other: dict[str, Any]) -> int:
    """Return how likely a change and another operation fail: those that go through all of an object come first."""
    plain = "setattr" not in one["text"]
    return 2 * plain + (_GOES_THROUGH.search(other["text"]) is not None) + (other["mutates"] and plain)


def _unit(subject: SharedType, kind: str, rows: list[dict[str, Any]], chance: Chance) -> ThreadedUnit:
    texts = [by_call(each["text"]) or each["text"] if each["mutates"] else each["text"] for each in rows]
    return unit_of(
        subject,
        kind,
        texts,
        [each["name"] for each in rows],
        by_recipe=any(each["recipe"] for each in rows),
        **chance.options(len(texts)),
    )


def _pair(subject: SharedType, chance: Chance, one: dict[str, Any], other: dict[str, Any]) -> ThreadedUnit:
    return _unit(subject, "pair of methods", [one] if one is other else [one, other], chance)


def of_two_objects(subject: SharedType, every: list[dict[str, Any]], chance: Chance) -> Iterator[ThreadedUnit]:
    """Yield units in which two objects use each other from both sides: locks in two orders."""
    for each in every:
        if re.search(r"\bo\b", each["text"]) and re.search(r"\bp\b", each["text"]) and not _GROWS.search(each["text"]):
            texts = [each["text"], swapped(each["text"])]
            yield unit_of(subject, "two objects", texts, [each["name"]], **{**chance.options(2), "threads": 2})


def of_collection(subject: SharedType, changes: list[dict[str, Any]], chance: Chance) -> Iterator[ThreadedUnit]:
    """Yield units in which the garbage collector visits an object while many threads change it.

    Many threads matter: the collector stops a thread only between its instructions, or where it waits for a lock.
    """
    if not subject.compiled or not subject.collected:
        return
    taken = [row["text"] for row in changes if "setattr" not in row["text"]][:6]
    for start in range(0, len(taken), 2):
        texts = [f"[{text} for o in many]" for text in taken[start : start + 2]]
        texts.append("[gc.collect() for _ in range(3)]")
        shared = subject.shared(" ".join((*texts, "o")))
        # Many objects keep the threads busy during the whole collection.
        shared["many"] = f"[{shared.pop('o')} for _ in range({subject.number_at_once})]"
        yield ThreadedUnit(
            kind=COLLECTION,
            target=subject.type,
            imports=tuple(subject.imports),
            shared=shared,
            operations=tuple(texts),
            subjects=tuple(dict.fromkeys(row["name"] for row in changes if row["text"] in taken[start : start + 2])),
            recipe=subject.recipe,
            **{**chance.options(3), "threads": chance.threads or 8, "calls": 3, "seconds": SLICE_COLLECTION},
        )


def of_memory(subject: SharedType, chance: Chance) -> Iterator[ThreadedUnit]:
    """Yield units in which the memory must not grow, although a few methods take turns on one object after another."""
    if not subject.compiled or not os.path.exists("/proc/self/statm"):  # noqa: PTH110 - quick
        return
    own = [each for each in subject.operations if each["text"].startswith("o.")]
    chance.random.shuffle(own)
    for start in range(0, min(len(own), MOST_TOGETHER), MOST_MEMORY):
        taken = own[start : start + MOST_MEMORY]
        yield unit_of(
            subject,
            MEMORY,
            [each["text"] for each in taken],
            [each["name"] for each in taken],
            by_recipe=any(each["recipe"] for each in taken),
            rotating=len(taken) > 1,
            growth=GROWTH,
            **{**chance.options(2), "threads": chance.threads or 4, "calls": 5, "seconds": SLICE_MEMORY},
        )


def of_callbacks(subject: SharedType, every: list[dict[str, Any]], chance: Chance) -> Iterator[ThreadedUnit]:
    """Yield units in which a function that an operation calls changes the same object."""
    changes = [each["text"] for each in every if each["mutates"] and not CALLBACK.search(each["text"])]
    for each in every:
        if changes and CALLBACK.search(each["text"]):
            change = chance.random.choice(changes)
            text = with_callback(each["text"], change)
            yield unit_of(subject, "callback", [text], [each["name"]], **chance.options(1))
            yield unit_of(subject, "callback", [text, change], [each["name"]], **chance.options(2))


def of_arguments(subject: SharedType, every: list[dict[str, Any]], chance: Chance) -> Iterator[ThreadedUnit]:
    """Yield units in which a method's argument is changed during use."""
    for each in every:
        for name in shared_in(each["text"]):
            texts = [each["text"], *chance.random.sample(arguments_to_try.MUTATORS[name], 2)]
            yield unit_of(subject, "changed argument", texts, [each["name"]], **chance.options(3))


def of_teardown(subject: SharedType, every: list[dict[str, Any]], chance: Chance) -> Iterator[ThreadedUnit]:
    """Yield units in which objects are destroyed while others use them."""
    reads = [each for each in every if "p" not in re.findall(r"\w+", each["text"])]
    for each in reads[:3]:
        text = re.sub(r"\bo\b", "box[0]", each["text"])
        shared = subject.shared(f"{text} o")
        shared["box"] = f"[{shared.pop('o')}]"
        yield ThreadedUnit(
            kind="teardown",
            target=subject.type,
            imports=tuple(subject.imports),
            shared=shared,
            operations=(text, f"box.__setitem__(0, {subject.maker})"),
            subjects=(each["name"],),
            recipe=subject.recipe,
            compiled=subject.compiled,
            **chance.options(2),
        )


def checks_of(subject: SharedType, chance: Chance) -> Iterator[tuple[str, ThreadedUnit]]:
    """Yield units with a check of results, and the request that must precede each: `commutes` or `settles`.

    Only compiled types have them: in Python, `x.n += 1` is known not to be a single step.
    """
    if not subject.compiled:
        return
    options: dict[str, Any] = {"threads": 2, "seconds": 2 * SLICE, "interval": 1e-5}
    for given in subject.states:
        texts = [str(text) for text in given["operations"]]
        unit = unit_of(subject, "counted", texts, texts, state=given["state"], by_recipe=True, calls=40, **options)
        yield "recipe", unit
    changes = [each for each in subject.operations if each["mutates"] and "setattr" not in each["text"]]
    reads = [each for each in subject.operations if not each["mutates"] and each["stable"]]
    # A hash comes from the address, which differs from object to object.
    reads = [each for each in reads if not re.search(r"\bhash\b", each["text"])]
    states = [each["text"] for each in reads if not re.search(r"\b(p|a_\w+|pickle|hash|bool|copy)\b", each["text"])]
    states = list(dict.fromkeys([text for text in STATES if text in states] + states))[:4]
    for each in changes[:12]:
        text = by_call(each["text"]) or each["text"]
        for state in states:
            # Additions that get lost are few: many calls must meet.
            calls = max(40, min(MOST_COUNTED, int(TIME_COUNTED / max(each["taken"], 1e-6))))
            unit = unit_of(subject, "counted", [text], [each["name"]], state=state, calls=calls, **options)
            yield "commutes", unit
    for each in changes[:12]:
        other = varied(each["text"])
        if other is None:
            continue
        for read in reads[:6]:
            texts = [each["text"], other, read["text"]]
            yield (
                "settles",
                unit_of(
                    subject,
                    "torn read",
                    texts,
                    [each["name"], read["name"]],
                    checked=(2,),
                    **{**options, "threads": 3, "calls": MOST_COUNTED},
                ),
            )
