"""Calls during the import of a module: functions, with the known facts about their arguments, and classes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import Final

from ftaudit.model.reachability import ConditionKind, OpenKind
from ftaudit.reach import builtin_methods, library_builtins, library_imports
from ftaudit.reach.abstract_run import AbstractRun
from ftaudit.reach.abstract_values import (
    MOST_ITEMS,
    UNKNOWN,
    UNSET,
    Bound,
    Class,
    DictValue,
    FunctionValue,
    Instance,
    Items,
    LibraryObject,
    Module,
    OneOf,
    Pending,
    Scope,
    Value,
    join,
)
from ftaudit.reach.class_values import lineage, look_up, may_call, may_call_operators
from ftaudit.reach.iterating import iterate
from ftaudit.reach.library_calls import CALLS, METHODS, LibraryCall, MethodCall
from ftaudit.reach.marked_lines import MarkedLines
from ftaudit.reach.overrides import OVERRIDES
from ftaudit.reach.statements import text_of

DEEPEST_CALL: Final = 32
"""Limit on nested calls."""
_YIELD: Final = re.compile(r"\byield\b")
_ANSWERS: Final = (library_imports, library_builtins, builtin_methods)
"""Modules whose import registers what the standard library returns."""
MOST_CALLS: Final = 400
"""Limit on the calls of one function."""
WITHIN_ITSELF: Final = 3
"""Limit on recursion of a function."""
MOST_STEPS: Final = 40_000
"""Step limit of one call from the body of a module."""
MOST_OWN_STEPS: Final = 12_000
"""Steps of one function, without those of the functions that it calls, after which its calls are not followed."""
COROUTINE: Final = "coroutine()"
"""The name of the object that the call of an `async` function returns; it is about what a run of its body returns."""
_RUNNERS: Final = ("asyncio.run", "asyncio.get_event_loop().run_until_complete",
                   "asyncio.new_event_loop().run_until_complete")  # fmt: skip
CALLERS: Final = frozenset(
    {
        "builtins.sorted", "builtins.min", "builtins.max", "builtins.iter", "functools.reduce", "re.sub", "re.subn",
        "json.dumps", "json.dump", "json.loads", "json.load", "threading.Thread",
        "collections.defaultdict", "dataclasses.field",
    }
)  # fmt: skip
"""Functions of the standard library that call their arguments, mostly at once."""
_CALLING: Final = ("concurrent.futures.", "contextlib.ExitStack().", "asyncio.")
"""How the names of further ones begin."""
UNSURE_CALLS: Final = 3
MOST_CONDITIONS: Final = 4
"""With more conditions and more nested calls than these limits, further calls are not followed: their imports are found
when the functions run separately.
"""


def call(
    machine: AbstractRun,
    function: Value,
    arguments: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
) -> Value:
    """Call a value; return the known facts about the result."""
    machine.step()
    match function:
        case FunctionValue():
            return call_function(machine, function, arguments, keywords, scope, node)
        case Bound(function=LibraryObject(name=name), arguments=[owner, *rest]) if name in METHODS:
            return METHODS[name](
                MethodCall(
                    machine=machine,
                    owner=owner,
                    name=name,
                    given=[*rest, *arguments],
                    keywords=keywords,
                    scope=scope,
                    node=node,
                )
            )
        case Bound(function=inner, arguments=given):
            return call(machine, inner, [*given, *arguments], {**function.keywords, **keywords}, scope, node)
        case Class():
            return _instantiate(machine, function, arguments, keywords, scope, node)
        case LibraryObject(name=name):
            if name != "builtins.next":
                _consume(machine, (*arguments, *keywords.values()))
            if name in _RUNNERS or name.startswith("asyncio."):
                for each in arguments:
                    if name in _RUNNERS:
                        run_coroutine(machine, each)
                        continue
                    with machine.under(ConditionKind.CALL, scope, getattr(node, "lineno", 0), text_of(machine, node)):
                        run_coroutine(machine, each)
            if name in CALLERS or name.startswith(_CALLING):
                for each in (*arguments, *keywords.values()):
                    may_call(machine, each)
            handler = CALLS.get(name)
            if handler is not None:
                return handler(
                    LibraryCall(
                        machine=machine, function=function, given=arguments, keywords=keywords, scope=scope, node=node
                    )
                )
            return LibraryObject(f"{name}()", Items("tuple", arguments))
        case Instance(cls=cls):
            method = look_up(cls, "__call__")
            if isinstance(method, FunctionValue):
                return call_function(machine, method, [function, *arguments], keywords, scope, node)
            return UNKNOWN
        case OneOf(choices=choices):
            result: Value = UNSET
            for each in choices:
                with machine.under(ConditionKind.SEVERAL, scope, getattr(node, "lineno", 0), text_of(machine, node)):
                    result = join(result, call(machine, each, list(arguments), dict(keywords), scope, node))
            return UNKNOWN if result is UNSET else result
        case _:
            _consume(machine, (*arguments, *keywords.values()))
            return UNKNOWN


def _consume(machine: AbstractRun, arguments: Iterable[Value]) -> None:
    """Run the generators that code outside the analysis receives."""
    for each in arguments:
        if isinstance(each, Pending):
            iterate(machine, each)


def call_function(
    machine: AbstractRun,
    function: FunctionValue,
    arguments: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
) -> Value:
    """Run a function's body with its arguments."""
    override = OVERRIDES.get(f"{function.scope.module.name}.{function.label}")
    if override is not None:
        return override(machine, arguments, keywords, scope, node)
    count = machine.times.get(function.node, 0)
    if (
        machine.calls >= DEEPEST_CALL
        or count >= MOST_CALLS
        or sum(each is function.node for each in machine.active) >= WITHIN_ITSELF
        or (machine.calls > UNSURE_CALLS and len(machine.conditions) > MOST_CONDITIONS)
        or machine.spent.get(function.node, 0) > MOST_OWN_STEPS
    ):
        machine.note_own(OpenKind.BUDGET, function.scope, function.node.lineno)
        machine.cut_call(function.scope, function.label, function.node.lineno)
        return UNKNOWN
    if not machine.calls:
        machine.allowed = machine.steps + MOST_STEPS
    elif machine.is_spent:
        machine.note(OpenKind.BUDGET, function.scope, function.node.lineno)
        machine.cut_call(function.scope, function.label, function.node.lineno)
        return UNKNOWN
    machine.times[function.node] = count + 1
    body = function.node
    is_generator = not isinstance(body, ast.Lambda) and _is_generator(machine, body, function.scope.module)
    inner = Scope(
        module=function.scope.module,
        names=bind_arguments(function, arguments, keywords),
        parent=function.scope,
        label=function.label,
        owner=function.owner,
        first=arguments[0] if arguments else UNKNOWN,
        base=len(machine.conditions),
        yielded=[] if is_generator else None,
    )
    if isinstance(body, ast.AsyncFunctionDef) and not is_generator:
        return LibraryObject(COROUTINE, Pending(lambda: _awaited(machine, function, inner, scope, node)))
    if is_generator and not function.is_context:
        return Pending(lambda: _yielded(machine, function, inner, scope, node))
    _run_body(machine, function, inner, scope, node)
    if inner.yielded is not None:
        return Items("generator", inner.yielded[:MOST_ITEMS])
    result: Value = UNSET
    for value in inner.returned:
        result = join(result, value)
    return None if result is UNSET else result


