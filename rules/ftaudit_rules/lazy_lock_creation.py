"""FT526: a lock is made when it is first needed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.kinds import Kind, kind_of
from ftaudit.source.python.tree import dotted, inside, last_name


class LazyLockCreation(PythonRule):
    """A lock is made when it is first needed: by a test, by `cached_property` (which lost its own lock in 3.12), by a
    `defaultdict(Lock)`, or in the function that it is to guard.

    Two threads that come first make two locks, each holds its own, and both go on: the lock guards nothing just
    when it is needed most.
    """

    info = RuleInfo(
        code="FT526",
        name="lazy-lock-creation",
        summary="A lock is made when it is first needed, so two threads can each have their own.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy=(
            "Make the lock where its owner is made: in __init__, or at module level; for many keys, "
            "d.setdefault(key, Lock())."
        ),
        links=("https://docs.python.org/3.14/library/threadsafety.html",),
    )
    words = (
        "Lock",
        "Condition(",
        "Semaphore(",
        "allocate_lock",
    )
    VALID = (
        SourceExample(
            code="""\
import threading
class C:
    def __init__(self):
        self._lock = threading.Lock()
""",
        ),
        SourceExample(
            code="""\
import threading
_locks = {}
def lock_of(k):
    return _locks.setdefault(k, threading.Lock())
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
import functools, threading
class C:
    @functools.cached_property
    def _lock(self):
        return threading.Lock()
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
import threading
class C(MemoizedSlots):
    __slots__ = ("mutex",)
    def _memoized_attr_mutex(self):
        return threading.Lock()
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
import threading
class C:
    def work(self):
        if self._lock is None:
            self._lock = threading.Lock()
        with self._lock:
            pass
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
import threading
def work():
    with threading.Lock():
        pass
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
import threading
from collections import defaultdict
_locks = defaultdict(threading.Lock)
""",
            lines=(3,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield every way in which a lock is made too late."""
        for lazy in module.lazy_inits:
            last = lazy.assignments[-1]
            made = getattr(last, "value", None)
            if not isinstance(made, ast.expr) or kind_of(made) is not Kind.LOCK or module.locked(last):
                continue
            if getattr(lazy.function, "name", "") not in ("__init__", "__new__"):
                yield self._late(module, lazy.test, f"{lazy.key} is made on first use")
        for function in module.tree.functions():
            if _is_memoised(function) and _returns_lock(function):
                first = next(iter(function.decorator_list), function)
                yield self._late(module, first, f"{function.name} makes a lock on first use")
        for statement in module.tree.all(ast.With):
            for item in statement.items:
                if dotted(getattr(item.context_expr, "func", None)) in _MADE_HERE:
                    yield self.finding(
                        "a lock that is made here is held by nobody else", location=module.place(item.context_expr)
                    )
        for call in module.tree.all(ast.Call):
            match call:
                case ast.Call(func=func, args=[factory, *_]) if last_name(func) == "defaultdict" and _makes_lock(
                    factory
                ):
                    if _is_shared(module, call):
                        yield self._late(module, call, "a defaultdict makes the lock on first use")
                case _:
                    pass
        for test in module.tree.all(ast.If):
            if module.in_function(test) is not None and not module.locked(test) and _stores_lock(test):
                yield self._late(module, test, "the lock of a key is made after a test")

    def _late(self, module: PythonModule, node: ast.AST, what: str) -> Finding:
        return self.finding(f"{what}: two threads that come first hold different locks", location=module.place(node))


_MADE_HERE = frozenset({"threading.Lock", "threading.RLock", "Lock", "RLock", "multiprocessing.Lock"})


def _is_memoised(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether what it returns is kept: by its decorator, or by what calls it, as its name says."""
    names = {last_name(d.func if isinstance(d, ast.Call) else d) or "" for d in function.decorator_list}
    return (
        re.match(r"_*memoi[sz]ed_", function.name) is not None
        or any("cached_property" in name or "memoize" in name or name == "reify" for name in names)
        or (bool(names & {"lru_cache", "cache"}) and not function.args.args)
    )


def _returns_lock(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(
        isinstance(node, ast.Return) and node.value is not None and kind_of(node.value) is Kind.LOCK
        for node in inside(function.body)
    )


def _makes_lock(factory: ast.expr) -> bool:
    match factory:
        case ast.Lambda(body=body):
            return kind_of(body) is Kind.LOCK
        case _:
            return dotted(factory) in _MADE_HERE or last_name(factory) in ("Lock", "RLock", "Condition", "Semaphore")


def _is_shared(module: PythonModule, call: ast.Call) -> bool:
    """Tell whether the dictionary outlives a function: the module's, a class's or an object's."""
    match module.tree.statement(call):
        case ast.Assign(targets=[ast.Name()]) | ast.AnnAssign(target=ast.Name()):
            return module.tree.function(call) is None
        case ast.Assign(targets=[ast.Attribute()]) | ast.AnnAssign(target=ast.Attribute()):
            return True
        case _:
            return False


def _stores_lock(test: ast.If) -> bool:
    """Tell whether a lock is stored under a key because none was there, by `not in` or `is None`."""
    tests = [node.ops[0] for node in ast.walk(test.test) if isinstance(node, ast.Compare)]
    if not any(isinstance(operator, (ast.NotIn, ast.Is)) for operator in tests):
        return False
    made = {
        target.id
        for node in inside(test.body)
        if isinstance(node, ast.Assign) and kind_of(node.value) is Kind.LOCK
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return any(
        isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Subscript) for target in node.targets)
        and (kind_of(node.value) is Kind.LOCK or (isinstance(node.value, ast.Name) and node.value.id in made))
        for node in inside(test.body)
    )
