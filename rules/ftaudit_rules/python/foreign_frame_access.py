"""FT529: the code reads the local variables of another thread's frame."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.tree import dotted


class ForeignFrameAccess(PythonRule):
    """The code reads `f_locals` of a frame that another thread is running.

    The frame changes during the read. CPython's documentation warns that this may crash a free-threaded interpreter.
    """

    info = RuleInfo(
        code="FT529",
        name="foreign-frame-access",
        summary="The code reads the local variables of another thread's frame.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Use `traceback.format_stack(frame)` or `faulthandler`, and do not read the variables.",
        links=("https://docs.python.org/3.14/howto/free-threading-python.html",),
    )
    words = ("_current_frames",)
    VALID = (
        SourceExample(
            code="""\
import sys, traceback
def dump(tid):
    return traceback.format_stack(sys._current_frames()[tid])
""",
            instead=True,
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
import sys
def dump(tid):
    return sys._current_frames()[tid].f_locals
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
import sys
def dump_all():
    for tid, frame in sys._current_frames().items():
        print(tid, frame.f_locals)
""",
            lines=(4,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield uses of `f_locals` in functions that take frames from `sys._current_frames()`."""
        taking = {
            module.tree.function(call)
            for call in module.tree.all(ast.Call)
            if dotted(call.func) in ("sys._current_frames", "_current_frames")
        }
        for node in module.tree.all(ast.Attribute):
            if node.attr == "f_locals" and taking and module.tree.function(node) in taking:
                yield self.finding(
                    "reading `f_locals` of another thread's frame may crash the interpreter without the GIL",
                    location=module.place(node),
                )
