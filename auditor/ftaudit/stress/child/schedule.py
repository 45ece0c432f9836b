"""The units for the learned facts, the most valuable first."""

from __future__ import annotations

import random
import re

from ftaudit.stress.child import arguments_to_try
from ftaudit.stress.child.learning import KnownCallable, SharedType, by_call, swapped, unit_of, varied
from ftaudit.stress.child.units import COLLECTION, TOGETHER, ThreadedUnit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

THREADS = (2, 4, 3, 2, 8)
CALLS = (100, 1000, 20, 300, 5)
INTERVALS = (1e-5, 1e-6, 1e-4, 1e-3)
SLICE = 0.2
"""Run time of a unit in seconds."""
SLICE_TOGETHER = 0.3
"""Run time of a unit with many operations."""
SLICE_COLLECTION = 1.2
"""Run time of a unit in which objects change while the garbage collector runs."""
SLOW_TOGETHER = 0.02
"""Seconds: a call that takes longer would hold up all other operations of a unit."""
MOST_TOGETHER = 12
OWN = "own"
"""The name of a shared object of the package that functions use."""
LAZY_PROCESSES = 12
MOST_PAIRS = 60
MOST_SELVES = 20
_GOES_THROUGH = re.compile(r"islice|iter\(o|repr\(o|copy\(o|deepcopy\(o|pickle|list\(o|o == p|str\(o|sorted|bytes\(")
_CALLBACK = re.compile("|".join(re.escape(text) for text in arguments_to_try.CALLBACKS))
_GROWS = re.compile(r"setattr|operator\.i")
"""Operations that two objects cannot do on each other forever: each becomes larger by the other."""
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
            **_for_many(chance),
        )


def _for_many(chance: Chance) -> dict[str, Any]:
    options = chance.options(2)
    return {**options, "calls": (20, 200, 50)[chance.turn % 3], "seconds": SLICE_TOGETHER}


def functions_together(
    functions: list[KnownCallable], subjects: dict[str, SharedType], chance: Chance
) -> Iterator[ThreadedUnit]:
    """Yield units in which functions meet each other, and changes of what they use."""
    rows: list[tuple[str, KnownCallable, dict[str, str], list[str]]] = []
    for function in functions:
        for call in function.calls[:4]:
            text, shared, changes = _use_of(call, subjects)
            if call["taken"] < SLOW_TOGETHER:
                rows.append((text, function, shared, changes))
    # Functions that use the same objects come together.
    rows.sort(key=lambda row: sorted(row[2]))
    while rows:
        taken: list[tuple[str, KnownCallable, dict[str, str], list[str]]] = []
        for row in list(rows):
            # Two objects of the package need two names.
            clash = any(other[2].get(OWN, row[2].get(OWN)) != row[2].get(OWN, other[2].get(OWN)) for other in taken)
            if not clash and len(taken) < MOST_TOGETHER - 2:
                taken.append(row)
                rows.remove(row)
        shared = {name: made for row in taken for name, made in row[2].items()}
        changes = list(dict.fromkeys(text for row in taken for text in row[3]))
        texts = list(dict.fromkeys(row[0] for row in taken))
        names = [next(row[1].name for row in taken if row[0] == text) for text in texts]
        for name in [name for name in shared if name in arguments_to_try.MUTATORS][:3]:
            changes += chance.random.sample(arguments_to_try.MUTATORS[name], 2)
        if len(texts) + len(changes) < 2:
            continue
        yield ThreadedUnit(
            kind=TOGETHER,
            target=names[0],
            imports=tuple(dict.fromkeys(name for row in taken for name in row[1].imports)),
            shared=_in_order(shared),
            operations=(*texts, *changes),
            subjects=(*names, *("" for _ in changes)),
            recipe=any(row[1].recipe for row in taken),
            compiled=any(row[1].compiled for row in taken),
            rotating=True,
            **_for_many(chance),
        )


def _in_order(shared: dict[str, str]) -> dict[str, str]:
    """Return shared objects in the order of creation: the package's own object may need the others."""
    return {name: shared[name] for name in (*arguments_to_try.SHARED, OWN) if name in shared}


def _use_of(row: dict[str, Any], subjects: dict[str, SharedType]) -> tuple[str, dict[str, str], list[str]]:
    """Return a function's call, the objects that its threads share, and changes of the package's own object in it."""
    text = _taken(row)
    subject = subjects.get(row.get("own_type", ""))
    if subject is None or row["own_maker"] == row["call"]:
        return text, _shared_in(text), []
    text = text.replace(row["own_maker"], OWN)
    changes = [
        re.sub(r"\bo\b", OWN, each["text"])
        for each in subject.operations
        if each["mutates"] and not re.search(r"\bp\b", each["text"])
    ]
    used = _shared_in(" ".join((text, row["own_maker"], *changes[:2])))
    return text, {**used, OWN: row["own_maker"]}, changes[:2]


def of_functions(
    functions: list[KnownCallable], subjects: dict[str, SharedType], chance: Chance
) -> Iterator[Iterator[ThreadedUnit]]:
    """Yield, for each function, its units: shared input, input that others change."""
    for function in functions:
        yield _of_function(function, subjects, chance)


def _of_function(function: KnownCallable, subjects: dict[str, SharedType], chance: Chance) -> Iterator[ThreadedUnit]:
    common: dict[str, Any] = {
        "target": function.name,
        "imports": tuple(function.imports),
        "subjects": (function.name,),
        "recipe": function.recipe,
        "compiled": function.compiled,
    }
    changed = []
    for row in function.calls:
        text, shared, changes = _use_of(row, subjects)
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
        if changes:
            yield ThreadedUnit(
                kind="changed input", shared=shared, operations=(text, *changes), **common, **chance.options(3)
            )
        changed += [(text, name) for name in shared if name != OWN]
    for text, name in changed:
        shared = _shared_in(text)
        if OWN in re.findall(r"\w+", text):
            continue
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
            **chance.options(4),
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
        if not function.calls or function.calls[0]["taken"] > SLOW_TOGETHER:
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
            compiled=subject.compiled,
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
