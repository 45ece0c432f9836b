"""FT508: a lock is taken after a test that is not repeated under it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Fix, NoFix, Obstacle, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule, Signal
from ftaudit.source.python.lazy import LazyInit, rechecked_under_lock
from ftaudit.source.python.tree import dotted, inside, targets_of


class BrokenDoubleCheckedLock(PythonRule):
    """The code tests whether an object exists, takes a lock to create it, and does not repeat the test under the lock.
    A second thread waits for the first one and then creates the object again: the lock only makes the two threads take
    turns. It is equally wrong to set a "ready" flag before the data is complete.
    """

    info = RuleInfo(
        code="FT508",
        name="broken-double-checked-lock",
        summary="The code takes a lock after a test, but does not repeat the test under the lock.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Repeat the test under the lock, and assign the finished value last.",
        links=("https://docs.python.org/3.14/library/threadsafety.html",),
    )
    signals = Signal.THREADS | Signal.LAZY_ATTRIBUTE | Signal.GLOBAL
    VALID = (
        SourceExample(
            code="""\
def conn():
    global _c
    if _c is None:
        with _lock:
            if _c is None:
                _c = connect()
    return _c
""",
            instead=True,
        ),
        SourceExample(
            code="""\
class D:
    def value(self):
        with self._lock:
            if self._v is None:
                self._v = make()
        return self._v
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
def conn():
    global _c
    if _c is None:
        with _lock:
            _c = connect()
    return _c
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
class D:
    def value(self):
        if not self._ready:
            self._ready = True
            self._data = load()
        return self._data
""",
            lines=(4,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield tests for which only the assignment is locked, and flags that are set before their data."""
        for lazy in module.lazy_inits:
            if module.locked(lazy.test) or isinstance(lazy.function, ast.AsyncFunctionDef):
                continue
            if getattr(lazy.function, "name", "") in ("__init__", "__del__", "__enter__", "__exit__", "close"):
                continue
            held = [
                assignment
                for assignment in lazy.assignments
                if module.locked(assignment) and not _is_of_error(module, assignment)
            ]
            if held and isinstance(lazy.test, ast.If) and not rechecked_under_lock(module, lazy):
                if is_threading_lock(module, held[0]) and not _is_none(held[-1]):
                    yield self.finding(
                        (
                            f"`{lazy.key}` is tested before the lock, but not again under it: two threads can both "
                            "create it"
                        ),
                        location=module.place(lazy.test),
                    )
            elif not held and not _refuses(lazy.test):
                early = _flag_before_data(lazy)
                if early is not None:
                    yield self.finding(
                        f"`{lazy.key}` is set before the data is complete: another thread can use incomplete data",
                        location=module.place(early),
                    )

    def fix(self, module: PythonModule, finding: Finding) -> Fix | NoFix:
        """Repeat the test under the lock; set a flag after its data."""
        from ftaudit.source.python.lock_edits import repeat_test, set_flag_last

        for lazy in module.lazy_inits:
            if isinstance(lazy.test, ast.If) and module.place(lazy.test) == finding.location:
                held = [assignment for assignment in lazy.assignments if module.locked(assignment)]
                return repeat_test(module, lazy.test, held[0]) if held else NoFix(obstacle=Obstacle.UNKNOWN_FORM)
            early = _flag_before_data(lazy)
            if early is not None and module.place(early) == finding.location:
                return set_flag_last(module, early)
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)


_FLAG = re.compile(
    r"(?i)init|ready|loaded|done|set_?up|started?|configured?|completed?|built|cached|populated|finali[sz]ed"
)


def is_threading_lock(module: PythonModule, node: ast.AST) -> bool:
    """Return whether the lock around a node is taken by `with` or `acquire` in the same function, not by a caller."""
    return not any(isinstance(parent, ast.AsyncWith) for parent in module.tree.above(node))


def _refuses(test: ast.AST) -> bool:
    """Return whether a test keeps a second caller out by an exception: that caller does not go on."""
    return isinstance(test, ast.If) and isinstance(test.body[-1], ast.Raise)


def _is_of_error(module: PythonModule, assignment: ast.stmt) -> bool:
    """Return whether an assignment records an exception: nothing is made."""
    return any(isinstance(parent, ast.ExceptHandler) for parent in module.tree.above(assignment))


def _is_none(assignment: ast.stmt) -> bool:
    value = getattr(assignment, "value", None)
    return isinstance(value, ast.Constant) and value.value is None


def _flag_before_data(lazy: LazyInit) -> ast.stmt | None:
    """Return the assignment of True to the tested flag if assignments of data follow it."""
    first = lazy.assignments[0]
    value = getattr(first, "value", None)
    if not _FLAG.search(lazy.key):
        return None
    if not (isinstance(value, ast.Constant) and value.value is True) or first not in lazy.body:
        return None
    prefix = lazy.key.rpartition(".")[0]
    for later in lazy.body[lazy.body.index(first) + 1 :]:
        for node in inside(later):
            if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
                continue
            for target in targets_of(node):
                name = dotted(target)
                if name is None or name == lazy.key or name.rpartition(".")[0] != prefix:
                    continue
                if _same_kind(lazy, name):
                    return first
    return None


def _same_kind(lazy: LazyInit, name: str) -> bool:
    """Return whether a name outlives the function like the flag: an attribute of the same object, or a global."""
    if "." in name:
        return True
    return any(isinstance(node, ast.Global) and name in node.names for node in inside(lazy.function.body))
