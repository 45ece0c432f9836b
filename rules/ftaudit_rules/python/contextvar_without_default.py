"""FT534: a context variable without a default is read in a context that never set it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.kinds import Kind, kind_of
from ftaudit.source.python.tree import FunctionNode, dotted, targets_of


class ContextvarWithoutDefault(PythonRule):
    """A `ContextVar` without a default is set once, at import or in a constructor, and read in methods.

    The value belongs to the context that set it. A thread with a different context, such as a thread of an existing
    pool or a thread that C code starts, does not have the value, and `get()` raises `LookupError` there.
    `sys.flags.thread_inherit_context` (on in free-threaded builds from 3.14) helps only threads that `threading.Thread`
    starts after the value is set.
    """

    info = RuleInfo(
        code="FT534",
        name="contextvar-without-default",
        summary=(
            "A context variable without a default is set once, and threads with another context do not have the value."
        ),
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Give the `ContextVar` a default, or read it with `get(default)`.",
        links=(
            "https://docs.python.org/3.14/library/contextvars.html#contextvars.ContextVar.get",
            "https://docs.python.org/3.14/using/cmdline.html#envvar-PYTHON_THREAD_INHERIT_CONTEXT",
        ),
    )
    words = ("ContextVar(",)
    VALID = (
        SourceExample(
            code="""\
from contextvars import ContextVar
level = ContextVar("level", default=0)
level.set(1)
def current():
    return level.get()
""",
            instead=True,
        ),
        SourceExample(
            code="""\
from contextvars import ContextVar
request = ContextVar("request")
def handle(value):
    token = request.set(value)
    try:
        work()
    finally:
        request.reset(token)
def current():
    return request.get()
""",
        ),
        SourceExample(
            code="""\
from contextvars import ContextVar
level = ContextVar("level")
level.set(1)
def current():
    try:
        return level.get()
    except LookupError:
        return level.get(0)
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
from contextvars import ContextVar
level = ContextVar("level")
level.set(1)
def current():
    return level.get()
""",
            lines=(5,),
        ),
        SourceExample(
            code="""\
import contextvars
class Hook:
    def __init__(self):
        self._header = contextvars.ContextVar("header")
        self._header.set({})
    def header(self):
        return self._header.get()
""",
            lines=(7,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield the first read of each such variable that only import or constructors set."""
        variables = {
            name: statement
            for statement in module.assignments()
            if kind_of(getattr(statement, "value", None)) is Kind.CONTEXT_VAR and not _has_default(statement)
            for target in targets_of(statement)
            if (name := dotted(target)) is not None
        }
        if not variables:
            return
        reads: dict[str, list[ast.Call]] = {}
        early: set[str] = set()
        late: set[str] = set()
        for call in module.tree.all(ast.Call):
            match call.func:
                case ast.Attribute(value=owner, attr=method) if (name := dotted(owner)) in variables and name:
                    function = module.in_function(call)
                    if method == "set":
                        (early if function is None or _constructs(function) else late).add(name)
                    elif method == "get" and not call.args and function is not None and not _is_caught(module, call):
                        reads.setdefault(name, []).append(call)
                case _:
                    pass
        for name, calls in sorted(reads.items()):
            if name in early and name not in late:
                first = min(calls, key=lambda call: call.lineno)
                yield self.finding(
                    f"`{name}` has no default and is set only at import or in a constructor: `get()` raises "
                    "`LookupError` in a thread with a different context",
                    location=module.place(first),
                )


def _has_default(statement: ast.stmt) -> bool:
    value = getattr(statement, "value", None)
    return isinstance(value, ast.Call) and any(keyword.arg in ("default", None) for keyword in value.keywords)


def _constructs(function: FunctionNode) -> bool:
    return getattr(function, "name", "") in ("__init__", "__new__", "__post_init__")


def _is_caught(module: PythonModule, call: ast.Call) -> bool:
    return any(
        isinstance(parent, ast.Try) and any("LookupError" in ast.unparse(h.type or h) for h in parent.handlers)
        for parent in module.tree.above(call)
    )
