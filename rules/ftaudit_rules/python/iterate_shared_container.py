"""FT507: a shared dict or set is iterated over while another thread may change it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Fix, NoFix, Obstacle, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule, Signal
from ftaudit.source.python.containers import iterated, iterations, without_view
from ftaudit.source.python.kinds import Kind
from ftaudit.source.python.module import Mutation, Shared, Where, identity
from ftaudit.source.python.tree import inside
from ftaudit_rules.python._copies import copy_before_loops


class IterateSharedContainer(PythonRule):
    """One function iterates over a shared dict, set or weak container, and another function changes it, without a
    lock.

    If another thread adds or removes a key during the loop, the loop fails with `RuntimeError: dictionary changed size
    during iteration`, or skips items. `list(d)` and `d.copy()` copy the container in one step.
    """

    info = RuleInfo(
        code="FT507",
        name="iterate-shared-container",
        summary="Code iterates over a shared dict, set or weak container while other threads may add or remove items.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Iterate over a copy (`list(d.items())`), or hold the lock that the writers hold.",
        links=("https://docs.python.org/3.14/library/threadsafety.html",),
    )
    words = ("for ", "len(")
    signals = Signal.MODULE_STATE | Signal.CLASS_STATE | Signal.THREADS | Signal.SINGLETON
    VALID = (
        SourceExample(
            code="""\
_subs = {}
def on(k, f):
    _subs[k] = f
def fire():
    for f in list(_subs.values()):
        f()
""",
            instead=True,
        ),
        SourceExample(
            code="""\
import threading
_lock = threading.Lock()
_subs = {}
def on(k, f):
    with _lock:
        _subs[k] = f
def fire():
    with _lock:
        for f in _subs.values():
            f()
""",
        ),
        SourceExample(
            code="""\
_table = {"a": 1}
def total():
    return sum(_table.values())
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
from typing import ClassVar
class Broadcaster:
    connections: ClassVar[set["Broadcaster"]]
    def open(self):
        self.connections.add(self)
    def on_close(self):
        self.connections.discard(self)
    @classmethod
    def broadcast(cls, message):
        for connection in cls.connections:
            connection.send(message)
class Updates(Broadcaster):
    connections: ClassVar[set] = set()
""",
            lines=(10,),
        ),
        SourceExample(
            code="""\
_subs = {}
def on(k, f):
    _subs[k] = f
def fire():
    for f in _subs.values():
        f()
""",
            lines=(5,),
        ),
        SourceExample(
            code="""\
_seen = set()
def add(x):
    _seen.add(x)
def report():
    return [str(x) for x in _seen]
""",
            lines=(5,),
        ),
        SourceExample(
            code="""\
class Logger:
    handlers = {}
    def add(self, name, handler):
        self.handlers[name] = handler
    def make(level):
        def log(_self, message):
            for handler in _self.handlers.values():
                handler.emit(level, message)
        return log
""",
            lines=(7,),
        ),
        SourceExample(
            code="""\
import threading
_lock = threading.Lock()
_cache = {}
def store(k, v):
    if len(_cache) > 500:
        with _lock:
            evict(_cache)
    _cache[k] = v
""",
            lines=(8,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield iterations over shared keyed containers that some function of the module changes in place."""
        if module.is_script:
            return
        seen: set[tuple[str, object]] = set()
        for iteration in sorted(iterations(module), key=lambda one: one.line):
            shared = iteration.shared
            function = module.in_function(iteration.node)
            if (
                shared.kind not in (Kind.DICT, Kind.SET)
                or shared.where is Where.INSTANCE
                or function is None
                or isinstance(function, ast.AsyncFunctionDef)
            ):
                continue
            resizing = [
                change
                for change in module.mutations_of.get(identity(shared), ())
                if module.tree.function(change.node) is not function and _resizes(module, change)
            ]
            once = identity(shared), function
            if resizing and once not in seen and not module.locked(iteration.node):
                seen.add(once)
                yield self.finding(
                    f"this loops over `{shared.name}`, which line {resizing[0].line} changes: if another thread "
                    "changes its size, the loop fails with `RuntimeError`",
                    location=module.place(iteration.node),
                )
        yield from self._grown_without_lock(module)

    def _grown_without_lock(self, module: PythonModule) -> Iterator[Finding]:
        """Yield changes without a lock to containers that other code iterates over, or shrinks, with a lock held."""
        guarded = {identity(one.shared): one.line for one in iterations(module) if module.locked(one.node)}
        for name, shared, test in _size_tests(module):
            for call in inside(test.body):
                match call:
                    case ast.Call(args=[ast.Name(id=given), *_]) if given == name and module.locked(call):
                        guarded.setdefault(identity(shared), call.lineno)
                    case _:
                        pass
        for name, line in guarded.items():
            for change in module.mutations_of.get(name, ()):
                function = module.tree.function(change.node)
                if (
                    change.shared.kind in (Kind.DICT, Kind.SET)
                    and change.shared.where is not Where.INSTANCE
                    and isinstance(function, ast.FunctionDef)
                    and not module.locked(change.node)
                    and _resizes(module, change)
                ):
                    yield self.finding(
                        f"`{change.shared.name}` is changed here without the lock that line {line} holds while it "
                        "reads all items",
                        location=module.place(change.node),
                    )
                    break

    def fix(self, module: PythonModule, finding: Finding) -> Fix | NoFix:
        """Copy the iterables of the function's loops over the container."""
        first = next((one for one in iterations(module) if module.place(one.node) == finding.location), None)
        if first is None:
            return NoFix(obstacle=Obstacle.NOT_MECHANICAL)
        function, name = module.in_function(first.node), identity(first.shared)
        loops = [
            (node, source)
            for node, source in iterated(module.tree)
            if (shared := module.shared(without_view(source))) is not None
            and identity(shared) == name
            and module.in_function(node) is function
            and not module.locked(node)
        ]
        return copy_before_loops(module, loops)


def _size_tests(module: PythonModule) -> Iterator[tuple[str, Shared, ast.If]]:
    """Yield each `if` that tests `len(name)` of a shared container that the module changes."""
    for call in module.tree.all(ast.Call) if module.mutations_of else ():
        match call:
            case ast.Call(func=ast.Name(id="len"), args=[ast.Name(id=name) as container]) if (
                name in module.mutations_of
            ):
                shared = module.shared(container)
                test = module.tree.statement(call)
                if shared is not None and isinstance(test, ast.If):
                    yield name, shared, test
            case _:
                pass


def _resizes(module: PythonModule, change: Mutation) -> bool:
    """Return whether a change can coincide with a read: not in the constructor or in a function that registers."""
    function = module.tree.function(change.node)
    return getattr(function, "name", "") != "__init__" and not module.registers(change.node)
