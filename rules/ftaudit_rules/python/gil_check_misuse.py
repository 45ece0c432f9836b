"""FT518: the code checks the state of the GIL in a way that fails, or checks it too early."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from ftaudit.model import Applicability, Confidence, Finding, Fix, NoFix, Obstacle, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.tree import dotted, last_name


class GilCheckMisuse(PythonRule):
    """The code checks the state of the GIL in a way that fails, or checks it too early.

    `sys._is_gil_enabled` does not exist before 3.13. A result that the code stores at import can become wrong, because
    the next import of an extension module may turn the GIL on. To find out whether the build is free-threaded, use
    `sysconfig.get_config_var("Py_GIL_DISABLED")`. Do not use `sys.abiflags`, which does not exist on Windows.
    """

    info = RuleInfo(
        code="FT518",
        name="gil-check-misuse",
        summary="The code checks the state of the GIL in a way that fails, or checks it too early.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=('Call `getattr(sys, "_is_gil_enabled", lambda: True)()` in a function, when you need the answer.'),
        links=("https://docs.python.org/3.14/howto/free-threading-python.html",),
    )
    words = (
        "_is_gil_enabled",
        "abiflags",
    )
    VALID = (
        SourceExample(
            code="""\
import sys
def check():
    try:
        return sys._is_gil_enabled() is False
    except Exception:
        return False
""",
        ),
        SourceExample(
            code="""\
import sys
def gil_off():
    return not getattr(sys, "_is_gil_enabled", lambda: True)()
""",
            instead=True,
        ),
        SourceExample(
            code="""\
import sys
def gil_off():
    return hasattr(sys, "_is_gil_enabled") and not sys._is_gil_enabled()
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
import sys
NEED_LOCK = not sys._is_gil_enabled()
""",
            lines=(2,),
        ),
        SourceExample(
            code="""\
import sys
def gil_off():
    return not sys._is_gil_enabled()
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
import sys
FREE_THREADED = "t" in sys.abiflags
""",
            lines=(2,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield bare calls of `sys._is_gil_enabled`, calls at import, and tests of `sys.abiflags`."""
        for call in module.tree.all(ast.Call):
            if dotted(call.func) not in ("sys._is_gil_enabled", "_is_gil_enabled"):
                continue
            if not _is_guarded(module, call):
                yield self.finding("`sys._is_gil_enabled` does not exist before 3.13", location=module.place(call))
            elif module.tree.function(call) is None and _is_kept(module, call):
                yield self.finding(_TOO_EARLY, location=module.place(call))
        for compare in module.tree.all(ast.Compare):
            match compare:
                case ast.Compare(left=ast.Constant(value="t"), ops=[ast.In() | ast.NotIn()], comparators=[flags]):
                    if dotted(flags) == "sys.abiflags":
                        yield self.finding("`sys.abiflags` does not exist on Windows", location=module.place(compare))
                case _:
                    pass

    def fix(self, module: PythonModule, finding: Finding) -> Fix | NoFix:
        """Ask in a way that works on every Python and every platform."""
        import libcst

        from ftaudit.source.python.rewrite import rewriting

        if finding.location is None:
            return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
        text = rewriting(module)
        call = text.found(finding.location, libcst.Call)
        if call is not None:
            start, end = text.span(call.func)
            if module.data[start:end] != b"sys._is_gil_enabled":
                return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
            if finding.message == _TOO_EARLY:
                return NoFix(obstacle=Obstacle.NOT_MECHANICAL)
            asked = 'getattr(sys, "_is_gil_enabled", lambda: True)'
            return Fix(applicability=Applicability.SAFE, edits=(module.edit(start, end, asked),))
        compare = text.found(finding.location, libcst.Comparison)
        if compare is None:
            return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
        start, end = text.span(compare)
        asked = 'sysconfig.get_config_var("Py_GIL_DISABLED")'
        negated = isinstance(compare.comparisons[0].operator, libcst.NotIn)
        edit = module.edit(start, end, f"(not {asked})" if negated else f"bool({asked})")
        return Fix(applicability=Applicability.SAFE, edits=(*text.imported("sysconfig"), edit))


_TOO_EARLY: Final = "the state of the GIL is checked at import, but a later import may turn the GIL on"


def _is_guarded(module: PythonModule, call: ast.Call) -> bool:
    """Return whether the version, `hasattr`, `getattr` or an `except` around the call allows for its absence."""
    function = module.tree.function(call)
    scope = ast.unparse(function) if function is not None else ast.unparse(module.tree.statement(call) or call)
    if re.search(
        r"hasattr\(|getattr\(|version_info|AttributeError|hexversion|Py_GIL_DISABLED|NOGIL|FREE_?THREAD", scope
    ):
        return True
    if any(isinstance(parent, ast.Try) and any(map(_catches, parent.handlers)) for parent in module.tree.above(call)):
        return True
    return any(
        isinstance(parent, (ast.If, ast.IfExp, ast.Try))
        and re.search(
            r"hasattr|version_info|AttributeError|hexversion|Py_GIL_DISABLED|PY_?3_?1[3-9]|(?i:free_?thread|nogil)",
            ast.unparse(parent.test) if not isinstance(parent, ast.Try) else ast.unparse(parent),
        )
        for parent in module.tree.above(call)
    )


def _catches(handler: ast.ExceptHandler) -> bool:
    """Return whether a handler catches the AttributeError as well, as `except Exception` does."""
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(each is None or last_name(each) in ("Exception", "BaseException", "AttributeError") for each in types)


def _is_kept(module: PythonModule, call: ast.Call) -> bool:
    return isinstance(module.tree.statement(call), (ast.Assign, ast.AnnAssign))
