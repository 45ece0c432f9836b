"""FT501: a module-level variable is initialized on first use without a lock."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule, Signal
from ftaudit.source.python.kinds import Kind, has_identity, kind_of
from ftaudit.source.python.lazy import LazyInit, assignments_to, is_harmless
from ftaudit.source.python.tree import inside, last_name


class GlobalLazyInit(PythonRule):
    """A module-level variable is initialized on first use without a lock.

    If two threads both find the variable empty, both create the object, and one of the two objects is lost: a
    connection is never closed, a registry lacks half of its entries, or there are two "singletons". Under the GIL this
    is rare, because a thread switch between the test and the assignment is rare. If both threads create an equal value
    (an import, a compiled pattern, a constant, the result of a computation), nothing is lost, and the rule reports it
    only with `--pedantic`.
    """

    info = RuleInfo(
        code="FT501",
        name="global-lazy-init",
        summary="A global is initialized on first use without a lock, so two threads can both create it.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Initialize the variable at import, or take a lock and repeat the test under it.",
        links=(
            "https://docs.python.org/3.14/library/threadsafety.html",
            "https://py-free-threading.github.io/porting/",
        ),
    )
    signals = Signal.GLOBAL | Signal.FUNCTION_STATE
    VALID = (
        SourceExample(
            code="""\
import threading
_lock = threading.Lock()
_c = None
def conn():
    global _c
    with _lock:
        if _c is None:
            _c = connect()
    return _c
""",
            instead=True,
        ),
        SourceExample(
            code="""\
_c = None
def conn():
    global _c
    if _c is None:
        with _lock:
            if _c is None:
                _c = connect()
    return _c
"""
        ),
        SourceExample(code="_c = connect()\ndef conn():\n    return _c\n"),
        SourceExample(
            code="""\
_pool = None
def leave():
    global _pool
    if _pool is not None:
        _pool.close()
        _pool = None
"""
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
_c = None
def conn():
    global _c
    if _c is None:
        _c = connect()
    return _c
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
_ready = False
def setup():
    global _ready
    if _ready:
        return
    load_plugins()
    _ready = True
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
def table():
    if not hasattr(table, "made"):
        table.made = build()
    return table.made
""",
            lines=(2,),
        ),
        SourceExample(
            code="""\
_session = None
def session():
    global _session
    if _session is None or not _session.alive:
        made = Session()
        _session = made
    return _session
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
_pending = None
def connect_late():
    global _pending
    if _pending:
        hosts = _pending
        _pending = None
        connect(hosts)
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
_ask = True
def secret():
    global _ask
    if not _ask:
        return None
    try:
        return fetch()
    except Denied:
        _ask = False
        return None
""",
            lines=(4,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield the unlocked tests of a global that decide whether it is assigned."""
        if module.is_script:
            return
        by_call: set[str] = set()
        for lazy in sorted(module.lazy_inits, key=lambda lazy: lazy.test.lineno):
            if isinstance(lazy.function, ast.AsyncFunctionDef) or not _is_of_module(module, lazy):
                continue
            made = getattr(lazy.assignments[-1], "value", None)
            if isinstance(made, ast.expr) and kind_of(made) is Kind.LOCK:
                # FT526 reports locks.
                continue
            if module.locked(lazy.test) or any(module.locked(assignment) for assignment in lazy.assignments):
                continue
            if isinstance(lazy.assignments[0], ast.Expr):
                # If a function does the work, every place that calls it has the same race.
                if lazy.key in by_call:
                    continue
                by_call.add(lazy.key)
            yield self.finding(
                self._message(lazy), location=module.place(lazy.test), severity=_severity(lazy), confidence=None
            )

    def _message(self, lazy: LazyInit) -> str:
        last = lazy.assignments[-1]
        if lazy.takes:
            return (
                f"global `{lazy.key}` is tested here and removed on line {last.lineno} without a lock: two threads can "
                "both take it"
            )
        if len(lazy.assignments) > 1:
            return f"global `{lazy.key}` is assigned before it is complete: another thread can use it half-initialized"
        return (
            f"global `{lazy.key}` is tested here and assigned on line {last.lineno} without a lock: two threads can "
            "both create it"
        )


def _is_of_module(module: PythonModule, lazy: LazyInit) -> bool:
    """Return whether it is a global, or an attribute of one of the module's functions, which is equivalent."""
    owner, _, _ = lazy.key.rpartition(".")
    return not owner or (
        module.is_module_name(owner, lazy.test) and any(owner == function.name for function in module.tree.functions())
    )


def _severity(lazy: LazyInit) -> Severity:
    """Report work that is harmless if done twice as a note."""
    if lazy.takes:
        only_said = all(statement in lazy.assignments or _only_says(statement) for statement in lazy.body)
        return Severity.PEDANTIC if only_said else Severity.WARNING
    statements = [node for node in inside(list(lazy.body)) if isinstance(node, ast.Expr)]
    quiet = all(isinstance(each.value, ast.Constant) or _only_says(each) for each in statements)
    only_assignment = quiet and all(
        isinstance(statement, (ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom, ast.Return, ast.Try, ast.If))
        or _only_says(statement)
        for statement in lazy.body
    )
    if not only_assignment or len(lazy.assignments) > 1:
        harmless = only_assignment and all(_is_harmless(lazy, assignment) for assignment in lazy.assignments)
        return Severity.PEDANTIC if harmless else Severity.WARNING
    return Severity.WARNING if _makes_a_thing(lazy, lazy.assignments[0]) else Severity.PEDANTIC


def _is_harmless(lazy: LazyInit, assignment: ast.stmt) -> bool:
    """Return whether two threads assign the same value; a local name means the value that was created for it."""
    value = getattr(assignment, "value", None)
    if isinstance(value, ast.Name):
        made = list(assignments_to(value.id, list(lazy.body)))
        return all(is_harmless(each) for each in made)
    return is_harmless(assignment)


def _makes_a_thing(lazy: LazyInit, assignment: ast.stmt) -> bool:
    """Return whether two threads create two objects, one of which is lost: a connection, client, parser or table."""
    value = getattr(assignment, "value", None)
    if isinstance(value, ast.Name):
        return any(has_identity(getattr(each, "value", None)) for each in assignments_to(value.id, list(lazy.body)))
    return isinstance(value, ast.expr) and has_identity(value)


_SAYS = frozenset({"warn", "warning", "info", "debug", "error", "exception", "log", "print", "write"})


def _only_says(statement: ast.stmt) -> bool:
    """Return whether a statement warns or logs: two threads print the message twice."""
    match statement:
        case ast.Return(value=None) | ast.Global():
            return True
        case ast.Expr(value=ast.Call(func=func)):
            return last_name(func) in _SAYS
        case _:
            return False
