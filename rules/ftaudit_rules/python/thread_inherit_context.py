"""FT532: code expects that a new thread has an empty context."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.kinds import Kind
from ftaudit.source.python.tree import inside, last_name


class ThreadInheritContext(PythonRule):
    """In a free-threaded build a new thread starts with a copy of its parent's context; in other builds it starts with
    an empty context. Code that catches the `LookupError` of a `ContextVar` to detect a new thread no longer works."""

    info = RuleInfo(
        code="FT532",
        name="thread-inherit-context",
        summary=(
            "Code detects a new thread by the `LookupError` of a context variable, but in a free-threaded build new "
            "threads inherit the value."
        ),
        severity=Severity.PEDANTIC,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy=("Start the thread with an explicit context: `threading.Thread(..., context=contextvars.Context())`."),
        links=("https://docs.python.org/3.14/howto/free-threading-python.html",),
        default=False,
    )
    VALID = (
        SourceExample(
            code="""\
from contextvars import ContextVar
user = ContextVar("user", default=None)
def current():
    return user.get()
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
from contextvars import ContextVar
user = ContextVar("user")
def current():
    try:
        return user.get()
    except LookupError:
        return start()
""",
            lines=(4,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield the attempts to read a context variable of the module that expect it to be missing."""
        for attempt in module.tree.all(ast.Try):
            if not any(last_name(handler.type) == "LookupError" for handler in attempt.handlers):
                continue
            for node in inside(attempt.body):
                match node:
                    case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="get"), args=[]):
                        if module.module_kinds.get(name) is Kind.CONTEXT_VAR:
                            yield self.finding(
                                (
                                    "this detects a new thread by a `LookupError`, but in a free-threaded build new "
                                    f"threads inherit `{name}`"
                                ),
                                location=module.place(attempt),
                            )
                    case _:
                        pass
