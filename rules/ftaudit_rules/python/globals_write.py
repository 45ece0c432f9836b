"""FT528: a function rebinds names by reflection."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.tree import dotted, targets_of


class GlobalsWrite(PythonRule):
    """A function writes to `globals()`, to a module with `setattr`, or to the code or the globals of a function. Other
    threads that run the code at that time see the names change one by one.
    """

    info = RuleInfo(
        code="FT528",
        name="globals-write",
        summary="A function dynamically rebinds names of a module, or replaces the code of a function.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Bind module names only at import. Keep values that change in a `ContextVar`, or in an object that you "
            "pass as an argument."
        ),
        links=("https://py-free-threading.github.io/porting/",),
    )
    words = (
        "globals()",
        "sys.modules[",
        "__code__",
        "__globals__",
    )
    VALID = (
        SourceExample(
            code="""\
def make(name):
    made = type(name, (), {})
    globals()[made.__name__] = made
    return made
"""
        ),
        SourceExample(
            code="""\
from contextvars import ContextVar
_backend = ContextVar("backend")
def use(v):
    _backend.set(v)
""",
            instead=True,
        ),
        SourceExample(
            code="""\
for name in ("a", "b"):
    globals()[name] = 1
""",
        ),
        SourceExample(
            code="""\
def __getattr__(name):
    globals()[name] = value = load(name)
    return value
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
def load(v):
    if "tables" in globals():
        return
    globals()["tables"] = v
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
def use(v):
    globals()["BACKEND"] = v
""",
            lines=(2,),
        ),
        SourceExample(
            code="""\
import sys
def use(v):
    setattr(sys.modules[__name__], "BACKEND", v)
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
import sys
this = sys.modules[__name__]
this.backend = None
def use(v):
    this.backend = v
""",
            lines=(5,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield writes by reflection in functions; a module's `__getattr__` binds the same value in every thread."""
        if module.is_script:
            return
        for node in (*module.assignments(), *module.tree.all(ast.Call)):
            function = module.in_function(node)
            what = _written(node) or _through_name(module, node)
            if what is None or function is None or getattr(function, "name", "") in ("__getattr__", "__setstate__"):
                continue
            if not module.locked(node) and not module.registers(node):
                yield self.finding(
                    f"{what} is replaced for all threads",
                    location=module.place(node),
                    severity=Severity.PEDANTIC if _is_first_use(function) or _is_of_made(node) else None,
                )


def _is_first_use(function: ast.AST) -> bool:
    """Return whether a function asks first whether the name exists: both threads bind the same module or value."""
    return any(
        isinstance(test, ast.Compare)
        and isinstance(test.ops[0], (ast.In, ast.NotIn))
        and _is_globals(test.comparators[0])
        for test in ast.walk(function)
    )


def _is_of_made(node: ast.AST) -> bool:
    """Return whether the names belong to a function object that the code puts together: `made.__globals__`."""
    return any(isinstance(each, ast.Attribute) and each.attr == "__globals__" for each in ast.walk(node))


def _written(node: ast.AST) -> str | None:
    match node:
        case ast.Call(func=ast.Name(id="setattr"), args=[ast.Subscript(value=owner), *_]):
            return "a name of a module" if dotted(owner) == "sys.modules" else None
        case ast.Call(func=ast.Attribute(value=value, attr="update" | "setdefault" | "pop")) if _is_globals(value):
            return "a name of a module"
        case _:
            pass
    for target in targets_of(node):
        match target:
            case ast.Subscript(value=value, slice=name) if _is_globals(value) and not _binds_once(node, name):
                return "a name of a module"
            case ast.Attribute(attr="__code__" | "__globals__"):
                return "the code of a function"
            case _:
                pass
    return None


def _through_name(module: PythonModule, node: ast.AST) -> str | None:
    """Return what is rebound through a name that refers to the module: `this = sys.modules[__name__]`."""
    for target in targets_of(node):
        match target:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if module.is_module_name(name, target):
                made = [getattr(statement, "value", None) for statement in module.module_bindings.get(name, ())]
                if any(value is not None and ast.unparse(value) == "sys.modules[__name__]" for value in made):
                    return f"`{attribute}` of the module"
            case _:
                pass
    return None


def _is_globals(value: ast.expr) -> bool:
    match value:
        case ast.Call(func=ast.Name(id="globals"), args=[]):
            return True
        case ast.Attribute(attr="__globals__"):
            return True
        case ast.Attribute(value=ast.Subscript(value=owner), attr="__dict__"):
            return dotted(owner) == "sys.modules"
        case _:
            return False


def _binds_once(node: ast.AST, name: ast.expr) -> bool:
    """Return whether a new class is bound to its own name (for pickle), or an imported module is."""
    if "__name__" in ast.unparse(name):
        return True
    value = getattr(node, "value", None)
    return value is not None and ast.unparse(value).startswith(("sys.modules[", "import_module(", "importlib."))
