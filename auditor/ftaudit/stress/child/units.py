"""A unit: the operations of several threads on the same objects, as data and as a script.

The sandbox runs the same script that a report contains, so that both fail in the same way.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TOGETHER = "functions together"
"""The kind of units whose operations belong to several functions."""
FIRST_USE = "first use"
"""The kind of units in which all threads make the first call of something."""
FIRST_PROCESSES = 12
"""The processes of such a unit, none of which has used the package before."""
COLLECTION = "garbage collection"
"""The kind of units whose last operation runs the garbage collector."""
MEMORY = "memory over time"
"""The kind of units that fail if the process needs more and more memory."""


def picked(number: int, turn: int, count: int) -> int:
    """Return the place of the operation that `pick` returns in the script of a rotating unit."""
    return (turn // (count if number % 2 else 1) + number // 2 * 5) % count


class ThreadedUnit:
    """The operations of threads on the same objects. Each operation is an expression over the names of `shared` and
    `i`.
    """

    __slots__ = (
        "calls",
        "checked",
        "compiled",
        "expected",
        "growth",
        "imports",
        "interval",
        "kind",
        "operations",
        "processes",
        "recipe",
        "rotating",
        "rounds",
        "seconds",
        "shared",
        "state",
        "subjects",
        "target",
        "threads",
    )

    def __init__(
        self,
        *,
        kind: str,
        target: str,
        imports: tuple[str, ...],
        shared: dict[str, str],
        operations: tuple[str, ...],
        subjects: tuple[str, ...] = (),
        threads: int = 2,
        calls: int = 20,
        rounds: int = 1_000_000,
        seconds: float = 10.0,
        interval: float = 1e-5,
        state: str | None = None,
        checked: tuple[int, ...] = (),
        expected: tuple[str, ...] | None = None,
        processes: int = 1,
        growth: int = 0,
        recipe: bool = False,
        rotating: bool = False,
        compiled: bool = True,
    ) -> None:
        self.kind = kind
        self.target = target
        """The type or function under test, by its call name."""
        self.imports = tuple(imports)
        self.shared = dict(shared)
        self.operations = tuple(operations)
        self.subjects = tuple(subjects)
        """The callables that it drives, by their names in the coverage; one for each operation if the unit rotates."""
        self.threads, self.calls, self.rounds = threads, calls, rounds
        self.seconds, self.interval = seconds, interval
        self.state = state
        """An expression for the state after a round, which must not depend on the order of threads; `None` checks no
        state.
        """
        self.checked = tuple(checked)
        """The operations whose results must be possible with a single thread."""
        self.expected = None if expected is None else tuple(expected)
        """Those results, if the script must not compute them because it tests first calls."""
        self.processes = processes
        """The number of processes for a try, none of which has used the package before."""
        self.growth = growth
        """The bytes that each quarter of the time but the first must add to count as a failure; 0 checks no memory."""
        self.recipe = recipe
        """Whether a recipe provided any part of it."""
        self.compiled = compiled
        """Whether the type or a function under test is compiled."""
        self.rotating = rotating
        """Whether each thread does another operation in each round, so that all pairs of operations meet."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ThreadedUnit:
        """Return the unit for the result of `to_json`."""
        return cls(**data)

    def changed(self, **changes: Any) -> ThreadedUnit:
        """Return a copy with some values replaced."""
        return ThreadedUnit(**{**self.to_json(), **changes})

    def with_operations(self, kept: list[int]) -> ThreadedUnit:
        """Return a copy with only these operations, and only the objects that they use."""
        operations = tuple(self.operations[index] for index in kept)
        checked = tuple(kept.index(index) for index in self.checked if index in kept)
        text = " ".join((*operations, self.state or ""))
        names = _used(self.shared, text)
        changes: dict[str, Any] = {}
        if self.rotating:
            changes["subjects"] = tuple(self.subjects[index] for index in kept)
            if self.kind == TOGETHER:
                changes["target"] = next((name for name in changes["subjects"] if name), self.target)
        return self.changed(
            operations=operations, checked=checked, shared={n: self.shared[n] for n in names}, **changes
        )

    def fixed(self) -> ThreadedUnit:
        """Return a copy in which each thread keeps to one operation."""
        kind = "pair of methods"
        if self.kind == TOGETHER:
            kind = "shared input" if all(self.subjects) else "changed input"
        return self.changed(kind=kind, rotating=False, threads=max(2, len(self.operations)), calls=max(self.calls, 20))


def _used(shared: dict[str, str], text: str) -> list[str]:
    import re

    words = set(re.findall(r"\w+", text))
    for name in reversed(list(shared)):
        if name in words:
            words |= set(re.findall(r"\w+", shared[name]))
    return [name for name in shared if name in words]
