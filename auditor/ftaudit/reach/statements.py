"""Runs statements: blocks, branches, loops, and definitions."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final

from ftaudit.model.reachability import ConditionKind, OpenKind
from ftaudit.reach.abstract_run import AbstractRun, Ended, Handlers
from ftaudit.reach.abstract_values import (
    MOST_ITEMS,
    UNKNOWN,
    Bound,
    Class,
    Failed,
    FunctionValue,
    Instance,
    Items,
    LibraryObject,
    Module,
    Pending,
    Scope,
    Value,
    is_constant,
    truth,
)
from ftaudit.reach.bindings import assign, bind, is_weak
from ftaudit.reach.class_values import lineage, make_class
from ftaudit.reach.import_statements import run_import, run_import_from
from ftaudit.reach.iterating import iterate

MOST_TURNS: Final = 512
"""How often a loop's body is run."""
TEXT: Final = 80
"""Limit on the characters of a stored condition."""


class BlockEnd(Enum):
    """How a block ends."""

    GO = "go"
    RETURN = "return"
    BREAK = "break"
    CONTINUE = "continue"


_ENDS: Final = (BlockEnd.RETURN, BlockEnd.BREAK, BlockEnd.CONTINUE)


def run_body(machine: AbstractRun, module: Module, tree: ast.Module) -> None:
    """Run a module's code."""
    run_block(machine, tree.body, module.scope)


def run_block(machine: AbstractRun, statements: Sequence[ast.stmt], scope: Scope) -> BlockEnd:
    """Run statements in order; return how they end on every path that is not excluded."""
    for statement in statements:
        machine.step()
        run = _RUN.get(type(statement))
        if run is None:
            continue
        conditions, handlers = len(machine.conditions), len(machine.handlers)
        try:
            flow = run(machine, statement, scope)
        except (Failed, Ended, RecursionError, MemoryError):
            raise
        except Exception:  # An error in ftaudit, which must not end the answer for the rest.
            machine.note(OpenKind.ERROR, scope, statement.lineno)
            del machine.conditions[conditions:], machine.handlers[handlers:]
            continue
        if flow is not None and flow is not BlockEnd.GO:
            return flow
    return BlockEnd.GO


def text_of(machine: AbstractRun, node: ast.AST) -> str:
    """Return the code of an expression, shortened."""
    known = machine.texts.get(node)
    if known is None:
        try:
            known = " ".join(ast.unparse(node).split())
        except (RecursionError, ValueError):
            known = ""
        if len(known) > TEXT:
            known = known[: TEXT - 1] + "…"
        machine.texts[node] = known
    return known


def _if(machine: AbstractRun, node: ast.If, scope: Scope) -> BlockEnd:
    decided = truth(machine.language.evaluate(machine, node.test, scope))
    if decided is not None:
        return run_block(machine, node.body if decided else node.orelse, scope)
    text = text_of(machine, node.test)
    flows = []
    failed = []
    for kind, block in ((ConditionKind.BRANCH, node.body), (ConditionKind.NOT_BRANCH, node.orelse)):
        mark = len(machine.conditions)
        machine.conditions.append(machine.condition(kind, scope, node.lineno, text))
        fails = False
        try:
            flow = run_block(machine, block, scope)
        except Failed as error:
            machine.may_fail(error.kind, error.name)
            fails, flow = True, BlockEnd.RETURN
        # A condition excluded within the branch holds for the rest of the code too, if the branch is taken.
        del machine.conditions[mark:]
        flows.append(flow)
        failed.append(fails)
    first, second = flows
    if first in _ENDS and second in _ENDS:
        return first if first is second else BlockEnd.RETURN
    if first in _ENDS and (failed[0] or not _raises(node.body)):
        machine.go_on(
            machine.condition(ConditionKind.NOT_BRANCH, scope, node.lineno, text), leaves=first is BlockEnd.RETURN
        )
    elif second in _ENDS and (failed[1] or not _raises(node.orelse)):
        machine.go_on(
            machine.condition(ConditionKind.BRANCH, scope, node.lineno, text), leaves=second is BlockEnd.RETURN
        )
    return BlockEnd.GO


