"""What is known about callables and types: how each is called, and the operations on a type's objects."""

from __future__ import annotations

import itertools
import re

from ftaudit.stress.child import arguments_to_try
from ftaudit.stress.child.units import ThreadedUnit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


MOST_SIZE = 5000
MOST_MAKERS = 4
"""Limit on the expressions for one type that are compared."""


class KnownCallable:
    """A public function, type, or method, and what is known about how to call it."""

    __slots__ = ("calls", "compiled", "driven", "imports", "name", "reason", "recipe", "shared")

    def __init__(self, name: str, *, compiled: bool, imports: list[str]) -> None:
        self.name, self.compiled, self.imports = name, compiled, imports
        self.calls: list[dict[str, Any]] = []
        """Complete expressions that worked in one thread, with the known facts about their results."""
        self.shared: dict[str, str] = {}
        self.driven = False
        self.recipe = False
        """Whether a recipe makes it callable."""
        self.reason = "the time budget ended before it was tried"


class SharedType:
    """A type with an expression that creates an object, and the operations on it that worked in one thread."""

    __slots__ = (
        "changes",
        "chosen",
        "collected",
        "compiled",
        "imports",
        "iterator",
        "makers",
        "operations",
        "recipe",
        "seconds",
        "states",
        "type",
    )

    def __init__(self, kind: str, *, imports: list[str], compiled: bool, iterator: bool) -> None:
        self.type, self.imports, self.compiled, self.iterator = kind, imports, compiled, iterator
        self.makers: list[tuple[str, int]] = []
        """Expressions with the size of their results, -1 if a result has no size."""
        self.operations: list[dict[str, Any]] = []
        """Each with `text`, `mutates`, `name`."""
        self.changes = 0
        """How much it looks as if its objects change, before its methods are tried."""
        self.recipe = False
        self.states: list[dict[str, Any]] = []
        """Checks from a recipe: `operations` and `state`."""
        self.collected = False
        """Whether the garbage collector visits its objects."""
        self.seconds = 0.0
        """The time that it takes to make one."""
        self.chosen: str | None = None
        """The expression whose object most operations take; `None` until operations are tried."""

    @property
    def maker(self) -> str:
        """Return the expression to use: most operations work on its object, which is neither empty nor huge."""
        return self.chosen or self.best_makers()[0]

    def best_makers(self) -> list[str]:
        """Return some expressions to use, each by another callable where possible, the best by size first."""

        def worth(maker: tuple[str, int]) -> tuple[bool, int]:
            return (0 < maker[1] <= MOST_SIZE, min(maker[1], 60))

        ordered = [text for text, _ in sorted(self.makers, key=worth, reverse=True)]
        first = {text.partition("(")[0]: text for text in reversed(ordered)}
        return sorted(first.values(), key=ordered.index)[:MOST_MAKERS]

    @property
    def is_likely(self) -> bool:
        """Whether it is compiled and its objects seem to change: such types fail most often."""
        return self.compiled and (self.changes > 0 or self.iterator)

    @property
    def number_at_once(self) -> int:
        """Return how many objects a round may make."""
        return max(1, min(200, int(0.01 / max(self.seconds, 1e-6))))

    def shared(self, text: str) -> dict[str, str]:
        """Return the objects that the expressions in a text need, in the order of creation."""
        every = {**arguments_to_try.SHARED, "o": self.maker, "p": self.maker}
        needed = set(re.findall(r"\w+", text))
        if {"o", "p"} & needed:
            needed |= set(re.findall(r"\w+", self.maker))
        return {name: expression for name, expression in every.items() if name in needed}


def swapped(text: str) -> str:
    """Return an operation with its two objects exchanged."""
    return re.sub(r"\b[op]\b", lambda match: "p" if match[0] == "o" else "o", text)


def varied(text: str) -> str | None:
    """Return a call with its numbers changed, each by another amount, or `None` if it has none.

    What a call computes of several numbers, such as their difference, changes too.
    """
    amounts = itertools.count(17, 23)
    changed = re.sub(r"(?<![\w.\"'])(\d+)(?![\w.\"'])", lambda match: str(int(match[1]) + next(amounts)), text)
    return changed if changed != text else None


def by_call(text: str) -> str | None:
    """Return a call whose first number differs in every call, or `None`."""
    match = re.search(r"(?<=[(,\s])\d+(?=[,)])", text)
    return f"{text[: match.start()]}i{text[match.end() :]}" if match else None


def unit_of(subject: SharedType, kind: str, texts: list[str], names: list[str], **options: Any) -> ThreadedUnit:
    """Return a unit on one shared object."""
    text = " ".join((*texts, options.get("state") or ""))
    by_recipe = bool(options.pop("by_recipe", False))
    return ThreadedUnit(
        kind=kind,
        target=subject.type,
        imports=tuple(subject.imports),
        shared=subject.shared(text),
        operations=tuple(texts),
        subjects=tuple(names if options.get("rotating") else dict.fromkeys(names)),
        recipe=by_recipe or subject.recipe,
        compiled=subject.compiled,
        **options,
    )
