"""FT441: methods pass an object's C handle to a library without a lock."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.tree import dotted

_LOADERS: Final = frozenset({"CDLL", "WinDLL", "OleDLL", "LoadLibrary", "dlopen"})
_MAKERS: Final = frozenset({"gc", "new", "new_handle"})
_ALONE: Final = frozenset({"__init__", "__new__", "__del__", "__enter__", "__exit__"})


class CffiUnlockedHandle(PythonRule):
    """cffi and ctypes release the GIL during a call, so two threads may call the library with one handle at the same
    time.

    Most C libraries allow that only for different handles. The bug exists under the GIL too; without the GIL it occurs
    more often.
    """

    info = RuleInfo(
        code="FT441",
        name="cffi-unlocked-handle",
        summary="A method passes its object's C handle to a library without a lock.",
        severity=Severity.INFO,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy="Hold the object's lock during the call, or document that only one thread at a time may use an object.",
        links=("https://cffi.readthedocs.io/en/stable/overview.html#thread-safety",),
        default=False,
    )
    words = ("ffi", "ctypes")

    VALID = (
        SourceExample(
            code="from ._x import ffi, lib\n"
            "class H:\n"
            "    def __init__(self):\n"
            "        self.h = ffi.gc(lib.make(), lib.free)\n"
            "        self._lock = threading.Lock()\n"
            "    def run(self):\n"
            "        with self._lock:\n"
            "            return lib.run(self.h)\n",
            instead=True,
        ),
        SourceExample(code="from ._x import ffi, lib\ndef f(h):\n    return lib.run(h)\n"),
    )
    INVALID = (
        SourceExample(
            code="from ._x import ffi, lib\n"
            "class H:\n"
            "    def __init__(self):\n"
            "        self.h = ffi.gc(lib.make(), lib.free)\n"
            "    def run(self):\n        return lib.run(self.h)\n",
            lines=(6,),
        ),
        SourceExample(
            code="import ctypes\n"
            "_dll = ctypes.CDLL('x.so')\n"
            "class H:\n"
            "    def __init__(self):\n"
            "        self.h = _dll.make()\n"
            "    def run(self):\n        return _dll.run(self.h)\n",
            lines=(7,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield each unlocked call of the library with a handle that the class created."""
        libraries = _libraries(module)
        if not libraries:
            return
        for name, owner in module.classes.items():
            handles = _handles(owner, libraries)
            if not handles:
                continue
            for node in owner.body:
                if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or node.name in _ALONE:
                    continue
                for call in ast.walk(node):
                    if not isinstance(call, ast.Call) or (dotted(call.func) or "").partition(".")[0] not in libraries:
                        continue
                    used = next((each for each in map(_own, call.args) if each in handles), None)
                    if used is not None and not module.locked(call):
                        yield self.finding(
                            (
                                f"`{name}.{node.name}` passes `self.{used}` to the library without a lock: two threads "
                                "can do so at the same time"
                            ),
                            location=module.place(call),
                        )


def _libraries(module: PythonModule) -> frozenset[str]:
    """Return the names of a C library: loaded by ctypes or cffi, or imported as `lib` together with `ffi`."""
    found = {
        name
        for name, statements in module.module_bindings.items()
        for statement in statements
        if isinstance(call := getattr(statement, "value", None), ast.Call)
        and (dotted(call.func) or "").rpartition(".")[2] in _LOADERS
    }
    for statement in module.tree.all(ast.ImportFrom):
        names = {alias.name: alias.asname or alias.name for alias in statement.names}
        if "ffi" in names and "lib" in names:
            found.add(names["lib"])
    return frozenset(found)


def _handles(owner: ast.ClassDef, libraries: frozenset[str]) -> frozenset[str]:
    """Return the attributes that methods fill with objects from the library or cffi."""
    found: set[str] = set()
    for node in ast.walk(owner):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            called = dotted(node.value.func) or ""
            made = called.partition(".")[0] in libraries or (
                called.startswith("ffi.") and called.rpartition(".")[2] in _MAKERS
            )
            found.update(name for target in node.targets if made and (name := _own(target)) is not None)
    return frozenset(found)


def _own(node: ast.expr) -> str | None:
    match node:
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return name
        case _:
            return None