def _raises(block: Sequence[ast.stmt]) -> bool:
    """Return whether a block ends in an exception, which ends the program if nothing catches it."""
    return bool(block) and isinstance(block[-1], ast.Raise)


def _for(machine: AbstractRun, node: ast.For | ast.AsyncFor, scope: Scope) -> BlockEnd:
    values, complete = iterate(machine, machine.language.evaluate(machine, node.iter, scope))
    mark = len(machine.conditions)
    turns = values[:MOST_TURNS]
    complete = complete and len(values) <= MOST_TURNS
    broken = False
    for value in turns:
        if machine.is_spent:
            _end_early(machine, scope, node)
            complete = False
            break
        assign(machine, node.target, value, scope)
        flow = run_block(machine, node.body, scope)
        if flow is BlockEnd.RETURN:
            return flow
        if flow is BlockEnd.BREAK:
            broken = True
            break
    machine.leave(mark)
    if not complete and not broken:
        returns = False  # An import that fails ends the block early.
        with machine.under(ConditionKind.LOOP, scope, node.lineno, text_of(machine, node.iter)):
            assign(machine, node.target, UNKNOWN, scope)
            flow = run_block(machine, node.body, scope)
            returns = flow is BlockEnd.RETURN and not _raises(node.body)
        if returns:
            machine.go_on(
                machine.condition(ConditionKind.LOOP, scope, node.lineno, text_of(machine, node.iter)), leaves=True
            )
    return BlockEnd.GO if broken else run_block(machine, node.orelse, scope)


def _end_early(machine: AbstractRun, scope: Scope, node: ast.stmt) -> None:
    """Record that the turns of a loop are not followed any further."""
    machine.note(OpenKind.BUDGET, scope, node.lineno)
    machine.cut_call(scope, scope.label, node.lineno)


def _while(machine: AbstractRun, node: ast.While, scope: Scope) -> BlockEnd:
    mark = len(machine.conditions)
    for _ in range(64):
        decided = truth(machine.language.evaluate(machine, node.test, scope))
        if decided is False:
            return run_block(machine, node.orelse, scope)
        if machine.is_spent:
            _end_early(machine, scope, node)
            break
        if decided is None:
            with machine.under(ConditionKind.LOOP, scope, node.lineno, text_of(machine, node.test)):
                run_block(machine, node.body, scope)
            break
        flow = run_block(machine, node.body, scope)
        if flow is BlockEnd.RETURN:
            return flow
        if flow is BlockEnd.BREAK:
            break
    else:
        machine.note_own(OpenKind.BUDGET, scope, node.lineno)
    machine.leave(mark)
    return BlockEnd.GO


def _try(machine: AbstractRun, node: ast.Try, scope: Scope) -> BlockEnd:
    caught = Handlers(names=frozenset())
    names: list[frozenset[str] | None] = [_names_of(handler.type) for handler in node.handlers]
    if any(each is None for each in names):
        caught.names = None
    else:
        caught.names = frozenset().union(*(each for each in names if each is not None))
    mark = len(machine.conditions)
    machine.handlers.append(caught)
    raised: Failed | None = None
    flow = BlockEnd.GO
    try:
        flow = run_block(machine, node.body, scope)
    except Failed as failed:
        raised = failed
    finally:
        machine.handlers.pop()
    machine.leave(mark)
    if caught.maybe or (raised is not None and raised.kind not in IMPORT_KINDS):
        machine.surprises.add(node)
    if raised is not None:
        handler = next((h for h, n in zip(node.handlers, names, strict=True) if Handlers(n).catch(raised.kind)), None)
        try:
            if handler is None:
                raise raised
            flow = _handle(machine, handler, scope)
        finally:
            if node.finalbody:
                run_block(machine, node.finalbody, scope)
        return flow
    sure = _cannot_fail(node.body)
    for handler, kinds in zip(node.handlers, names, strict=True):
        imports_alone = kinds is not None and kinds <= IMPORT_KINDS
        if caught.maybe or (not sure and not imports_alone):
            text = text_of(machine, handler.type) if handler.type is not None else ""
            with machine.under(ConditionKind.HANDLER, scope, handler.lineno, text):
                _handle(machine, handler, scope)
    if flow is BlockEnd.GO:
        flow = run_block(machine, node.orelse, scope)
    last = run_block(machine, node.finalbody, scope)
    return last if last in _ENDS else flow


