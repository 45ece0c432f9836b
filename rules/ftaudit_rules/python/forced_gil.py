"""FT519: the GIL is forced off or on."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule


class ForcedGil(PythonRule):
    """`PYTHON_GIL=0` and `-X gil=0` keep the GIL off even for extension modules that do not support that: CPython no
    longer warns about them, but their data races remain. `PYTHON_GIL=1` disables free threading. Both settings are
    useful in tests, but in a product they hide the problem."""

    info = RuleInfo(
        code="FT519",
        name="forced-gil",
        summary=(
            "The code forces the GIL off, which hides data races of extension modules, or on, which disables free "
            "threading."
        ),
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Remove the setting, and replace or fix the modules that turn the GIL on.",
        links=("https://docs.python.org/3.14/using/cmdline.html#envvar-PYTHON_GIL",),
    )
    words = (
        "PYTHON_GIL",
        "gil=",
    )
    VALID = (
        SourceExample(
            code="""\
import os
mode = os.environ.get("PYTHON_GIL")
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
import os
os.environ["PYTHON_GIL"] = "0"
""",
            lines=(2,),
        ),
        SourceExample(
            code="""\
import subprocess, sys
subprocess.run([sys.executable, "-X", "gil=0", "app.py"])
""",
            lines=(2,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield code that sets the variable or passes the option to an interpreter."""
        first = module.lines[0] if module.lines else ""
        if first.startswith("#!") and re.search(r"-X\s*gil=|PYTHON_GIL=", first):
            yield self.finding("the first line forces the GIL on or off", location=module.location(1))
        for node in module.tree.all(ast.Constant):
            if isinstance(node.value, str) and (
                re.fullmatch(r"(?:-X)?gil=[01]", node.value) or (node.value == "PYTHON_GIL" and _is_set(module, node))
            ):
                yield self.finding("this forces the GIL on or off", location=module.place(node))


def _is_set(module: PythonModule, node: ast.Constant) -> bool:
    match module.tree.parents.get(node):
        case ast.Subscript(ctx=ast.Store()):
            return True
        case ast.Dict(keys=keys):
            return node in keys
        case ast.Call(func=ast.Attribute(attr="putenv" | "setenv" | "setdefault")):
            return True
        case _:
            return False
