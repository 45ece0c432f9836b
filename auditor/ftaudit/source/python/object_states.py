"""The state of objects that threads share: which methods read and write each attribute, and under which locks.

Python's part of the model in `ftaudit.source.shared_state`: classes that are evidently shared, their entry points, and
what these do to `self`, followed through calls of the class's own methods. A method that every caller calls with a lock
held has that lock.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from ftaudit.source.method_calls import reach
from ftaudit.source.python.containers import tested_containers
from ftaudit.source.python.kinds import CONTAINERS, KEYED, Kind, base_kind, kind_of
from ftaudit.source.python.lazy import is_harmless, rechecked_under_lock
from ftaudit.source.python.locking import says_locked
from ftaudit.source.python.module import PythonModule
from ftaudit.source.python.sharing import Where
from ftaudit.source.python.tree import SCOPES, dotted, last_name
from ftaudit.source.shared_state import Access, AccessKind, EntryKind, EntryPoint, Lock, State

Method: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

_CONSTRUCTORS: Final = frozenset(
    {"__init__", "__new__", "__post_init__", "__attrs_post_init__", "__setstate__", "__init_subclass__", "__set_name__"}
)
_DESTRUCTORS: Final = frozenset({"__del__", "__finalize__"})
_AFTER_FORK: Final = re.compile(r"after_?(?:in_)?fork|at_?fork|in_child|after_in_child")
_FOR_READERS: Final = frozenset({"__repr__", "__str__", "__getstate__", "__reduce__", "__copy__", "__deepcopy__"})
"""Methods whose result is for a person or a copy: no code relies on a consistent snapshot."""
_CHANGES: Final = frozenset(
    {
        *("append", "extend", "insert", "remove", "pop", "popitem", "popleft", "appendleft", "extendleft", "clear"),
        *("update", "add", "discard", "setdefault", "sort", "reverse", "difference_update", "move_to_end", "rotate"),
    }
)
_VIEWS: Final = frozenset({"items", "values", "keys"})
_STEPPING: Final = frozenset({"max", "min", "sum", "any", "all", "map", "filter", "enumerate", "zip", "join"})
_STARTS: Final = frozenset(
    {
        *("Thread", "Timer", "submit", "start_new_thread", "add_done_callback", "run_in_executor", "to_thread"),
        *("call_soon_threadsafe", "apply_async", "map", "register_callback"),
    }
)
"""Calls that run their argument in another thread."""
_IS_SAFE: Final = re.compile(
    r"(?i)log|config|setting|option|metric|stat|event|queue|executor|thread|lock|cond|clock|time"
)
"""Names of attributes whose objects do their own locking, or are only read."""
_CLOCKS: Final = frozenset(
    {
        *("time.time", "time.monotonic", "time.perf_counter", "time.time_ns", "time.monotonic_ns", "monotonic", "time"),
        *("datetime.now", "datetime.datetime.now", "datetime.utcnow", "timezone.now", "loop.time"),
    }
)
_SYNCHRONISED: Final = frozenset({Kind.LOCK, Kind.THREAD_LOCAL, Kind.CONTEXT_VAR})


@dataclass(frozen=True, slots=True)
class AttributeUse:
    """One thing that a method does to an attribute of its object."""

    attribute: str
    kind: AccessKind
    node: ast.AST
    locks: frozenset[str]
    """Held within the method."""
    constant: bool = False
    """A constant is stored, as in a flag."""
    lazy: bool = False
    """An attribute is filled because it was empty."""
    lookup: bool = False
    """A key is looked up that an earlier check found."""
    calls: bool = False
    """A method of the object is called, which may change it."""
    empties: bool = False
    """A container is replaced by an empty one, or cleared."""
    locks_elsewhere: bool = False
    """The method takes a lock of the object at another place."""


@dataclass(slots=True)
class _MethodBody:
    """The accesses of one method by itself."""

    method: Method
    uses: list[AttributeUse] = field(default_factory=list)
    calls: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    """Methods of the same object that it calls, and the locks that it holds then."""


@dataclass(frozen=True, slots=True)
class ObjectState:
    """One attribute of the objects of a class."""

    state: State
    kind: Kind
    owns_lock: bool
    """Whether the class has its own lock."""
    single: bool
    """Whether the module keeps one object of the class for everybody."""
    accesses: tuple[Access, ...]
    uses: tuple[AttributeUse, ...]
    """The kind of each access, in the same order."""


def find_states(module: PythonModule) -> tuple[ObjectState, ...]:
    """Return the attributes of the module's evidently shared classes, with every access; sorted by class and name."""
    return module.once(_find)


