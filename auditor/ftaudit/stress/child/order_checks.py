"""Whether the results of a unit can be checked: they do not depend on the order of the calls."""

from __future__ import annotations

import os
import random
import tempfile

from ftaudit.stress.child.script_text import FOLDER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def in_sandbox(script: str) -> str:
    """Return a script whose files are in the folder of this process, which the sandbox removes."""
    if FOLDER not in script:
        return script
    return script.replace(FOLDER, f"{tempfile.mkdtemp(dir=os.getcwd())!r}\n")  # noqa: PTH109 - quick


def commutes(request: dict[str, Any], known: set[int], progress: Any) -> dict[str, Any]:
    """Return whether a unit leaves the same state for any order of its calls, and has an effect at all."""
    names: dict[str, Any] = {"__name__": "unit"}
    exec(compile(in_sandbox(request["script"]), "<unit>", "exec"), names)  # noqa: S102
    operations, threads, calls = names["OPERATIONS"], names["THREADS"], names["CALLS"]
    every = [(number, call) for number in range(threads) for call in range(calls)]
    chance = random.Random(3)  # noqa: S311 - a repeatable order
    orders = [every, every[::-1], sorted(every, key=lambda each: (each[1], each[0]))]
    orders += [chance.sample(every, len(every)) for _ in range(3)]
    seen = set()
    for order in orders:
        shared = names["make"]()
        for number, call in order:
            names["outcome"](operations[number % len(operations)], shared, number * calls + call)
        seen.add(names["state"](*shared))
    untouched = names["state"](*names["make"]())
    text = next(iter(seen))
    return {"commutes": len(seen) == 1 and untouched not in seen and "0x" not in text, "raises": "Error" in text}


def settles(request: dict[str, Any], known: set[int], progress: Any) -> dict[str, Any]:
    """Return whether the checked operations of a unit have few results, for any number of other calls."""
    names: dict[str, Any] = {"__name__": "unit"}
    exec(compile(in_sandbox(request["script"]), "<unit>", "exec"), names)  # noqa: S102
    first = names["expected"]
    chance, found = random.Random(5), set()  # noqa: S311 - a repeatable order
    for _ in range(40):
        shared = names["make"]()
        for call in range(60):
            number = chance.randrange(len(names["OPERATIONS"]))
            result = names["outcome"](names["OPERATIONS"][number], shared, call)
            if number in names["CHECKED"]:
                found.add(result)
    return {"settles": found <= first and len(first) > 1 and not any("0x" in text for text in first)}
