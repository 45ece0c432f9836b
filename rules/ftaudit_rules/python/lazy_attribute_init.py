"""FT509: an attribute is initialized on first use in a way that another thread can see half done."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity, Site
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule, Signal
from ftaudit.source.python.kinds import CONTAINERS, Kind, has_identity, kind_of
from ftaudit.source.python.lazy import LazyInit, assignments_to, belongs_to_loop, guarded, is_harmless
from ftaudit.source.python.object_states import find_states
from ftaudit.source.python.tree import dotted, inside, last_name, targets_of
from ftaudit.source.shared_state import AccessKind


class LazyAttributeInit(PythonRule):
    """An attribute is initialized on first use without a lock.

    For most objects this is harmless: only one thread uses them, or both threads create the same value. It is not
    harmless if the object is meant for several threads (it owns a lock); if the value is a connection, a client or a
    parser, because two are created and one is lost; if the code deletes the input of the value afterwards; if an empty
    container is assigned and filled afterwards; or if attributes of a class are deleted and created again. The rule
    reports all other cases only with `--pedantic`.
    """

    info = RuleInfo(
        code="FT509",
        name="lazy-attribute-init",
        summary=(
            "An attribute is initialized on first use without a lock, and another thread can see it half-initialized."
        ),
        severity=Severity.WARNING,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy="Build the value in a local variable and assign it to the attribute last, or hold the object's lock.",
        links=("https://docs.python.org/3.14/library/threadsafety.html",),
    )
    signals = Signal.LAZY_ATTRIBUTE | Signal.THREADS | Signal.SINGLETON
    VALID = (
        SourceExample(
            code="""\
import asyncio
import threading
class Socket:
    def __init__(self):
        self._lock = threading.Lock()
        self._read_task = None
    def start(self):
        if self._read_task is not None:
            return
        self._read_task = asyncio.create_task(self._read())
""",
        ),
        SourceExample(
            code="""\
import threading
class Setup:
    def __init__(self):
        self._lock = threading.Lock()
        self._connection = None
    def service(self):
        with self._lock:
            return self._service()
    def _service(self):
        if self._connection is None:
            self._connection = connect()
        return self._connection
""",
            instead=True,
        ),
        SourceExample(
            code="""\
class D:
    def value(self):
        with self._lock:
            if self._v is None:
                self._v = self._make()
                self._make = None
            return self._v
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
import threading
class Setup:
    def __init__(self):
        self._runs_lock = threading.Lock()
        self._connection = None
    def service(self):
        if self._connection:
            return self._connection
        self._connection = connect()
        return self._connection
_lock = threading.Lock()
_setup = None
def setup():
    global _setup
    with _lock:
        _setup = _setup or Setup()
        _setup.service()
""",
            lines=(7,),
        ),
        SourceExample(
            code="""\
import threading
class Pool:
    def __init__(self):
        self._lock = threading.Lock()
        self._conn = None
    def conn(self):
        if self._conn is None:
            self._conn = connect()
        return self._conn
""",
            lines=(7,),
        ),
        SourceExample(
            code="""\
class Api:
    def __init__(self, url):
        self.url = url
        self._client = None
    @property
    def client(self):
        if self._client is None:
            self._client = Client(self.url)
        return self._client
""",
            lines=(7,),
        ),
        SourceExample(
            code="""\
class D:
    def value(self):
        assert "_v" not in self.__dict__
        self._v = compute(self)
        return self._v
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
class D:
    def value(self):
        if self._v is None:
            self._v = self._make()
            self._make = None
        return self._v
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
class D:
    def value(self):
        if self._v is None:
            made = self._make()
            self._v = made
            self._make = None
        return self._v
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
class D:
    def label(self):
        if self._label is None:
            self._label = busy
            self._label = self.make_label()
        return self._label
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
class D:
    def index(self):
        if self._index is None:
            self._index = {}
            for k, v in self.rows:
                self._index[k] = v
        return self._index
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
class Model:
    @classmethod
    def rebuild(cls):
        cls.complete = False
        delattr(cls, "validator")
        cls.validator = build(cls)
        cls.complete = True
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
class Config:
    def __init__(self):
        self._ready = False
    def setup(self):
        self.provider = make_provider()
        self._ready = True
    def get(self):
        if not self._ready:
            self.setup()
        return self.provider
