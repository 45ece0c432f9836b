"""FT530: sys.modules is iterated over without a copy."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Fix, NoFix, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.containers import iterated, without_view
from ftaudit.source.python.tree import dotted
from ftaudit_rules.python._copies import copy_before_loops


class IterateSysModules(PythonRule):
    """Code iterates over `sys.modules` without a copy.

    An import in any thread changes it, and even access to a lazy attribute of a module can import: the loop then fails
    with `RuntimeError: dictionary changed size during iteration`. The documentation of `sys.modules` says to iterate
    over `sys.modules.copy()` or `tuple(sys.modules)`.
    """

    info = RuleInfo(
        code="FT530",
        name="iterate-sys-modules",
        summary="Code iterates over `sys.modules` without a copy while any thread may import.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Iterate over `sys.modules.copy()` or `tuple(sys.modules.values())`.",
        links=("https://docs.python.org/3/library/sys.html#sys.modules",),
    )
    words = ("modules",)
    needles = re.compile(
        r"modules\b(?:(?<=\bin modules)|(?<=\bin sys\.modules)|(?<=\(modules)|(?<=\(sys\.modules)"
        r"|(?<=[ (] modules)|(?<=[ (] sys\.modules)|(?<== sys\.modules)(?=[ \t]*(?:#|\n)))"
    )
    VALID = (
        SourceExample(
            code="""\
import sys
def mods():
    return [m for m in tuple(sys.modules.values()) if m]
""",
            instead=True,
        ),
        SourceExample(
            code="""\
import sys
def loaded(name):
    return name in sys.modules
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
import sys
def mods():
    return [m for m in sys.modules.values() if m]
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
import sys
def mods():
    for name, m in sys.modules.items():
        print(name)
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
import sys
def mods():
    loaded = sys.modules
    return [m for m in loaded.values() if m]
""",
            lines=(4,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield loops and comprehensions over `sys.modules` itself."""
        for node, source in iterated(module.tree):
            if _is_sys_modules(module, without_view(source)):
                yield self.finding(
                    (
                        "this loops over `sys.modules`: if another thread imports a module, the loop fails with "
                        "`RuntimeError`"
                    ),
                    location=module.place(node),
                )

    def fix(self, module: PythonModule, finding: Finding) -> Fix | NoFix:
        """Copy the iterable of the loop."""
        loops = (each for each in iterated(module.tree) if module.place(each[0]) == finding.location)
        return copy_before_loops(module, [each for each in loops if _is_sys_modules(module, without_view(each[1]))])


def _is_sys_modules(module: PythonModule, source: ast.expr) -> bool:
    """Return whether it is `sys.modules`, `modules` imported from `sys`, or a local name for it."""
    if dotted(source) == "sys.modules":
        return True
    if not isinstance(source, ast.Name):
        return False
    function = module.tree.function(source)
    if any(
        dotted(assignment.value) == "sys.modules" and module.tree.function(assignment) is function
        for assignment in module.tree.all(ast.Assign)
        for target in assignment.targets
        if isinstance(target, ast.Name) and target.id == source.id
    ):
        return True
    return source.id == "modules" and any(
        statement.module == "sys" and any((alias.asname or alias.name) == "modules" for alias in statement.names)
        for statement in module.tree.all(ast.ImportFrom)
    )
