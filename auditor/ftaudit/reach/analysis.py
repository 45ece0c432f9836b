"""One analysis: runs the start points, then the functions of the modules that they load, until nothing new is found."""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from ftaudit.deep_stack import with_deep_stack
from ftaudit.model.reachability import OpenKind, StartPoint
from ftaudit.reach.abstract_run import AbstractRun, Ended, PythonLanguage
from ftaudit.reach.abstract_values import UNKNOWN, Failed, Lazy, Module, OneOf, Scope, Value
from ftaudit.reach.attribute_values import attribute
from ftaudit.reach.call_values import call, run_coroutine
from ftaudit.reach.expressions import evaluate
from ftaudit.reach.finder import Found, FoundKind, ImportTree
from ftaudit.reach.load_graph import RunUnit
from ftaudit.reach.marked_lines import MarkedLines
from ftaudit.reach.statements import run_block, run_body
from ftaudit.reach.unfollowed import note_unfollowed

LANGUAGE: Final = PythonLanguage(
    run_body=run_body, run_block=run_block, evaluate=evaluate, call=call, attribute=attribute, wait=run_coroutine
)
MOST_FUNCTION: Final = 20_000
"""Step limit for the calls of one function that is run separately."""
_RECURSION: Final = 200_000
_IMPORTS: Final = re.compile(
    r"(?:^[ \t]+|[:;][ \t]*|\\\n[ \t]*)(?:lazy[ \t]+)?(?:import|from)[ \t.]|import_module|__import__|"
    r"[ \t=(](?:exec|eval)\(|run_module|run_path|resolve_name|entry_points|\.load\(|import\\\n",
    re.MULTILINE,
)
_BLOCKS: Final = (
    ast.If, ast.Try, ast.With, ast.AsyncWith, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.Match,
    ast.match_case, *((ast.TryStar,) if hasattr(ast, "TryStar") else ()),
)  # fmt: skip
"""Nodes whose children are statements."""


def start(machine: AbstractRun, name: str, function: str | None = None) -> bool:
    """Import a start point, and call its function; return whether it exists."""
    root = machine.unit
    scope = Scope(module=Module(name="", found=Found(kind=FoundKind.NAMESPACE, name=""), unit=root), names={})
    found = machine.finder.find(name)
    if found.kind in (FoundKind.ABSENT, FoundKind.STDLIB, FoundKind.UNSURE):
        return False
    module = machine.import_name(name, scope, 0)
    if function and isinstance(module, Module):
        value = module
        names = module.scope.names
        hidden = module.is_open or module.replacement is not None or module.tree is None or module.failed is not None
        if not hidden and not names.keys() & {function.partition(".")[0], "__getattr__", "\0star"}:
            return False
        for part in function.split("."):
            value = attribute(machine, value, part, scope, ast.Pass(lineno=0))
        call(machine, value, [], {}, module.scope, ast.Pass(lineno=0))
    return True


def run_site(machine: AbstractRun) -> None:
    """Run what Python runs when it starts: the import lines of `.pth` files, `sitecustomize` and `usercustomize`."""
    root = Scope(module=Module(name="", found=Found(kind=FoundKind.NAMESPACE, name=""), unit=machine.root), names={})
    for name in ("sitecustomize", "usercustomize"):
        found = machine.finder.find(name)
        if found.kind is FoundKind.PYTHON and not found.is_own:
            with contextlib.suppress(Failed):
                machine.import_name(name, root, 0)
    for tree in machine.finder.trees:
        for path in tree.paths() if not tree.own else ():
            # Those of setuptools make namespace packages, which the finder knows.
            if path.endswith(".pth") and "/" not in path and not path.endswith("-nspkg.pth"):
                _run_path_file(machine, tree, path)
    machine.aliases.clear()


def _run_path_file(machine: AbstractRun, tree: ImportTree, path: str) -> None:
    found = Found(kind=FoundKind.PYTHON, name=path, tree=tree, path=path)
    scope = Scope(module=Module(name=path, found=found, unit=machine.root), names={})
    text = (tree.read(path) or b"").decode("utf-8", "replace")
    for number, line in enumerate(text.splitlines()):
        if not line.startswith(("import ", "import\t")):
            continue
        code = _parsed(machine, line)
        if code is not None:
            with contextlib.suppress(Failed):  # `site` reports the error, and Python starts.
                run_block(machine, ast.increment_lineno(code, number).body, scope)


def _parsed(machine: AbstractRun, line: str) -> ast.Module | None:
    try:
        return machine.parse(line)
    except Exception:  # Whatever the parser raises, `site` does not run this line either.
        return None


def run_functions(machine: AbstractRun) -> None:
    """Run the function bodies of every loaded module, and of the modules that they load."""
    done: set[str] = set()
    while waiting := [(key, module) for key, module in list(machine.modules.items()) if key not in done]:
        for key, module in waiting:
            done.add(key)
            if module.tree is None:
                continue
            for label, node, owner in _functions(module):
                _run_function(machine, module, label, node, owner)


