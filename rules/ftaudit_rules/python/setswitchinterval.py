"""FT517: the switch interval of threads is set."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.tree import dotted


class Setswitchinterval(PythonRule):
    """`sys.setswitchinterval` says how long a thread may keep the GIL. Without it, nothing switches: threads run at
    the same time. Code that made the interval long to be left alone for a moment is no longer left alone.
    """

    info = RuleInfo(
        code="FT517",
        name="setswitchinterval",
        summary="The switch interval of threads is set, which does nothing without the GIL.",
        severity=Severity.INFO,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Take a lock around what must not be interrupted.",
        links=("https://docs.python.org/3.14/library/sys.html#sys.setswitchinterval",),
    )
    words = (
        "setswitchinterval",
        "setcheckinterval",
    )
    VALID = (
        SourceExample(
            code="""\
with _lock:
    critical()
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
import sys
sys.setswitchinterval(1000)
critical()
""",
            lines=(2,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield calls that set the interval; a long one is used as a lock."""
        for call in module.tree.all(ast.Call):
            if dotted(call.func) not in ("sys.setswitchinterval", "setswitchinterval", "sys.setcheckinterval"):
                continue
            match call.args:
                case [ast.Constant(value=(int() | float()) as seconds)] if seconds >= 1:
                    severity = Severity.WARNING
                case _:
                    severity = Severity.INFO
            yield self.finding(
                "the switch interval has no effect without the GIL", location=module.place(call), severity=severity
            )