IMPORT_KINDS: Final = frozenset({"ImportError", "ModuleNotFoundError", "PackageNotFoundError", "DistributionNotFound"})


def _handle(machine: AbstractRun, handler: ast.ExceptHandler, scope: Scope) -> BlockEnd:
    if handler.name:
        bind(machine, scope, handler.name, UNKNOWN)
    return run_block(machine, handler.body, scope)


def _names_of(node: ast.expr | None) -> frozenset[str] | None:
    """Return the last parts of the class names in a handler; `None` catches everything."""
    match node:
        case None:
            return None
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return frozenset({name})
        case ast.Tuple(elts=elements):
            every = [_names_of(each) for each in elements]
            return frozenset().union(*(each for each in every if each is not None))
        case _:
            return frozenset({"Exception"})


def _cannot_fail(body: Sequence[ast.stmt]) -> bool:
    """Return whether only a failed import can raise in a block."""
    return all(isinstance(each, (ast.Import, ast.ImportFrom, ast.Pass, ast.FunctionDef)) for each in body)


def _with(machine: AbstractRun, node: ast.With | ast.AsyncWith, scope: Scope) -> BlockEnd:
    suppressed: frozenset[str] | None = frozenset()
    exits = []
    for item in node.items:
        manager = machine.language.evaluate(machine, item.context_expr, scope)
        entered: Value = UNKNOWN
        match manager:
            case LibraryObject(name="contextlib.suppress()", about=Items(items=kinds)):
                names = [k.name if isinstance(k, (LibraryObject, Class)) else "Exception" for k in kinds]
                suppressed = frozenset(name.rpartition(".")[2] for name in names)
            case Instance():
                enter = machine.language.attribute(machine, manager, "__enter__", scope, node)
                exits.append(machine.language.attribute(machine, manager, "__exit__", scope, node))
                if enter is not UNKNOWN:
                    entered = machine.language.call(machine, enter, [], {}, scope, node)
            case Pending():  # A generator under `asynccontextmanager`.
                values, _ = iterate(machine, manager)
                entered = values[0] if values else UNKNOWN
            case LibraryObject():
                entered = manager  # Most of them return themselves.
            case Items(items=[first, *_]):
                entered = first  # The value that a generator under `contextmanager` yields.
            case _:
                pass
        if item.optional_vars is not None:
            assign(machine, item.optional_vars, entered, scope)
    handlers = Handlers(suppressed)
    machine.handlers.append(handlers)
    mark = len(machine.conditions)
    flow = BlockEnd.GO
    try:
        flow = run_block(machine, node.body, scope)
    except Failed as failed:
        if not handlers.catch(failed.kind):
            raise
    finally:
        machine.handlers.pop()
    if handlers.maybe:
        machine.leave(mark)
    for leave in exits:
        if leave is not UNKNOWN:
            machine.language.call(machine, leave, [None, None, None], {}, scope, node)
    return flow


def _match(machine: AbstractRun, node: ast.Match, scope: Scope) -> None:
    subject = machine.language.evaluate(machine, node.subject, scope)
    for case in node.cases:
        decided = _matches(case.pattern, subject) if case.guard is None else None
        if decided is False:
            continue
        if decided:
            if isinstance(case.pattern, ast.MatchAs) and case.pattern.name:
                bind(machine, scope, case.pattern.name, subject)
            run_block(machine, case.body, scope)
            return
        with machine.under(ConditionKind.BRANCH, scope, case.pattern.lineno, text_of(machine, node.subject)):
            for name in ast.walk(case.pattern):
                if isinstance(name, (ast.MatchAs, ast.MatchStar)) and name.name:
                    bind(machine, scope, name.name, UNKNOWN)
                elif isinstance(name, ast.MatchMapping) and name.rest:
                    bind(machine, scope, name.rest, UNKNOWN)
            run_block(machine, case.body, scope)


