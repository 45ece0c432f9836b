"""The state of an abstract run, and how it loads a module: parents first, each body once, in Python's order."""

from __future__ import annotations

import ast
import builtins
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from ftaudit.model.reachability import MOST_SOURCE, Condition, ConditionKind, ImportSite, OpenKind, OpenSite
from ftaudit.python_text import python_encoding, with_unix_lines
from ftaudit.reach.abstract_values import UNKNOWN, Class, Failed, LibraryObject, Module, Scope, Value
from ftaudit.reach.finder import Finder, Found, FoundKind
from ftaudit.reach.load_graph import ModuleLoad, RunUnit
from ftaudit.reach.marked_lines import MarkedLines

MOST_STEPS: Final = 4_000_000
"""Limit on statements and expressions in one analysis."""
DEEPEST_LOAD: Final = 400
"""Limit on nested imports."""
IMPORT_ERRORS: Final = frozenset({"ImportError", "ModuleNotFoundError"})
_CATCHES: Final = {
    "ModuleNotFoundError": frozenset({"ModuleNotFoundError", "ImportError", "Exception", "BaseException"}),
    "ImportError": frozenset({"ImportError", "Exception", "BaseException"}),
    "PackageNotFoundError": frozenset(
        {"PackageNotFoundError", "ModuleNotFoundError", "ImportError", "Exception", "BaseException"}
    ),
    "DistributionNotFound": frozenset({"DistributionNotFound", "Exception", "BaseException"}),
}
_FIRST_LAZY: Final = (3, 15)
"""The version whose syntax has lazy imports (PEP 810)."""
_LAZY: Final = re.compile(r"^[ \t]*lazy[ \t]+(?:import|from)\b", re.MULTILINE)
_PATH: Final = re.compile(r"\bsys\.path\.(?:append|insert|extend)|\bsys\.path(?:\[[^\]]*\])? *\+?= |addsitedir")
_DYNAMIC: Final = re.compile(r"sys\.modules|meta_path|__path__\s*(?:=|\.)")


@functools.lru_cache
def _ancestors(kind: str) -> frozenset[str]:
    """Return the names of the classes that catch an exception, by the name of its class."""
    known = getattr(builtins, kind, None)
    if isinstance(known, type) and issubclass(known, BaseException):
        return frozenset(each.__name__ for each in known.__mro__)
    return frozenset({kind, "Exception", "BaseException"})


class Ended(Exception):  # An exhausted budget is not an error.
    """The step limit was reached."""


@dataclass(slots=True, eq=False)
class Handlers:
    """The exceptions that a `try` catches, while its body runs."""

    names: frozenset[str] | None
    """Last part of each class name; `None` catches everything."""
    maybe: list[str] = field(default_factory=list)
    """Exceptions that may have been raised within an undecided branch."""

    def catch(self, kind: str) -> bool:
        """Return whether an exception of this class is caught."""
        if self.names is None:
            return True
        return bool(self.names & (_CATCHES.get(kind) or _ancestors(kind)))

    @property
    def catches_imports(self) -> bool:
        """Whether a failed import is caught."""
        return self.catch("ModuleNotFoundError")


@dataclass(frozen=True, kw_only=True, slots=True)
class PythonLanguage:
    """The operations of the abstract interpreter: its parts need each other, and are connected here."""

    run_body: Callable[[AbstractRun, Module, ast.Module], None]
    run_block: Callable[[AbstractRun, Sequence[ast.stmt], Scope], object]
    evaluate: Callable[[AbstractRun, ast.expr, Scope], Value]
    call: Callable[[AbstractRun, Value, list[Value], dict[str, Value], Scope, ast.AST], Value]
    attribute: Callable[[AbstractRun, Value, str, Scope, ast.AST], Value]
    wait: Callable[[AbstractRun, Value], Value]


