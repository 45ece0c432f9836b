"""FT504: a shared counter is changed by `+=` without a lock."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Fix, NoFix, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule, Signal
from ftaudit.source.python.module import Where
from ftaudit.source.python.tree import dotted


class GlobalAugassign(PythonRule):
    """An augmented assignment changes a global or class attribute without a lock.

    `n += 1` loads, adds and stores. Two threads that load the same value store the same sum: one count is lost, and an
    ID that should be unique is used twice. Under the GIL a thread switch between the load and the store is rare;
    without it both threads run at the same time.
    """

    info = RuleInfo(
        code="FT504",
        name="global-augassign",
        summary="An augmented assignment changes a shared counter, and is not atomic.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Take the next number from an `itertools.count()`, hold a lock, or keep a count for each thread.",
        links=("https://docs.python.org/3.14/library/threadsafety.html",),
    )
    signals = Signal.GLOBAL | Signal.CLASS_STATE | Signal.MODULE_STATE
    VALID = (
        SourceExample(
            code="""\
import itertools
_ids = itertools.count(1)
def uid():
    return next(_ids)
""",
            instead=True,
        ),
        SourceExample(
            code="""\
_n = 0
def uid():
    global _n
    with _lock:
        _n += 1
        return _n
""",
        ),
        SourceExample(
            code="""\
def pointer_type(with_buffer):
    class Pointer:
        __slots__ = ["own"]
        if with_buffer:
            __slots__ += ["buffer"]
    return Pointer
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
_n = 0
def uid():
    global _n
    _n = _n + 1
    return _n
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
_n = 0
def uid():
    global _n
    _n += 1
    return _n
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
_hits = {}
def hit(k):
    _hits[k] = _hits.get(k, 0) + 1
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
_next = [0]
def uid():
    _next[0] += 1
    return _next[0]
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
class Node:
    created = 0
    def __init__(self):
        Node.created += 1
""",
            lines=(4,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield augmented assignments to globals and class attributes without a lock, the first in each function."""
        if module.is_script:
            return
        seen: set[object] = set()
        for node in sorted(module.assignments(), key=lambda node: node.lineno):
            function = module.in_function(node)
            if function is None or isinstance(function, ast.AsyncFunctionDef) or function in seen:
                continue
            name = _shared_name(module, node)
            if name is not None and not module.locked(node) and not module.registers(node):
                # One lock around the function's work fixes them all.
                seen.add(function)
                yield self.finding(
                    f"{name} is read, changed and stored without a lock: two threads can store the same value",
                    location=module.place(node),
                )

    def fix(self, module: PythonModule, finding: Finding) -> Fix | NoFix:
        """Take the next number of an `itertools.count`, if no other code reads the counter."""
        from ftaudit.source.python.counter_edits import count_atomically

        return count_atomically(module, finding)


def _shared_name(module: PythonModule, node: ast.stmt) -> str | None:
    """Return the shared name that `X += …` or `X = X + …` changes."""
    match node:
        case ast.AugAssign(target=target):
            pass
        case ast.Assign(targets=[ast.Name() | ast.Attribute() as target], value=ast.BinOp(left=left, right=right)):
            if dotted(target) is None or dotted(target) not in (dotted(left), dotted(right)):
                return None
        case ast.Assign(targets=[ast.Subscript() as target], value=ast.BinOp(left=left)) if _reads(left, target):
            pass
        case _:
            return None
    match target:
        case ast.Name(id=name) if module.is_module_name(name, node):
            return f"global `{name}`"
        case ast.Attribute(value=value, attr=attribute):
            owner = module.class_named(value)
            return None if owner is None else f"`{owner}.{attribute}`"
        case ast.Subscript(value=value):
            shared = module.shared(value)
            counts = shared is not None and shared.where is not Where.INSTANCE and shared.is_container
            return f"an item of `{shared.name}`" if shared is not None and counts else None
        case _:
            return None


def _reads(left: ast.expr, target: ast.Subscript) -> bool:
    """Return whether the first operand is the item itself: `d[k]`, `d.get(k, 0)`."""
    match left:
        case ast.Subscript():
            return ast.unparse(left) == ast.unparse(target)
        case ast.Call(func=ast.Attribute(value=value, attr="get"), args=[key, *_]):
            return ast.unparse(value) == ast.unparse(target.value) and ast.unparse(key) == ast.unparse(target.slice)
        case _:
            return False
