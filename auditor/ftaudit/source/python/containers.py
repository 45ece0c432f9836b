"""Uses of shared containers in Python code: tests before a change, loops, iterators."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from ftaudit.source.python.kinds import KEYED, Kind, has_identity, kind_of
from ftaudit.source.python.module import Mutation, PythonModule, Shared, Where, identity
from ftaudit.source.python.tree import Tree, dotted, inside, last_name, targets_of

_VIEWS = frozenset({"items", "values", "keys", "itervalues", "iteritems", "iterkeys", "elements"})
_CONSUMERS = frozenset({"max", "min", "sum", "any", "all", "map", "filter", "enumerate", "zip", "join"})
"""Calls that take one item at a time and run Python code, or other threads', in between."""


@dataclass(frozen=True, slots=True)
class Tested:
    """A condition on a shared container, and the change that depends on it."""

    shared: Shared
    change: ast.stmt | None
    by_id: bool
    """The key is an `id()`."""
    takes: bool
    """An item is removed because the container is not empty: one thread too many finds nothing."""
    equal: bool = False
    """Both threads store an equal value, and nothing removes it: the second store changes nothing."""
    lookup: ast.expr | None = None
    """If nothing is changed: the look-up of the key that was found, which another function removes."""


@dataclass(frozen=True, slots=True)
class Iteration:
    """A loop over a shared container."""

    node: ast.AST
    shared: Shared

    @property
    def line(self) -> int:
        """Its place."""
        return int(getattr(self.node, "lineno", 0))


def tested_containers(module: PythonModule, test: ast.If | ast.While) -> Iterator[Tested]:
    """Yield the shared containers whose key or length a condition checks, with the first change of each."""
    for container, key, absent in (*_asked(test.test), *_asked_before(module, test)):
        shared = _reached(module, container)
        if shared is None or shared.kind is Kind.CACHE:
            # Such a cache is not even safe to read.
            continue
        if not (shared.is_container or shared.kind is Kind.INSTANCE or shared.kind is Kind.OTHER):
            continue
        body = list(test.body)
        if key is not None and (last_name(key) or "").endswith("loop"):
            # One entry for each event loop, which runs in one thread.
            continue
        if isinstance(test, ast.While) and key is not None:
            # A loop waits for the result, or follows a chain.
            continue
        if absent is not None and test.body and isinstance(test.body[-1], (ast.Return, ast.Continue, ast.Raise)):
            block = module.tree.block(test)
            if test in block:
                body += block[block.index(test) + 1 :]
        change = next(_changes(module, shared, body + test.orelse, key), None)
        if change is not None and _is_tested_again(module, shared, test, change):
            change = None
        if change is None and key is None and not isinstance(module.tree.parents.get(container), ast.Call):
            # A test for emptiness has many reasons; it counts if an item is then removed.
            continue
        by_id = isinstance(key, ast.Call) and dotted(key.func) == "id"
        lookup = _lookup(module, shared, test, body, container, key, absent) if change is None else None
        equal = change is not None and _is_equal(module, shared, change)
        yield Tested(shared, change, by_id, takes=key is None and change is not None, equal=equal, lookup=lookup)


def filled_when_empty(module: PythonModule, test: ast.If) -> tuple[Shared, ast.stmt] | None:
    """Return the shared container that a function fills step by step because it is empty, with the first step.

    A thread that comes in between finds a container that is not empty, and uses what is there so far.
    """
    match test.test:
        case ast.UnaryOp(op=ast.Not(), operand=(ast.Name() | ast.Attribute()) as container):
            body = list(test.body)
        case ast.Name() | ast.Attribute() as container:
            match test.body:
                case [ast.Return(value=ast.Name() | ast.Attribute() as returned)] if dotted(returned) == dotted(
                    container
                ):
                    block = module.tree.block(test)
                    body = block[block.index(test) + 1 :] if test in block else []
                case _:
                    return None
        case _:
            return None
    shared = module.shared(container)
    if shared is None or not shared.is_container or shared.kind is Kind.CACHE or shared.where is Where.INSTANCE:
        return None
    for statement in body:
        for loop in inside([statement]):
            if not isinstance(loop, (ast.For, ast.While)):
                continue
            for change in inside(loop.body):
                if isinstance(change, ast.stmt) and _fills(module, shared, change):
                    return shared, change
    return None


