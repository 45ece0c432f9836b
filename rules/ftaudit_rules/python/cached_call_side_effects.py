"""FT510: a cached function has side effects, or returns something mutable."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.kinds import CONTAINERS, kind_of
from ftaudit.source.python.tree import dotted, inside, last_name


class CachedCallSideEffects(PythonRule):
    """A function with `lru_cache`, `cache` or `cached_property` changes globals, opens a resource, or returns a list,
    dict or set. If several threads call it at the same time, the function may run more than once for the same
    arguments. All callers get the same object.

    By default, the rule reports functions that return a connection, a session or a client: all threads then use one,
    and most libraries allow only one thread at a time. It reports the other functions with `--pedantic`."""

    info = RuleInfo(
        code="FT510",
        name="cached-call-side-effects",
        summary=("A cached function has side effects, or returns the same mutable object to all threads."),
        severity=Severity.WARNING,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy=(
            "Move side effects out of the function, return an immutable object, or guard the call with a lock. Keep a "
            "connection for each thread in a `threading.local`."
        ),
        links=("https://docs.python.org/3.14/library/functools.html",),
    )
    VALID = (
        SourceExample(
            code="""\
import functools
@functools.lru_cache
def table(n):
    return (0,) * n
""",
            instead=True,
        ),
        SourceExample(
            code="""\
import functools
@functools.cache
def square(x):
    return x * x
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
import functools
import sqlite3
@functools.cache
def database(path):
    connection = sqlite3.connect(path, check_same_thread=False)
    return connection
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
import functools
@functools.lru_cache
def table(n):
    return [0] * n
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
import functools
_n = 0
@functools.cache
def f():
    global _n
    _n = _n + 1
    return _n
""",
            lines=(4,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield cached functions with effects or mutable results."""
        for function in module.tree.functions():
            names = {last_name(d.func if isinstance(d, ast.Call) else d) for d in function.decorator_list}
            if not names & {"lru_cache", "cache", "cached_property"}:
                continue
            made = None if "cached_property" in names else _connection(function)
            why = f"returns one `{made}` to all threads" if made else _why(module, function)
            if why is not None:
                yield self.finding(
                    f"`{function.name}` is cached and {why}",
                    location=module.location(function.lineno, function.col_offset + 1),
                    severity=None if made else Severity.PEDANTIC,
                )


_CONNECTIONS = frozenset(
    {
        "connect",
        "Session",
        "get_client",
        "Connection",
        "HTTPConnection",
        "HTTPSConnection",
        "Http",
        "SMTP",
        "FTP",
        "cursor",
    }
)
"""Functions and classes whose results most libraries allow only one thread at a time."""


def _connection(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str | None:
    """Return the call whose result a function returns, if that is a connection."""
    if isinstance(function, ast.AsyncFunctionDef):
        return None
    made = {
        target.id: dotted(node.value.func) or ""
        for node in inside(function.body)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        if last_name(node.value.func) in _CONNECTIONS
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in inside(function.body):
        match node:
            case ast.Return(value=ast.Call(func=func)) if last_name(func) in _CONNECTIONS:
                return dotted(func)
            case ast.Return(value=ast.Name(id=name)) if name in made:
                return made[name]
            case _:
                pass
    return None


_EFFECTS = frozenset({"open", "Thread", "connect", "Session", "socket", "Popen", "urlopen"})


def _why(module: PythonModule, function: ast.FunctionDef | ast.AsyncFunctionDef) -> str | None:
    if module.globals_by_function.get(function):
        return "changes globals, which two threads can both do"
    for node in inside(function.body):
        match node:
            case ast.Call(func=func) if last_name(func) in _EFFECTS:
                return f"calls `{last_name(func)}()`, which two threads can both run"
            case ast.Return(value=value) if value is not None and kind_of(value) in CONTAINERS:
                return "returns the same mutable object to all threads"
            case _:
                pass
    return None
