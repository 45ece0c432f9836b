"""FT550: Python code decides by a reference count."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.tree import last_name


class RefcountTestPython(PythonRule):
    """`sys.getrefcount()` is not exact without the GIL, and another thread can take a reference after the test.

    A free-threaded build splits the count between the thread that created the object and all others, defers some counts
    until the garbage collector runs, and makes some objects immortal. From Python 3.14 on, local variables often do not
    count at all, in every build. A test such as `sys.getrefcount(x) == 2` then has a different result.
    """

    info = RuleInfo(
        code="FT550",
        name="refcount-test-python",
        summary="Python code compares the result of `sys.getrefcount()`, which is not exact without the GIL.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy=(
            "Track ownership with your own flag or count under a lock, or use `weakref.finalize()` to find out that an "
            "object is gone."
        ),
        links=("https://docs.python.org/3.14/library/sys.html#sys.getrefcount",),
    )
    words = ("getrefcount(",)
    VALID = (
        SourceExample(
            code="""\
import weakref
def watch(session):
    weakref.finalize(session, notify)
""",
            instead=True,
        ),
        SourceExample(code="import sys\ndef show(x):\n    print(sys.getrefcount(x))\n"),
        SourceExample(code="import sys\ndef check():\n    assert sys.getrefcount(None) > 100\n"),
    )
    INVALID = (
        SourceExample(
            code="import sys\ndef drop(session):\n    if sys.getrefcount(session) == 2:\n        session.stop()\n",
            lines=(3,),
        ),
        SourceExample(
            code="from sys import getrefcount\ndef idle(pool):\n"
            "    return [each for each in pool if getrefcount(each) <= 3]\n",
            lines=(3,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield the comparisons in functions, apart from assertions."""
        for test in module.tree.all(ast.Compare):
            if module.in_function(test) is None or isinstance(module.tree.statement(test), ast.Assert):
                continue
            for side in (test.left, *test.comparators):
                if isinstance(side, ast.Call) and last_name(side.func) == "getrefcount" and side.args:
                    yield self.finding(
                        f"the reference count of `{ast.unparse(side.args[0])}` is not exact without the GIL, and "
                        "another thread can change it after the test",
                        location=module.place(test),
                    )
                    break
