"""Who answers calls of the standard library: functions by their qualified name, methods by their type."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ftaudit.reach.abstract_run import AbstractRun
from ftaudit.reach.abstract_values import LibraryObject, Scope, Value


@dataclass(frozen=True, kw_only=True, slots=True)
class LibraryCall:
    """One call of a function of the standard library."""

    machine: AbstractRun
    function: LibraryObject
    given: list[Value]
    keywords: dict[str, Value]
    scope: Scope
    node: ast.AST

    @property
    def line(self) -> int:
        """The line of the call; 0 without one."""
        return getattr(self.node, "lineno", 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodCall:
    """One call of a method of a built-in type."""

    machine: AbstractRun
    owner: Value
    name: str
    """Type and name, as they are registered."""
    given: list[Value]
    keywords: dict[str, Value]
    scope: Scope
    node: ast.AST


Handler = Callable[[LibraryCall], Value]
Method = Callable[[MethodCall], Value]
CALLS: Final[dict[str, Handler]] = {}
"""The result of a function call, by the function's qualified name."""
METHODS: Final[dict[str, Method]] = {}
"""The result of a method of a built-in type, by type and name."""


def calls(*names: str) -> Callable[[Handler], Handler]:
    """Register a handler for the result of functions."""

    def register(handler: Handler) -> Handler:
        CALLS.update(dict.fromkeys(names, handler))
        return handler

    return register


def method(*names: str) -> Callable[[Method], Method]:
    """Register a handler for the result of methods."""

    def register(handler: Method) -> Method:
        METHODS.update(dict.fromkeys(names, handler))
        return handler

    return register
