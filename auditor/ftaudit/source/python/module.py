"""The model of one Python module that rules share: what is shared, what is locked, what runs when."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from ftaudit.model import Location, StrEnum
from ftaudit.source.base import SourceFile, TreeContext, Unit
from ftaudit.source.python.kinds import CONTAINERS, Kind, kind_of, looks_like_lock
from ftaudit.source.python.lazy import LazyInit, find_lazy_inits
from ftaudit.source.python.tree import FunctionNode, Tree, dotted, inside, last_name, targets_of

MUTATORS: Final = frozenset(
    [
        "append",
        "extend",
        "insert",
        "remove",
        "pop",
        "popitem",
        "popleft",
        "appendleft",
        "extendleft",
        "clear",
        "update",
        "add",
        "discard",
        "setdefault",
        "sort",
        "reverse",
        "difference_update",
        "intersection_update",
        "symmetric_difference_update",
        "move_to_end",
        "rotate",
        "subtract",
    ]
)
HANDED_OVER: Final = "handed over"
"""How a container is changed that an object gives to another one, which may belong to another thread."""
_STARTUP: Final = frozenset({"__init_subclass__", "__set_name__", "__class_getitem__", "__prepare__"})
_SCRIPT_NAMES: Final = re.compile(
    r"(?:^|/)(?:__main__|cli|_cli|setup|conftest|manage|noxfile|fabfile|versioneer|conf|runtests|run_tests|hatch_build"
    r"|cmdline|command_line|entrypoints?)\.pyw?$"
    r"|(?:^|/)(?:management|commands?|scripts?|tools?|bin|ci|cli|cmd|dev|build_tools|maint|distutils|\.github)/"
    r"|(?:^|/)autoreload\.py$"
)
_REGISTERS: Final = re.compile(
    r"_*(?:un)?(?:register|install|setup|set_up|configure|implements|dispatch|declare|define|overload|contribute_to_class)"
)
_HOLDS: Final = re.compile(
    r"(?i)(?:must|should|is|be|caller|while|already)\b[^.\n]{0,40}\b(?:hold|held|locked|lock is)"
)


class Where(StrEnum):
    """What a shared thing belongs to."""

    MODULE = "module"
    CLASS = "class"
    INSTANCE = "instance"


@dataclass(frozen=True, slots=True)
class Shared:
    """Something that several threads reach: a module-level name, a class attribute, an attribute of a shared object."""

    where: Where
    name: str
    """`_cache`, `Registry.items`, `self.data`: as it is written."""
    owner: str
    """The class's name, or empty."""
    kind: Kind

    @property
    def is_container(self) -> bool:
        """Whether it holds other objects and changes in place."""
        return self.kind in CONTAINERS


@dataclass(frozen=True, slots=True)
class Mutation:
    """A place in a function where something shared is changed in place."""

    node: ast.AST
    shared: Shared
    how: str
    """`[]=`, `del`, or the method's name."""

    @property
    def line(self) -> int:
        """Where it stands."""
        return int(getattr(self.node, "lineno", 0))


