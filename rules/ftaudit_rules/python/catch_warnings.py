"""FT512: warning filters are changed in a function."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.tree import dotted


class CatchWarnings(PythonRule):
    """A function changes warning filters for the whole process.

    `catch_warnings` saves the process's filters and restores them later. If two threads interleave, the filters of one
    thread remain. From 3.14t on, `catch_warnings` changes only the filters of the context
    (`sys.flags.context_aware_warnings` is on in free-threaded builds), so the rule reports it for 3.13t only. A
    `simplefilter` outside `catch_warnings` changes the filters of the process on every version. For 3.14t and later,
    the rule reports it only with `--pedantic`.
    """

    info = RuleInfo(
        code="FT512",
        name="catch-warnings",
        summary="The code changes warning filters, which belong to the process and not to the thread.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy=(
            "Change filters only at start-up, or support only 3.14t and later, where `catch_warnings` affects only the "
            "context."
        ),
        links=("https://docs.python.org/3.14/library/warnings.html#concurrent-safety-of-context-managers",),
    )
    words = (
        "catch_warnings",
        "simplefilter",
        "filterwarnings",
        "resetwarnings",
    )
    VALID = (
        SourceExample(
            code="""\
import warnings
def quiet(f):
    with _warn_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return f()
""",
        ),
        SourceExample(
            code="""\
import warnings
def quiet(f):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return f()
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
import warnings
def quiet(f):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return f()
""",
            lines=(3,),
            target="3.13t",
        ),
        SourceExample(
            code="""\
import warnings
def quiet():
    warnings.simplefilter("ignore")
""",
            lines=(3,),
            target="3.13t",
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield changes of the warning filters in functions: only the outermost of nested changes."""
        if module.is_script:
            return
        of_context = module.target.version >= (3, 14)
        for call in module.tree.all(ast.Call):
            name = dotted(call.func) or ""
            if name.rpartition(".")[2] not in _CALLS or name.rpartition(".")[0] not in ("", "warnings"):
                continue
            if of_context and name.endswith("catch_warnings"):
                continue
            if module.in_function(call) is None or module.locked(call) or _is_covered(module, call):
                continue
            yield self.finding(
                f"`{name}()` changes the warning filters of the whole process",
                location=module.place(call),
                severity=Severity.PEDANTIC if of_context else None,
            )


_CALLS = frozenset({"catch_warnings", "simplefilter", "filterwarnings", "resetwarnings"})


def _is_covered(module: PythonModule, call: ast.Call) -> bool:
    """Return whether a `with catch_warnings()` is around the call: it is reported, or makes the change local."""
    statement = module.tree.statement(call)
    return any(
        isinstance(parent, ast.With)
        and parent is not statement
        and any("catch_warnings" in ast.unparse(item.context_expr) for item in parent.items)
        for parent in module.tree.above(call)
    )
