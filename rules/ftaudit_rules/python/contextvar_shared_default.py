"""FT539: the default of a context variable is one mutable object, which every thread gets and changes."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.kinds import CONTAINERS, Kind, kind_of
from ftaudit.source.python.tree import dotted, inside, targets_of

_CHANGES = frozenset(
    {
        *("append", "extend", "insert", "remove", "pop", "popitem", "popleft", "appendleft", "clear"),
        *("update", "add", "discard", "setdefault", "sort", "reverse"),
    }
)


class ContextvarSharedDefault(PythonRule):
    """The default of a `ContextVar` is created once. Every context that did not call `set()` gets the same object. Code
    that changes the object in place changes it for all threads and tasks, although a context variable looks like the
    state of one context.
    """

    info = RuleInfo(
        code="FT539",
        name="contextvar-shared-default",
        summary="The default of a context variable is a mutable object, which all threads share and the code changes.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy=(
            "Create the `ContextVar` without a default. When `get()` raises `LookupError`, create the object and call "
            "`set()`. Or never change the value in place: call `set()` with a changed copy."
        ),
        links=("https://docs.python.org/3.14/library/contextvars.html#contextvars.ContextVar",),
    )
    words = ("ContextVar(",)
    VALID = (
        SourceExample(
            code="""\
from contextvars import ContextVar
tags = ContextVar("tags", default={})
def tag(key, value):
    tags.set({**tags.get(), key: value})
""",
            instead=True,
        ),
        SourceExample(
            code="""\
from contextvars import ContextVar
tags = ContextVar("tags")
def tag(key, value):
    try:
        mine = tags.get()
    except LookupError:
        mine = {}
        tags.set(mine)
    mine[key] = value
""",
        ),
        SourceExample(
            code="""\
from contextvars import ContextVar
tags = ContextVar("tags", default={})
def tag(key, value):
    mine = dict(tags.get())
    mine[key] = value
    tags.set(mine)
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
from contextvars import ContextVar
tags = ContextVar("tags", default={})
def tag(key, value):
    tags.get()[key] = value
""",
            lines=(2,),
        ),
        SourceExample(
            code="""\
import collections
import contextvars
class Managers:
    def __init__(self):
        self._map = contextvars.ContextVar("map", default=collections.defaultdict(Manager))
    def __getitem__(self, queue):
        local = self._map.get()
        if queue not in local:
            local[queue] = Manager()
        return local[queue]
""",
            lines=(5,),
        ),
        SourceExample(
            code="""\
from contextvars import ContextVar
class Cache:
    def __init__(self):
        self.last = None
    def remember(self, value):
        self.last = value
cache = ContextVar("cache", default=Cache())
def keep(value):
    cache.get().remember(value)
""",
            lines=(7,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield the context variables whose default is changed in place."""
        variables: dict[str, tuple[ast.stmt, ast.expr]] = {}
        for statement in module.assignments():
            value = getattr(statement, "value", None)
            if kind_of(value) is not Kind.CONTEXT_VAR or not isinstance(value, ast.Call):
                continue
            default = next((keyword.value for keyword in value.keywords if keyword.arg == "default"), None)
            if default is None or not _is_mutable(module, default):
                continue
            for target in targets_of(statement):
                if (name := dotted(target)) is not None:
                    variables[name] = statement, default
        changed: dict[str, ast.AST] = {}
        for function in module.tree.functions() if variables else ():
            for name, place in _changes(module, function, variables):
                changed.setdefault(name, place)
        for name, place in sorted(changed.items()):
            statement, _ = variables[name]
            yield self.finding(
                f"threads that did not call `{name}.set()` share the default object, which line "
                f"{getattr(place, 'lineno', '?')} changes",
                location=module.place(statement),
            )


def _is_mutable(module: PythonModule, default: ast.expr) -> bool:
    """Return whether a default can change in place: a container, or an object of a class whose methods change it."""
    if kind_of(default) in CONTAINERS:
        return True
    return isinstance(default, ast.Call) and bool(_changing_methods(module, dotted(default.func) or ""))


def _changing_methods(module: PythonModule, name: str) -> frozenset[str]:
    owner = module.classes.get(name)
    if owner is None:
        return frozenset()
    return frozenset(
        method.name
        for method in owner.body
        if isinstance(method, ast.FunctionDef) and not method.name.startswith("__")
        for node in inside(method.body)
        for target in targets_of(node)
        if (dotted(target.value if isinstance(target, ast.Subscript) else target) or "").startswith("self.")
    )


def _changes(
    module: PythonModule,
    function: ast.FunctionDef | ast.AsyncFunctionDef,
    variables: dict[str, tuple[ast.stmt, ast.expr]],
) -> Iterator[tuple[str, ast.AST]]:
    """Yield the variables whose value a function changes in place, with the place."""
    nodes = list(inside(function.body))
    locals_of: dict[str, str] = {}
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=local)], value=value) if (name := _got(value)) in variables:
                locals_of[local] = name or ""
            case _:
                pass

    def meant(node: ast.expr) -> str | None:
        name = locals_of.get(node.id) if isinstance(node, ast.Name) else _got(node)
        return name if name in variables else None

    for node in nodes:
        for target in targets_of(node):
            if isinstance(target, (ast.Subscript, ast.Attribute)) and (name := meant(target.value)) is not None:
                yield name, node
        match node:
            case ast.Call(func=ast.Attribute(value=value, attr=method)) if (name := meant(value)) is not None:
                default = variables[name][1]
                made = dotted(default.func) if isinstance(default, ast.Call) else None
                if method in _CHANGES or method in _changing_methods(module, made or ""):
                    yield name, node
            case _:
                pass


def _got(value: ast.expr) -> str | None:
    """Return the variable whose value `NAME.get()` is."""
    match value:
        case ast.Call(func=ast.Attribute(value=owner, attr="get"), args=[], keywords=[]):
            return dotted(owner)
        case _:
            return None
