"""FT502: functions change a module-level container."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule, Signal
from ftaudit.source.python.kinds import Kind
from ftaudit.source.python.module import Mutation, Where


class ModuleContainerMutated(PythonRule):
    """Functions change a module-level container without a lock.

    Single changes of a dict, list or set are atomic, but all threads see them: options that one thread sets apply to
    all others, a cache is cleared while another thread reads it, and other threads can see an `update()` half done.

    Most such containers are registries that are filled at import, so the rule reports them only with `--pedantic`,
    unless there is a sign of use at run time: the code clears or updates the container as a whole, or its name suggests
    options or state.
    """

    info = RuleInfo(
        code="FT502",
        name="module-container-mutated",
        summary="A function changes a module-level container that all threads share.",
        severity=Severity.WARNING,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy="Keep the value in a `ContextVar`, pass it as an argument, or guard all reads and writes with one lock.",
        links=("https://py-free-threading.github.io/porting/",),
    )
    signals = Signal.MODULE_STATE
    VALID = (
        SourceExample(
            code="""\
from contextvars import ContextVar
_opts = ContextVar("opts", default={"w": 80})
def set_opts(**kw):
    return _opts.set({**_opts.get(), **kw})
""",
        ),
        SourceExample(
            code="""\
import threading
OPTS = {"w": 80}
_lock = threading.Lock()
def set_opts(**kw):
    with _lock:
        OPTS.update(kw)
""",
            instead=True,
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
OPTS = {"w": 80}
def set_opts(**kw):
    OPTS.update(kw)
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
_options = {"w": 80, "sign": "+"}
def set_options(**kw):
    _options.update(kw)
    if _options["w"] < 20:
        _options["sign"] = "-"
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
_registry = {}
def add(name, value):
    _registry[name] = value
""",
            lines=(3,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield changes of module-level containers in functions without a lock, the first in each function."""
        if module.is_script:
            return
        seen: set[tuple[str, object]] = set()
        for change in sorted(module.mutations, key=lambda change: (not _at_run_time(module, change), change.line)):
            shared, function = change.shared, module.tree.function(change.node)
            once = shared.name, function
            if shared.where is not Where.MODULE or not shared.is_container or once in seen:
                continue
            if isinstance(function, ast.AsyncFunctionDef) or module.locked(change.node):
                continue
            seen.add(once)
            yield self.finding(
                f"this changes `{shared.name}`, which belongs to the module and is shared by all threads",
                location=module.place(change.node),
                severity=None if _at_run_time(module, change) else Severity.PEDANTIC,
            )


_STATE = re.compile(r"(?i)options?\b|_?opts$|state|pending|settings|context|stack|current|active")


def _at_run_time(module: PythonModule, change: Mutation) -> bool:
    """Return whether the change looks like one that happens while other threads use the container."""
    name = getattr(module.tree.function(change.node), "name", "")
    if module.registers(change.node) or re.search(r"(?i)reset|clear|test|init|load|discover", name):
        return False
    return change.shared.kind in (Kind.DICT, Kind.SET, Kind.LIST) and (
        (change.how == "update" and _STATE.search(change.shared.name) is not None)
        or (
            change.how in ("append", "pop", "[]=", "del")
            and re.search(r"(?i)stack|seen|pending", change.shared.name) is not None
        )
    )
