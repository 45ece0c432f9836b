"""FT511: functions advance a shared iterator."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.containers import is_shared_iterator, iterated
from ftaudit.source.python.tree import dotted


class SharedIterator(PythonRule):
    """Functions advance a module-level or class-level iterator.

    Iterators are not safe to share: two threads that advance the same iterator can get the same item or skip one.
    Advancing a generator while another thread runs it raises `ValueError: generator already executing`.
    `itertools.count()` is thread-safe.
    """

    info = RuleInfo(
        code="FT511",
        name="shared-iterator",
        summary="Functions advance an iterator that several threads can reach.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Hold a lock around `next()`, or give each thread its own iterator.",
        links=("https://docs.python.org/3.14/howto/free-threading-python.html",),
    )
    words = (
        "next(",
        "__next__",
        ".send(",
    )
    needles = re.compile(
        r"^(?:[ \t]{0,4})_*\w+[ \t]*(?::[^=\n]+)?=[ \t]*(?:\w+\.)?\w+\(|^[ \t]{0,4}\w+[ \t]*=[ \t]*\(.* for ",
        re.MULTILINE,
    )
    VALID = (
        SourceExample(
            code="""\
_it = iter(range(10**6))
def take():
    with _lock:
        return next(_it)
""",
            instead=True,
        ),
        SourceExample(
            code="""\
import itertools
_ids = itertools.count()
def uid():
    return next(_ids)
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
_it = iter(range(10**6))
def take():
    return next(_it)
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
def _numbers():
    yield 1
class Names:
    source = _numbers()
    def take(self):
        return next(self.source)
""",
            lines=(6,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield `next()` of, and loops over, iterators that the module or a class holds."""
        for node, value in (*_advanced(module), *iterated(module.tree)):
            function = module.in_function(node)
            if function is None or isinstance(function, ast.AsyncFunctionDef):
                continue
            if is_shared_iterator(module, value) and not module.locked(node):
                yield self.finding(
                    f"all threads share the iterator `{dotted(value)}`: items can be returned twice or skipped",
                    location=module.place(node),
                )


def _advanced(module: PythonModule) -> Iterator[tuple[ast.AST, ast.expr]]:
    for call in module.tree.all(ast.Call):
        match call:
            case (
                ast.Call(func=ast.Name(id="next"), args=[value, *_])
                | ast.Call(func=ast.Attribute(value=value, attr="__next__" | "send"))
            ):
                yield call, value
            case _:
                pass
