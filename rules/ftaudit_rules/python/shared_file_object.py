"""FT514: functions use a file object of a module."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.kinds import Kind


class SharedFileObject(PythonRule):
    """Functions use a file object that belongs to a module or class. Text files are not thread-safe: threads mix up
    their buffers and positions."""

    info = RuleInfo(
        code="FT514",
        name="shared-file-object",
        summary="Functions use a file object of a module or class, which all threads share.",
        severity=Severity.PEDANTIC,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy="Open the file in the function that uses it, or hold a lock.",
        links=("https://docs.python.org/3.14/library/io.html#multi-threading",),
        default=False,
    )
    VALID = (
        SourceExample(
            code="""\
def read(p):
    with open(p) as f:
        return f.read()
""",
            instead=True,
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
log = open("x.log", "a")
def write(line):
    log.write(line)
""",
            lines=(3,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield uses, in functions and without a lock, of files that the module or a class opened."""
        for call in module.tree.all(ast.Call):
            match call.func:
                case ast.Attribute(value=value) if module.in_function(call) is not None:
                    shared = module.shared(value)
                    if shared is not None and shared.kind is Kind.FILE and not module.locked(call):
                        yield self.finding(f"all threads share the file `{shared.name}`", location=module.place(call))
                case _:
                    pass