def _fills(module: PythonModule, shared: Shared, change: ast.stmt) -> bool:
    match change:
        case (
            ast.Assign(targets=[ast.Subscript(value=container)])
            | ast.Expr(
                value=ast.Call(
                    func=ast.Attribute(value=container, attr="append" | "add" | "update" | "extend" | "setdefault")
                )
            )
        ):
            filled = module.shared(container)
            return filled is not None and identity(filled) == identity(shared)
        case _:
            return False


def _asked_before(
    module: PythonModule, test: ast.If | ast.While
) -> Iterator[tuple[ast.expr, ast.expr | None, bool | None]]:
    """Yield the checks of a condition on a local name that was just looked up: `x = d.get(k)`, then `if x is None`."""
    if not isinstance(test, ast.If):
        return
    match test.test:
        case ast.UnaryOp(op=ast.Not(), operand=ast.Name(id=name)):
            absent = True
        case ast.Compare(left=ast.Name(id=name), ops=[ast.Is()], comparators=[ast.Constant(value=None)]):
            absent = True
        case ast.Compare(left=ast.Name(id=name), ops=[ast.IsNot()], comparators=[ast.Constant(value=None)]):
            absent = False
        case ast.Name(id=name):
            absent = False
        case _:
            return
    before = module.tree.before(test)
    if isinstance(before, ast.With):
        # `with lock: x = d.get(k)`, and the decision after it.
        before = before.body[-1]
    match before:
        case ast.Assign(
            targets=[ast.Name(id=bound)],
            value=ast.Call(func=ast.Attribute(value=container, attr="get"), args=[key, *_]),
        ) if bound == name:
            yield container, key, absent
        case _:
            pass


def _is_equal(module: PythonModule, shared: Shared, change: ast.stmt) -> bool:
    """Return whether the change stores a value that any other thread also stores, in a container that only grows."""
    match change:
        case ast.Assign(value=value) | ast.AnnAssign(value=value) if value is not None:
            pass
        case _:
            return False
    if isinstance(value, (ast.Name, ast.Attribute)):
        function = module.tree.function(change)
        body = function.body if function is not None and isinstance(function.body, list) else []
        named = dotted(value)
        made = [
            node.value
            for node in inside(body)
            if isinstance(node, ast.Assign) and any(named == dotted(each) for each in targets_of(node))
        ]
        if any(map(has_identity, made)):
            return False
    if shared.name == "sys.modules" or has_identity(value):
        return False
    return not removals(module, shared)


def removals(module: PythonModule, shared: Shared) -> list[Mutation]:
    """Return the changes that remove something from a container."""
    return [change for change in module.mutations_of.get(identity(shared), ()) if change.how in _REMOVING]


_REMOVING = frozenset({"del", "pop", "popitem", "popleft", "clear", "remove", "discard", "difference_update"})


def _lookup(
    module: PythonModule,
    shared: Shared,
    test: ast.If | ast.While,
    body: list[ast.stmt],
    container: ast.expr,
    key: ast.expr | None,
    absent: bool | None,
) -> ast.expr | None:
    """Return the first `d[k]` that relies on `k in d`, if another function of the module removes keys from `d`."""
    if key is None or absent is None or not isinstance(test, ast.If) or shared.kind not in KEYED:
        return None
    function = module.tree.function(test)
    if all(module.tree.function(change.node) is function for change in removals(module, shared)):
        return None
    wanted = f"{ast.unparse(container)}[{ast.unparse(key)}]"
    relying: list[ast.AST] = [test.test]
    relying += (test.orelse or body[len(test.body) :]) if absent else test.body
    for part in relying:
        for node in inside(part):
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and ast.unparse(node) == wanted:
                return node
    return None


def _is_tested_again(module: PythonModule, shared: Shared, test: ast.If | ast.While, change: ast.stmt) -> bool:
    """Return whether the change is under a lock that also covers a second check: correct double-checked locking."""
    if not module.locked(change):
        return False
    for inner in module.tree.all(ast.If):
        if inner is test or not test.lineno < inner.lineno <= change.lineno or not module.locked(inner):
            continue
        for container, _, _ in _asked(inner.test):
            again = module.shared(container)
            if again is not None and identity(again) == identity(shared):
                return True
    return False