class PythonModule(Unit):
    """One Python module. Everything is worked out when first asked for, and once."""

    def __init__(self, source: SourceFile, context: TreeContext, root: ast.Module) -> None:
        super().__init__(source, context)
        self.tree = Tree(root)

    def place(self, node: ast.AST) -> Location:
        """Return where a node begins."""
        return self.location(getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1)

    def statement_lines(self, line: int) -> tuple[int, int]:
        """Return the lines of the simple statement, or of the head of the compound one, that the line is in."""
        best = (line, line)
        for statement in self._statements:
            first, last = statement.lineno, statement.end_lineno or statement.lineno
            body = getattr(statement, "body", None)
            if isinstance(body, list) and body:
                last = max(first, body[0].lineno - 1)
            if first <= line <= last and (best == (line, line) or last - first < best[1] - best[0]):
                best = (first, last)
        return best

    @cached_property
    def _statements(self) -> list[ast.stmt]:
        return [node for node in ast.walk(self.tree.root) if isinstance(node, ast.stmt)]

    @cached_property
    def is_script(self) -> bool:
        """Whether it is a program or belongs to one: what it does to its process is its own business."""
        return _SCRIPT_NAMES.search(self.path) is not None

    # --- names and scopes

    @cached_property
    def globals_by_function(self) -> dict[FunctionNode, frozenset[str]]:
        """The names that each function declares `global`."""
        found: dict[FunctionNode, set[str]] = defaultdict(set)
        for statement in self.tree.all(ast.Global):
            function = self.tree.function(statement)
            if function is not None:
                found[function].update(statement.names)
        return {function: frozenset(names) for function, names in found.items()}

    @cached_property
    def rebound_globals(self) -> frozenset[str]:
        """The names that some function declares `global`."""
        return frozenset(name for names in self.globals_by_function.values() for name in names)

    @cached_property
    def _locals(self) -> dict[FunctionNode, set[str]]:
        found: dict[FunctionNode, set[str]] = defaultdict(set)
        for scope in self.tree.scopes():
            arguments = scope.args
            every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
            found[scope].update(argument.arg for argument in every if argument is not None)
        for name in self.tree.all(ast.Name):
            if not isinstance(name.ctx, ast.Load):
                binding = self._binding_scope(name)
                if binding is not None and name.id not in self.globals_by_function.get(binding, ()):
                    found[binding].add(name.id)
        for node, names in self._other_bindings():
            function = self.tree.function(node)
            if function is not None:
                found[function].update(set(names) - self.globals_by_function.get(function, frozenset()))
        for statement in self.tree.all(ast.Nonlocal):
            function = self.tree.function(statement)
            if function is not None:
                found[function].difference_update(statement.names)
        return found

    def _other_bindings(self) -> Iterator[tuple[ast.AST, list[str]]]:
        """Yield what binds names without a stored name in the tree: imports, definitions, `except … as`."""
        for kind in (ast.Import, ast.ImportFrom):
            for statement in self.tree.all(kind):
                yield statement, [(alias.asname or alias.name).split(".")[0] for alias in statement.names]  # type: ignore[attr-defined]
        for function in self.tree.functions():
            if self.tree.method_owner(function) is None:
                yield function, [function.name]
        for definition in self.tree.all(ast.ClassDef):
            if self.tree.method_owner(definition) is None:
                yield definition, [definition.name]
        for handler in self.tree.all(ast.ExceptHandler):
            yield handler, [handler.name] if handler.name else []

    def _binding_scope(self, node: ast.AST) -> FunctionNode | None:
        """Return the function whose local a stored name becomes; class bodies keep theirs to themselves."""
        for parent in self.tree.above(node):
            match parent:
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                    return parent
                case ast.ClassDef():
                    return None
                case _:
                    pass
        return None

    def is_module_name(self, name: str, at: ast.AST) -> bool:
        """Tell whether a name, used at a node, is the module's."""
        function = self.tree.function(at)
        while function is not None:
            if name in self.globals_by_function.get(function, ()):
                return True
            if name in self._locals.get(function, ()):
                return False
            function = self.tree.function(function)
        return True

    @cached_property
    def module_bindings(self) -> dict[str, list[ast.stmt]]:
        """The statements outside functions and classes that assign each name."""
        found: dict[str, list[ast.stmt]] = defaultdict(list)
        stack: list[ast.stmt] = list(self.tree.root.body)
        while stack:
            statement = stack.pop()
            if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                continue
            for target in targets_of(statement):
                if isinstance(target, ast.Name) and not isinstance(statement, ast.Delete):
                    found[target.id].append(statement)
            for field in ("body", "orelse", "finalbody"):
                stack.extend(getattr(statement, field, ()))
            for handler in getattr(statement, "handlers", ()):
                stack.extend(handler.body)
        return found

    @cached_property
    def imported(self) -> frozenset[str]:
        """The names that the module's imports bind, wherever they stand."""
        names: set[str] = set()
        for plain in self.tree.all(ast.Import):
            names.update((alias.asname or alias.name).split(".")[0] for alias in plain.names)
        for statement in self.tree.all(ast.ImportFrom):
            names.update(alias.asname or alias.name for alias in statement.names)
        return frozenset(names)

    @cached_property
    def module_kinds(self) -> dict[str, Kind]:
        """What each module-level name holds, by the assignments at module level."""
        return {
            name: kind
            for name, statements in self.module_bindings.items()
            if (kind := _common_kind(statements)) is not Kind.OTHER
        }

    # --- classes

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        """The module's classes by name."""
        return {node.name: node for node in self.tree.all(ast.ClassDef)}

    @cached_property
    def class_kinds(self) -> dict[str, dict[str, Kind]]:
        """What the attributes hold that each class body assigns, by class name."""
        found: dict[str, dict[str, Kind]] = {}
        for name, node in self.classes.items():
            attributes: dict[str, list[ast.stmt]] = defaultdict(list)
            for statement in node.body:
                for target in targets_of(statement):
                    if isinstance(target, ast.Name) and not isinstance(statement, (ast.Delete, ast.For)):
                        attributes[target.id].append(statement)
            found[name] = {attribute: _common_kind(statements) for attribute, statements in attributes.items()}
        return found

    @cached_property
    def instance_kinds(self) -> dict[str, dict[str, Kind]]:
        """What the attributes hold that methods assign through `self`, by class name."""
        found: dict[str, dict[str, Kind]] = defaultdict(dict)
        for node in self.assignments():
            if not isinstance(node, (ast.Assign, ast.AnnAssign)):
                continue
            for target in targets_of(node):
                match target:
                    case ast.Attribute(value=ast.Name(id="self"), attr=attribute):
                        owner = self.tree.enclosing_class(node)
                        if owner is not None:
                            kind = kind_of(node.value, getattr(node, "annotation", None))
                            known = found[owner.name].get(attribute)
                            if known is None or (known is not Kind.LOCK and kind in CONTAINERS | {Kind.LOCK}):
                                found[owner.name][attribute] = kind
                    case _:
                        pass
        return found

    def attributes_set_on_instances(self, owner: str) -> frozenset[str]:
        """Return the attributes that methods of the class assign through `self`."""
        return frozenset(self.instance_kinds.get(owner, ()))

    def declared_only(self, owner: ast.ClassDef) -> frozenset[str]:
        """Return the attributes that the class's methods annotate without giving them a value."""
        return self._declared_only.get(owner.name, frozenset())

    @cached_property
    def _declared_only(self) -> dict[str, frozenset[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for node in self.tree.all(ast.AnnAssign):
            match node:
                case ast.AnnAssign(target=ast.Attribute(value=ast.Name(id="self"), attr=attribute), value=None):
                    owner = self.tree.enclosing_class(node)
                    if owner is not None:
                        found[owner.name].add(attribute)
                case _:
                    pass
        return {name: frozenset(names) - self.attributes_set_on_instances(name) for name, names in found.items()}

    @cached_property
    def generators(self) -> frozenset[str]:
        """The names of the module's generator functions."""
        found: set[str] = set()
        for node in (*self.tree.all(ast.Yield), *self.tree.all(ast.YieldFrom)):
            function = self.tree.function(node)
            if not isinstance(function, ast.FunctionDef) or self.tree.method_owner(function) is not None:
                continue
            if not any("context" in (dotted(decorator) or "") for decorator in function.decorator_list):
                found.add(function.name)
        return frozenset(found)

    @cached_property
    def threaded_classes(self) -> frozenset[str]:
        """The classes whose objects are meant for several threads: they own a lock, speak of threads or are one."""
        found: set[str] = set()
        for name, node in self.classes.items():
            kinds = {*self.instance_kinds.get(name, {}).values(), *self.class_kinds.get(name, {}).values()}
            if Kind.LOCK in kinds or any(dotted(base) in ("threading.Thread", "Thread") for base in node.bases):
                found.add(name)
        mentions: list[ast.AST] = [node for node in self.tree.all(ast.Attribute) if node.attr in _STARTERS]
        mentions += (node for node in self.tree.all(ast.Name) if node.id in _STARTERS)
        owners = (self.tree.enclosing_class(mention) for mention in mentions)
        found.update(owner.name for owner in owners if owner is not None)
        return frozenset(found)

    @cached_property
    def assigned_attributes(self) -> frozenset[str]:
        """The names of all attributes that the module assigns on whatever object."""
        stored = {node.attr for node in self.tree.all(ast.Attribute) if not isinstance(node.ctx, ast.Load)}
        for call in self.tree.all(ast.Call):
            match call:
                case ast.Call(func=ast.Name(id="setattr"), args=[_, ast.Constant(value=str(name)), _]):
                    stored.add(name)
                case _:
                    pass
        return frozenset(stored)

    @cached_property
    def singletons(self) -> dict[str, str]:
        """Module-level names that hold the only object of a private class of this module: name and class."""
        made: dict[str, list[ast.Call]] = defaultdict(list)
        for call in self.tree.all(ast.Call):
            match call.func:
                case ast.Name(id=name) if name in self.classes and name.startswith("_"):
                    made[name].append(call)
                case _:
                    pass
        found: dict[str, str] = {}
        for name, statements in self.module_bindings.items():
            for statement in statements:
                value = getattr(statement, "value", None)
                for owner, calls in made.items():
                    if len(calls) == 1 and calls[0] is value:
                        found[name] = owner
        return found

    def first_argument(self, node: ast.AST) -> tuple[str, ast.ClassDef, bool] | None:
        """Return the name of `self` or `cls` in a node's method, the method's class, and whether it names the class."""
        function = self.tree.function(node)
        while function is not None:
            owner = self.tree.method_owner(function)
            if owner is not None and not isinstance(function, ast.Lambda) and function.args.args:
                names = {last_name(decorator) for decorator in function.decorator_list}
                if "staticmethod" in names:
                    return None
                is_class = "classmethod" in names or function.name in ("__new__", "__init_subclass__")
                is_class = is_class or "validator" in " ".join(filter(None, names)) or _is_metaclass(owner)
                return (
                    function.args.args[0].arg,
                    owner,
                    is_class or function.args.args[0].arg in ("cls", "klass", "mcs"),
                )
            function = self.tree.function(function)
        return None

    # --- what is shared

    def shared(self, node: ast.expr) -> Shared | None:
        """Return what a name or attribute means, if several threads can reach it from here."""
        match node:
            case ast.Name(id=name):
                if name in self.module_kinds and self.is_module_name(name, node):
                    kind = self.module_kinds[name]
                    return None if kind in _NEVER_SHARED else Shared(Where.MODULE, name, "", kind)
            case ast.Attribute(value=value, attr=attribute):
                return self._shared_attribute(node, value, attribute)
            case _:
                pass
        return None

    def _shared_attribute(self, node: ast.Attribute, value: ast.expr, attribute: str) -> Shared | None:
        owner = self.class_named(value)
        if owner is not None:
            kind = self.class_attribute(owner, attribute)
            return (
                None
                if kind is None or kind in _NEVER_SHARED
                else Shared(Where.CLASS, f"{owner}.{attribute}", owner, kind)
            )
        first = self.first_argument(node)
        match value:
            case ast.Name(id=name) if first is not None and name == first[0] and not first[2]:
                owner = first[1].name
                if attribute not in self.attributes_set_on_instances(owner):
                    kind = self.class_attribute(owner, attribute)
                    if kind is not None and kind in CONTAINERS:
                        return Shared(Where.CLASS, f"{owner}.{attribute}", owner, kind)
                kind = self.instance_kinds.get(owner, {}).get(attribute)
                if kind is not None and (owner in self.threaded_classes or owner in self.singletons.values()):
                    return None if kind in _NEVER_SHARED else Shared(Where.INSTANCE, f"{name}.{attribute}", owner, kind)
            case ast.Name(id=name) if name in self.singletons and self.is_module_name(name, node):
                owner = self.singletons[name]
                kind = self.instance_kinds.get(owner, {}).get(attribute) or self.class_attribute(owner, attribute)
                if kind is not None and kind not in _NEVER_SHARED:
                    return Shared(Where.INSTANCE, f"{name}.{attribute}", owner, kind)
            case _:
                pass
        return None

    def class_attribute(self, owner: str, attribute: str) -> Kind | None:
        """Return what an attribute holds that the class's body, or that of a base in this module, assigns."""
        seen: set[str] = set()
        pending = [owner]
        while pending:
            name = pending.pop()
            if name in seen or name not in self.classes:
                continue
            seen.add(name)
            if attribute in self.class_kinds[name]:
                return self.class_kinds[name][attribute]
            pending += (base for base in map(last_name, self.classes[name].bases) if base is not None)
        return None

    def class_named(self, value: ast.expr) -> str | None:
        """Return the class that `cls`, `Name`, `type(self)` or `self.__class__` means, if it is one of this module."""
        match value:
            case ast.Name(id=name):
                if name in self.classes and self.is_module_name(name, value):
                    return name
                first = self.first_argument(value)
                if first is not None and first[2] and name == first[0]:
                    return first[1].name
            case (
                ast.Call(func=ast.Name(id="type"), args=[ast.Name(id=name)])
                | ast.Attribute(value=ast.Name(id=name), attr="__class__")
            ):
                first = self.first_argument(value)
                if first is not None and not first[2] and name == first[0]:
                    return first[1].name
            case _:
                pass
        return None

    # --- when it runs

    def in_function(self, node: ast.AST) -> FunctionNode | None:
        """Return the function that a node runs in if it can run in several threads: not at import, not in a script."""
        function = self.tree.function(node)
        if function is None or self.is_import_time(function):
            return None
        return None if self._in_main_block(function) else function

    def _in_main_block(self, node: ast.AST) -> bool:
        return any(isinstance(parent, ast.If) and _tests_main(parent.test) for parent in self.tree.above(node))

    def is_import_time(self, function: FunctionNode) -> bool:
        """Tell whether a function only runs while modules are imported or classes made."""
        return function in self._import_time

    @cached_property
    def _import_time(self) -> frozenset[FunctionNode]:
        found: set[FunctionNode] = set()
        named: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
        for function in self.tree.functions():
            owner = self.tree.method_owner(function)
            if (
                function.name in _STARTUP
                or self._returns_its_argument(function)
                or (owner is not None and _is_metaclass(owner) and function.name != "__call__")
            ):
                found.add(function)
            elif self.tree.function(function) is None and owner is None and function.name.startswith("_"):
                named[function.name] = function
        uses: dict[str, list[ast.Name]] = defaultdict(list)
        for name in self.tree.all(ast.Name):
            if name.id in named and isinstance(name.ctx, ast.Load):
                uses[name.id].append(name)
        for name_, candidate in named.items():
            places = uses.get(name_, [])
            if places and all(self.tree.function(place) is None and self._is_called(place) for place in places):
                found.add(candidate)
        for scope in self.tree.scopes():
            outer = self.tree.function(scope)
            if outer is not None and outer in found and self._only_called(scope, outer):
                found.add(scope)
        return frozenset(found)

    def _returns_its_argument(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        """Tell whether it is a decorator that registers: it does something with a function or class and returns it."""
        arguments = [*function.args.posonlyargs, *function.args.args]
        if self.tree.method_owner(function) is not None:
            arguments = arguments[1:]
        if not arguments or not isinstance(function.body[-1], ast.Return) or len(arguments) > 2:
            return False
        decorated = re.match(
            r"_?(?:fn|func|function|f|cls|klass|class_|type_?|method|callable|wrapped|obj|handler|target|c)\w*$",
            arguments[0].arg,
        )
        returned = function.body[-1].value
        return decorated is not None and isinstance(returned, ast.Name) and returned.id == arguments[0].arg

    def registers(self, node: ast.AST) -> bool:
        """Tell whether a node is in a function whose name says that it registers or sets up: run once, early."""
        function = self.tree.function(node)
        while function is not None:
            if _REGISTERS.match(getattr(function, "name", "")):
                return True
            function = self.tree.function(function)
        return False

    def _is_called(self, name: ast.Name) -> bool:
        parent = self.tree.parents.get(name)
        return isinstance(parent, ast.Call) and parent.func is name

    def _only_called(self, function: FunctionNode, outer: FunctionNode) -> bool:
        """Tell whether an inner function stays within the outer one: every use of its name there is a call."""
        if isinstance(function, ast.Lambda):
            return False
        uses = [n for n in inside(outer, functions=True) if isinstance(n, ast.Name) and n.id == function.name]
        return all(self._is_called(use) for use in uses)

    # --- locks

    def locked(self, node: ast.AST) -> bool:
        """Tell whether a node runs with a lock held: lexically, by decorator, or because every caller here has it."""
        function = self.tree.function(node)
        return self._locked_lexically(node, function) or (function is not None and function in self._locked_functions)

    def _locked_lexically(self, node: ast.AST, function: FunctionNode | None) -> bool:
        below = node
        for parent in self.tree.above(node):
            if parent is function:
                break
            match parent:
                case ast.With(items=items) | ast.AsyncWith(items=items):
                    held = (
                        items if isinstance(below, ast.stmt) else items[: items.index(below)] if below in items else []
                    )
                    if any(self.is_lock(item.context_expr) for item in held):
                        return True
                case ast.Try(finalbody=final) if final and below not in final:
                    if any(_releases(statement) for statement in final):
                        return True
                case _:
                    pass
            if isinstance(below, ast.stmt) and self._acquired_before(below):
                return True
            below = parent
        return isinstance(below, ast.stmt) and self._acquired_before(below)

    def _acquired_before(self, statement: ast.stmt) -> bool:
        """Tell whether a statement of the same block took a lock before and none gave it back."""
        held = False
        for earlier in self.tree.block(statement):
            if earlier is statement:
                return held
            match earlier:
                case ast.Expr(value=ast.Call(func=ast.Attribute(attr="acquire"))):
                    held = True
                case ast.Expr(value=ast.Call(func=ast.Attribute(attr="enter_context"), args=[argument])) if (
                    self.is_lock(argument)
                ):
                    held = True
                case ast.Expr() if _releases(earlier):
                    held = False
                case ast.Expr(value=ast.Call(func=func)) if _is_lock_call(last_name(func)):
                    held = True
                case _:
                    pass
        return False

    def is_lock(self, value: ast.expr) -> bool:
        """Tell whether an expression after `with` is a lock or takes one, by what it was made from or by its name."""
        match value:
            case ast.BoolOp(values=values):
                return any(self.is_lock(each) for each in values)
            case ast.IfExp(body=body, orelse=orelse):
                return self.is_lock(body) or self.is_lock(orelse)
            case ast.Call(func=func, args=arguments):
                if dotted(func) in ("threading.Lock", "threading.RLock", "Lock", "RLock"):
                    return False
                return self.is_lock(func) or any(
                    self.is_lock(argument) for argument in arguments if isinstance(argument, (ast.Name, ast.Attribute))
                )
            case ast.Name(id=name):
                return self.module_kinds.get(name) is Kind.LOCK or looks_like_lock(name) or name in self._local_locks
            case ast.Attribute(value=inner, attr=name):
                if looks_like_lock(name) or (name in ("acquire", "get_lock", "hold") and self.is_lock(inner)):
                    return True
                return any(kinds.get(name) is Kind.LOCK for kinds in self._all_attribute_kinds)
            case ast.Subscript(value=inner):
                return self.is_lock(inner)
            case _:
                return False

    @cached_property
    def _all_attribute_kinds(self) -> list[dict[str, Kind]]:
        return [*self.class_kinds.values(), *self.instance_kinds.values()]

    @cached_property
    def _local_locks(self) -> frozenset[str]:
        """The names that a function binds to a lock."""
        return frozenset(
            target.id
            for node in self.tree.all(ast.Assign)
            if kind_of(node.value) is Kind.LOCK
            for target in targets_of(node)
            if isinstance(target, ast.Name)
        )

    @cached_property
    def _locked_functions(self) -> frozenset[FunctionNode]:
        """The functions that hold a lock throughout: by decorator, by name, or because each call of them here does."""
        found: set[FunctionNode] = set()
        calls: dict[str, list[ast.Call]] = defaultdict(list)
        for call in self.tree.all(ast.Call):
            name = last_name(call.func) if isinstance(call.func, (ast.Name, ast.Attribute)) else None
            if name is not None:
                calls[name].append(call)
        candidates: list[ast.FunctionDef | ast.AsyncFunctionDef] = []
        for function in self.tree.functions():
            decorators = [last_name(d.func if isinstance(d, ast.Call) else d) or "" for d in function.decorator_list]
            if any(looks_like_lock(name) for name in decorators) or _says_locked(function):
                found.add(function)
            elif calls.get(function.name):
                candidates.append(function)
        changed = True
        while changed:
            changed = False
            for function in candidates:
                if function not in found and all(self._call_is_locked(c, found) for c in calls[function.name]):
                    found.add(function)
                    changed = True
        return frozenset(found)

    def _call_is_locked(self, call: ast.Call, known: set[FunctionNode]) -> bool:
        function = self.tree.function(call)
        return self._locked_lexically(call, function) or (function is not None and function in known)

    # --- what is changed

    @cached_property
    def mutations(self) -> list[Mutation]:
        """Every change in place of something shared, in functions that run after import."""
        return [
            Mutation(node, shared, how)
            for node, target, how in self._changes()
            if (shared := self.shared(target)) is not None and self.in_function(node) is not None
        ]

    @cached_property
    def lazy_inits(self) -> list[LazyInit]:
        """Every lazy initialisation of a global or of an attribute, locked or not."""
        return find_lazy_inits(self)

    def assignments(self) -> Iterator[ast.stmt]:
        """Yield every assignment, annotated and augmented ones and `del` included."""
        yield from self.tree.all(ast.Assign)
        yield from self.tree.all(ast.AnnAssign)
        yield from self.tree.all(ast.AugAssign)
        yield from self.tree.all(ast.Delete)

    def _changes(self) -> Iterator[tuple[ast.AST, ast.expr, str]]:
        for statement in self.assignments():
            for target in targets_of(statement):
                if isinstance(target, ast.Subscript):
                    yield statement, target.value, "del" if isinstance(statement, ast.Delete) else "[]="
            match statement:
                case ast.Assign(
                    targets=[ast.Attribute(value=ast.Name(id=other))],
                    value=ast.Attribute(value=ast.Name(id="self")) as given,
                ) if other != "self":
                    yield statement, given, HANDED_OVER
                case _:
                    pass
        for call in self.tree.all(ast.Call):
            match call.func:
                case ast.Attribute(value=value, attr=method) if method in MUTATORS:
                    yield call, value, method
                case _:
                    pass

    @cached_property
    def mutations_of(self) -> dict[str, list[Mutation]]:
        """The changes by the name of what is changed, class names included."""
        found: dict[str, list[Mutation]] = defaultdict(list)
        for mutation in self.mutations:
            found[identity(mutation.shared)].append(mutation)
        return found


def identity(shared: Shared) -> str:
    """Return what is the same for every way to write the same shared thing in a module."""
    attribute = shared.name.rpartition(".")[2]
    return f"{shared.owner}.{attribute}" if shared.owner else shared.name


_STARTERS: Final = frozenset(
    [
        "Thread",
        "Timer",
        "ThreadPoolExecutor",
        "ThreadPool",
        "start_new_thread",
        "current_thread",
        "get_ident",
        "settrace",
        "setprofile",
        "settrace_all_threads",
        "register_callback",
    ]
)
"""Names by which a class shows that it deals with threads."""
_NEVER_SHARED: Final = frozenset({Kind.THREAD_LOCAL, Kind.CONTEXT_VAR, Kind.LOCK})


def _common_kind(statements: list[ast.stmt]) -> Kind:
    """Return the most telling kind of the assignments: `None` beside a container leaves it one."""
    kinds = [
        kind_of(statement.value, getattr(statement, "annotation", None))
        for statement in statements
        if isinstance(statement, (ast.Assign, ast.AnnAssign))
        and not (isinstance(statement, ast.Assign) and isinstance(statement.targets[0], (ast.Tuple, ast.List)))
    ]
    for kind in kinds:
        if kind not in (Kind.OTHER, Kind.CONSTANT):
            return kind
    return kinds[0] if kinds else Kind.OTHER


def _is_metaclass(owner: ast.ClassDef) -> bool:
    return any((last_name(base) or "") == "type" or (last_name(base) or "").endswith("Meta") for base in owner.bases)


def _tests_main(test: ast.expr) -> bool:
    match test:
        case ast.Compare(left=ast.Name(id="__name__"), comparators=[ast.Constant(value="__main__")]):
            return True
        case _:
            return False


def _releases(statement: ast.stmt) -> bool:
    match statement:
        case ast.Expr(value=ast.Call(func=func)):
            name = (last_name(func) or "").lstrip("_")
            return name.startswith(("release", "unlock")) or name.endswith("_release")
        case ast.If(body=body):
            return any(_releases(inner) for inner in body)
        case _:
            return False


def _is_lock_call(name: str | None) -> bool:
    return (
        name is not None and name.lower().lstrip("_").startswith(("acquire", "lock_", "lock")) and "locked" not in name
    )


def _says_locked(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether a function's name or docstring says that its caller holds the lock."""
    name = function.name.lower()
    if name.endswith(
        ("_locked", "_with_lock", "_under_lock", "_unlocked", "_nolock", "_unsafe", "_no_lock", "_lock_held")
    ):
        return True
    documentation = ast.get_docstring(function, clean=False) or ""
    return "lock" in documentation.lower() and _HOLDS.search(documentation) is not None
