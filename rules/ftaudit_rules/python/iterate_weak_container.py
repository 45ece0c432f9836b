"""FT525: a weak container is iterated over without a copy."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Fix, NoFix, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.containers import iterated, weak_iterations
from ftaudit_rules.python._copies import copy_before_loops

_COPIES_SINCE = (3, 14)
"""`weakref.py` and `_weakrefset.py` of CPython 3.14 iterate over copies."""


class IterateWeakContainer(PythonRule):
    """Code iterates over a weak container without a copy.

    An entry disappears when any thread releases the last reference to its object. Without the GIL that can happen
    between any two steps of the loop. Before 3.14 the containers guard against such removals, but not against additions
    by other threads, which make the loop fail with `RuntimeError`. From 3.14 on they iterate over a copy, and the rule
    reports nothing.
    """

    info = RuleInfo(
        code="FT525",
        name="iterate-weak-container",
        summary="Code iterates over a weak container while another thread can add or remove entries.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Iterate over `list(d.valuerefs())` or `list(s)`, and skip dead references.",
        links=("https://docs.python.org/3.14/library/threadsafety.html",),
    )
    words = (
        "WeakValue",
        "WeakKey",
        "WeakSet",
    )
    VALID = (
        SourceExample(
            code="""\
import weakref
_live = weakref.WeakValueDictionary()
def close_all():
    for r in list(_live.valuerefs()):
        o = r()
        if o is not None:
            o.close()
""",
            target="3.13t",
            instead=True,
        ),
        SourceExample(
            code="""\
import weakref
_live = weakref.WeakSet()
def close_all():
    with _lock:
        for o in _live:
            o.close()
""",
            target="3.13t",
        ),
        SourceExample(
            code="""\
import weakref
_live = weakref.WeakValueDictionary()
def close_all():
    for o in _live.values():
        o.close()
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
import weakref
_live = weakref.WeakValueDictionary()
def close_all():
    for o in _live.values():
        o.close()
""",
            lines=(4,),
            target="3.13t",
        ),
        SourceExample(
            code="""\
import weakref
class Hub:
    def __init__(self):
        self.peers = weakref.WeakSet()
    def send(self, m):
        for p in self.peers:
            p.put(m)
""",
            lines=(6,),
            target="3.13t",
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield loops over weak containers of any owner, without a copy and without a lock."""
        if module.target.version >= _COPIES_SINCE:
            return
        for iteration in weak_iterations(module):
            function = module.in_function(iteration)
            if function is None or isinstance(function, ast.AsyncFunctionDef) or module.locked(iteration):
                continue
            yield self.finding(
                "this loops over a weak container: entries disappear when other threads release the objects",
                location=module.place(iteration),
            )

    def fix(self, module: PythonModule, finding: Finding) -> Fix | NoFix:
        """Copy the iterable of the loop. Python code makes the copy, so the fix is only suggested."""
        loops = [each for each in iterated(module.tree) if module.place(each[0]) == finding.location]
        return copy_before_loops(module, loops, faithful=False)