def _find(module: PythonModule) -> tuple[ObjectState, ...]:
    shared = module.threaded_classes | set(module.singletons.values()) | _taking_locks(module)
    if not shared:
        return ()
    steps = _Steps(module)
    found: list[ObjectState] = []
    for name in sorted(shared):
        found += _SharedClass(module, module.classes[name], steps).states()
    return tuple(found)


def _taking_locks(module: PythonModule) -> set[str]:
    """Return the classes whose methods take a lock of any owner: `with self.store.locked():`."""
    found: set[str] = set()
    for region in module.tree.all(ast.With):
        owner = module.tree.enclosing_class(region)
        if owner is not None and owner.name not in found and any(module.is_lock(i.context_expr) for i in region.items):
            found.add(owner.name)
    return found & module.classes.keys()


class _Steps:
    """The decisions of the module's tests about attributes, by the reported node."""

    def __init__(self, module: PythonModule) -> None:
        self.decisions: dict[ast.AST, list[tuple[str, AccessKind, frozenset[str], bool, bool]]] = defaultdict(list)
        tests: list[ast.If | ast.While] = [*module.tree.all(ast.If), *module.tree.all(ast.While)]
        for test in tests:
            if _takes_lock(test.test):
                continue
            for tested in tested_containers(module, test):
                if tested.shared.where is not Where.INSTANCE:
                    continue
                attribute = tested.shared.name.rpartition(".")[2]
                if tested.change is not None and not tested.equal:
                    locks = _common(module, test, tested.change)
                    self.decisions[test].append((attribute, AccessKind.DECIDE, locks, False, False))
                elif tested.lookup is not None:
                    locks = _common(module, test, tested.lookup)
                    self.decisions[test].append((attribute, AccessKind.WALK, locks, False, True))
        for loop in module.tree.all(ast.For):
            for attribute, change in _taken_in_loop(loop):
                locks = _common(module, loop, change)
                self.decisions[loop].append((attribute, AccessKind.DECIDE, locks, False, False))
        for owned in module.classes.values():
            for test, attribute, set_at in _busy_flags(owned):
                locks = _common(module, test, set_at)
                self.decisions[test].append((attribute, AccessKind.DECIDE, locks, False, False))
        for lazy in module.lazy_inits:
            owner, _, attribute = lazy.key.rpartition(".")
            if owner != "self" or all(map(is_harmless, lazy.assignments)) or rechecked_under_lock(module, lazy):
                continue
            locks = _common(module, lazy.test, lazy.assignments[0])
            self.decisions[lazy.test].append((attribute, AccessKind.DECIDE, locks, True, False))


def _busy_flags(owner: ast.ClassDef) -> Iterator[tuple[ast.If, str, ast.stmt]]:
    """Yield each test that refuses while a flag of the object is set, with the flag and the statement that sets it.

    Another method clears the flag again. Two threads can both find it cleared, and both go on.
    """
    methods = [node for node in owner.body if isinstance(node, ast.FunctionDef)]
    cleared = {
        attribute
        for method in methods
        if method.name not in _CONSTRUCTORS
        for node in ast.walk(method)
        if (attribute := _flag(node, value=False)) is not None
    }
    for method in methods:
        for at, statement in enumerate(method.body):
            match statement:
                case ast.If(
                    test=ast.Attribute(value=ast.Name(id="self"), attr=flag), body=[*_, ast.Raise()], orelse=[]
                ):
                    setting = (node for node in method.body[at + 1 :] if _flag(node, value=True) == flag)
                    set_at = next(setting, None)
                    if set_at is not None and flag in cleared:
                        yield statement, flag, set_at
                case _:
                    pass


def _flag(node: ast.AST, *, value: bool) -> str | None:
    """Return the attribute of the object that a statement sets to True or False."""
    match node:
        case ast.Assign(
            targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=ast.Constant(value=stored)
        ) if stored is value:
            return name
        case _:
            return None


def _takes_lock(test: ast.expr) -> bool:
    """Return whether a condition takes a lock that the body then holds: `while self.items and lock.acquire(False):`."""
    return any(
        isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "acquire"
        for call in ast.walk(test)
    )