@dataclass(slots=True, eq=False)
class AbstractRun:
    """One abstract run."""

    finder: Finder
    version: tuple[int, int]
    sys_platform: str
    machine: str
    parse: Callable[[str], ast.Module]
    """Raises `ValueError`, or an error of ftaudit, for text that is not Python."""
    language: PythonLanguage
    names_in: Callable[[Found], Sequence[str] | None]
    """Names of modules in the binary of an extension module; `None` if it could not be read."""
    most_steps: int = MOST_STEPS
    mains: frozenset[str] = frozenset()
    """Modules that run as programs: their `__name__` is `__main__`."""
    modules: dict[str, Module] = field(default_factory=dict)
    aliases: dict[str, Value] = field(default_factory=dict)
    """Objects that code added to `sys.modules`, by name."""
    units: list[RunUnit] = field(default_factory=list)
    root: RunUnit = field(default_factory=lambda: RunUnit(module=""))
    """The unit that imports the start points."""
    unit: RunUnit = field(default_factory=lambda: RunUnit(module=""))
    conditions: list[Condition] = field(default_factory=list)
    sticky: set[Condition] = field(default_factory=set)
    """Conditions that hold to the end of their function."""
    handlers: list[Handlers] = field(default_factory=list)
    open_sites: dict[tuple[str, int], tuple[OpenSite, RunUnit]] = field(default_factory=dict)
    steps: int = 0
    files: int = 0
    loads: int = 0
    """Imports in progress."""
    calls: int = 0
    """Function calls in progress."""
    spent: dict[ast.AST, int] = field(default_factory=dict)
    """Steps of each function, without those of the functions that it calls."""
    inner: int = 0
    """Steps of the calls and imports made by the current function."""
    allowed: int = 0
    """The step count at which the outermost current call reaches its limit."""
    active: list[object] = field(default_factory=list)
    """The functions in progress."""
    call_places: list[tuple[Scope, int]] = field(default_factory=list)
    """The lines of the current unit that called them."""
    texts: dict[ast.AST, str] = field(default_factory=dict)
    """The code of conditions."""
    generators: dict[ast.AST, bool] = field(default_factory=dict)
    """Which functions are generators."""
    yields: dict[str, MarkedLines] = field(default_factory=dict)
    """The lines with `yield`, by the text of the module."""
    ran: set[ast.AST] = field(default_factory=set)
    """The import statements and calls that ran."""
    surprises: set[ast.AST] = field(default_factory=set)
    """The `try` statements where another exception than that of an absent module may be raised."""
    scripts: frozenset[str] = frozenset()
    """Modules that run as files: they have no package."""
    made_classes: set[Class] = field(default_factory=set)
    """Classes of which an import made an object."""
    made_names: set[tuple[str, str]] = field(default_factory=set)
    """Modules that the `__getattr__` of a module loaded, and the names that it made them for."""
    names_not_made: set[tuple[str, str]] = field(default_factory=set)
    """Names that the `__getattr__` of a module does not make: a second call would not give more."""
    cut_calls: dict[tuple[str, str], dict[RunUnit, tuple[Condition, ...]]] = field(default_factory=dict)
    """The calls that were not followed to their end, by module and function: the module bodies that made them, with the
    conditions.
    """
    changes_path: bool = False
    """Whether some code may have changed `sys.path`, so that a module that is not found may exist."""
    with_finders: set[str] = field(default_factory=set)
    """Top-level packages with code that may add a finder to `sys.meta_path`: it may make any of their modules."""
    times: dict[object, int] = field(default_factory=dict)
    """The number of calls of each function."""

    def step(self) -> None:
        """Count one step; raise `Ended` if there are no more."""
        self.steps += 1
        if self.steps > self.most_steps:
            raise Ended

    @property
    def is_spent(self) -> bool:
        """Whether the outermost call in progress has used its steps."""
        return self.calls > 0 and self.steps > self.allowed

    def cut_call(self, scope: Scope, label: str, line: int) -> None:
        """Record that a call of a function during an import is not followed to its end: it may do all it can do."""
        if self.unit.function is not None:
            return
        callers = self.cut_calls.setdefault((scope.module.name, label), {})
        conditions = (*self.conditions, self.condition(ConditionKind.CALL, scope, line, label))
        if len(conditions) < len(callers.get(self.unit, (*conditions, None))):
            callers[self.unit] = conditions

    def site(self, scope: Scope, line: int) -> ImportSite:
        """Return a place in the code of a scope."""
        found = scope.module.found
        shown = found.path if found.tree is None else found.tree.shown(found.twin or found.path)
        own = found.is_own
        return ImportSite(module=scope.module.name, file=shown, line=line, function=scope.label or None, own=own)

    @contextmanager
    def under(self, kind: ConditionKind, scope: Scope, line: int, text: str) -> Iterator[None]:
        """Run something under a condition; an exception there counts as possible."""
        mark = len(self.conditions)
        self.conditions.append(self.condition(kind, scope, line, text))
        try:
            yield
        except Failed as failed:
            self.may_fail(failed.kind, failed.name)
        finally:
            del self.conditions[mark:]

    def condition(self, kind: ConditionKind, scope: Scope, line: int, text: str) -> Condition:
        """Return a condition at a place."""
        found = scope.module.found
        shown = found.path if found.tree is None else found.tree.shown(found.twin or found.path)
        return Condition(kind=kind, file=shown, line=line, text=text)

    def go_on(self, condition: Condition, *, leaves: bool) -> None:
        """Assume a condition from here on: to the end of the function if the other branch `leaves` it."""
        self.conditions.append(condition)
        if leaves:
            self.sticky.add(condition)

    def leave(self, mark: int) -> None:
        """End a block of a function: drop its conditions, except those that hold for the whole function."""
        self.conditions[mark:] = [each for each in self.conditions[mark:] if each in self.sticky]

    def is_caught(self, kind: str) -> bool:
        """Return whether an enclosing `try` catches this exception."""
        return any(each.catch(kind) for each in self.handlers)

    def caught_as(self, kinds: Sequence[str]) -> str:
        """Return under which of the names of its classes, the most special first, an exception is caught first."""
        for each in reversed(self.handlers):
            for kind in kinds:
                if each.catch(kind):
                    return kind
        return kinds[0]

    def may_fail(self, kind: str, name: str) -> bool:
        """Record that an exception may be raised here; return whether something catches it."""
        for each in reversed(self.handlers):
            if each.catch(kind):
                each.maybe.append(name)
                return True
        return False

    def fail(self, kind: str, name: str) -> None:
        """Raise `Failed` if something catches it. Otherwise the program would end, so the exception is assumed not to
        happen.
        """
        if self.is_caught(kind):
            raise Failed(kind, name)

    def note_own(self, kind: OpenKind, scope: Scope, line: int, prefix: str = "") -> None:
        """Record a place that cannot be followed, if it is in the user's own code.

        What third-party functions import is found when they run separately.
        """
        if scope.module.found.is_own:
            self.note(kind, scope, line, prefix)

    def note(self, kind: OpenKind, scope: Scope, line: int, prefix: str = "") -> None:
        """Record a place that cannot be followed."""
        site = self.site(scope, line)
        key = (site.file, line)
        if key not in self.open_sites:
            found = scope.module.found
            package = scope.module.name if found.tree is None else found.tree.package(found.path)
            self.open_sites[key] = (
                OpenSite(
                    kind=kind,
                    package=package,
                    module=scope.module.name,
                    file=site.file,
                    line=line,
                    prefix=prefix,
                    function=site.function,
                ),
                self.unit,
            )

    # Loading

    def import_name(self, name: str, scope: Scope, line: int) -> Value:
        """Import a module by its absolute name, parents first; return the module, or `UNKNOWN`."""
        module: Value = UNKNOWN
        name, first = self._in_script_folder(name)
        parts = name.split(".")
        for count in range(first, len(parts) + 1):
            module = self._load(".".join(parts[:count]), scope, line)
            if module is UNKNOWN or (isinstance(module, Module) and module.found.kind is FoundKind.STDLIB):
                break
        if isinstance(module, Module) and module.found.kind is FoundKind.STDLIB and len(parts) > 1:
            if scope.module.found.is_own:
                self.may_fail("ModuleNotFoundError", name)
            return LibraryObject(name)
        return module

    def _in_script_folder(self, name: str) -> tuple[str, int]:
        """Return the name of a module below the source root, and the number of parts of its first parent.

        A file that runs as a program puts its own folder first into `sys.path`, and is in no package.
        """
        if name in self.scripts:
            return name, name.count(".") + 1
        top = name.partition(".")[0]
        for script in self.scripts:
            folder = script.rpartition(".")[0]
            near = f"{folder}.{top}"
            if folder and self.finder.find(near).kind in (FoundKind.PYTHON, FoundKind.EXTENSION, FoundKind.NAMESPACE):
                return f"{folder}.{name}", near.count(".") + 1
            found = self.finder.find(top)
            if folder and found.is_own and top != folder.partition(".")[0]:
                self.may_fail("ModuleNotFoundError", name)  # The source root may not be in the path.
        return name, 1

    def _load(self, name: str, scope: Scope, line: int) -> Value:
        if name in self.aliases:
            if self.aliases[name] is None:
                self.fail("ModuleNotFoundError", name)
            return self.aliases[name]
        # The program's own module is `__main__`: an import of its name runs the file again.
        key = f"{name}\0again" if name in self.mains and scope.module.name else name
        module = self.modules.get(key)
        if module is None:
            found = self.finder.find(name)
            if found.kind is FoundKind.ABSENT:
                return self._absent(name, scope, line)
            if found.kind is FoundKind.UNSURE:
                self._add_load(name, scope, line)
                self.may_fail("ModuleNotFoundError", name)
                return UNKNOWN
            module = self._new(name, found, key)
        if module.found.kind is FoundKind.STDLIB:
            return module
        self._add_load(name, scope, line)
        if module.scope.names.get("\0new"):
            del module.scope.names["\0new"]
            self._run(module)
        elif module.failed is not None:
            self.fail(module.failed_kind, module.failed)
        parent = self.modules.get(name.rpartition(".")[0])
        if parent is not None and parent is not module:
            parent.scope.names[name.rpartition(".")[2]] = module
        return module.value

    def _add_load(self, name: str, scope: Scope, line: int) -> None:
        self.unit.add(
            ModuleLoad(
                target=name,
                site=self.site(scope, line),
                call=self._call_in_unit(scope),
                conditions=tuple(self.conditions),
                guarded=any(each.catches_imports for each in self.handlers),
            )
        )

    def _call_in_unit(self, scope: Scope) -> ImportSite | None:
        """Return the line of the current unit's module that called the code in a scope of another module."""
        unit = self.unit.module
        if scope.module.name == unit or (not unit and scope.module.found.is_own):
            return None
        for caller, line in reversed(self.call_places):
            if caller.module.name == unit or (not unit and caller.module.found.is_own):
                return self.site(caller, line)
        return None

    def _absent(self, name: str, scope: Scope, line: int) -> Value:
        parent = self.modules.get(name.rpartition(".")[0])
        is_open = parent is not None and (parent.is_open or parent.replacement is not None)
        if is_open or name.partition(".")[0] in self.with_finders:
            self.may_fail("ModuleNotFoundError", name)
            self.note(OpenKind.COMPUTED, scope, line, name)
            return UNKNOWN
        if self.changes_path and parent is None:
            self.may_fail("ModuleNotFoundError", name)
            self.note(OpenKind.COMPUTED, scope, line, name)
            return UNKNOWN
        self.fail("ModuleNotFoundError", name)
        self.note_own(OpenKind.COMPUTED, scope, line, name)
        return UNKNOWN

    def _new(self, name: str, found: Found, key: str) -> Module:
        unit = RunUnit(module=name)
        module = Module(name=name, found=found, unit=unit, is_main=key in self.mains)
        module.scope = Scope(module=module, names={"\0new": True})
        self.modules[key] = module
        self.units.append(unit)
        return module

    def _run(self, module: Module) -> None:
        """Run a module's body, once."""
        found = module.found
        if self.loads >= DEEPEST_LOAD:
            self.note(OpenKind.BUDGET, module.scope, 1)
            module.is_open = True
            return
        kept = self.unit, self.conditions, self.calls, self.call_places
        left, begun, before = self.allowed - self.steps, self.steps, self.inner
        self.unit, self.conditions, self.calls, self.call_places = module.unit, [], 0, []
        self.loads += 1
        try:
            if found.kind is FoundKind.PYTHON or found.twin.endswith(".py"):
                self._run_source(module)
            if found.kind is FoundKind.EXTENSION:
                self._run_binary(module)
        except Failed as failed:
            module.failed, module.failed_kind = failed.name, failed.kind
            raise
        finally:
            self.loads -= 1
            self.unit, self.conditions, self.calls, self.call_places = kept
            self.allowed = self.steps + left
            self.inner = before + self.steps - begun
            module.done = True

    def _run_source(self, module: Module) -> None:
        found = module.found
        tree = self.read_tree(module, found.twin or found.path)
        if tree is not None:
            self.language.run_body(self, module, tree)

    def read_tree(self, module: Module, path: str) -> ast.Module | None:
        """Return the tree of a module's source, or `None` if it cannot be parsed."""
        found = module.found
        data = None if found.tree is None else found.tree.read(path)
        if data is None:
            self.note(OpenKind.UNREAD, module.scope, 1)
            module.is_open = True
            return None
        if len(data) > MOST_SOURCE:
            self.note(OpenKind.TOO_LARGE, module.scope, 1)
            module.is_open = True
            return None
        try:
            text = decode(data)
            tree = self.parse(text)
        except Exception:  # Whatever the parser raises, this file is not followed.
            self.note(OpenKind.UNPARSED, module.scope, 1)
            module.is_open = True
            return None
        self.files += 1
        module.tree, module.text = tree, text
        if "lazy" in text:
            module.lazy = frozenset(text.count("\n", 0, match.start()) + 1 for match in _LAZY.finditer(text))
        if self.version < _FIRST_LAZY and _has_import_at(tree, module.lazy):
            self.note(OpenKind.UNPARSED, module.scope, min(module.lazy))
            module.is_open, module.tree = True, None
            return None
        module.is_open = module.is_open or _DYNAMIC.search(text) is not None
        if _PATH.search(text):
            self.changes_path = True
        if "meta_path" in text:
            self.with_finders.add(module.name.partition(".")[0])
        return tree

    def _run_binary(self, module: Module) -> None:
        """Load the modules that an extension module's binary names."""
        module.is_open = True
        if module.found.twin.endswith(".py"):
            names: Sequence[str] | None = [each for each in self.names_in(module.found) or () if "__mypyc" in each]
        else:
            names = self.names_in(module.found)
        if names is None:
            self.note(OpenKind.BINARY, module.scope, 0)
            return
        for name in names:
            if name == module.name:
                continue
            if name.endswith("__mypyc"):
                self.import_name(name, module.scope, 0)
                continue
            with self.under(ConditionKind.NAMED, module.scope, 0, module.name):
                self.import_name(name, module.scope, 0)


def _has_import_at(tree: ast.Module, lines: frozenset[int]) -> bool:
    """Return whether an import statement starts at one of the lines."""
    return bool(lines) and any(
        node.lineno in lines for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))
    )


def decode(data: bytes) -> str:
    """Return the text of a Python file, as CPython reads it; raise an error if CPython cannot."""
    return with_unix_lines(data.decode(python_encoding(data)))