def _matches(pattern: ast.pattern, subject: Value) -> bool | None:
    match pattern:
        case ast.MatchAs(pattern=None):
            return True
        case ast.MatchValue(value=ast.Constant(value=value)) if is_constant(subject):
            return bool(value == subject)
        case ast.MatchOr(patterns=patterns):
            answers = [_matches(each, subject) for each in patterns]
            return True if True in answers else None if None in answers else False
        case _:
            return None


# Definitions


def _define(machine: AbstractRun, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> None:
    function = make_function(machine, node, scope, node.name)
    given = node.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    hints = [each.annotation for each in every if each is not None] + [node.returns]
    _annotate(machine, hints, scope, read=bool(node.decorator_list))
    bind(machine, scope, node.name, decorate(machine, node, function, scope))


def _annotate(machine: AbstractRun, hints: Sequence[ast.expr | None], scope: Scope, *, read: bool) -> None:
    """Evaluate annotations: before CPython 3.14 at their definition, since then if something reads them (PEP 649)."""
    if scope.module.text and "import annotations" in scope.module.text:
        return
    for each in hints:
        if each is None or isinstance(each, (ast.Name, ast.Constant)):
            continue
        if machine.version < (3, 14):
            machine.language.evaluate(machine, each, scope)
        elif read:
            with machine.under(ConditionKind.SEVERAL, scope, each.lineno, "__annotations__"):
                machine.language.evaluate(machine, each, scope)


def make_function(
    machine: AbstractRun, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, scope: Scope, name: str
) -> FunctionValue:
    """Return a function, with its defaults evaluated."""
    arguments = node.args
    defaults: dict[str, Value] = {}
    positional = [*arguments.posonlyargs, *arguments.args]
    for argument, default in zip(reversed(positional), reversed(arguments.defaults), strict=False):
        defaults[argument.arg] = machine.language.evaluate(machine, default, scope)
    for argument, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if value is not None:
            defaults[argument.arg] = machine.language.evaluate(machine, value, scope)
    label = f"{scope.label}.{name}" if scope.label else name
    return FunctionValue(node=node, scope=scope, label=label, defaults=defaults)


def decorate(
    machine: AbstractRun, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, made: Value, scope: Scope
) -> Value:
    """Return the decorated function or class; an unknown decorator has no effect."""
    value = made
    for expression in reversed(node.decorator_list):
        decorator = machine.language.evaluate(machine, expression, scope)
        if decorator is UNKNOWN:
            continue
        result = machine.language.call(machine, decorator, [value], {}, scope, node)
        if isinstance(result, (FunctionValue, Class, Instance, Bound)):
            value = result
    return value


def _class(machine: AbstractRun, node: ast.ClassDef, scope: Scope) -> None:
    made = make_class(machine, node, scope)
    bind(machine, scope, node.name, decorate(machine, node, made, scope))


# Simple statements


def _assign(machine: AbstractRun, node: ast.Assign, scope: Scope) -> None:
    value = machine.language.evaluate(machine, node.value, scope)
    for target in node.targets:
        assign(machine, target, value, scope)


def _assign_annotated(machine: AbstractRun, node: ast.AnnAssign, scope: Scope) -> None:
    if scope.is_class and scope.owner is not None and isinstance(node.target, ast.Name):
        scope.owner.fields.append(node.target.id)
    if not scope.label or scope.is_class:
        _annotate(machine, [node.annotation], scope, read=scope.is_class)
    if node.value is not None:
        assign(machine, node.target, machine.language.evaluate(machine, node.value, scope), scope)


def _assign_augmented(machine: AbstractRun, node: ast.AugAssign, scope: Scope) -> None:
    target = node.target
    value = machine.language.evaluate(machine, node.value, scope)
    if isinstance(target, ast.Name):
        old = machine.language.evaluate(machine, ast.Name(id=target.id, ctx=ast.Load(), lineno=node.lineno), scope)
        if isinstance(old, Items) and isinstance(node.op, ast.Add):
            more, complete = iterate(machine, value)
            new = Items(old.kind, [*old.items, *more][:MOST_ITEMS], old.complete and complete)
            if old.kind == "list":
                old.items, old.complete = new.items, new.complete
                return
            bind(machine, scope, target.id, new)
        elif isinstance(old, str) and isinstance(value, str) and isinstance(node.op, ast.Add):
            bind(machine, scope, target.id, (old + value)[:10_000])
        else:
            bind(machine, scope, target.id, UNKNOWN)
    elif isinstance(target, ast.Attribute):
        old = machine.language.evaluate(
            machine, ast.Attribute(value=target.value, attr=target.attr, ctx=ast.Load(), lineno=node.lineno), scope
        )
        if isinstance(old, Items) and isinstance(node.op, ast.Add):
            more, complete = iterate(machine, value)
            old.items = [*old.items, *more][:MOST_ITEMS]
            old.complete = old.complete and complete


def _expression(machine: AbstractRun, node: ast.Expr, scope: Scope) -> None:
    if not isinstance(node.value, ast.Constant):
        machine.language.evaluate(machine, node.value, scope)


def _return(machine: AbstractRun, node: ast.Return, scope: Scope) -> BlockEnd:
    value = None if node.value is None else machine.language.evaluate(machine, node.value, scope)
    scope.returned.append(value)
    return BlockEnd.RETURN


def _raise(machine: AbstractRun, node: ast.Raise, scope: Scope) -> BlockEnd:
    kind = "Exception"
    text = ""
    if node.exc is not None:
        value = machine.language.evaluate(machine, node.exc, scope)
        target = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        match value:
            case Instance(cls=cls) | (Class() as cls):
                if value is cls:
                    machine.language.call(machine, cls, [], {}, scope, node)
                kind = machine.caught_as(_names_in_line(cls))
            case _:
                kind = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "Exception")
        text = text_of(machine, node.exc)
    machine.fail(kind, text)
    return BlockEnd.RETURN


