"""The abstract run's knowledge of a Python value: a constant, a known object, or nothing.

Constants (`str`, `int`, `bytes`, `bool`, `None`, `float`) represent themselves.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from ftaudit.reach.finder import Found
from ftaudit.reach.load_graph import RunUnit

Value: TypeAlias = Any
"""A constant, one of the classes below, or a `Module`."""
MOST_ITEMS: Final = 4096
"""Limit on the elements of a container; a longer container is not complete."""
MOST_CHOICES: Final = 8
"""Limit on the possible values of a name; with more of them, nothing is known about it."""
MOST_TEXT: Final = 10_000
"""Limit on the characters of a string."""


class _NoValue:
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


UNKNOWN: Final[Any] = _NoValue("UNKNOWN")
"""Any value."""
UNSET: Final[Any] = _NoValue("UNSET")
"""No value: the name is not bound."""
CONSTANTS: Final = (str, int, bytes, float, complex, type(None))


@dataclass(slots=True, eq=False)
class Items:
    """A list, tuple, set or frozen set, or what an iteration yields."""

    kind: str
    items: list[Value]
    complete: bool = True


@dataclass(slots=True, eq=False)
class Pending:
    """A generator: its code runs when something iterates over it."""

    run: Callable[[], Items]
    result: Items | None = None


@dataclass(slots=True, eq=False)
class DictValue:
    """A dictionary with constant keys."""

    entries: dict[Any, Value]
    complete: bool = True


@dataclass(slots=True, eq=False)
class Pattern:
    """A string with a known beginning and end."""

    prefix: str
    suffix: str = ""


@dataclass(slots=True, eq=False)
class LibraryObject:
    """An object of the standard library, by its qualified name."""

    name: str
    about: Value = None
    """The object that it was made from, if any: the module of a `__path__`, an argument."""


@dataclass(slots=True, eq=False)
class Scope:
    """The names of a module, class or function."""

    module: Module
    names: dict[str, Value]
    parent: Scope | None = None
    """Where names are looked up next; never the scope of a class."""
    label: str = ""
    """Qualified name of the function or class, empty for a module."""
    owner: Class | None = None
    """The class whose method this call runs."""
    first: Value = UNKNOWN
    """The first argument of that call."""
    declared: set[str] = field(default_factory=set)
    """Names that `global` declares."""
    outer: set[str] = field(default_factory=set)
    """Names that `nonlocal` declares."""
    base: int = 0
    """The number of conditions on entry."""
    is_class: bool = False
    yielded: list[Value] | None = None
    returned: list[Value] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class FunctionValue:
    """A function or lambda."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    scope: Scope
    """Where it is defined."""
    label: str
    defaults: dict[str, Value] = field(default_factory=dict)
    owner: Class | None = None
    kind: str = "function"
    """`function`, `static`, `class`, or `property`."""
    is_context: bool = False
    """`contextlib.contextmanager` decorates it."""
    attributes: dict[str, Value] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Bound:
    """A function with its first arguments."""

    function: Value
    arguments: list[Value]
    keywords: dict[str, Value] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Class:
    """A class whose body was run."""

    name: str
    module: Module
    bases: list[Value]
    names: dict[str, Value]
    meta: Value = None
    fields: list[str] = field(default_factory=list)
    """The annotated names of its body, in order."""


@dataclass(slots=True, eq=False)
class Instance:
    """An object of a known class."""

    cls: Class
    attributes: dict[str, Value] = field(default_factory=dict)
    payload: Value = None
    """The value from which an object of a subclass of `dict`, `list`, or `str` was made."""


@dataclass(slots=True, eq=False)
class Super:
    """The value of `super()`."""

    cls: Class
    first: Value


@dataclass(slots=True, eq=False)
class Lazy:
    """A name bound by a lazy import (PEP 810): the first use loads it."""

    module: str
    attribute: str | None
    site: Any
    """Where the import statement is."""


@dataclass(slots=True, eq=False)
class OneOf:
    """One of several values, because both branches were run."""

    choices: tuple[Value, ...]


@dataclass(slots=True, eq=False)
class Module:
    """One module reached by an import."""

    name: str
    found: Found
    unit: RunUnit
    scope: Scope = None  # type: ignore[assignment]  # Set at once: a scope knows its module.
    done: bool = False
    """Whether its body ran to the end."""
    failed: str | None = None
    """The name of the missing module that ended its body, if any."""
    failed_kind: str = "ImportError"
    """The exception that ended it."""
    is_open: bool = False
    """Whether it may have names that its code does not show."""
    replacement: Value = None
    """The object that replaces the module in `sys.modules`."""
    is_main: bool = False
    """Whether it runs as a program: its `__name__` is `__main__`."""
    tree: ast.Module | None = None
    text: str = ""
    lazy: frozenset[int] = frozenset()
    """Lines of lazy imports (PEP 810)."""

    @property
    def value(self) -> Value:
        """The object that an import of the module binds."""
        return self if self.replacement is None else self.replacement

    @property
    def package(self) -> str:
        """Return the package that relative imports start from (`__package__`)."""
        return self.name if self.found.is_package else self.name.rpartition(".")[0]


def spoil(table: DictValue) -> None:
    """Forget the values of a table after a change by unknown entries."""
    table.complete = False
    table.entries.update(dict.fromkeys(table.entries, UNKNOWN))


class Failed(Exception):  # It represents an exception of the audited code.
    """Python would raise an exception here."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(name)
        self.kind = kind
        """Name of the exception's class."""
        self.name = name


_PLAIN: Final = (*CONSTANTS, Items, DictValue, Pattern, LibraryObject)
"""Values that are dropped if a value can also be any other: they run nothing."""


def join(one: Value, other: Value) -> Value:
    """Return the known facts about a value that is one or the other."""
    if one is other or other is UNSET:
        return one
    if one is UNSET:
        return other
    if type(one) is type(other) and isinstance(one, CONSTANTS) and one == other:
        return one
    if one is UNKNOWN and isinstance(other, _PLAIN):
        return UNKNOWN
    if other is UNKNOWN and isinstance(one, _PLAIN):
        return UNKNOWN
    choices: list[Value] = []
    for value in (one, other):
        for each in value.choices if isinstance(value, OneOf) else (value,):
            if not any(each is seen or _equal(each, seen) for seen in choices):
                choices.append(each)
    if len(choices) == 1:
        return choices[0]
    return UNKNOWN if len(choices) > MOST_CHOICES else OneOf(tuple(choices))


def _equal(one: Value, other: Value) -> bool:
    return type(one) is type(other) and isinstance(one, CONSTANTS) and bool(one == other)


def choices_of(value: Value) -> tuple[Value, ...]:
    """Return the possible values of a value."""
    return value.choices if isinstance(value, OneOf) else (value,)


def is_constant(value: Value) -> bool:
    """Return whether a value is known exactly and has no parts."""
    return isinstance(value, CONSTANTS)


def truth(value: Value) -> bool | None:
    """Return whether a value is true, or `None` if that is unknown."""
    if isinstance(value, CONSTANTS):
        return bool(value)
    match value:
        case Items(items=items, complete=complete):
            return True if items else (False if complete else None)
        case DictValue(entries=entries, complete=complete):
            return True if entries else (False if complete else None)
        case Pattern(prefix=prefix, suffix=suffix):
            return True if prefix or suffix else None
        case OneOf(choices=choices):
            answers = {truth(each) for each in choices}
            return answers.pop() if len(answers) == 1 else None
        case FunctionValue() | Bound() | Class() | Module():
            return True
        case _:
            return None
