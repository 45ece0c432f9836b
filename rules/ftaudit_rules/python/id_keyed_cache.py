"""FT521: a shared container is keyed by id()."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule, Signal
from ftaudit.source.python.module import Shared, Where


class IdKeyedCache(PythonRule):
    """A shared container is keyed by `id()`.

    An `id` is the address of an object, which Python can reuse after the object is freed. Without the GIL another
    thread can free the object and create another one at the same address at any moment, so the code uses an entry for
    the wrong object.
    """

    info = RuleInfo(
        code="FT521",
        name="id-keyed-cache",
        summary="A shared container is keyed by `id()`, which Python can reuse as soon as the object is freed.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Use a `WeakKeyDictionary` with the object as the key, or keep the object in the entry and hold a lock "
            "over the test and the store."
        ),
        links=("https://docs.python.org/3.14/library/threadsafety.html",),
    )
    words = ("id(",)
    signals = Signal.MODULE_STATE | Signal.CLASS_STATE
    VALID = (
        SourceExample(
            code="""\
import threading
_seen = {}
_lock = threading.Lock()
def norm(o):
    with _lock:
        if id(o) in _seen:
            return _seen[id(o)]
""",
            instead=True,
        ),
        SourceExample(
            code="""\
def walk(o):
    seen = {}
    seen[id(o)] = o
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
_seen = {}
def norm(o):
    if id(o) in _seen:
        return _seen[id(o)]
    _seen[id(o)] = r = work(o)
    return r
""",
            lines=(3,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield the first use of each shared container with `id(…)` for a key, in each function, without a lock."""
        seen: set[tuple[str, ast.AST]] = set()
        for call in sorted(module.tree.all(ast.Call), key=lambda call: (call.lineno, call.col_offset)):
            function = module.in_function(call)
            if (
                not (isinstance(call.func, ast.Name) and call.func.id == "id")
                or function is None
                or module.locked(call)
            ):
                continue
            shared = _container(module, call)
            if shared is None or not shared.is_container or shared.where is Where.INSTANCE:
                continue
            if (shared.name, function) in seen:
                continue
            seen.add((shared.name, function))
            yield self.finding(
                f"`{shared.name}` is keyed by `id()`: when the object is freed, another object can get the same id",
                location=module.place(call),
            )


def _container(module: PythonModule, call: ast.Call) -> Shared | None:
    """Return the shared container that the call of `id` is a key of."""
    match module.tree.parents.get(call):
        case ast.Subscript(value=value, slice=key) if key is call:
            return module.shared(value)
        case ast.Compare(left=left, ops=[ast.In() | ast.NotIn()], comparators=[right]) if left is call:
            return module.shared(right)
        case ast.Call(func=ast.Attribute(value=value, attr="get" | "pop" | "setdefault" | "add" | "discard")):
            return module.shared(value)
        case _:
            return None