def _asked(test: ast.expr) -> Iterator[tuple[ast.expr, ast.expr | None, bool | None]]:
    """Yield container, key and whether the key is missing when the condition holds; key `None` for a length."""
    match test:
        case ast.BoolOp(values=values):
            for value in values:
                yield from _asked(value)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            for container, key, absent in _asked(operand):
                yield container, key, None if absent is None else not absent
        case ast.Compare(left=key, ops=[ast.NotIn()], comparators=[container]):
            yield _bare(container), key, True
        case ast.Compare(left=key, ops=[ast.In()], comparators=[container]):
            yield _bare(container), key, False
        case ast.Compare(left=ast.Call(func=ast.Name(id="len"), args=[container])):
            yield container, None, None
        case ast.Compare(left=ast.Subscript(value=container, slice=key), ops=[ast.Is() | ast.Eq()], comparators=[none]):
            if isinstance(none, ast.Constant) and none.value is None:
                yield container, key, True
        case ast.Compare(left=ast.Subscript(value=container, slice=key), ops=[ast.IsNot()], comparators=[none]):
            if isinstance(none, ast.Constant) and none.value is None:
                yield container, key, False
        case ast.Subscript(value=container, slice=ast.Constant() as key):
            yield container, key, False
        case ast.Name() | ast.Attribute():
            yield test, None, None
        case _:
            pass


def _bare(container: ast.expr) -> ast.expr:
    match container:
        case ast.Call(func=ast.Attribute(value=value, attr="keys"), args=[]):
            return value
        case _:
            return container


def _reached(module: PythonModule, container: ast.expr) -> Shared | None:
    """Return what a container means if several threads can reach it, `sys.modules` included."""
    if dotted(container) == "sys.modules":
        return Shared(Where.MODULE, "sys.modules", "", Kind.DICT)
    return module.shared(container) or _injected(module, container)


def modules_made_twice(module: PythonModule) -> Iterator[tuple[ast.Try, ast.stmt]]:
    """Yield `try: return sys.modules[name]`, and the `sys.modules[name] = …` that follows if it was missing.

    Of another dictionary the value that comes second takes the place of an equal one; a module is what it is.
    """
    for attempt in module.tree.all(ast.Try):
        function = module.in_function(attempt)
        if not isinstance(function, ast.FunctionDef) or not any(
            last_name(handler.type) == "KeyError" for handler in attempt.handlers
        ):
            continue
        returned = {ast.unparse(node) for node in inside(attempt.body) if isinstance(node, ast.Return)}
        for node in inside(function.body):
            for target in targets_of(node) if isinstance(node, ast.Assign) else ():
                is_module = isinstance(target, ast.Subscript) and dotted(target.value) == "sys.modules"
                if is_module and isinstance(node, ast.Assign) and f"return {ast.unparse(target)}" in returned:
                    yield attempt, node


def _injected(module: PythonModule, container: ast.expr) -> Shared | None:
    """Return an attribute that a threaded class declares but does not create: its creator may have shared it.

    Or one that a method deals with which takes a lock of the module, elsewhere.
    """
    match container:
        case ast.Attribute(value=ast.Name(id="self"), attr=attribute):
            owner = module.tree.enclosing_class(container)
            if owner is not None and module.takes_module_lock(module.tree.function(container)):
                kind = module.instance_kinds.get(owner.name, {}).get(attribute)
                if kind in KEYED:
                    return Shared(Where.INSTANCE, f"self.{attribute}", owner.name, kind)
            if owner is not None and owner.name in module.threaded_classes and attribute in module.declared_only(owner):
                return Shared(Where.INSTANCE, f"self.{attribute}", owner.name, Kind.OTHER)
        case _:
            pass
    return None


def _changes(module: PythonModule, shared: Shared, body: list[ast.stmt], key: ast.expr | None) -> Iterator[ast.stmt]:
    """Yield the statements, in order, that change the container in a way that can make the check stale."""
    wanted = identity(shared)
    found: list[ast.stmt] = []
    for statement in body:
        for node in inside(statement):
            changed = _changed(node, key)
            if changed is None:
                continue
            other = _reached(module, changed)
            if other is not None and identity(other) == wanted:
                place = module.tree.statement(node)
                if place is not None:
                    found.append(place)
    yield from sorted(found, key=lambda statement: statement.lineno)