def _taken_in_loop(loop: ast.For) -> Iterator[tuple[str, ast.AST]]:
    """Yield the attributes whose keys a loop goes through and deletes: another thread may have deleted one."""
    if not isinstance(loop.target, (ast.Name, ast.Tuple)):
        return
    keys = {node.id for node in ast.walk(loop.target) if isinstance(node, ast.Name)}
    sources = {
        node.attr
        for node in ast.walk(loop.iter)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    }
    of_itself = any(isinstance(node, ast.Name) and node.id == "self" for node in _items_of(loop.iter))
    for node in (each for statement in loop.body for each in ast.walk(statement)):
        match node:
            case (
                ast.Subscript(value=container, slice=ast.Name(id=key), ctx=ast.Del())
                | ast.Call(func=ast.Attribute(value=container, attr="pop"), args=[ast.Name(id=key)])
            ) if key in keys:
                match container:
                    case ast.Attribute(value=ast.Name(id="self"), attr=attribute) if attribute in sources:
                        yield attribute, node
                    case ast.Name(id="self") if of_itself:
                        yield "", node
                    case _:
                        pass
            case _:
                pass


def _items_of(source: ast.expr) -> Iterator[ast.AST]:
    """Yield the arguments of the calls around what a loop goes through: `zip(range(n), sorted(self))`."""
    pending: list[ast.expr] = [source]
    while pending:
        node = pending.pop()
        yield node
        match node:
            case ast.Call(args=arguments):
                pending += arguments
            case ast.Subscript(value=value):
                pending.append(value)
            case _:
                pass


def _common(module: PythonModule, first: ast.AST, second: ast.AST) -> frozenset[str]:
    """Return the locks that are held from one place of a function to another: taken once, not released in between."""
    held = {(name, id(region)) for name, region in module.holds(first)}
    return frozenset(name for name, region in module.holds(second) if (name, id(region)) in held)


