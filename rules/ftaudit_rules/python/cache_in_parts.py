"""FT551: a cache of one entry keeps its key and its value in two places."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.tree import dotted, inside, targets_of


class CacheInParts(PythonRule):
    """A function keeps the last key and its value, returns the value if the key matches, and otherwise stores a new key
    and a new value in two steps. Another thread can store its own key and value between the two steps. The function
    then returns the value of a different key.
    """

    info = RuleInfo(
        code="FT551",
        name="cache-in-parts",
        summary="A cache of one entry stores its key and value in two steps, and another thread can read between them.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy=(
            "Store the key and the value as one tuple, and read the tuple once into local variables. Or hold a lock "
            "over the test and both stores."
        ),
        links=("https://docs.python.org/3.14/library/threadsafety.html",),
    )
    needles = re.compile(
        r"\n[ \t]+global |\n[ \t]+cls\.\w+ = "
        r"|\n(?: {4}|\t)\w+\.\w+ = [^\n]*\n(?:(?: {4}|\t)[^\n]*\n){0,8}(?: {4}|\t)def "
    )
    VALID = (
        SourceExample(
            code="""\
_last = None, None
def area(shape):
    global _last
    key, value = _last
    if key == shape:
        return value
    value = compute(shape)
    _last = shape, value
    return value
""",
            instead=True,
        ),
        SourceExample(
            code="""\
import threading
_lock = threading.Lock()
_key = _value = None
def area(shape):
    global _key, _value
    with _lock:
        if _key == shape:
            return _value
        _value = compute(shape)
        _key = shape
        return _value
""",
        ),
        SourceExample(
            code="""\
class Shape:
    def area(self, unit):
        if self._unit == unit:
            return self._area
        self._area = compute(unit)
        self._unit = unit
        return self._area
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
_key = _value = None
def area(shape):
    global _key, _value
    if _key == shape:
        return _value
    _value = compute(shape)
    _key = shape
    return _value
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
def memo(f):
    f.bits = -1
    f.value = None
    def g(bits):
        known = f.bits
        if bits <= known:
            return f.value >> (known - bits)
        f.value = f(bits)
        f.bits = bits
        return f.value
    return g
""",
            lines=(6,),
        ),
        SourceExample(
            code="""\
class Last:
    key = None
    value = None
    @classmethod
    def get(cls, key):
        if cls.key == key:
            return cls.value
        cls.key = key
        cls.value = load(key)
        return cls.value
""",
            lines=(6,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield the tests of a remembered key after which the remembered value is returned."""
        for function in module.tree.functions():
            stored = [name for node in inside(function.body) for target in targets_of(node) if (name := dotted(target))]
            shared = {name for name in stored if _is_shared(module, function, name)}
            if len(shared) < 2:
                continue
            aliases = {
                target.id: name
                for node in inside(function.body)
                if isinstance(node, ast.Assign) and (name := dotted(node.value)) in shared and name
                for target in node.targets
                if isinstance(target, ast.Name)
            }
            for test in inside(function.body):
                if not isinstance(test, ast.If) or module.locked(test):
                    continue
                keys = {
                    named
                    for comparison in ast.walk(test.test)
                    if isinstance(comparison, ast.Compare)
                    for side in (comparison.left, *comparison.comparators)
                    if (name := dotted(side)) is not None
                    if (named := aliases.get(name, name)) in shared
                    if not any(isinstance(one, ast.Constant) for one in (comparison.left, *comparison.comparators))
                }
                values = {
                    name
                    for node in inside(test.body)
                    if isinstance(node, ast.Return) and node.value is not None
                    for read in ast.walk(node.value)
                    if isinstance(read, (ast.Name, ast.Attribute)) and (name := dotted(read)) in shared
                }
                apart = {name for name in stored if name in keys}, {name for name in stored if name in values - keys}
                if all(apart) and not _stored_in(test.body, shared):
                    key, value = min(apart[0]), min(apart[1])
                    yield self.finding(
                        f"`{key}` and `{value}` belong together, but are stored in two steps without a lock",
                        location=module.place(test),
                    )
                    break


def _stored_in(body: list[ast.stmt], names: set[str]) -> bool:
    return any(dotted(target) in names for node in inside(body) for target in targets_of(node))


def _is_shared(module: PythonModule, function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> bool:
    """Return whether all calls of a function store at one place: a global, or an attribute of a shared object."""
    owner, _, attribute = name.rpartition(".")
    if not owner:
        return name in module.globals_by_function.get(function, ())
    if "." in owner or not attribute:
        return False
    first = module.first_argument(function.body[0])
    if first is not None and owner == first[0]:
        return first[2]
    if owner in {argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)}:
        return False
    bound = {
        node.id for node in inside(function.body) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    return owner not in bound and owner not in module.imported
