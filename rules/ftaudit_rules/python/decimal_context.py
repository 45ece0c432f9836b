"""FT524: the decimal context is set at import."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.tree import last_name


class DecimalContext(PythonRule):
    """`decimal.getcontext().prec = …` at module level sets only the context of the importing thread. In a free-threaded
    build new threads start with a copy of their parent's context; in other builds they start with `DefaultContext`. The
    same program then computes with different precision."""

    info = RuleInfo(
        code="FT524",
        name="decimal-context",
        summary=(
            "The code sets the decimal context at import, which affects only the importing thread, or changes "
            "`DefaultContext` in a function."
        ),
        severity=Severity.PEDANTIC,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy="Use `decimal.localcontext()` around the code that needs the precision.",
        links=("https://docs.python.org/3.14/library/decimal.html#working-with-threads",),
        default=False,
    )
    VALID = (
        SourceExample(
            code="""\
import decimal
def f(x):
    with decimal.localcontext(prec=50):
        return +x
""",
            instead=True,
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
import decimal
decimal.getcontext().prec = 50
""",
            lines=(2,),
        ),
        SourceExample(
            code="""\
import decimal
def f():
    decimal.DefaultContext.prec = 50
""",
            lines=(3,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield settings of the context at import, and of the default context in functions."""
        for statement in module.tree.all(ast.Assign):
            for target in statement.targets:
                match target:
                    case ast.Attribute(value=ast.Call(func=func)) if last_name(func) == "getcontext":
                        if module.tree.function(statement) is None:
                            yield self.finding(
                                "this sets the decimal context of the importing thread only",
                                location=module.place(statement),
                            )
                    case ast.Attribute(value=value) if last_name(value) == "DefaultContext":
                        if module.tree.function(statement) is not None:
                            yield self.finding(
                                "this affects only threads that do not have a decimal context yet",
                                location=module.place(statement),
                            )
                    case _:
                        pass
