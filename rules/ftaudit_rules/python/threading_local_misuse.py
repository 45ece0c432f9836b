"""FT515: an attribute of a `threading.local()` is set at import."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.kinds import Kind, kind_of
from ftaudit.source.python.tree import inside, last_name, targets_of


class ThreadingLocalMisuse(PythonRule):
    """An attribute of a module-level `threading.local()` is assigned at module level and read in functions. Only the
    thread that imports the module gets the value; every other thread gets an `AttributeError`. A subclass of
    `threading.local` with an `__init__` sets the value in each thread. A `threading.local()` that a function creates
    for one call has no use, because no other code can reach it.
    """

    info = RuleInfo(
        code="FT515",
        name="threading-local-misuse",
        summary="An attribute of a `threading.local` is set only at import, so only the importing thread has it.",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy=(
            "Subclass `threading.local` and set the attribute in its `__init__`, or read it with `getattr(local, name, "
            "default)`."
        ),
        links=("https://docs.python.org/3.14/library/threading.html#thread-local-data",),
    )
    words = ("local(",)
    VALID = (
        SourceExample(
            code="""\
import threading
class _TL(threading.local):
    def __init__(self):
        self.buf = []
_tl = _TL()
def push(x):
    _tl.buf.append(x)
""",
            instead=True,
        ),
        SourceExample(
            code="""\
import threading
_tl = threading.local()
_tl.buf = []
def push(x):
    if not hasattr(_tl, "buf"):
        _tl.buf = []
    _tl.buf.append(x)
""",
        ),
        SourceExample(
            code="""\
import threading
class Pool:
    def __init__(self):
        self.local = threading.local()
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
import threading
_tl = threading.local()
_tl.buf = []
def push(x):
    _tl.buf.append(x)
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
import threading
_tl = threading.local()
_tl.depth = 0
def enter():
    _tl.depth += 1
def depth():
    return getattr(_tl, "depth", 0)
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
import threading
def work(x):
    state = threading.local()
    state.x = x
    return state.x
""",
            lines=(3,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield thread-local attributes that only the importing thread has, and storage that serves one call."""
        for statement, name, attribute in _set_at_import(module):
            if _read_unprepared(module, name, attribute):
                yield self.finding(
                    f"`{name}.{attribute}` is set only in the importing thread: other threads get `AttributeError`",
                    location=module.place(statement),
                )
        for assignment in module.tree.all(ast.Assign):
            function = module.tree.function(assignment)
            if function is None or kind_of(assignment.value) is not Kind.THREAD_LOCAL:
                continue
            if all(isinstance(target, ast.Name) for target in assignment.targets) and not _escapes(module, assignment):
                yield self.finding(
                    "this `threading.local()` has no use, because each call creates a new one",
                    location=module.place(assignment),
                    severity=Severity.WARNING,
                )


def _set_at_import(module: PythonModule) -> Iterator[tuple[ast.stmt, str, str]]:
    for statement in module.assignments():
        if module.tree.function(statement) is not None or isinstance(statement, ast.Delete):
            continue
        for target in targets_of(statement):
            match target:
                case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                    owner = module.tree.enclosing_class(statement)
                    kinds = module.module_kinds if owner is None else module.class_kinds.get(owner.name, {})
                    if kinds.get(name) is Kind.THREAD_LOCAL:
                        yield statement, name, attribute
                case _:
                    pass


def _read_unprepared(module: PythonModule, name: str, attribute: str) -> bool:
    """Return whether a function reads the attribute without setting it, testing for it or handling its absence."""
    for node in module.tree.all(ast.Attribute):
        if node.attr != attribute or last_name(node.value) != name:
            continue
        if not isinstance(node.ctx, ast.Load) and not isinstance(module.tree.parents.get(node), ast.AugAssign):
            continue
        function = module.tree.function(node)
        if function is not None and not isinstance(function, ast.Lambda) and not _prepares(function, name, attribute):
            return True
    return False


def _prepares(function: ast.FunctionDef | ast.AsyncFunctionDef, name: str, attribute: str) -> bool:
    loaded_first = {id(node.target) for node in inside(function.body) if isinstance(node, ast.AugAssign)}
    for node in inside(function.body):
        match node:
            case ast.Call(func=ast.Name(id="hasattr" | "getattr" | "setattr"), args=[owner, *_]) if (
                last_name(owner) == name
            ):
                return True
            case ast.ExceptHandler(type=kind) if kind is None or "AttributeError" in ast.unparse(kind):
                return True
            case ast.Attribute(value=value, attr=attr, ctx=ast.Store()) if id(node) not in loaded_first:
                if attr == attribute and last_name(value) == name:
                    return True
            case ast.Compare(comparators=[ast.Attribute(value=value, attr="__dict__")]) if last_name(value) == name:
                return True
            case _:
                pass
    return False


def _escapes(module: PythonModule, assignment: ast.Assign) -> bool:
    """Return whether the storage outlives the call: a function made there uses it, or it is returned or stored."""
    function = module.tree.function(assignment)
    names = {target.id for target in assignment.targets if isinstance(target, ast.Name)}
    if function is None or names & module.globals_by_function.get(function, frozenset()):
        return True
    for name in module.tree.all(ast.Name):
        if name.id not in names or not isinstance(name.ctx, ast.Load):
            continue
        if module.tree.function(name) is not function:
            return True
        if not isinstance(module.tree.parents.get(name), ast.Attribute):
            return True
    return False
