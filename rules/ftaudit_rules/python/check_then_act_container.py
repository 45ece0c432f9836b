"""FT506: a shared container is tested for a key and then changed."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule, Signal
from ftaudit.source.python.containers import (
    Tested,
    filled_when_empty,
    modules_made_twice,
    removals,
    tested_containers,
)
from ftaudit.source.python.kinds import Kind
from ftaudit.source.python.module import Where
from ftaudit.source.python.regions import split_decisions


class CheckThenActContainer(PythonRule):
    """Code tests a shared container and then acts on the result.

    Each operation on a dict, set or list is atomic, but two of them in a row are not: between `if k not in d` and `d[k]
    = …` another thread can store its own value, and between `if k in d` and `del d[k]` it can remove the key, which
    raises `KeyError`. CPython's documentation lists this pattern as not atomic. It is also a race with the GIL, but a
    rarer one.
    """

    info = RuleInfo(
        code="FT506",
        name="check-then-act-container",
        summary=("Code tests a shared container and then acts on a result that may no longer be true."),
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Hold a lock over the test and the change, or use a single operation: `setdefault(k, v)`, `pop(k, "
            "None)`, or `try` with `except KeyError`."
        ),
        links=("https://docs.python.org/3.14/library/threadsafety.html",),
    )
    words = (
        " in ",
        "if not ",
        ".append(",
        ".extend(",
        ".update(",
        "len(",
        ".pop",
        "sys.modules",
        "] is ",
        '"]:',
        "']:",
        "[0]:",
    )
    signals = Signal.MODULE_STATE | Signal.CLASS_STATE | Signal.THREADS | Signal.SINGLETON
    VALID = (
        SourceExample(
            code="""\
import threading
class Cached:
    def __init__(self, func, cache):
        self._func, self._cache = func, cache
        self._pending = set()
        self._changed = threading.Condition()
    def __call__(self, key):
        cache = self._cache
        with self._changed:
            while key in self._pending:
                self._changed.wait()
            try:
                return cache[key]
            except KeyError:
                self._pending.add(key)
        found = self._func(key)
        with self._changed:
            cache[key] = found
            self._pending.remove(key)
            self._changed.notify_all()
        return found
""",
        ),
        SourceExample(
            code="""\
_selectors = {}
def selector(event_loop):
    if event_loop in _selectors:
        return _selectors[event_loop]
    _selectors[event_loop] = Selector()
    return _selectors[event_loop]
""",
        ),
        SourceExample(
            code="""\
_services = []
def services(regions):
    global _services
    if not _services:
        found = []
        for region in regions:
            found.extend(region.services())
        _services = found
    return _services
""",
        ),
        SourceExample(
            code="""\
import threading
class Serializer:
    def __init__(self):
        self._lock = threading.Lock()
        self._validators = {}
    def validator(self, schema):
        with self._lock:
            found = self._validators.get(schema)
        if found is not None:
            return found
        found = build(schema)
        with self._lock:
            self._validators[schema] = found
        return found
""",
        ),
        SourceExample(
            code="""\
import threading
_cache = {}
_lock = threading.Lock()
def get(k):
    if k not in _cache:
        with _lock:
            if k not in _cache:
                _cache[k] = load(k)
    return _cache[k]
"""
        ),
        SourceExample(
            code="""\
import threading
_cache = {}
_lock = threading.Lock()
def get(k):
    with _lock:
        if k not in _cache:
            _cache[k] = load(k)
        return _cache[k]
""",
            instead=True,
        ),
        SourceExample(
            code="""\
_cache = {}
def get(k):
    return _cache.setdefault(k, load(k))
def drop(k):
    if k in _cache:
        _cache.pop(k, None)
""",
        ),
        SourceExample(
            code="""\
_cache = {}
def put(k, v):
    if len(_cache) >= 100:
        _cache.clear()
    _cache[k] = v
""",
        ),
        SourceExample(
            code="""\
import threading
class Meter:
    def __init__(self):
        self._known = {}
        self._lock = threading.Lock()
    def counter(self, name):
        with self._lock:
            if name in self._known:
                return self._known[name]
        made = Counter()
        with self._lock:
            return self._known.setdefault(name, made)
""",
        ),
        SourceExample(
            code="""\
def count(words):
    seen = {}
    for w in words:
        if w not in seen:
            seen[w] = 0
    return seen
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
_services = []
def services(regions):
    if _services:
        return _services
    for region in regions:
        _services.extend(region.services())
    return _services
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
_cache = {}
def get(k):
    if k not in _cache:
        _cache[k] = load(k)
    return _cache[k]
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
_open = {}
def close(k):
    if k in _open:
        del _open[k]
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
_seen = {}
def visit(o):
    if o.name in _seen:
        return _seen[o.name]
    _seen[o.name] = o
    return work(o)
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
import threading
class Meter:
    def __init__(self):
        self._known = {}
        self._lock = threading.Lock()
    def counter(self, name):
        with self._lock:
            found = name in self._known
        if found:
            return self._known[name]
        made = Counter()
        with self._lock:
            self._known[name] = made
        return made
