"""FT536: a thread waits for a condition and continues without testing whether it holds."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.tree import dotted, last_name, targets_of


class WaitWithoutPredicate(PythonRule):
    """The code calls `Condition.wait()` outside a loop that tests the condition.

    If the notification comes before the wait, it is lost, and the thread waits forever. If it comes later, it may be
    meant for another thread, or another thread may act on it first. Only a test under the lock, repeated after each
    wait, shows whether the condition is true.
    """

    info = RuleInfo(
        code="FT536",
        name="wait-without-predicate",
        summary="`Condition.wait()` is not in a loop that tests the condition.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Call `wait_for(predicate)`, or wait in a `while` loop that tests the condition.",
        links=("https://docs.python.org/3.14/library/threading.html#condition-objects",),
    )
    words = ("Condition(",)
    VALID = (
        SourceExample(
            code="""\
import threading
class Queue:
    def __init__(self):
        self._ready = threading.Condition()
        self._items = []
    def get(self):
        with self._ready:
            while not self._items:
                self._ready.wait()
            return self._items.pop()
    def get_soon(self):
        with self._ready:
            self._ready.wait_for(lambda: self._items, 1)
            return self._items.pop()
""",
            instead=True,
        ),
        SourceExample(
            code="""\
import threading
done = threading.Event()
def join():
    done.wait()
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
import threading
class Queue:
    def __init__(self):
        self._ready = threading.Condition()
        self._items = []
    def get(self):
        with self._ready:
            if not self._items:
                self._ready.wait()
            return self._items.pop()
""",
            lines=(9,),
        ),
        SourceExample(
            code="""\
from threading import Condition
finished = Condition()
def join():
    with finished:
        finished.wait(5)
""",
            lines=(5,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield waits for conditions outside a loop."""
        conditions = {
            dotted(target)
            for statement in module.assignments()
            if _is_condition(module, getattr(statement, "value", None))
            for target in targets_of(statement)
        }
        for call in module.tree.all(ast.Call):
            match call.func:
                case ast.Attribute(value=owner, attr="wait") if dotted(owner) in conditions and dotted(owner):
                    if module.in_function(call) is not None and not _is_looped(module, call):
                        yield self.finding(
                            f"`{dotted(owner)}.wait()` is not in a loop that tests the condition",
                            location=module.place(call),
                        )
                case _:
                    pass


def _is_condition(module: PythonModule, value: ast.expr | None) -> bool:
    return (
        isinstance(value, ast.Call)
        and last_name(value.func) == "Condition"
        and (module.qualified(value.func) or "").startswith(("threading.", "multiprocessing."))
    )


def _is_looped(module: PythonModule, call: ast.Call) -> bool:
    function = module.tree.function(call)
    for parent in module.tree.above(call):
        if parent is function:
            return False
        if isinstance(parent, (ast.While, ast.For)):
            return True
    return False
