"""FT537: code reads a module from `sys.modules` while another thread may still be executing it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.tree import dotted, inside, last_name


class HalfMadeModule(PythonRule):
    """Code looks up a module in `sys.modules` instead of importing it.

    The import system adds a module to `sys.modules` before it executes the module. A thread that reads it from there
    can get a module that lacks half of its names. The result is a rare `AttributeError`. `importlib.import_module` and
    the `import` statement wait until the module is complete.
    """

    info = RuleInfo(
        code="FT537",
        name="half-made-module",
        summary="Code reads a module from `sys.modules` while another thread may still be importing it.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Call `importlib.import_module(name)`, which waits until the module is complete.",
        links=("https://docs.python.org/3.14/reference/import.html#the-module-cache",),
    )
    words = ("sys.modules",)
    VALID = (
        SourceExample(
            code="""\
import importlib
def load(name):
    return importlib.import_module(name)
""",
            instead=True,
        ),
        SourceExample(
            code="""\
import sys
def own():
    return sys.modules[__name__].__doc__
def of(cls):
    return sys.modules[cls.__module__].__dict__
""",
        ),
        SourceExample(
            code="""\
import sys
def has_numpy():
    return "numpy" in sys.modules
""",
        ),
        SourceExample(
            code="""\
import sys
def load(name):
    __import__(name)
    return sys.modules[name]
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
import importlib
import sys
def load(path):
    name, _, attribute = path.rpartition(".")
    if name in sys.modules:
        module = sys.modules[name]
    else:
        module = importlib.import_module(name)
    return getattr(module, attribute)
""",
            lines=(6,),
        ),
        SourceExample(
            code="""\
import sys
def is_array(value):
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
import importlib
import sys
def load(name):
    module = sys.modules.get(name)
    if module is None:
        module = importlib.import_module(name)
    return module
""",
            lines=(4,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield the first read of `sys.modules` in a function that then uses the module."""
        if module.is_script:
            return
        seen: set[ast.AST] = set()
        reads: list[ast.expr] = [*module.tree.all(ast.Subscript), *module.tree.all(ast.Call)]
        for read in sorted(reads, key=lambda node: node.lineno):
            key = _key(read)
            function = module.in_function(read)
            if key is None or function is None or function in seen or isinstance(function, ast.Lambda):
                continue
            if _is_own(key) or not _is_used(module, read, function):
                continue
            seen.add(function)
            yield self.finding(
                (
                    "`sys.modules` also contains modules that another thread is still importing and that lack some of "
                    "their names"
                ),
                location=module.place(read),
            )


def _key(read: ast.expr) -> ast.expr | None:
    match read:
        case ast.Subscript(value=owner, slice=key, ctx=ast.Load()) if dotted(owner) == "sys.modules":
            return key
        case ast.Call(func=ast.Attribute(value=owner, attr="get"), args=[key, *_]) if dotted(owner) == "sys.modules":
            return key
        case _:
            return None


def _is_own(key: ast.expr) -> bool:
    """Return whether the key names a complete module: the module of the code, of a class, or of the program."""
    match key:
        case ast.Name(id="__name__") | ast.Attribute(attr="__module__" | "__name__"):
            return True
        case ast.Constant(value=value):
            return value in ("__main__", "builtins", "sys", "os", "threading")
        case _:
            return False


def _is_probed(parent: ast.AST | None, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether the code asks for attributes of the module and copes without them: `hasattr(mod, "x")`."""
    match parent:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.NamedExpr(target=ast.Name(id=name)):
            pass
        case _:
            return False
    return any(
        isinstance(call, ast.Call)
        and last_name(call.func) == "hasattr"
        and any(isinstance(given, ast.Name) and given.id == name for given in call.args[:1])
        for call in inside(function.body)
    )


def _is_used(module: PythonModule, read: ast.expr, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether the read replaces an import, or the code uses an attribute of the module."""
    imports = [
        call.lineno
        for call in inside(function.body)
        if isinstance(call, ast.Call) and last_name(call.func) in ("import_module", "__import__", "exec_module")
    ]
    if imports:
        # A module that is read after its import is complete.
        return min(imports) >= read.lineno
    parent = module.tree.parents.get(read)
    if _is_probed(parent, function):
        return False
    match parent:
        case ast.Attribute(attr=attribute):
            return not attribute.startswith("__")
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.NamedExpr(target=ast.Name(id=name)):
            return any(
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == name
                and not node.attr.startswith("__")
                for node in inside(function.body)
            )
        case _:
            return False
