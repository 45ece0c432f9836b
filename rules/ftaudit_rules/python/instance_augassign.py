"""FT505: an attribute of a shared object is changed by `+=` without a lock."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule


class InstanceAugassign(PythonRule):
    """An attribute of an object that several threads use (its class owns a lock or deals with threads, or it is the
    only one of its kind) is changed by an augmented assignment without a lock. A load, an addition and a store:
    counts are lost.
    """

    info = RuleInfo(
        code="FT505",
        name="instance-augassign",
        summary="An attribute of an object that several threads use is changed with an augmented assignment.",
        severity=Severity.PEDANTIC,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy="Hold the object's lock, or use itertools.count().",
        links=("https://docs.python.org/3.14/library/threadsafety.html",),
        default=False,
    )
    VALID = (
        SourceExample(
            code="""\
class Plain:
    def hit(self):
        self.n += 1
""",
        ),
        SourceExample(
            code="""\
import threading
class Pool:
    def __init__(self):
        self.lock = threading.Lock()
        self.n = 0
    def hit(self):
        with self.lock:
            self.n += 1
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
import threading
class Pool:
    def __init__(self):
        self.lock = threading.Lock()
        self.n = 0
    def hit(self):
        self.n += 1
""",
            lines=(7,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield augmented assignments to attributes of objects meant for several threads, without a lock."""
        shared = module.threaded_classes | set(module.singletons.values())
        for node in module.tree.all(ast.AugAssign):
            match node.target:
                case ast.Attribute(value=ast.Name(id="self"), attr=attribute):
                    owner = module.tree.enclosing_class(node)
                    function = module.in_function(node)
                    if owner is None or owner.name not in shared or function is None or module.locked(node):
                        continue
                    if getattr(function, "name", "") != "__init__":
                        yield self.finding(
                            f"self.{attribute} is loaded, changed and stored without a lock",
                            location=module.place(node),
                        )
                case _:
                    pass