def _names_in_line(cls: Class) -> list[str]:
    """Return the names of a class and of its bases."""
    found = []
    for each in lineage(cls):
        if each is not None:
            found.append(each.name)
            found += [base.name.rpartition(".")[2] for base in each.bases if isinstance(base, LibraryObject)]
    return found


def _delete(machine: AbstractRun, node: ast.Delete, scope: Scope) -> None:
    for target in node.targets:
        match target:
            case ast.Name(id=name) if not is_weak(machine, scope):
                scope.names.pop(name, None)
            case _:
                pass


def _global(machine: AbstractRun, node: ast.Global, scope: Scope) -> None:
    scope.declared.update(node.names)


def _nonlocal(machine: AbstractRun, node: ast.Nonlocal, scope: Scope) -> None:
    scope.outer.update(node.names)


def _assert(machine: AbstractRun, node: ast.Assert, scope: Scope) -> BlockEnd:
    decided = truth(machine.language.evaluate(machine, node.test, scope))
    if decided is not True and node.msg is not None:
        with machine.under(ConditionKind.NOT_BRANCH, scope, node.lineno, text_of(machine, node.test)):
            machine.language.evaluate(machine, node.msg, scope)
    if decided is False and machine.is_caught("AssertionError"):
        machine.fail("AssertionError", text_of(machine, node.test))
    return BlockEnd.GO


_RUN: Final[dict[type[ast.stmt], Callable[..., BlockEnd | None]]] = {
    ast.Import: run_import,
    ast.ImportFrom: run_import_from,
    ast.If: _if,
    ast.For: _for,
    ast.AsyncFor: _for,
    ast.While: _while,
    ast.Try: _try,
    ast.With: _with,
    ast.AsyncWith: _with,
    ast.Match: _match,
    ast.FunctionDef: _define,
    ast.AsyncFunctionDef: _define,
    ast.ClassDef: _class,
    ast.Assign: _assign,
    ast.AnnAssign: _assign_annotated,
    ast.AugAssign: _assign_augmented,
    ast.Expr: _expression,
    ast.Return: _return,
    ast.Raise: _raise,
    ast.Delete: _delete,
    ast.Global: _global,
    ast.Nonlocal: _nonlocal,
    ast.Assert: _assert,
    ast.Break: lambda machine, node, scope: BlockEnd.BREAK,
    ast.Continue: lambda machine, node, scope: BlockEnd.CONTINUE,
}
if hasattr(ast, "TryStar"):
    _RUN[ast.TryStar] = _try