class _SharedClass:
    def __init__(self, module: PythonModule, owner: ast.ClassDef, steps: _Steps) -> None:
        self.module = module
        self.owner = owner
        self.steps = steps
        self.kinds = {**module.class_kinds.get(owner.name, {}), **module.instance_kinds.get(owner.name, {})}
        self.owns_lock = Kind.LOCK in self.kinds.values()
        self.aliases = _aliases(owner)
        self.own_kind = next((kind for base in owner.bases if (kind := base_kind(base)) is not None), None)
        """The kind of container that an object of the class is itself."""
        self.every_lock = frozenset(f"self.{name}" for name, kind in self.kinds.items() if kind is Kind.LOCK)
        self.bodies: dict[str, list[_MethodBody]] = defaultdict(list)
        self.threads: set[str] = set()
        self.escaping: set[str] = set()
        methods = [node for node in owner.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
        self.names = frozenset(method.name for method in methods)
        if any(last_name(base) == "Thread" for base in owner.bases) and "run" in self.names:
            self.threads.add("run")
        for method in methods:
            if method.args.args and not _is_static(method):
                self.bodies[method.name].append(self._read(method))

    def states(self) -> Iterator[ObjectState]:
        """Yield each attribute that any method touches after construction."""
        by_attribute: dict[str, list[tuple[Access, AttributeUse]]] = defaultdict(list)
        for body, entry, locks, chain in reach(self.bodies, self._entries()):
            for use in body.uses:
                access = Access(
                    state=State(owner=self.owner.name, name=use.attribute),
                    kind=use.kind,
                    locks=frozenset(Lock(name=name, owner=self.owner.name) for name in use.locks | locks),
                    entry_point=entry,
                    location=self.module.place(use.node),
                    chain=chain,
                )
                by_attribute[use.attribute].append((access, use))
        for attribute, pairs in sorted(by_attribute.items()):
            if any(not access.alone for access, _ in pairs):
                yield ObjectState(
                    state=State(owner=self.owner.name, name=attribute),
                    kind=self.kinds.get(attribute, Kind.OTHER),
                    owns_lock=self.owns_lock,
                    single=self.owner.name in self.module.singletons.values(),
                    accesses=tuple(access for access, _ in pairs),
                    uses=tuple(use for _, use in pairs),
                )

    def _entries(self) -> Iterator[tuple[str, EntryPoint]]:
        """Yield the methods that other code can call."""
        called = {name for bodies in self.bodies.values() for body in bodies for name, _ in body.calls}
        for name, bodies in self.bodies.items():
            kind = self._entry_kind(name, bodies[0], called)
            if kind is not None:
                yield name, EntryPoint(name=name, kind=kind, location=self.module.place(bodies[0].method))

    def _entry_kind(self, name: str, body: _MethodBody, called: set[str]) -> EntryKind | None:
        if name in _CONSTRUCTORS or self.module.is_import_time(body.method):
            return EntryKind.CONSTRUCTOR
        if name in _DESTRUCTORS:
            return EntryKind.DESTRUCTOR
        if _AFTER_FORK.search(name):
            # The child has one thread.
            return EntryKind.CONSTRUCTOR
        if name in self.threads:
            return EntryKind.THREAD
        if name.startswith("__") and name.endswith("__"):
            return EntryKind.SLOT
        if name.startswith("_") and name in called and name not in self.escaping:
            return None
        return EntryKind.METHOD

    def _read(self, method: Method) -> _MethodBody:
        body = _MethodBody(method)
        if isinstance(method, ast.AsyncFunctionDef):
            # A coroutine belongs to its event loop's thread.
            return body
        first = method.args.args[0].arg
        around = frozenset(self.module.decorator_locks(method))
        if says_locked(method):
            around |= self.every_lock | {"the caller's lock"}
        around = self._with_aliases(around)
        locks_at: dict[ast.stmt, frozenset[str]] = {}
        stack: list[tuple[ast.AST, ast.stmt, bool]] = [(statement, statement, False) for statement in method.body]
        while stack:
            node, statement, nested = stack.pop()
            if isinstance(node, ast.stmt):
                statement = node
            if isinstance(node, ast.ClassDef):
                continue
            if isinstance(node, SCOPES):
                nested = True
            stack.extend((below, statement, nested) for below in ast.iter_child_nodes(node))
            for attribute, kind, locks, lazy, lookup in self.steps.decisions.get(node, ()):
                held = self._with_aliases(locks) | (frozenset() if nested else around)
                body.uses.append(AttributeUse(attribute, kind, node, held, lazy=lazy, lookup=lookup))
            match node:
                case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name == first:
                    pass
                case ast.Name(id=name) if name == first and self.own_kind is not None:
                    attribute = ""
                case _:
                    continue
            if statement not in locks_at:
                locks_at[statement] = self._with_aliases(frozenset(lock for lock, _ in self.module.holds(statement)))
            held = locks_at[statement] | (frozenset() if nested else around)
            parent = self.module.tree.parents.get(node)
            if isinstance(node, ast.Name):
                use = self._use_of_itself(node, parent, held, method.name)
                if use is not None:
                    body.uses.append(use)
            elif attribute in self.names:
                self._follow(body, node, parent, attribute, held)
            elif self.kinds.get(attribute) not in _SYNCHRONISED:
                use = self._use(node, parent, attribute, held, method.name)
                if use is not None:
                    body.uses.append(use)
        if any(use.locks for use in body.uses):
            body.uses = [use if use.locks else replace(use, locks_elsewhere=True) for use in body.uses]
        return body

    def _follow(
        self, body: _MethodBody, node: ast.Attribute, parent: ast.AST | None, name: str, held: frozenset[str]
    ) -> None:
        if isinstance(parent, ast.Call) and parent.func is node:
            body.calls.append((name, held))
            return
        self.escaping.add(name)
        call = self.module.tree.parents.get(parent) if isinstance(parent, ast.keyword) else parent
        if isinstance(call, ast.Call) and last_name(call.func) in _STARTS:
            self.threads.add(name)

    def _use_of_itself(
        self, node: ast.Name, parent: ast.AST | None, held: frozenset[str], method: str
    ) -> AttributeUse | None:
        """Return what a method of a container's subclass does to the items of its object."""
        match parent:
            case ast.Subscript(value=value, ctx=ast.Store() | ast.Del()) if value is node:
                return AttributeUse("", AccessKind.COUNT if self._counts(node) else AccessKind.CHANGE, node, held)
            case ast.Attribute(value=value, attr=called) if value is node and called not in self.names:
                if called in _CHANGES:
                    return AttributeUse("", AccessKind.CHANGE, node, held, empties=called == "clear")
                above = self.module.tree.parents.get(parent)
                if called in _VIEWS and above is not None and self._is_walked(above) and method not in _FOR_READERS:
                    return AttributeUse("", AccessKind.WALK, node, held)
            case _ if self._is_walked(node) and method not in _FOR_READERS and not method.startswith("__"):
                return AttributeUse("", AccessKind.WALK, node, held)
            case _:
                pass
        return None

    def _counts(self, node: ast.AST) -> bool:
        """Return whether an item of a container is read, changed and stored: `self.n[k] = self.n[k] + 1`."""
        target: ast.AST = node
        above = self.module.tree.parents.get(target)
        while isinstance(above, ast.Subscript) and above.value is target:
            target, above = above, self.module.tree.parents.get(above)
        if isinstance(above, ast.AugAssign):
            return above.target is target
        if not isinstance(above, ast.Assign) or not isinstance(above.value, ast.BinOp) or target not in above.targets:
            return False
        left = above.value.left
        return isinstance(left, ast.Subscript) and ast.unparse(left) == ast.unparse(target)

    def _use(
        self, node: ast.Attribute, parent: ast.AST | None, attribute: str, held: frozenset[str], method: str
    ) -> AttributeUse | None:
        kind = self.kinds.get(attribute, Kind.OTHER)
        match node.ctx, parent:
            case ast.Store(), ast.AugAssign():
                done = AccessKind.CHANGE if kind in CONTAINERS else AccessKind.COUNT
                return AttributeUse(attribute, done, node, held)
            case ((ast.Store() | ast.Del()), _):
                value = getattr(parent, "value", None)
                constant = isinstance(value, ast.Constant) or isinstance(node.ctx, ast.Del) or _is_time(value)
                empties = isinstance(node.ctx, ast.Store) and _is_empty(value)
                return AttributeUse(attribute, AccessKind.WRITE, node, held, constant=constant, empties=empties)
            case _, ast.Subscript() if self._counts(node):
                return AttributeUse(attribute, AccessKind.COUNT, node, held)
            case _, ast.Subscript(value=value, ctx=ast.Store() | ast.Del()) if value is node:
                return AttributeUse(attribute, AccessKind.CHANGE, node, held)
            case _, ast.Attribute(value=value, attr=called) if value is node and kind in CONTAINERS:
                above = self.module.tree.parents.get(parent)
                if not isinstance(above, ast.Call) or above.func is not parent:
                    return AttributeUse(attribute, AccessKind.READ, node, held)
                if called in _CHANGES:
                    return AttributeUse(attribute, AccessKind.CHANGE, node, held, empties=called == "clear")
                if called in _VIEWS and self._is_walked(above) and _is_keyed(kind) and method not in _FOR_READERS:
                    return AttributeUse(attribute, AccessKind.WALK, node, held)
            case _, _ if _is_keyed(kind) and self._is_walked(node) and method not in _FOR_READERS:
                return AttributeUse(attribute, AccessKind.WALK, node, held)
            case _, ast.Attribute(value=value, attr=called) if value is node and not _IS_SAFE.search(attribute):
                above = self.module.tree.parents.get(parent)
                calls = isinstance(above, ast.Call) and above.func is parent and not called.startswith("is")
                return AttributeUse(attribute, AccessKind.READ, node, held, calls=calls)
            case _:
                pass
        return AttributeUse(attribute, AccessKind.READ, node, held)

    def _is_walked(self, node: ast.AST) -> bool:
        """Return whether an expression is iterated: by a loop, a comprehension, `sum()` or a similar function."""
        match self.module.tree.parents.get(node):
            case ast.For(iter=source) | ast.comprehension(iter=source):
                return source is node
            case ast.Call(func=func, args=arguments) as call if node in arguments:
                name = last_name(func)
                if name in ("iter", "enumerate", "reversed"):
                    return self._is_walked(call)
                return name in _STEPPING
            case _:
                return False

    def _with_aliases(self, locks: frozenset[str]) -> frozenset[str]:
        return locks | {self.aliases[lock] for lock in locks if lock in self.aliases}


def _is_time(value: ast.AST | None) -> bool:
    """Return whether an expression asks a clock: whichever thread stores last, the time is right."""
    return isinstance(value, ast.Call) and dotted(value.func) in _CLOCKS


def _is_empty(value: ast.AST | None) -> bool:
    """Return whether an expression makes an empty container."""
    match value:
        case ast.List(elts=[]) | ast.Dict(keys=[]):
            return True
        case ast.Call(func=ast.Name(id="list" | "dict" | "set" | "deque" | "OrderedDict"), args=[], keywords=[]):
            return True
        case ast.Call(func=ast.Name(id="defaultdict") | ast.Attribute(attr="defaultdict" | "deque" | "OrderedDict")):
            return True
        case _:
            return False


def _is_keyed(kind: Kind) -> bool:
    """Return whether iteration fails when another thread changes the size."""
    return (kind in KEYED and kind is not Kind.WEAK) or kind is Kind.DEQUE


def _is_static(method: Method) -> bool:
    return any(last_name(decorator) in ("staticmethod", "classmethod") for decorator in method.decorator_list)


def _aliases(owner: ast.ClassDef) -> dict[str, str]:
    """Return the conditions of a class that share a lock, with that lock: a holder of one holds the other."""
    found: dict[str, str] = {}
    for method in owner.body:
        if not isinstance(method, ast.FunctionDef):
            continue
        for statement in method.body:
            match statement:
                case ast.Assign(targets=[target], value=ast.Call(args=[lock, *_]) as call) if (
                    kind_of(call) is Kind.LOCK and dotted(lock) is not None and dotted(target) is not None
                ):
                    found[dotted(target) or ""] = dotted(lock) or ""
                case _:
                    pass
    return found