CONFIG = Config()
""",
            lines=(8,),
        ),
        SourceExample(
            code="""\
class D:
    def value(self):
        if self._v is None:
            self._v = compute(self)
        return self._v
""",
            lines=(3,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield unlocked lazy attributes; those that another thread can see half done as warnings."""
        if module.is_script:
            return
        for lazy in module.lazy_inits:
            owner = module.tree.enclosing_class(lazy.test)
            if "." not in lazy.key or owner is None or isinstance(lazy.function, ast.AsyncFunctionDef):
                continue
            name = getattr(lazy.function, "name", "")
            if name in _EXEMPT or module.locked(lazy.test) or any(module.locked(one) for one in lazy.assignments):
                continue
            if any(kind_of(getattr(one, "value", None)) is Kind.LOCK for one in lazy.assignments):
                # FT526 says so.
                continue
            if any(map(belongs_to_loop, lazy.assignments)):
                continue
            harm = _harm(module, lazy)
            yield self.finding(
                f"`{lazy.key}` is initialized on first use without a lock" + (f": {harm}" if harm else ""),
                location=module.place(lazy.test),
                severity=Severity.WARNING if harm else Severity.PEDANTIC,
                sites=tuple(
                    Site(location=module.place(node), access=access.value, entry_point=name)
                    for node, access in (
                        (lazy.test, AccessKind.READ),
                        *((one, AccessKind.WRITE) for one in lazy.assignments),
                    )
                ),
            )
        yield from self._asserted(module)
        yield from self._deleted_class_attributes(module)

    def _asserted(self, module: PythonModule) -> Iterator[Finding]:
        """Yield `assert "_x" not in self.__dict__` before `self._x = …`: the second thread fails there."""
        for statement in module.tree.all(ast.Assert):
            function = module.in_function(statement)
            if function is None or isinstance(function, ast.Lambda) or module.locked(statement):
                continue
            for key, absent in guarded(statement.test):
                if absent and "__dict__" in ast.unparse(statement.test) and any(assignments_to(key, function.body)):
                    yield self.finding(
                        (
                            f"this asserts that `{key}` is missing before it is set: the assertion fails in a second "
                            "thread"
                        ),
                        location=module.place(statement),
                    )

    def _deleted_class_attributes(self, module: PythonModule) -> Iterator[Finding]:
        for node, key, first in class_deletions(module):
            function = module.in_function(node)
            if function is not None and not module.locked(node):
                yield self.finding(
                    "attributes of the class are deleted and created again here: other threads meanwhile lack "
                    f"`{key}`, deleted on line {getattr(node, 'lineno', '?')}",
                    location=module.place(first),
                )


_EXEMPT = frozenset({"__init__", "__new__", "__del__", "__exit__", "__enter__", "close", "stop", "shutdown", "setUp"})