def _awaited(machine: AbstractRun, function: FunctionValue, inner: Scope, scope: Scope, node: ast.AST) -> Items:
    inner.base = len(machine.conditions)
    _run_body(machine, function, inner, scope, node)
    result: Value = UNSET
    for value in inner.returned:
        result = join(result, value)
    return Items("coroutine", [None if result is UNSET else result])


def run_coroutine(machine: AbstractRun, value: Value) -> Value:
    """Run a coroutine that something awaits, and return the known facts about its result."""
    if isinstance(value, LibraryObject) and value.name == COROUTINE and isinstance(value.about, Pending):
        values, _ = iterate(machine, value.about)
        return values[0] if values else UNKNOWN
    return UNKNOWN


def _yielded(machine: AbstractRun, function: FunctionValue, inner: Scope, scope: Scope, node: ast.AST) -> Items:
    inner.base = len(machine.conditions)
    _run_body(machine, function, inner, scope, node)
    return Items("generator", (inner.yielded or [])[:MOST_ITEMS], complete=False)


def _run_body(machine: AbstractRun, function: FunctionValue, inner: Scope, scope: Scope, node: ast.AST) -> None:
    body = function.node
    machine.calls += 1
    machine.active.append(body)
    machine.call_places.append((scope, getattr(node, "lineno", 0)))
    mark = len(machine.conditions)
    begun, before = machine.steps, machine.inner
    machine.inner = 0
    try:
        if isinstance(body, ast.Lambda):
            inner.returned.append(machine.language.evaluate(machine, body.body, inner))
        else:
            machine.language.run_block(machine, body.body, inner)
    finally:
        machine.active.pop()
        machine.call_places.pop()
        machine.calls -= 1
        took = machine.steps - begun
        machine.spent[body] = machine.spent.get(body, 0) + took - machine.inner
        machine.inner = before + took
        del machine.conditions[mark:]


