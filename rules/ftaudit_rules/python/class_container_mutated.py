"""FT503: a class attribute is assigned or changed in methods."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source.base import PythonRule
from ftaudit.source.python import PythonModule, Signal
from ftaudit.source.python.containers import tested_containers
from ftaudit.source.python.kinds import CONTAINERS, has_identity, kind_of
from ftaudit.source.python.lazy import guarded, is_harmless
from ftaudit.source.python.module import HANDED_OVER, Mutation, Where, identity
from ftaudit.source.python.tree import dotted, inside, last_name, targets_of


class ClassContainerMutated(PythonRule):
    """A method assigns a class attribute, or changes its container, after the class was created, without a lock.

    All instances, and so all threads, share the attribute. If two threads assign it, one value is lost. A container
    that is filled through `self` is shared by all objects, which is rarely intended. Most such attributes are tables
    that are filled only once, or always with the same values, so the rule reports them only with `--pedantic`. It is a
    warning if the change takes several steps: the code creates the only object of a class if it is missing, stores an
    empty entry and fills it afterwards, or removes an entry and puts it back later.
    """

    info = RuleInfo(
        code="FT503",
        name="class-container-mutated",
        summary="A method assigns or changes a class attribute, which all instances and threads share.",
        severity=Severity.WARNING,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy="Move the attribute to the instance, or guard all reads and writes with one lock.",
        links=("https://py-free-threading.github.io/porting/",),
    )
    words = ("class ",)
    signals = Signal.CLASS_STATE
    VALID = (
        SourceExample(
            code="""\
import threading
class Reg:
    items = {}
    _lock = threading.Lock()
    def add(self, k, v):
        with self._lock:
            self.items[k] = v
""",
            instead=True,
        ),
        SourceExample(
            code="""\
class Reg:
    items = {}
    def __init__(self):
        self.items = {}
    def add(self, k, v):
        self.items[k] = v
""",
        ),
        SourceExample(
            code="""\
class Machine:
    made = {}
    @classmethod
    def rules(cls):
        try:
            return cls.made[cls]
        except KeyError:
            pass
        rules = find(cls)
        cls.made[cls] = rules
        return rules
""",
        ),
        SourceExample(
            code="""\
class Task:
    typing = None
    @classmethod
    def bind(cls, app):
        if cls.typing is None:
            cls.typing = app.strict_typing
""",
        ),
        SourceExample(
            code="""\
class Base:
    kinds = {}
    def __init_subclass__(cls):
        cls.kinds[cls.__name__] = cls
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
class Telemetry:
    _one = None
    @staticmethod
    def get():
        if Telemetry._one is None:
            Telemetry()
        return Telemetry._one
    def __init__(self):
        Telemetry._one = self
""",
            lines=(5, 9),
        ),
        SourceExample(
            code="""\
class Machine:
    made = {}
    @classmethod
    def rules(cls):
        try:
            return cls.made[cls]
        except KeyError:
            pass
        cls.made[cls] = []
        for rule in find(cls):
            cls.made[cls].append(rule)
        return cls.made[cls]
""",
            lines=(9,),
        ),
        SourceExample(
            code="""\
class Factory(type):
    def __init__(cls, *args, **kwargs):
        cls.recent = OrderedDict()
    def __call__(cls, name):
        made = super().__call__(name)
        cls.recent[name] = cls.recent.pop(name, made)
        return made
""",
            lines=(6,),
        ),
        SourceExample(
            code="""\
