"""The units of functions: shared input, input that others change, callbacks, first uses."""

from __future__ import annotations

import re

from ftaudit.stress.child import arguments_to_try
from ftaudit.stress.child.schedule import (
    CALLBACK,
    MOST_TOGETHER,
    SLOW_TOGETHER,
    Chance,
    options_for_many,
    shared_in,
    with_callback,
)
from ftaudit.stress.child.units import FIRST_PROCESSES, FIRST_USE, TOGETHER, ThreadedUnit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ftaudit.stress.child.subjects import KnownCallable, SharedType


OWN = "own"
"""The name of a shared object of the package that functions use."""


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
            **options_for_many(chance),
        )


def _in_order(shared: dict[str, str]) -> dict[str, str]:
    """Return shared objects in the order of creation: the package's own object may need the others."""
    return {name: shared[name] for name in (*arguments_to_try.SHARED, OWN) if name in shared}


def _use_of(row: dict[str, Any], subjects: dict[str, SharedType]) -> tuple[str, dict[str, str], list[str]]:
    """Return a function's call, the objects that its threads share, and changes of the package's own object in it."""
    text = _taken(row)
    subject = subjects.get(row.get("own_type", ""))
    if subject is None or row["own_maker"] == row["call"]:
        return text, shared_in(text), []
    text = text.replace(row["own_maker"], OWN)
    changes = [
        re.sub(r"\bo\b", OWN, each["text"])
        for each in subject.operations
        if each["mutates"] and not re.search(r"\bp\b", each["text"])
    ]
    used = shared_in(" ".join((text, row["own_maker"], *changes[:2])))
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
        stable = _is_stable(function, row)
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
        shared = shared_in(text)
        if OWN in re.findall(r"\w+", text):
            continue
        if CALLBACK.search(text):
            change = chance.random.choice(arguments_to_try.MUTATORS[name])
            yield ThreadedUnit(
                kind="callback",
                shared=shared,
                operations=(with_callback(text, change),),
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


def _is_stable(function: KnownCallable, row: dict[str, Any]) -> bool:
    """Return whether a call has the same result each time. `i` is another number in each call."""
    known = row.get("text") is not None and not row["iterator"]
    return function.compiled and known and not re.search(r"\bi\b", row["call"])


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
        stable = _is_stable(function, row)
        yield ThreadedUnit(
            kind=FIRST_USE,
            target=function.name,
            imports=tuple(function.imports),
            shared=shared_in(text),
            operations=(text,),
            checked=(0,) if stable else (),
            expected=(row["text"],) if stable else None,
            subjects=(function.name,),
            threads=2 if chance.turn % 2 else 4,
            calls=1,
            rounds=1,
            seconds=2.0,
            processes=FIRST_PROCESSES,
            recipe=function.recipe,
        )