def _harm(module: PythonModule, lazy: LazyInit) -> str | None:
    """Return what another thread can see half done, or `None`."""
    owner = lazy.key.rpartition(".")[0]
    first = getattr(lazy.assignments[0], "value", None)
    if owner not in ("self", "cls"):
        return None
    for statement in lazy.body:
        for node in inside(statement):
            match node:
                case ast.Delete() | ast.Assign(value=ast.Constant(value=None)):
                    for target in targets_of(node):
                        name = dotted(target)
                        if name is None or name == lazy.key or name.rpartition(".")[0] != owner:
                            continue
                        if node.lineno > lazy.assignments[0].lineno and _is_used(lazy, name):
                            return f"its input `{name}` is already deleted for a second thread"
                case _:
                    pass
    if isinstance(first, ast.expr) and kind_of(first) in CONTAINERS and _is_empty(first) and _filled_later(lazy):
        return "it is assigned empty and filled afterwards"
    if (twice := _set_up_twice(module, lazy)) is not None:
        return f"two threads can both run `{twice}()` on the object that all threads use"
    if _in_two_steps(lazy):
        return "a placeholder is assigned before the value is complete"
    if _owns_lock(module, lazy) and any(_is_thing(one) for one in lazy.assignments):
        return None if _is_locked_elsewhere(module, lazy) else "the object owns a lock, but does not hold it here"
    if _is_opened(module, lazy):
        return "two threads can each create a value, and one of the two is lost"
    return None


def _set_up_twice(module: PythonModule, lazy: LazyInit) -> str | None:
    """Return the method that sets up a shared object on first use, if neither it nor its caller takes a lock."""
    owner = module.classes.get(_owner(module, lazy))
    if owner is None or owner.name not in {*module.singletons.values(), *module.threaded_classes}:
        return None
    match lazy.assignments[0]:
        case (
            ast.Expr(value=ast.Call(func=ast.Attribute(attr=name)))
            | ast.Return(value=ast.Call(func=ast.Attribute(attr=name)))
        ):
            method = next((one for one in owner.body if isinstance(one, ast.FunctionDef) and one.name == name), None)
        case _:
            return None
    if method is None or isinstance(lazy.function, ast.Lambda) or lazy.function.name in _EXEMPT:
        return None
    stored = list(assignments_to(lazy.key, method.body))
    guarded_again = any(
        key == lazy.key for node in method.body if isinstance(node, ast.If) for key, _ in guarded(node.test)
    )
    return None if guarded_again or any(module.locked(one) for one in stored) else name


def _is_thing(assignment: ast.stmt) -> bool:
    """Return whether two threads that make the assignment create two objects, one of which is lost."""
    value = getattr(assignment, "value", None)
    if isinstance(value, ast.Call) and last_name(getattr(assignment, "targets", [None])[0]) is not None:
        name = last_name(getattr(assignment, "targets", [None])[0]) or ""
        return has_identity(value) or (_OPENED.search(name) is not None and not is_harmless(assignment))
    return has_identity(value)


def _owns_lock(module: PythonModule, lazy: LazyInit) -> bool:
    owner = _owner(module, lazy)
    kinds = {*module.instance_kinds.get(owner, {}).values(), *module.class_kinds.get(owner, {}).values()}
    return Kind.LOCK in kinds


def _is_locked_elsewhere(module: PythonModule, lazy: LazyInit) -> bool:
    """Return whether another place holds a lock for the attribute, so that `unlocked-object-state` reports it."""
    wanted = _owner(module, lazy), lazy.key.rpartition(".")[2]
    return any(
        access.locks
        for state in find_states(module)
        if (state.state.owner, state.state.name) == wanted
        for access in state.accesses
    )


_OPENED = re.compile(
    r"(?i)(?:^|_|[a-z])(?:conn|connection|client|session|pool|channel|socket|sock|transport|parser|engine|executor|thread"
    r"|worker|server|producer|consumer|publisher|cursor|stub|driver)s?$"
)
"""Names of objects that are opened and closed, or that keep state while they are used."""
_OF_ONE = re.compile(r"(?i)request|response|form|field|widget|context|node|visitor|builder|command|event|message|test")
"""Names of classes whose objects belong to one thread."""


def _is_opened(module: PythonModule, lazy: LazyInit) -> bool:
    """Return whether a connection, a client, a parser or a similar object is created on first use."""
    if _OF_ONE.search(_owner(module, lazy)) or _ENTERS.match(getattr(lazy.function, "name", "")):
        return False
    attribute = lazy.key.rpartition(".")[2]
    for assignment in lazy.assignments:
        value = getattr(assignment, "value", None)
        if isinstance(value, ast.Call) and not is_harmless(assignment):
            made = last_name(value.func) or ""
            return _OPENED.search(attribute) is not None or (has_identity(value) and _OPENED.search(made) is not None)
    return False