class Reg:
    items = {}
    def add(self, k, v):
        self.items[k] = v
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
class Single:
    _instance = None
    def __new__(cls):
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance
""",
            lines=(5,),
        ),
    )

    def check(self, module: PythonModule) -> Iterator[Finding]:
        """Yield assignments to class attributes and changes of class-level containers, each once."""
        if module.is_script:
            return
        for test, name in _made_by_call(module):
            yield self.finding(
                f"`{name}` is tested here and created by the call below: two threads can both find it missing",
                location=module.place(test),
            )
        seen: set[str] = set()
        for node, name in sorted((*_assigned(module), *_changed(module)), key=lambda one: getattr(one[0], "lineno", 0)):
            function = module.in_function(node)
            if function is None or isinstance(function, ast.AsyncFunctionDef) or name in seen:
                continue
            if module.locked(node) or module.registers(node):
                continue
            seen.add(name)
            yield self.finding(
                f"this changes `{name}`, which belongs to the class and is shared by all instances and threads",
                location=module.place(node),
                severity=None if _in_steps(module, node) else Severity.PEDANTIC,
            )


def _made_by_call(module: PythonModule) -> Iterator[tuple[ast.If, str]]:
    """Yield `if C.one is None: C()`, where the constructor stores the only object in the class."""
    for test in module.tree.all(ast.If):
        if module.in_function(test) is None or module.locked(test) or len(test.body) > 3:
            continue
        for key, absent in guarded(test.test):
            owner, _, attribute = key.rpartition(".")
            if not absent or not owner or "." in owner:
                continue
            holder = module.classes.get(owner)
            if holder is None and owner in ("cls", "self"):
                holder = module.tree.enclosing_class(test)
            if holder is None or module.class_attribute(holder.name, attribute) is None:
                continue
            for statement in test.body:
                match statement:
                    case ast.Expr(value=ast.Call(func=ast.Name(id=made))) if made in (holder.name, "cls"):
                        yield test, f"{holder.name}.{attribute}"
                    case _:
                        pass


def _in_steps(module: PythonModule, node: ast.AST) -> bool:
    """Return whether another thread can see or undo part of this change."""
    function = module.tree.function(node)
    if function is None or isinstance(function, ast.Lambda) or not isinstance(node, (ast.Assign, ast.AnnAssign)):
        return False
    above = module.tree.parents.get(node)
    for target in targets_of(node):
        if isinstance(target, ast.Attribute):
            tested = isinstance(above, ast.If) and any(key == dotted(target) and no for key, no in guarded(above.test))
            if tested and (has_identity(node.value) or _is_new_object(node.value)):
                return True
        elif isinstance(target, ast.Subscript):
            stored = ast.unparse(target)
            if kind_of(node.value) in CONTAINERS and any(
                isinstance(later, ast.Call)
                and isinstance(later.func, ast.Attribute)
                and ast.unparse(later.func.value) == stored
                for later in inside(function.body)
            ):
                return True
            if any(
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and call.func.attr == "pop"
                and ast.unparse(call.func.value) == ast.unparse(target.value)
                for call in inside(node)
            ):
                return True
    return False


def _is_new_object(value: ast.expr | None) -> bool:
    """Return whether the value is `super().__new__(cls)`, `object.__new__(cls)` or `cls(…)`."""
    match value:
        case ast.Call(func=ast.Attribute(attr="__new__")) | ast.Call(func=ast.Name(id="cls" | "klass")):
            return True
        case _:
            return False


def _assigned(module: PythonModule) -> Iterator[tuple[ast.AST, str]]:
    for statement in module.tree.all(ast.Assign):
        for target in targets_of(statement):
            match target:
                case ast.Attribute(value=value, attr=attribute) if not attribute.endswith("__"):
                    owner = module.class_named(value)
                    known = owner is not None and module.class_attribute(owner, attribute) is not None
                    if known and not _is_settled_alike(module, statement, target):
                        yield statement, f"{owner}.{attribute}"
                case _:
                    pass


def _is_settled_alike(module: PythonModule, statement: ast.Assign, target: ast.Attribute) -> bool:
    """Return whether a missing value gets its default: every thread stores the same value."""
    if not is_harmless(statement):
        return False
    above = module.tree.parents.get(statement)
    return isinstance(above, ast.If) and any(key == dotted(target) and absent for key, absent in guarded(above.test))


def _changed(module: PythonModule) -> Iterator[tuple[ast.AST, str]]:
    for change in module.mutations:
        if change.shared.where is not Where.CLASS or not change.shared.is_container or change.how in _WHOLE:
            continue
        if change.how == "pop" and isinstance(change.node, ast.Call) and len(change.node.args) > 1:
            continue
        if not (_is_tested(module, change) or _is_remembered(module, change)):
            yield change.node, change.shared.name


def _is_remembered(module: PythonModule, change: Mutation) -> bool:
    """Return whether it is the single step that stores a missing value: `try: return d[k]`, then `d[k] = made`."""
    function = module.tree.function(change.node)
    match change.node:
        case ast.Assign(targets=[ast.Subscript() as stored], value=value) if kind_of(value) not in CONTAINERS:
            pass
        case _:
            return False
    if function is None or isinstance(function, ast.Lambda):
        return False
    return any(
        isinstance(node, ast.Try)
        and node.lineno < change.line
        and any(last_name(handler.type) in ("KeyError", "LookupError") for handler in node.handlers)
        and any(isinstance(r, ast.Return) and _same(r.value, stored) for s in node.body for r in inside(s))
        for node in inside(function.body)
    )


def _same(read: ast.expr | None, stored: ast.Subscript) -> bool:
    return isinstance(read, ast.Subscript) and ast.unparse(read) == ast.unparse(stored)


_WHOLE = frozenset({HANDED_OVER, "setdefault"})
"""Changes that are a single step or no change at all."""


def _is_tested(module: PythonModule, change: Mutation) -> bool:
    """Return whether the change depends on a test of the container, which `check-then-act-container` reports."""
    return any(
        identity(tested.shared) == identity(change.shared)
        for parent in module.tree.above(change.node)
        if isinstance(parent, ast.If)
        for tested in tested_containers(module, parent)
    )
