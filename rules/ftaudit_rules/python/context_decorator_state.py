"""FT538: a context manager that also decorates functions keeps the state of a call on itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity, Site
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.kinds import Kind
from ftaudit.source.python.tree import last_name
from ftaudit.source.shared_state import AccessKind

_ENTERS = frozenset({"append", "push", "enter_context", "callback", "add", "update", "extend"})
_KEPT = frozenset({Kind.LOCK, Kind.THREAD_LOCAL, Kind.CONTEXT_VAR})


class ContextDecoratorState(PythonRule):
    """A `ContextDecorator` stores the state of a call on `self`. The decorator object is created once, when the
    function is defined, and every call of the function enters and leaves that same object. If `__enter__` stores a
    value that `__exit__` needs, a second thread, or a recursive call, overwrites it, and `__exit__` restores the wrong
    value.

    The rule does not report classes that define `_recreate_cm`, because they create an object for each call.
    """

    info = RuleInfo(
        code="FT538",
        name="context-decorator-state",
        summary=(
            "A context manager that is used as a decorator stores the state of one call on an object that all calls "
            "share."
        ),
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Use a new object for each call: let `__call__` wrap the function in `with type(self)(...)`, or define "
            "`_recreate_cm`. You can also keep the state in a `threading.local` or a `ContextVar`."
        ),
        links=("https://docs.python.org/3.14/library/contextlib.html#contextlib.ContextDecorator",),
    )
    words = ("ContextDecorator", "with self")
    VALID = (
        SourceExample(
            code="""\
from contextlib import ContextDecorator
class Muted(ContextDecorator):
    def __init__(self, log):
        self.log = log
    def __enter__(self):
        self.log.mute()
    def __exit__(self, *exc):
        self.log.unmute()
""",
        ),
        SourceExample(
            code="""\
from contextlib import ContextDecorator
class Scale(ContextDecorator):
    def __init__(self, value):
        self.value = value
    def _recreate_cm(self):
        return Scale(self.value)
    def __enter__(self):
        self.before = current()
    def __exit__(self, *exc):
        restore(self.before)
""",
            instead=True,
        ),
        SourceExample(
            code="""\
class Scale:
    def __enter__(self):
        self.before = current()
    def __exit__(self, *exc):
        restore(self.before)
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
import contextlib
class Scale(contextlib.ContextDecorator):
    def __init__(self, value):
        self.value = value
    def __enter__(self):
        self.before = current()
        use(self.value)
    def __exit__(self, *exc):
        restore(self.before)
""",
            lines=(6,),
        ),
        SourceExample(
            code="""\
import functools
class _Decorates:
    def __call__(self, function):
        @functools.wraps(function)
        def inner(*args):
            with self:
                return function(*args)
        return inner
class Bound(_Decorates):
    def __enter__(self):
        self._old.append(current())
    def __exit__(self, *exc):
        restore(self._old.pop())
""",
            lines=(11,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield one finding for each class, at the first store of its `__enter__`."""
        for owner in module.classes.values():
            if not _decorates(module, owner, set()) or _method(owner, "_recreate_cm") is not None:
                continue
            entered = _method(owner, "__enter__")
            if entered is None or not entered.args.args:
                continue
            kinds = module.instance_kinds.get(owner.name, {})
            for node, attribute in _stores(module, entered):
                if kinds.get(attribute) not in _KEPT and not any(module.holds(node)):
                    yield self.finding(
                        f"`{owner.name}` decorates functions, and stores `{attribute}` on an object that all calls "
                        "share",
                        location=module.place(node),
                        sites=(
                            Site(location=module.place(owner), access=AccessKind.READ.value, entry_point=owner.name),
                            Site(location=module.place(node), access=AccessKind.WRITE.value, entry_point="__enter__"),
                        ),
                        interleaving=(
                            (
                                f"Thread 1 calls a function that `{owner.name}` decorates: `__enter__` stores "
                                f"`{attribute}`."
                            ),
                            (
                                "Thread 2 calls the same function and stores its own value, which `__exit__` of thread "
                                "1 then reads."
                            ),
                        ),
                    )
                    break


def _method(owner: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    return next((node for node in owner.body if isinstance(node, ast.FunctionDef) and node.name == name), None)


def _decorates(module: PythonModule, owner: ast.ClassDef, seen: set[str]) -> bool:
    """Return whether calling an object of the class wraps a function in `with self`."""
    seen.add(owner.name)
    called = _method(owner, "__call__")
    if called is not None:
        first = called.args.args[0].arg if called.args.args else ""
        return any(
            isinstance(item.context_expr, ast.Name) and item.context_expr.id == first
            for region in ast.walk(called)
            if isinstance(region, ast.With)
            for item in region.items
        )
    names = [name for name in map(last_name, owner.bases) if name is not None]
    if any(name in ("ContextDecorator", "AsyncContextDecorator") for name in names):
        return True
    return any(_decorates(module, module.classes[n], seen) for n in names if n in module.classes and n not in seen)


def _stores(module: PythonModule, entered: ast.FunctionDef) -> Iterator[tuple[ast.Attribute, str]]:
    """Yield the state that `__enter__` stores on its object: attributes that it sets, containers that it adds to."""
    first = entered.args.args[0].arg
    for node in ast.walk(entered):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name == first:
                parent = module.tree.parents.get(node)
                called = isinstance(module.tree.parents.get(parent), ast.Call) if parent is not None else False
                adds = isinstance(parent, ast.Attribute) and parent.attr in _ENTERS and called
                if isinstance(node.ctx, ast.Store) or adds:
                    yield node, attribute
            case _:
                pass
