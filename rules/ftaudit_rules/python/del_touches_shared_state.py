"""FT522: a finalizer changes shared state."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule


class DelTouchesSharedState(PythonRule):
    """`__del__` changes a container of a module or class, or takes a lock. Without the GIL finalizers can run in any
    thread, and later than you expect. A finalizer that takes a non-reentrant lock can deadlock with the code that it
    interrupts."""

    info = RuleInfo(
        code="FT522",
        name="del-touches-shared-state",
        summary="A finalizer, which can run in any thread, changes shared state or takes a lock.",
        severity=Severity.PEDANTIC,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy="Let `__del__` put the work into a `queue.SimpleQueue`, whose `put()` is safe in finalizers.",
        links=("https://docs.python.org/3.14/howto/free-threading-python.html",),
        default=False,
    )
    VALID = (
        SourceExample(
            code="""\
import queue
_dead = queue.SimpleQueue()
class A:
    def __del__(self):
        _dead.put(self.key)
""",
            instead=True,
        ),
        SourceExample(
            code="""\
class A:
    def __del__(self):
        self.close()
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
_live = {}
class A:
    def __del__(self):
        _live.pop(self.key, None)
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
class A:
    def __del__(self):
        with self._lock:
            pass
""",
            lines=(3,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield changes of shared containers, and locks, in `__del__`."""
        for change in module.mutations:
            if getattr(module.tree.function(change.node), "name", "") == "__del__":
                yield self.finding(
                    f"a finalizer, which can run in any thread, changes `{change.shared.name}`",
                    location=module.place(change.node),
                )
        for statement in module.tree.all(ast.With):
            if getattr(module.tree.function(statement), "name", "") != "__del__":
                continue
            if any(module.is_lock(item.context_expr) for item in statement.items):
                yield self.finding(
                    "a finalizer, which can run while the thread holds the lock, takes a lock",
                    location=module.place(statement),
                )