""",
            lines=(13,),
        ),
        SourceExample(
            code="""\
_lines = {}
def line(name, n):
    if name in _lines:
        return _lines[name][n]
    return ""
def check(name):
    _lines.pop(name, None)
def fill(name, lines):
    _lines[name] = lines
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
class C:
    _pool = []
def take():
    if C._pool:
        return C._pool.pop()
    return C()
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
_recent = {}
def keep(k, v):
    _recent[k] = v
    while len(_recent) > 100:
        _recent.popitem()
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
_loop = [None]
def loop():
    if _loop[0] is None:
        _loop[0] = start()
    return _loop[0]
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
import sys
def load(name):
    try:
        return sys.modules[name]
    except KeyError:
        pass
    sys.modules[name] = made = make(name)
    return made
""",
            lines=(3,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield tests of a shared container that decide on a change of it, without a lock over both."""
        if module.is_script:
            return
        tests: list[ast.If | ast.While] = [*module.tree.all(ast.If), *module.tree.all(ast.While)]
        for test in tests:
            function = module.in_function(test)
            if function is None or isinstance(function, ast.AsyncFunctionDef) or module.locked(test):
                continue
            for tested in tested_containers(module, test):
                if tested.by_id or tested.shared.where is Where.INSTANCE:
                    continue
                found = self._found(module, test, tested)
                if found is not None:
                    yield found
                    break
        for test in module.tree.all(ast.If):
            if module.in_function(test) is None or module.locked(test) or module.registers(test):
                continue
            if (fill := filled_when_empty(module, test)) is not None and not module.locked(fill[1]):
                name = fill[0].name
                yield self.finding(
                    f"`{name}` is tested here and filled step by step from line {fill[1].lineno}: another thread can "
                    "use it half-filled, or fill it a second time",
                    location=module.place(test),
                    remedy=(
                        "Fill a local container and assign it to the name at the end, or hold a lock over the test and "
                        "the loop."
                    ),
                )
        for attempt, store in modules_made_twice(module):
            if not module.locked(attempt) and not module.locked(store):
                yield self.finding(
                    (
                        f"`sys.modules` is tested here and changed on line {store.lineno}: two threads can both create "
                        "the module"
                    ),
                    location=module.place(attempt),
                )
        for split in split_decisions(module):
            line = getattr(split.asked, "lineno", 0)
            yield self.finding(
                f"`{split.state}` is changed here based on the test on line {line}, but `{split.lock}` is released in "
                "between",
                location=module.place(split.change),
                interleaving=(
                    f"Thread 1 tests under `{split.lock}` (line {line}), and releases the lock.",
                    f"Thread 2 does the same. Then both change `{split.state}` (line {split.change.lineno}), and one "
                    "of the two changes is lost.",
                ),
                remedy=(
                    "Repeat the test where you hold the lock for the change, or hold the lock over the test and the "
                    "change."
                ),
            )

    def _found(self, module: PythonModule, test: ast.If | ast.While, tested: Tested) -> Finding | None:
        name = tested.shared.name
        if tested.change is not None:
            quiet = module.registers(test) or _is_plain_list(tested) or tested.equal
            return self.finding(
                f"`{name}` is tested here and changed on line {tested.change.lineno}: another thread can change it in "
                "between",
                location=module.place(test),
                severity=Severity.PEDANTIC if quiet else None,
                interleaving=(
                    f"Thread 1 tests `{name}` (line {test.lineno}).",
                    f"Thread 2 does the same. Then both act on the result (line {tested.change.lineno}), which is no "
                    "longer true for the second one.",
                ),
            )
        if tested.lookup is not None and not module.locked(tested.lookup):
            gone = removals(module, tested.shared)[0]
            return self.finding(
                f"`{name}` is tested here and looked up on line {tested.lookup.lineno}: line {gone.line} can remove "
                "the key in between",
                location=module.place(test),
                interleaving=(
                    f"Thread 1 finds the key in `{name}` (line {test.lineno}).",
                    f"Thread 2 removes the key (line {gone.line}). Then thread 1 looks it up (line "
                    f"{tested.lookup.lineno}), which raises `KeyError`.",
                ),
                remedy=(
                    "Look up the key once, with `get(k)` or `try` with `except KeyError`, or hold a lock over the test "
                    "and the look-up."
                ),
            )
        return None


def _is_plain_list(tested: Tested) -> bool:
    """Return whether it is a list that is tested for an item and appended to: the item can only occur twice."""
    is_filled = isinstance(tested.change, (ast.Assign, ast.AnnAssign))
    return tested.shared.kind is Kind.LIST and not tested.takes and not is_filled
