"""The value that an expression makes: a dictionary, a lock, a weak container, an iterator, thread-local storage …"""

from __future__ import annotations

import ast
import re
from typing import Final

from ftaudit.model import StrEnum
from ftaudit.source.python.tree import dotted, last_name


class Kind(StrEnum):
    """The kinds of value that rules distinguish."""

    DICT = "dict"
    SET = "set"
    LIST = "list"
    DEQUE = "deque"
    WEAK = "weak container"
    LOCK = "lock"
    THREAD_LOCAL = "thread-local"
    CONTEXT_VAR = "context variable"
    ITERATOR = "iterator"
    COUNT = "counter"
    CONSTANT = "constant"
    INSTANCE = "instance"
    FILE = "file"
    BUFFER = "buffer"
    CACHE = "cache"
    """A cache that changes itself on every look-up and does not have its own lock."""
    OTHER = "other"


CONTAINERS: Final = frozenset({Kind.DICT, Kind.SET, Kind.LIST, Kind.DEQUE, Kind.WEAK, Kind.CACHE})
KEYED: Final = frozenset({Kind.DICT, Kind.SET, Kind.WEAK, Kind.CACHE})
"""Containers whose iteration fails when they change size."""

_CALLS: Final = {
    **dict.fromkeys(("dict", "defaultdict", "OrderedDict", "Counter", "ChainMap", "UserDict", "SortedDict"), Kind.DICT),
    **dict.fromkeys(("set", "OrderedSet", "SortedSet"), Kind.SET),
    **dict.fromkeys(("list", "UserList", "SortedList"), Kind.LIST),
    "deque": Kind.DEQUE,
    **dict.fromkeys(
        ("LRUCache", "LFUCache", "FIFOCache", "MRUCache", "RRCache", "TTLCache", "TLRUCache", "LRU"), Kind.CACHE
    ),
    **dict.fromkeys(("WeakValueDictionary", "WeakKeyDictionary", "WeakSet"), Kind.WEAK),
    **dict.fromkeys(
        ("Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "allocate_lock", "SerializableLock"),
        Kind.LOCK,
    ),
    "local": Kind.THREAD_LOCAL,
    "ContextVar": Kind.CONTEXT_VAR,
    **dict.fromkeys(
        ("iter", "zip", "map", "filter", "enumerate", "reversed", "cycle", "chain", "tee", "islice", "starmap"),
        Kind.ITERATOR,
    ),
    **dict.fromkeys(("product", "permutations", "combinations", "groupby", "accumulate", "pairwise"), Kind.ITERATOR),
    "count": Kind.COUNT,
    **dict.fromkeys(("open", "TextIOWrapper", "ZipFile", "TemporaryFile"), Kind.FILE),
    **dict.fromkeys(("frozenset", "tuple", "MappingProxyType", "namedtuple", "TypeVar", "NewType"), Kind.CONSTANT),
    **dict.fromkeys(("str", "int", "float", "bytes", "bool", "object", "Sentinel", "compile"), Kind.CONSTANT),
    **dict.fromkeys(("create_string_buffer", "create_unicode_buffer"), Kind.BUFFER),
}
_ANNOTATIONS: Final = {
    **dict.fromkeys(
        ("dict", "Dict", "MutableMapping", "DefaultDict", "defaultdict", "OrderedDict", "Counter"), Kind.DICT
    ),
    **dict.fromkeys(("set", "Set", "MutableSet"), Kind.SET),
    **dict.fromkeys(("list", "List", "MutableSequence"), Kind.LIST),
    **dict.fromkeys(("deque", "Deque"), Kind.DEQUE),
    **dict.fromkeys(("WeakValueDictionary", "WeakKeyDictionary", "WeakSet"), Kind.WEAK),
}
_LOCKISH: Final = re.compile(
    r"(?:^|_)(?:[a-z]*(?<![bcf])r?w?lock(?:s|ed|er|ing)?|mutex|semaphore|critical|cond|condition|phil)(?:$|_|\d)"
    r"|(?:^|[a-z_])(?:R?W?Lock|Mutex|Semaphore|CriticalSection)(?:s|ed|er|ing)?(?:$|[A-Z_\d])"
    r"|synchroni[sz]ed?|thread_?safe|exclusive",
)
_UNLOCKISH: Final = re.compile(r"(?i)unlock|deadlock|nolock|non_?lock|without_lock|clock|block|flock_")


def looks_like_lock(name: str) -> bool:
    """Return whether a name is that of a lock or of something that takes one; `block` and `clock` do not count."""
    found = _LOCKISH.search(name)
    return found is not None and not _UNLOCKISH.search(name)


def base_kind(base: ast.expr) -> Kind | None:
    """Return the kind of container that objects of a subclass of `base` are: `class Cache(dict)`; `None` for others."""
    name = last_name(base.value if isinstance(base, ast.Subscript) else base) or ""
    kind = _CALLS.get(name) or _ANNOTATIONS.get(name)
    return kind if kind in CONTAINERS and kind not in (Kind.CACHE, Kind.WEAK) else None


def _factory(func: ast.expr, keywords: list[ast.keyword]) -> ast.expr | None:
    """Return the function that makes the value of a field: `field(default_factory=set)`, `attr.ib(factory=dict)`."""
    if last_name(func) not in ("field", "ib", "attrib", "Field"):
        return None
    return next((each.value for each in keywords if each.arg in ("default_factory", "factory")), None)


def kind_of(value: ast.expr | None, annotation: ast.expr | None = None) -> Kind:
    """Return what an expression makes, by the names of the standard library."""
    match value:
        case None:
            return _ANNOTATIONS.get(last_name(annotation) or "", Kind.OTHER)
        case ast.Dict() | ast.DictComp():
            return Kind.DICT
        case ast.Set() | ast.SetComp():
            return Kind.SET
        case ast.List() | ast.ListComp():
            return Kind.LIST
        case ast.GeneratorExp():
            return Kind.ITERATOR
        case ast.Constant() | ast.Tuple() | ast.JoinedStr() | ast.Lambda() | ast.UnaryOp(operand=ast.Constant()):
            return Kind.CONSTANT
        case ast.Call(func=ast.Name(id="cast") | ast.Attribute(attr="cast"), args=[_, inner]):
            return kind_of(inner, annotation)
        case ast.Call(func=func, keywords=keywords) if (made := _factory(func, keywords)) is not None:
            return _kind_of_call(made)
        case ast.Call(func=func):
            return _kind_of_call(func)
        case ast.BinOp(left=left, op=ast.Mult()):
            return kind_of(left)
        case ast.BoolOp(values=[*_, last]):
            return kind_of(last)
        case ast.IfExp(body=body):
            return kind_of(body)
        case _:
            return Kind.OTHER


_MAKES: Final = re.compile(
    r"_*(?:connect|open|start|spawn|launch|create|make|build|new|socket|popen|register|acquire|init|setup|session|client"
    r"|engine|pool|thread|worker|executor|parser|object|factory)(?:_\w+)?$"
    r"|_*(?:connect|open|start|spawn|launch|create|make|build|new|init)[A-Z]\w*$"
    r"|\w+_(?:connection|client|session|engine|pool|executor|parser|socket|factory)$",
    re.IGNORECASE,
)
"""Names of functions that create an object that is opened, held or closed."""
_EQUAL: Final = frozenset(
    {"Path", "PurePath", "Decimal", "Fraction", "Version", "UUID", "Struct", "TypeVar", "ParamSpec"}
)
"""Classes whose objects are values: two equal ones are interchangeable."""


def has_identity(value: ast.expr | None) -> bool:
    """Return whether two results of an expression are distinct objects, so that one store would lose an object.

    A container that is filled later, a lock, a connection, an object of a class; not a number, a text, or what a
    function computes from its arguments.
    """
    match value:
        case ast.Await(value=inner) | ast.NamedExpr(value=inner):
            return has_identity(inner)
        case ast.BoolOp(values=values):
            return any(map(has_identity, values))
        case ast.IfExp(body=body, orelse=orelse):
            return has_identity(body) or has_identity(orelse)
        case ast.Dict(keys=[]) | ast.List(elts=[]):
            return True
        case ast.Call(func=func, args=arguments):
            name = last_name(func) or ""
            kind = _kind_of_call(func)
            if kind is Kind.INSTANCE:
                return name not in _EQUAL
            if kind in CONTAINERS:
                return not arguments or kind in (Kind.DEQUE, Kind.WEAK) or name == "defaultdict"
            if kind in (Kind.LOCK, Kind.FILE, Kind.BUFFER, Kind.COUNT, Kind.ITERATOR, Kind.CACHE):
                return True
            return _MAKES.match(name) is not None
        case _:
            return False


def _kind_of_call(func: ast.expr) -> Kind:
    name = last_name(func) or ""
    if name == "local" and dotted(func) not in ("local", "threading.local", "_thread.local", "_threading.local"):
        return Kind.OTHER
    if name in ("count", "compile", "chain") and dotted(func) not in (
        name, f"itertools.{name}", f"re.{name}", f"regex.{name}",
    ):  # fmt: skip
        return Kind.OTHER
    if dotted(func) in ("asyncio.Lock", "asyncio.Condition", "asyncio.Semaphore", "anyio.Lock", "trio.Lock"):
        return Kind.OTHER
    if name in _CALLS:
        return _CALLS[name]
    if name.endswith(("Lock", "Mutex")):
        return Kind.LOCK
    stripped = name.lstrip("_")
    return Kind.INSTANCE if stripped[:1].isupper() and not stripped.isupper() else Kind.OTHER