_ENTERS = re.compile(r"_*(?:connect|open|start|reconnect|setup|init|run|begin|launch|enter|on_|handle_|ensure_open)")
"""Names of methods that set up the object: its owner calls them once."""


def _owner(module: PythonModule, lazy: LazyInit) -> str:
    owner = module.tree.enclosing_class(lazy.test)
    return "" if owner is None else owner.name


def _is_used(lazy: LazyInit, name: str) -> bool:
    """Return whether the value is computed from an attribute that is then deleted, possibly through a local name."""
    made = [getattr(lazy.assignments[0], "value", None)]
    if isinstance(made[0], ast.Name):
        local = made[0].id
        made += (
            node.value
            for statement in lazy.body
            for node in inside(statement)
            if isinstance(node, ast.Assign) and any(dotted(target) == local for target in node.targets)
        )
    return any(
        dotted(node) == name
        for value in made
        if value is not None
        for node in ast.walk(value)
        if isinstance(node, ast.Attribute)
    )


def _in_two_steps(lazy: LazyInit) -> bool:
    """Return whether a placeholder is published first, and then the value, which a call computes."""
    steps = [statement for statement in lazy.body if statement in lazy.assignments]
    match steps:
        case [ast.Assign(value=ast.Name() | ast.Constant() as stand_in), ast.Assign(value=ast.Call())]:
            return not (isinstance(stand_in, ast.Constant) and stand_in.value is None)
        case _:
            return False


def _is_empty(value: ast.expr) -> bool:
    match value:
        case ast.Dict(keys=items) | ast.List(elts=items) | ast.Set(elts=items):
            return not items
        case ast.Call(args=arguments):
            return not arguments or isinstance(arguments[0], ast.Name)
        case _:
            return False


def _filled_later(lazy: LazyInit) -> bool:
    for statement in lazy.body:
        for node in inside(statement):
            match node:
                case (
                    ast.Assign(targets=[ast.Subscript(value=value)])
                    | ast.Call(
                        func=ast.Attribute(value=value, attr="append" | "add" | "update" | "extend" | "setdefault")
                    )
                ) if dotted(value) == lazy.key:
                    return True
                case _:
                    pass
    return False


def class_deletions(module: PythonModule) -> Iterator[tuple[ast.AST, str, ast.AST]]:
    """Yield each `del cls.x` and `delattr(cls, …)` in methods that also assign attributes of the class.

    Each comes with the deleted name, and the first of these statements in the method.
    """
    for statement in module.tree.all(ast.Delete):
        for target in statement.targets:
            if isinstance(target, ast.Attribute):
                yield from _rebuilding(module, statement, target.value, ast.unparse(target))
    for call in module.tree.all(ast.Call):
        match call:
            case ast.Call(func=ast.Name(id="delattr"), args=[owner, name]):
                yield from _rebuilding(module, call, owner, f"{ast.unparse(owner)}[{ast.unparse(name)}]")
            case _:
                pass


def _rebuilding(
    module: PythonModule, node: ast.AST, owner: ast.expr, what: str
) -> Iterator[tuple[ast.AST, str, ast.AST]]:
    function = module.tree.function(node)
    if module.class_named(owner) is None or function is None or isinstance(function, ast.Lambda):
        return
    assigned = [
        inner
        for inner in inside(function.body)
        for target in targets_of(inner)
        if not isinstance(inner, ast.Delete)
        and isinstance(target, ast.Attribute)
        and dotted(target.value) == dotted(owner)
    ]
    if assigned:
        yield node, what, min((node, *assigned), key=lambda one: getattr(one, "lineno", 0))