def _changed(node: ast.AST, key: ast.expr | None) -> ast.expr | None:
    match node:
        case ast.Assign() | ast.AnnAssign() | ast.Delete():
            for target in targets_of(node):
                if isinstance(target, ast.Subscript) and (key is None or ast.dump(target.slice) == ast.dump(key)):
                    return target.value
        case ast.Call(func=ast.Attribute(value=value, attr="pop"), args=arguments):
            # `pop(k, None)` is harmless if the key is gone.
            return value if len(arguments) < 2 else None
        case ast.Call(func=ast.Attribute(value=value, attr=method)):
            if key is None:
                return value if method in ("popitem", "popleft") else None
            if method in ("remove", "append", "__setitem__", "__delitem__"):
                return value
        case _:
            pass
    return None


def iterated(tree: Tree) -> Iterator[tuple[ast.AST, ast.expr]]:
    """Yield each loop, comprehension and consuming call with its iterable."""
    for loop in tree.all(ast.For):
        yield loop, loop.iter
    for comprehension in tree.all(ast.comprehension):
        yield comprehension.iter, comprehension.iter
    for call in tree.all(ast.Call):
        match call.func:
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in _CONSUMERS:
                for argument in call.args:
                    if isinstance(argument, (ast.Name, ast.Attribute)) or _is_view(argument):
                        yield call, argument
            case _:
                pass


def _is_view(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr=method), args=[]):
            return method in _VIEWS
        case _:
            return False


def without_view(source: ast.expr) -> ast.expr:
    """Return `d` of `d`, `d.items()`, `iter(d)`, `enumerate(d.values())`, `reversed(d)`."""
    match source:
        case ast.Call(func=ast.Attribute(value=value), args=[]) if _is_view(source):
            return value
        case ast.Call(func=ast.Name(id="iter" | "enumerate" | "reversed" | "filter" | "map"), args=[*_, inner]):
            return without_view(inner)
        case _:
            return source


def iterations(module: PythonModule) -> Iterator[Iteration]:
    """Yield the loops over shared objects; a generator expression over a copy does not count."""
    for node, source in iterated(module.tree):
        shared = module.shared(without_view(source))
        if shared is not None:
            yield Iteration(node, shared)


def weak_iterations(module: PythonModule) -> Iterator[ast.AST]:
    """Yield the loops over weak containers, except local ones that the function creates."""
    for node, source in iterated(module.tree):
        bare = without_view(source)
        shared = module.shared(bare)
        if shared is not None:
            if shared.kind is Kind.WEAK:
                yield node
            continue
        match bare:
            case ast.Attribute(value=ast.Name(id="self"), attr=attribute):
                owner = module.tree.enclosing_class(bare)
                if owner is not None and module.instance_kinds.get(owner.name, {}).get(attribute) is Kind.WEAK:
                    yield node
            case _:
                pass


def is_shared_iterator(module: PythonModule, value: ast.expr) -> bool:
    """Return whether a name or attribute is an iterator that the module or one of its classes holds."""
    shared = module.shared(value)
    if shared is not None:
        return shared.kind is Kind.ITERATOR and shared.where is not Where.INSTANCE
    match value:
        case ast.Name(id=name) if module.is_module_name(name, value):
            made = module.module_bindings.get(name, [])
        case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=attribute):
            owner = module.tree.enclosing_class(value)
            if owner is None or attribute in module.attributes_set_on_instances(owner.name):
                return False
            made = [s for s in owner.body for t in targets_of(s) if isinstance(t, ast.Name) and t.id == attribute]
        case _:
            return False
    return any(
        isinstance(statement, (ast.Assign, ast.AnnAssign)) and _makes_generator(module, statement.value)
        for statement in made
    )


def _makes_generator(module: PythonModule, value: ast.expr | None) -> bool:
    if value is not None and kind_of(value) is Kind.ITERATOR:
        return True
    return isinstance(value, ast.Call) and dotted(value.func) in module.generators
