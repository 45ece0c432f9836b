"""FT535: a cache that changes itself on every look-up is used without a lock."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule
from ftaudit.source.python.kinds import Kind
from ftaudit.source.python.tree import dotted, last_name

_DECORATORS = frozenset({"cached", "cachedmethod"})


class UnsynchronizedCache(PythonRule):
    """A cache of cachetools or a similar library is used without a lock.

    Every look-up changes the order or the expiry times of the entries, in Python code. The documentation of these
    caches says that they are not thread-safe: two threads that only read can raise `KeyError` in `__getitem__` or
    `popitem`, or leave the size permanently wrong. A plain dict does not have this problem.
    """

    info = RuleInfo(
        code="FT535",
        name="unsynchronized-cache",
        summary="A cache that is not thread-safe, even for look-ups, is used without a lock.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Hold a lock around every use of the cache, or pass a lock: `cached(…, lock=threading.Lock())`.",
        links=("https://cachetools.readthedocs.io/en/stable/",),
    )
    words = ("Cache(", "LRU(", "cached(", "cachedmethod(")
    VALID = (
        SourceExample(
            code="""\
import threading
from cachetools import LRUCache
class Client:
    def __init__(self):
        self._lock = threading.Lock()
        self._known = LRUCache(100)
    def known(self, k):
        with self._lock:
            return self._known.get(k)
""",
            instead=True,
        ),
        SourceExample(
            code="""\
import threading
from cachetools import TTLCache, cached
@cached(TTLCache(10, 60), lock=threading.Lock())
def load(k):
    return read(k)
""",
        ),
        SourceExample(
            code="""\
from mine import LRUCache
_known = LRUCache(100)
def known(k):
    return _known.get(k)
""",
        ),
        SourceExample(
            code="""\
from cachetools import LRUCache
def run(items):
    seen = LRUCache(10)
    return [i for i in items if i not in seen]
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
from cachetools import LRUCache
class Client:
    def __init__(self):
        self._known = LRUCache(100)
    def known(self, k):
        found = self._known.get(k)
        if found is None:
            found = self._known[k] = make(k)
        return found
""",
            lines=(6,),
        ),
        SourceExample(
            code="""\
import cachetools
_shared = cachetools.TTLCache(100, 60)
def shared(k):
    if k not in _shared:
        _shared[k] = k * 2
    return _shared[k]
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
from cachetools import cached, LRUCache
@cached(LRUCache(10))
def load(k):
    return read(k)
""",
            lines=(2,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield the first use of each such cache without a lock, and decorators without a lock argument."""
        made = {id(call) for call in module.tree.all(ast.Call) if _makes_cache(module, call)}
        if made:
            yield from self._uses(module)
        for function in module.tree.functions():
            for decorator in function.decorator_list:
                if isinstance(decorator, ast.Call) and not module.is_script and _has_no_lock(module, decorator):
                    yield self.finding(
                        f"`{last_name(decorator.func)}()` has no `lock` argument, but every look-up changes its cache",
                        location=module.place(decorator),
                    )

    def _uses(self, module: PythonModule) -> Iterator[Finding]:
        seen: set[str] = set()
        nodes: list[ast.Name | ast.Attribute] = [*module.tree.all(ast.Name), *module.tree.all(ast.Attribute)]
        for node in sorted(nodes, key=lambda node: (node.lineno, node.col_offset)):
            name = _cache_named(module, node)
            if name is None or name in seen or not isinstance(node.ctx, ast.Load) or not _is_used(module, node):
                continue
            function = module.in_function(node)
            if function is None or getattr(function, "name", "") == "__init__" or module.locked(node):
                continue
            if isinstance(function, ast.AsyncFunctionDef):
                continue
            seen.add(name)
            yield self.finding(
                f"`{dotted(node)}` is used here without a lock, but every look-up changes the cache",
                location=module.place(node),
            )


def _has_no_lock(module: PythonModule, decorator: ast.Call) -> bool:
    """Return whether a decorator of cachetools has a cache argument, which is not a plain dict, and no lock."""
    origin = module.qualified(decorator.func) or ""
    if last_name(decorator.func) not in _DECORATORS or not origin.startswith("cachetools"):
        return False
    given = {keyword.arg for keyword in decorator.keywords}
    if given & {"lock", "condition"} or len(decorator.args) > 2:
        return False
    return not (decorator.args and isinstance(decorator.args[0], ast.Dict))


def _makes_cache(module: PythonModule, call: ast.Call) -> bool:
    origin = module.qualified(call.func) or ""
    return origin.startswith(("cachetools.", "lru.", "cacheout.")) and origin.endswith(("Cache", ".LRU"))


def _cache_named(module: PythonModule, node: ast.Name | ast.Attribute) -> str | None:
    """Return a name for the cache in an expression, if the module or an object keeps it."""
    match node:
        case ast.Name(id=name):
            if module.module_kinds.get(name) is Kind.CACHE and module.is_module_name(name, node):
                return name if _is_made(module, module.module_bindings[name]) else None
        case ast.Attribute(value=ast.Name(id=owner), attr=attribute):
            holder = module.tree.enclosing_class(node) if owner in ("self", "cls") else module.classes.get(owner)
            if holder is None:
                return None
            kinds = {**module.class_kinds.get(holder.name, {}), **module.instance_kinds.get(holder.name, {})}
            if kinds.get(attribute) is Kind.CACHE:
                return f"{holder.name}.{attribute}"
    return None


def _is_made(module: PythonModule, statements: list[ast.stmt]) -> bool:
    values = [getattr(statement, "value", None) for statement in statements]
    return any(isinstance(value, ast.Call) and _makes_cache(module, value) for value in values)


def _is_used(module: PythonModule, node: ast.AST) -> bool:
    match module.tree.parents.get(node):
        case ast.Subscript(value=value):
            return value is node
        case ast.Attribute(value=value, attr="get" | "pop" | "setdefault" | "update" | "clear" | "items" | "popitem"):
            return value is node
        case ast.Compare(comparators=comparators):
            return node in comparators
        case _:
            return False