def _run_function(machine: AbstractRun, module: Module, label: str, node: Any, owner: object) -> None:
    unit = RunUnit(module=module.name, function=label)
    machine.units.append(unit)
    kept = machine.unit, machine.conditions, machine.handlers, machine.calls, machine.active, machine.call_places
    machine.unit, machine.conditions, machine.handlers, machine.calls = unit, [], [], 30
    machine.active, machine.call_places = [], []
    machine.allowed = machine.steps + MOST_FUNCTION
    names = {argument.arg: UNKNOWN for argument in ast.iter_child_nodes(node.args) if isinstance(argument, ast.arg)}
    scope = Scope(module=module, names=names, parent=module.scope, label=label, yielded=[])
    try:
        if isinstance(node, ast.Lambda):
            evaluate(machine, node.body, scope)
        else:
            run_block(machine, node.body, scope)
    except Failed:
        pass
    finally:
        machine.unit, machine.conditions, machine.handlers, machine.calls, machine.active, machine.call_places = kept


def _functions(module: Module) -> Iterator[tuple[str, Any, object]]:
    """Yield the functions to run: those that import, and all in the user's code or in a module with lazy names."""
    tree = module.tree
    if tree is None:
        return
    own = module.found.is_own
    places = {*(match.start() for match in _IMPORTS.finditer(module.text)), *_lazy_names(module)}
    marked = MarkedLines(module.text, places)
    if not marked and not own:
        return

    def visit(body: Sequence[ast.AST], label: str) -> Iterator[tuple[str, Any, object]]:
        for each in body:
            if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)):
                last = each.end_lineno or each.lineno
                if own or marked.any_within(each.lineno, last):
                    name = f"{label}.{each.name}" if label else each.name
                    yield name, each, None
                    yield from visit(each.body, name)
            elif isinstance(each, ast.ClassDef):
                yield from visit(each.body, f"{label}.{each.name}" if label else each.name)
            elif isinstance(each, _BLOCKS):
                yield from visit(list(ast.iter_child_nodes(each)), label)
            elif isinstance(each, (ast.Assign, ast.Expr, ast.AnnAssign, ast.AugAssign, ast.Return)):
                first, last = each.lineno, each.end_lineno or each.lineno
                if marked.any_within(first, last):
                    for inner in ast.walk(each):
                        if isinstance(inner, ast.Lambda):
                            yield f"{label}.<lambda>" if label else "<lambda>", inner, None

    yield from visit(tree.body, "")


def _lazy_names(module: Module) -> Iterator[int]:
    """Yield the places that may load something by using a name: a lazy import, or what a module computes on demand."""
    known: dict[str, frozenset[str]] = {}
    for name, value in module.scope.names.items():
        if isinstance(value, Lazy) or (isinstance(value, Module) and value.replacement is not None):
            known[name] = frozenset()
        elif isinstance(value, Module) and "__getattr__" in value.scope.names and value is not module:
            known[name] = frozenset(each for each, found in value.scope.names.items() if not _may_load(found))
    if not known:
        return
    used = re.compile(rf"\b({'|'.join(map(re.escape, known))})\b(?:\.(\w+))?")
    for match in used.finditer(module.text):
        if match[2] is None or match[2] not in known[match[1]]:
            yield match.start()


def _may_load(value: Value) -> bool:
    """Return whether reading the attributes of a module's value can load something."""
    if isinstance(value, Module):
        return value.replacement is not None or "__getattr__" in value.scope.names
    return isinstance(value, (Lazy, OneOf))


def analyze(machine: AbstractRun, starts: Sequence[StartPoint]) -> list[StartPoint]:
    """Run everything; return the start points that do not exist."""
    missing: list[StartPoint] = []

    def leave_open(kind: OpenKind) -> None:
        found = Found(kind=FoundKind.NAMESPACE, name="")
        machine.unit = machine.root
        machine.note(kind, Scope(module=Module(name="", found=found, unit=machine.root), names={}), 0)

    def work() -> None:
        root = machine.unit = machine.root
        try:
            run_site(machine)
            missing.extend(each for each in starts if not start(machine, each.module, each.function))
            machine.unit = root
            run_functions(machine)
            note_unfollowed(machine)
        except (Ended, RecursionError):  # Nothing that a package does may end the answer for the rest.
            leave_open(OpenKind.BUDGET)
        except Exception:
            leave_open(OpenKind.ERROR)

    machine.scripts = frozenset(each.module for each in starts if each.text.endswith(".py"))
    machine.mains = frozenset(each.module for each in starts if each.is_main)
    with_deep_stack(work, recursion=_RECURSION)
    return missing
