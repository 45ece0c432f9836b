"""The units for the learned facts, the most valuable first."""

from __future__ import annotations

import random
import re

from ftaudit.stress.child import arguments_to_try
from ftaudit.stress.child.learning import KnownCallable, SharedType, by_call, swapped, unit_of, varied
from ftaudit.stress.child.units import ThreadedUnit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

THREADS = (2, 4, 3, 2, 8)
CALLS = (20, 100, 5, 40, 1)
INTERVALS = (1e-5, 1e-6, 1e-4, 1e-3)
SLICE = 0.2
"""Run time of a unit in seconds."""
LAZY_PROCESSES = 12
MOST_PAIRS = 60
_CALLBACK = re.compile("|".join(re.escape(text) for text in arguments_to_try.CALLBACKS))
STATES = ("len(o)", "sorted(o)", "repr(o)")


class Chance:
    """Threads, calls, and switch intervals, varied from a seed."""

    def __init__(self, seed: int, threads: int | None) -> None:
        self.random = random.Random(seed)  # noqa: S311 - the same schedules for the same seed
        self.threads = threads
        self.turn = 0

    def options(self, operations: int) -> dict[str, Any]:
        """Return the options of the next unit."""
        self.turn += 1
        threads = self.threads or max(THREADS[self.turn % len(THREADS)], operations)
        calls = CALLS[(self.turn // 2) % len(CALLS)]
        return {
            "threads": max(threads, 2),
            "calls": calls,
            "interval": INTERVALS[(self.turn // 3) % len(INTERVALS)],
            "seconds": SLICE,
        }


def of_functions(functions: list[KnownCallable], chance: Chance) -> Iterator[Iterator[ThreadedUnit]]:
    """Yield, for each function, its units: shared input, input that others change."""
    for function in functions:
        yield _of_function(function, chance)


def _of_function(function: KnownCallable, chance: Chance) -> Iterator[ThreadedUnit]:
    common: dict[str, Any] = {
        "target": function.name,
        "imports": tuple(function.imports),
        "subjects": (function.name,),
        "recipe": function.recipe,
    }
    changed = []
    for row in function.calls:
        text = _taken(row)
        shared = _shared_in(text)
        stable = function.compiled and row.get("text") is not None and not row["iterator"]
        yield ThreadedUnit(
            kind="shared input",
            shared=shared,
            operations=(text,),
            checked=(0,) if stable else (),
            expected=(row["text"],) if stable else None,
            **common,
            **chance.options(2),
        )
        changed += [(text, name) for name in shared]
    for text, name in changed:
        shared = _shared_in(text)
        if _CALLBACK.search(text):
            change = chance.random.choice(arguments_to_try.MUTATORS[name])
            yield ThreadedUnit(
                kind="callback",
                shared=shared,
                operations=(_with_callback(text, change),),
                **common,
                **chance.options(2),
            )
        mutators = list(arguments_to_try.MUTATORS[name])
        yield ThreadedUnit(
            kind="changed input",
            shared=shared,
            operations=(text, *mutators[:2], text),
            **common,
            **{**chance.options(4), "calls": 30},
        )
        chance.random.shuffle(mutators)
        for mutator in mutators:
            yield ThreadedUnit(
                kind="changed input",
                shared=shared,
                operations=(text, mutator),
                **common,
                **chance.options(2),
            )


def _shared_in(text: str) -> dict[str, str]:
    """Return the shared objects that an operation uses, in the order of creation."""
    return {name: made for name, made in arguments_to_try.SHARED.items() if re.search(rf"\b{name}\b", text)}


def _with_callback(text: str, change: str) -> str:
    """Return an operation whose callback makes a change, and returns its first argument."""
    return text.replace(_CALLBACK.findall(text)[0], f"(lambda *args, **options: ({change}, args[0] if args else 1)[1])")


def _taken(row: dict[str, Any]) -> str:
    call: str = row["call"]
    return f"list(itertools.islice({call}, 200))" if row["iterator"] else call


def first_uses(functions: list[KnownCallable], chance: Chance) -> Iterator[ThreadedUnit]:
    """Yield units in which all threads make the first call of something, each in a new process."""
    for function in functions:
        if not function.calls:
            continue
        row = function.calls[0]
        text = _taken(row)
        stable = function.compiled and row.get("text") is not None and not row["iterator"]
        yield ThreadedUnit(
            kind="first use",
            target=function.name,
            imports=tuple(function.imports),
            shared=_shared_in(text),
            operations=(text,),
            checked=(0,) if stable else (),
            expected=(row["text"],) if stable else None,
            subjects=(function.name,),
            threads=2 if chance.turn % 2 else 4,
            calls=1,
            rounds=1,
            seconds=2.0,
            processes=LAZY_PROCESSES,
            recipe=function.recipe,
        )


def of_subject(subject: SharedType, chance: Chance) -> Iterator[ThreadedUnit]:
    """Yield the units on one shared object of a type: all operations at once first, then pairs, then teardown."""
    every = list(subject.operations)
    if not every:
        return
    changes = [each for each in every if each["mutates"]]
    reads = [each for each in every if not each["mutates"]]
    chance.random.shuffle(reads)
    steps = [each for each in changes if each["text"].startswith("next(o")]
    for step in steps:
        yield _pair(subject, chance, step, step)
    # All operations at once: each change meets the reads around it.
    rest = list(changes)
    chance.random.shuffle(rest)
    while rest or reads:
        taken = [rest.pop() for _ in range(min(2, len(rest)))]
        taken += [reads.pop() for _ in range(min(4 - len(taken), len(reads)))]
        if not any(each["mutates"] for each in taken) and changes:
            taken.append(chance.random.choice(changes))
        yield _unit(subject, "everything at once", taken, chance)
    yield from of_collection(subject, changes, chance)
    yield from of_two_objects(subject, every, chance)
    yield from of_arguments(subject, every, chance)
    yield from of_callbacks(subject, every, chance)
    pairs = [(one, other) for one in changes for other in every]
    chance.random.shuffle(pairs)
    pairs.sort(key=lambda pair: pair[0] is not pair[1])
    selves = [pair for pair in pairs if pair[0] is pair[1]][:20]
    for one, other in selves:
        yield _pair(subject, chance, one, other)
    yield from of_teardown(subject, every, chance)
    for one, other in [pair for pair in pairs if pair[0] is not pair[1]][:MOST_PAIRS]:
        yield _pair(subject, chance, one, other)


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
        if re.search(r"\bo\b", each["text"]) and re.search(r"\bp\b", each["text"]) and "setattr" not in each["text"]:
            texts = [each["text"], swapped(each["text"])]
            yield unit_of(subject, "two objects", texts, [each["name"]], **{**chance.options(2), "threads": 2})


def of_collection(subject: SharedType, changes: list[dict[str, Any]], chance: Chance) -> Iterator[ThreadedUnit]:
    """Yield units in which the garbage collector visits an object while many threads change it.

    Many threads matter: the collector stops a thread only between its instructions, or where it waits for a lock.
    """
    if not subject.compiled:
        return
    for each in [row for row in changes if "setattr" not in row["text"]][:6]:
        text = f"[{each['text']} for _ in range(20)]"
        texts = [text, text, text, "gc.collect()"]
        options = {**chance.options(4), "threads": chance.threads or 8, "calls": 3}
        yield unit_of(subject, "garbage collection", texts, [each["name"]], **options)


def of_callbacks(subject: SharedType, every: list[dict[str, Any]], chance: Chance) -> Iterator[ThreadedUnit]:
    """Yield units in which a function that an operation calls changes the same object."""
    changes = [each["text"] for each in every if each["mutates"] and not _CALLBACK.search(each["text"])]
    for each in every:
        if changes and _CALLBACK.search(each["text"]):
            change = chance.random.choice(changes)
            text = _with_callback(each["text"], change)
            yield unit_of(subject, "callback", [text], [each["name"]], **chance.options(1))
            yield unit_of(subject, "callback", [text, change], [each["name"]], **chance.options(2))


def of_arguments(subject: SharedType, every: list[dict[str, Any]], chance: Chance) -> Iterator[ThreadedUnit]:
    """Yield units in which a method's argument is changed during use."""
    for each in every:
        for name in _shared_in(each["text"]):
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
            **chance.options(2),
        )


def checks_of(subject: SharedType, chance: Chance) -> Iterator[tuple[str, ThreadedUnit]]:
    """Yield units with a check of results, and the request that must precede each: `commutes` or `settles`.

    Only compiled types have them: in Python, `x.n += 1` is known not to be a single step.
    """
    if not subject.compiled:
        return
    options: dict[str, Any] = {"threads": 2, "calls": 40, "seconds": SLICE, "interval": 1e-5}
    for given in subject.states:
        texts = [str(text) for text in given["operations"]]
        yield "recipe", unit_of(subject, "counted", texts, texts, state=given["state"], by_recipe=True, **options)
    changes = [each for each in subject.operations if each["mutates"] and "setattr" not in each["text"]]
    reads = [each for each in subject.operations if not each["mutates"] and each["stable"]]
    # A hash comes from the address, which differs from object to object.
    reads = [each for each in reads if not re.search(r"\bhash\b", each["text"])]
    states = [each["text"] for each in reads if not re.search(r"\b(p|a_\w+|pickle|hash|bool|copy)\b", each["text"])]
    states = list(dict.fromkeys([text for text in STATES if text in states] + states))[:4]
    for each in changes[:12]:
        text = by_call(each["text"]) or each["text"]
        for state in states:
            yield "commutes", unit_of(subject, "counted", [text], [each["name"]], state=state, **options)
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
                    **{**options, "threads": 3},
                ),
            )
