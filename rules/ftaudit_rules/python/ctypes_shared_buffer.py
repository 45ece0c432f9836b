"""FT442: functions share a ctypes buffer or structure that the module creates once."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.tree import dotted

_BUFFERS: Final = frozenset({"create_string_buffer", "create_unicode_buffer"})
_SCALARS: Final = re.compile(
    r"c_(?:u?int\d*|u?long|u?longlong|u?short|u?byte|s?size_t|double|float|bool|char|void_p)\Z"
)


class CtypesSharedBuffer(PythonRule):
    """ctypes releases the GIL during a call, so two calls can write to a module-level buffer at the same time even with
    the GIL. Without the GIL, reading the result races with the next call as well.
    """

    info = RuleInfo(
        code="FT442",
        name="ctypes-shared-buffer",
        summary="Functions pass a module-level ctypes buffer, array or structure to C without a lock.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Create the buffer in the function that uses it, or hold a lock from the call until you have read the "
            "result."
        ),
        links=("https://docs.python.org/3.14/library/ctypes.html",),
    )
    words = ("ctypes",)

    VALID = (
        SourceExample(
            code="import ctypes\n"
            "def f():\n"
            "    buf = ctypes.create_string_buffer(64)\n"
            "    lib.read(buf, 64)\n"
            "    return buf.value\n",
            instead=True,
        ),
        SourceExample(
            code="import ctypes\nbuf = ctypes.create_string_buffer(64)\nlock = threading.Lock()\n"
            "def f():\n    with lock:\n        lib.read(buf, 64)\n        return buf.value\n"
        ),
        SourceExample(code="import ctypes\nVERSION = ctypes.c_int(3)\ndef f():\n    return VERSION.value\n"),
        SourceExample(code="import ctypes\nbuf = ctypes.create_string_buffer(64)\nlib.read(buf, 64)\n"),
    )
    INVALID = (
        SourceExample(
            code="import ctypes\n"
            "_buf = ctypes.create_string_buffer(64)\n"
            "def f():\n"
            "    lib.read(_buf, 64)\n"
            "    return _buf.value\n",
            lines=(2,),
        ),
        SourceExample(
            code="from ctypes import Structure, byref, c_int\nclass S(Structure):\n    _fields_ = [('x', c_int)]\n"
            "_s = S()\ndef f():\n    lib.fill(byref(_s))\n    return _s.x\n",
            lines=(4,),
        ),
        SourceExample(
            code="import ctypes\n_n = ctypes.c_int()\ndef f():\n    lib.count(ctypes.byref(_n))\n    return _n.value\n",
            lines=(2,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield each such object, at its assignment, if a function passes it on or writes to it without a lock."""
        structures = _structures(module)
        for name, statements in module.module_bindings.items():
            for statement in statements:
                value = getattr(statement, "value", None)
                if not isinstance(value, ast.Call) or not _makes_buffer(value, structures):
                    continue
                use = min(_handed_over(module, name), key=lambda call: call.lineno, default=None)
                if use is not None:
                    yield self.finding(
                        f"all threads share `{name}`, and a function passes it to C (line {use.lineno}) without a lock",
                        location=module.place(statement),
                    )


def _structures(module: PythonModule) -> frozenset[str]:
    """Return the classes of the module that lay out C memory."""
    return frozenset(
        name
        for name, node in module.classes.items()
        if any((dotted(base) or "").rpartition(".")[2] in ("Structure", "Union") for base in node.bases)
    )


def _makes_buffer(call: ast.Call, structures: frozenset[str]) -> bool:
    name = (dotted(call.func) or "").rpartition(".")[2]
    if name in _BUFFERS or name in structures or _SCALARS.match(name):
        return True
    match call.func:
        case ast.BinOp(left=element, op=ast.Mult()):
            return (dotted(element) or "").rpartition(".")[2].startswith("c_")
        case _:
            return False


def _handed_over(module: PythonModule, name: str) -> Iterator[ast.Call]:
    """Yield the calls in functions that take the object, bare or by reference, unlocked."""
    for call in module.tree.all(ast.Call):
        for argument in call.args:
            inner = argument
            if isinstance(argument, ast.Call) and (dotted(argument.func) or "").rpartition(".")[2] in (
                "byref",
                "pointer",
            ):
                inner = argument.args[0] if argument.args else argument
            if not (isinstance(inner, ast.Name) and inner.id == name and isinstance(call.func, ast.Attribute)):
                continue
            reached = module.is_module_name(name, inner) and module.in_function(call) is not None
            if (
                reached
                and call.func.attr not in ("byref", "pointer", "sizeof", "addressof")
                and not module.locked(call)
            ):
                yield call
