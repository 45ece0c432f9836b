"""FT517: the code sets the switch interval of threads."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Applicability, Confidence, Finding, Fix, NoFix, Obstacle, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.tree import dotted


class Setswitchinterval(PythonRule):
    """`sys.setswitchinterval` sets how long a thread may keep the GIL. Without the GIL, threads do not take turns: they
    run at the same time. A long interval no longer protects code from interruption."""

    info = RuleInfo(
        code="FT517",
        name="setswitchinterval",
        summary="The code sets the thread switch interval, which has no effect without the GIL.",
        severity=Severity.INFO,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Hold a lock around the code that must not be interrupted.",
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
            instead=True,
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
        SourceExample(
            code="""\
import sys
def serve(items):
    sys.setswitchinterval(0.001)  # answer quickly
    for item in items:
        handle(item)
""",
            lines=(3,),
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
                "the thread switch interval has no effect without the GIL",
                location=module.place(call),
                severity=severity,
            )

    def fix(self, module: PythonModule, finding: Finding) -> Fix | NoFix:
        """Remove the statement, unless a long interval shows that it is meant as a lock."""
        import libcst

        from ftaudit.source.python.rewrite import rewriting

        if finding.severity is Severity.WARNING:
            return NoFix(obstacle=Obstacle.NOT_MECHANICAL)
        text = rewriting(module)
        call = None if finding.location is None else text.found(finding.location, libcst.Call)
        if call is None:
            return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
        statement, line, block, *_ = text.above(call)
        match statement, line, block:
            case libcst.Expr(), libcst.SimpleStatementLine(body=[_]), libcst.IndentedBlock(body=body) | libcst.Module(
                body=body
            ):
                alone = len(body) == 1 and isinstance(block, libcst.IndentedBlock)
            case _:
                return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
        start, end = text.span(line)
        if alone:
            edit = module.edit(*text.span(statement), "pass")
        else:
            first = module.data.rfind(b"\n", 0, start) + 1
            after = module.data.find(b"\n", end)
            edit = module.edit(first, len(module.data) if after < 0 else after + 1, "")
        return Fix(applicability=Applicability.SUGGESTED, edits=(edit,))