def _is_generator(machine: AbstractRun, node: ast.FunctionDef | ast.AsyncFunctionDef, module: Module) -> bool:
    """Return whether a function is a generator: `yield` in it, and not in a nested function."""
    known = machine.generators.get(node)
    if known is None:
        lines = machine.yields.get(module.text)
        if lines is None:
            places = (match.start() for match in _YIELD.finditer(module.text))
            lines = machine.yields[module.text] = MarkedLines(module.text, places)
        known = lines.any_within(node.lineno, node.end_lineno or node.lineno) and _has_yield(node)
        machine.generators[node] = known
    return known


def _has_yield(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    waiting: list[ast.AST] = list(node.body)
    while waiting:
        each = waiting.pop()
        if isinstance(each, (ast.Yield, ast.YieldFrom)):
            return True
        if not isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            for value in vars(each).values():  # Three times as fast as `ast.iter_child_nodes`.
                if isinstance(value, list):
                    waiting += [item for item in value if isinstance(item, ast.AST)]
                elif isinstance(value, ast.AST):
                    waiting.append(value)
    return False


def bind_arguments(function: FunctionValue, arguments: list[Value], keywords: dict[str, Value]) -> dict[str, Value]:
    """Return a function's parameters with their arguments."""
    given = function.node.args
    names: dict[str, Value] = {}
    positional = [*given.posonlyargs, *given.args]
    for parameter, value in zip(positional, arguments, strict=False):
        names[parameter.arg] = value
    rest = dict(keywords)
    for parameter in [*positional, *given.kwonlyargs]:
        if parameter.arg in names:
            continue
        if parameter.arg in rest:
            names[parameter.arg] = rest.pop(parameter.arg)
        else:
            names[parameter.arg] = function.defaults.get(parameter.arg, UNKNOWN)
    if given.vararg is not None:
        extra = arguments[len(positional) :]
        unsure = any(value is UNKNOWN for value in arguments)
        names[given.vararg.arg] = Items("tuple", extra, complete=not unsure)
    if given.kwarg is not None:
        names[given.kwarg.arg] = DictValue(dict(rest))
    return names


def _instantiate(
    machine: AbstractRun,
    cls: Class,
    arguments: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
) -> Value:
    """Create an object: `__call__` of the metaclass, `__new__`, `__init__`."""
    if isinstance(cls.meta, Class):
        method = look_up(cls.meta, "__call__")
        if isinstance(method, FunctionValue) and method.node not in machine.active:
            made = call_function(machine, method, [cls, *arguments], keywords, scope, node)
            if made is not UNKNOWN:
                return made
    made = UNKNOWN
    method = look_up(cls, "__new__")
    if isinstance(method, FunctionValue):
        made = call_function(machine, method, [cls, *arguments], keywords, scope, node)
        if not isinstance(made, (Instance, OneOf)) and made is not UNKNOWN and not isinstance(made, LibraryObject):
            return made
    may_call_operators(machine, cls)
    if not isinstance(made, Instance):
        made = Instance(cls)
        made.payload = _payload(cls, arguments)
    method = look_up(made.cls, "__init__")
    if isinstance(method, FunctionValue):
        call_function(machine, method, [made, *arguments], keywords, scope, node)
    elif arguments or keywords:
        _set_fields(made, arguments, keywords)
    return made


def _set_fields(made: Instance, arguments: list[Value], keywords: dict[str, Value]) -> None:
    """Store the arguments of a class whose `__init__` is generated from its annotations."""
    order = dict.fromkeys(
        name for each in reversed(list(lineage(made.cls))) if each is not None for name in each.fields
    )
    made.attributes.update(zip(order, arguments, strict=False))
    made.attributes.update((name, value) for name, value in keywords.items() if name in order)


def _payload(cls: Class, arguments: list[Value]) -> Value:
    """Return the container or text value of an object of a subclass of `dict`, `list`, or `str`."""
    for base in cls.bases:
        name = base.name if isinstance(base, LibraryObject) else ""
        if name in ("builtins.dict", "collections.OrderedDict", "collections.UserDict"):
            first = arguments[0] if arguments and isinstance(arguments[0], DictValue) else DictValue({})
            return DictValue(dict(first.entries), first.complete and not (arguments and arguments[0] is not first))
        if name in ("builtins.list", "builtins.tuple", "builtins.set"):
            return arguments[0] if arguments and isinstance(arguments[0], Items) else Items("list", [])
        if isinstance(base, Class) and (inherited := _payload(base, arguments)) is not None:
            return inherited
    return None
