"""Evaluates expressions: constants, containers, and calls; everything else is unknown."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable
from typing import Any, Final

from ftaudit.model.reachability import ConditionKind
from ftaudit.reach.abstract_run import AbstractRun
from ftaudit.reach.abstract_values import (
    CONSTANTS,
    MOST_ITEMS,
    MOST_TEXT,
    UNKNOWN,
    UNSET,
    Bound,
    Class,
    DictValue,
    FunctionValue,
    Instance,
    Items,
    Lazy,
    LibraryObject,
    Pattern,
    Pending,
    Scope,
    Value,
    choices_of,
    is_constant,
    join,
    spoil,
    truth,
)
from ftaudit.reach.bindings import assign, bind
from ftaudit.reach.class_values import look_up
from ftaudit.reach.comparisons import compare
from ftaudit.reach.import_statements import attribute_for_import
from ftaudit.reach.iterating import iterate, to_key
from ftaudit.reach.operator_values import combine_numbers, combine_sets, concatenate, formatted, is_set, only_text
from ftaudit.reach.statements import make_function, text_of
from ftaudit.reach.target_values import version_info

_BUILTINS: Final = frozenset(dir(builtins))
_NEVER: Final = frozenset({"TYPE_CHECKING", "MYPY"})
"""Names that are false at run time."""


def evaluate(machine: AbstractRun, node: ast.expr, scope: Scope) -> Value:
    """Return the known facts about an expression's value; run what it calls and imports."""
    machine.step()
    work = _EVALUATE.get(type(node))
    return UNKNOWN if work is None else work(machine, node, scope)


def _constant(machine: AbstractRun, node: ast.Constant, scope: Scope) -> Value:
    value = node.value
    if isinstance(value, (str, bytes)) and len(value) > MOST_TEXT:
        return UNKNOWN
    return value if isinstance(value, CONSTANTS) else UNKNOWN


def _name(machine: AbstractRun, node: ast.Name, scope: Scope) -> Value:
    value = look_up_name(scope, node.id)
    if isinstance(value, Lazy):
        return resolve(machine, value, scope, node.lineno)
    if value is UNSET or (node.id in _NEVER and not is_constant(value)):
        return _global_name(machine, node.id, scope)
    return value


def look_up_name(scope: Scope, name: str) -> Value:
    """Return the value of a name in a scope, `UNSET` if nothing binds it."""
    here: Scope | None = scope
    if name in scope.declared:
        here = scope.module.scope
    while here is not None:
        if name in here.names and (here is scope or not here.is_class):
            return here.names[name]
        here = here.parent
    return UNSET


def _global_name(machine: AbstractRun, name: str, scope: Scope) -> Value:
    module = scope.module
    if name in _NEVER:
        return False
    if name == "__name__":
        return "__main__" if module.is_main else module.name
    if name == "__package__":
        return None if module.name in machine.scripts else module.package
    if name == "__spec__" and module.name in machine.scripts:
        return None
    if name == "__file__":
        return LibraryObject("__file__", module)
    if name == "__path__" and module.found.is_package:
        return LibraryObject("__path__", module)
    if name == "__spec__":
        return LibraryObject("__spec__", module)
    if name == "__class__":
        return scope.owner or UNKNOWN
    if name == "__debug__":
        return True
    if name == "__doc__":
        return UNKNOWN
    if name in _BUILTINS:
        return LibraryObject(f"builtins.{name}")
    stars = module.scope.names.get("\0star")
    if isinstance(stars, Items) and stars.items:
        return LibraryObject(f"{stars.items[0].name}.{name}")
    return UNKNOWN


def resolve(machine: AbstractRun, lazy: Lazy, scope: Scope, line: int) -> Value:
    """Load the target of a lazy import on its first use."""
    names: list[str] = []
    (where, _), whole = lazy.site
    for name, known in list(where.names.items()):
        if known is lazy:  # Its own load may read the name again.
            where.names[name] = UNKNOWN
            names.append(name)
    module = machine.import_name(lazy.module, scope, line)
    value: Value = module
    if lazy.attribute is not None:
        node = ast.Pass(lineno=line, col_offset=0)
        value = attribute_for_import(machine, module, lazy.module, lazy.attribute, scope, node)
    elif not whole:
        top = machine.modules.get(lazy.module.partition(".")[0])
        value = UNKNOWN if top is None else top
    for name in names:
        where.names[name] = value
    return value


def _attribute(machine: AbstractRun, node: ast.Attribute, scope: Scope) -> Value:
    owner = evaluate(machine, node.value, scope)
    if node.attr in _NEVER:
        return False
    return machine.language.attribute(machine, owner, node.attr, scope, node)


def _joined(machine: AbstractRun, node: ast.JoinedStr, scope: Scope) -> Value:
    parts: list[Value] = []
    for each in node.values:
        if isinstance(each, ast.FormattedValue):
            value = evaluate(machine, each.value, scope)
            plain = each.format_spec is None and each.conversion in (-1, 115)
            parts.append(str(value) if plain and isinstance(value, (str, int)) else only_text(value, plain=plain))
        else:
            parts.append(evaluate(machine, each, scope))
    return concatenate(parts)


def _binary(machine: AbstractRun, node: ast.BinOp, scope: Scope) -> Value:
    one, other = evaluate(machine, node.left, scope), evaluate(machine, node.right, scope)
    if isinstance(node.op, ast.Add):
        text = (str, Pattern)
        if isinstance(one, text) or isinstance(other, text):
            return concatenate([one, other])
        if isinstance(one, Items) and isinstance(other, Items):
            items = [*one.items, *other.items]
            return Items(one.kind, items[:MOST_ITEMS], one.complete and other.complete and len(items) <= MOST_ITEMS)
        if isinstance(one, Items):
            return Items(one.kind, list(one.items), complete=False)
    if isinstance(node.op, ast.Mod) and isinstance(one, str):
        return formatted(one, other)
    if isinstance(node.op, ast.BitOr) and isinstance(one, DictValue) and isinstance(other, DictValue):
        return DictValue({**one.entries, **other.entries}, one.complete and other.complete)
    if isinstance(node.op, (ast.BitOr, ast.Sub, ast.BitAnd)) and (is_set(one) or is_set(other)):
        return combine_sets(node.op, one, other)
    if isinstance(one, int) and isinstance(other, int):
        return combine_numbers(node.op, one, other)
    return UNKNOWN


def _boolean(machine: AbstractRun, node: ast.BoolOp, scope: Scope) -> Value:
    """Run the operands in order; those after an undecided one run conditionally."""
    stops = isinstance(node.op, ast.Or)
    result: Value = UNSET
    mark = len(machine.conditions)
    kind = ConditionKind.NOT_BRANCH if stops else ConditionKind.BRANCH
    try:
        for each in node.values:
            value = evaluate(machine, each, scope)
            decided = truth(value)
            if decided is stops:
                return value if result is UNSET else stops
            if decided is None:
                result = join(result, value)
                machine.conditions.append(machine.condition(kind, scope, each.lineno, text_of(machine, each)))
            elif each is node.values[-1]:
                return value if result is UNSET else join(result, value)
        return UNKNOWN if result is UNSET else result
    finally:
        del machine.conditions[mark:]


def _unary(machine: AbstractRun, node: ast.UnaryOp, scope: Scope) -> Value:
    value = evaluate(machine, node.operand, scope)
    if isinstance(node.op, ast.Not):
        decided = truth(value)
        return UNKNOWN if decided is None else not decided
    if isinstance(node.op, ast.USub) and isinstance(value, (int, float)):
        return -value
    return UNKNOWN


def _compare(machine: AbstractRun, node: ast.Compare, scope: Scope) -> Value:
    left = evaluate(machine, node.left, scope)
    answer: bool | None = True
    for kind, each in zip(node.ops, node.comparators, strict=True):
        right = evaluate(machine, each, scope)
        decided = compare(machine, kind, left, right)
        if decided is False:
            return False
        if decided is None:
            answer = None
        left = right
    return UNKNOWN if answer is None else answer


def _conditional(machine: AbstractRun, node: ast.IfExp, scope: Scope) -> Value:
    decided = truth(evaluate(machine, node.test, scope))
    if decided is not None:
        return evaluate(machine, node.body if decided else node.orelse, scope)
    result: Value = UNSET
    for kind, each in ((ConditionKind.BRANCH, node.body), (ConditionKind.NOT_BRANCH, node.orelse)):
        with machine.under(kind, scope, node.lineno, text_of(machine, node.test)):
            result = join(result, evaluate(machine, each, scope))
    return UNKNOWN if result is UNSET else result


def _sequence(machine: AbstractRun, node: ast.List | ast.Tuple | ast.Set, scope: Scope) -> Value:
    kind = {ast.List: "list", ast.Tuple: "tuple", ast.Set: "set"}[type(node)]
    items: list[Value] = []
    complete = True
    for each in node.elts:
        if isinstance(each, ast.Starred):
            more, all_of_them = iterate(machine, evaluate(machine, each.value, scope))
            items += more
            complete = complete and all_of_them
        else:
            items.append(evaluate(machine, each, scope))
    return Items(kind, items[:MOST_ITEMS], complete and len(items) <= MOST_ITEMS)


def _dict(machine: AbstractRun, node: ast.Dict, scope: Scope) -> Value:
    table = DictValue({})
    for key, each in zip(node.keys, node.values, strict=True):
        value = evaluate(machine, each, scope)
        if key is None:
            if isinstance(value, DictValue):
                table.entries |= value.entries
                table.complete = table.complete and value.complete
            else:
                spoil(table)
            continue
        name = to_key(evaluate(machine, key, scope))
        if name is UNKNOWN:
            table.complete = False
        else:
            table.entries[name] = value
    return table


def _subscript(machine: AbstractRun, node: ast.Subscript, scope: Scope) -> Value:
    owner = evaluate(machine, node.value, scope)
    if isinstance(node.slice, ast.Slice):
        return _slice(machine, owner, node.slice, scope)
    index = evaluate(machine, node.slice, scope)
    result: Value = UNSET
    for each in choices_of(owner):
        for key in choices_of(index):
            result = join(result, get_item(machine, each, key, scope, node))
    return UNKNOWN if result is UNSET else result


def get_item(machine: AbstractRun, owner: Value, key: Value, scope: Scope, node: ast.AST) -> Value:
    """Return an item."""
    match owner:
        case Items(items=items, complete=complete):
            if isinstance(key, int) and -len(items) <= key < len(items) and (complete or key >= 0):
                return items[key]
            if isinstance(key, str):  # The entry points of a group have names.
                named = [each for each in items if isinstance(each, LibraryObject) and isinstance(each.about, tuple)]
                return next((each for each in named if each.about[1] == key), UNKNOWN)
            if key is UNKNOWN and complete and items:
                result: Value = UNSET
                for each in items:
                    result = join(result, each)
                return result
            return UNKNOWN
        case DictValue(entries=entries, complete=complete):
            known = to_key(key)
            if known is not UNKNOWN and known in entries:
                return entries[known]
            if is_constant(key) and complete:
                machine.fail("KeyError", repr(key))
            if key is UNKNOWN and complete and 0 < len(entries) <= 64:
                found: Value = UNSET
                for value in entries.values():
                    found = join(found, value)
                return found
            return UNKNOWN
        case LibraryObject(name="sys.modules") if isinstance(key, str):
            module = machine.modules.get(key)
            if module is not None:
                return module.value
            return machine.aliases.get(key, UNKNOWN)
        case str() if isinstance(key, int) and -len(owner) <= key < len(owner):
            return owner[key]
        case LibraryObject(name="sys.version_info"):
            return get_item(machine, version_info(machine), key, scope, node)
        case Instance(payload=payload):
            method = machine.language.attribute(machine, owner, "__getitem__", scope, node)
            if isinstance(method, (Bound, FunctionValue)) and isinstance(
                method.function if isinstance(method, Bound) else method, FunctionValue
            ):
                return machine.language.call(machine, method, [key], {}, scope, node)
            return UNKNOWN if payload is None else get_item(machine, payload, key, scope, node)
        case Class():
            method = look_up(owner, "__class_getitem__")
            if isinstance(method, FunctionValue):
                machine.language.call(machine, method, [owner, key], {}, scope, node)
            return owner  # A generic class with its parameters.
        case _:
            return UNKNOWN


def _slice(machine: AbstractRun, owner: Value, node: ast.Slice, scope: Scope) -> Value:
    bounds = [None if each is None else evaluate(machine, each, scope) for each in (node.lower, node.upper, node.step)]
    if isinstance(owner, LibraryObject) and owner.name == "sys.version_info":
        owner = version_info(machine)
    if not all(each is None or isinstance(each, int) for each in bounds):
        return UNKNOWN
    cut = slice(*bounds)
    try:
        if isinstance(owner, Items) and owner.complete:
            return Items(owner.kind, owner.items[cut])
        if isinstance(owner, (str, bytes)):
            return owner[cut]
    except ValueError:
        return UNKNOWN
    return UNKNOWN


def _lambda(machine: AbstractRun, node: ast.Lambda, scope: Scope) -> Value:
    return make_function(machine, node, scope, "<lambda>")


def _comprehension(
    machine: AbstractRun, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, scope: Scope
) -> Value:
    inner = Scope(
        module=scope.module,
        names={},
        parent=scope,
        label=scope.label,
        owner=scope.owner,
        first=scope.first,
        base=len(machine.conditions),
    )
    if scope.is_class:
        inner.names.update(scope.names)
    if isinstance(node, ast.GeneratorExp):
        return Pending(lambda: _elements(machine, node, inner))
    results: list[Any] = []
    complete = _clauses(machine, node, 0, inner, results)
    complete = complete and len(results) <= MOST_ITEMS
    if isinstance(node, ast.DictComp):
        table = DictValue({}, complete)
        for key, value in results[:MOST_ITEMS]:
            if is_constant(key):
                table.entries[key] = value
            else:
                table.complete = False
        return table
    return Items("list" if isinstance(node, ast.ListComp) else "set", results[:MOST_ITEMS], complete)


def _elements(machine: AbstractRun, node: ast.GeneratorExp, scope: Scope) -> Items:
    scope.base = len(machine.conditions)
    results: list[Any] = []
    complete = _clauses(machine, node, 0, scope, results)
    return Items("generator", results[:MOST_ITEMS], complete and len(results) <= MOST_ITEMS)


def _clauses(machine: AbstractRun, node: Any, number: int, scope: Scope, results: list[Any]) -> bool:
    """Run the `for` clauses from an index on; return whether all elements are known."""
    if number == len(node.generators):
        if isinstance(node, ast.DictComp):
            results.append((evaluate(machine, node.key, scope), evaluate(machine, node.value, scope)))
        else:
            element = node.elt
            results.append(evaluate(machine, element, scope))
        return True
    clause = node.generators[number]
    values, complete = iterate(machine, evaluate(machine, clause.iter, scope))
    every = complete
    for value in values[:MOST_ITEMS]:
        assign(machine, clause.target, value, scope)
        answers = [truth(evaluate(machine, test, scope)) for test in clause.ifs]
        if False in answers:
            continue
        if None in answers:
            every = False
            with machine.under(ConditionKind.BRANCH, scope, clause.target.lineno, text_of(machine, clause.ifs[0])):
                _clauses(machine, node, number + 1, scope, results)
            continue
        every = _clauses(machine, node, number + 1, scope, results) and every
    if not complete:
        with machine.under(ConditionKind.LOOP, scope, clause.target.lineno, text_of(machine, clause.iter)):
            assign(machine, clause.target, UNKNOWN, scope)
            for test in clause.ifs:
                evaluate(machine, test, scope)
            _clauses(machine, node, number + 1, scope, [])
    return every


def _call(machine: AbstractRun, node: ast.Call, scope: Scope) -> Value:
    machine.ran.add(node)
    function = evaluate(machine, node.func, scope)
    arguments: list[Value] = []
    keywords: dict[str, Value] = {}
    for each in node.args:
        if isinstance(each, ast.Starred):
            more, complete = iterate(machine, evaluate(machine, each.value, scope))
            arguments += more
            if not complete:
                arguments.append(UNKNOWN)
        else:
            arguments.append(evaluate(machine, each, scope))
    for keyword in node.keywords:
        value = evaluate(machine, keyword.value, scope)
        if keyword.arg is not None:
            keywords[keyword.arg] = value
        elif isinstance(value, DictValue):
            keywords |= {key: each for key, each in value.entries.items() if isinstance(key, str)}
    return machine.language.call(machine, function, arguments, keywords, scope, node)


def _named(machine: AbstractRun, node: ast.NamedExpr, scope: Scope) -> Value:
    value = evaluate(machine, node.value, scope)
    bind(machine, scope, node.target.id, value)
    return value


def _yield(machine: AbstractRun, node: ast.Yield, scope: Scope) -> Value:
    value = None if node.value is None else evaluate(machine, node.value, scope)
    if scope.yielded is not None and len(scope.yielded) < MOST_ITEMS:
        scope.yielded.append(value)
    return UNKNOWN


def _yield_from(machine: AbstractRun, node: ast.YieldFrom, scope: Scope) -> Value:
    values, _ = iterate(machine, evaluate(machine, node.value, scope))
    if scope.yielded is not None:
        scope.yielded.extend(values[:MOST_ITEMS])
    return UNKNOWN


def _await(machine: AbstractRun, node: ast.Await, scope: Scope) -> Value:
    return machine.language.wait(machine, evaluate(machine, node.value, scope))


def _inner(machine: AbstractRun, node: ast.Starred, scope: Scope) -> Value:
    return evaluate(machine, node.value, scope)


_EVALUATE: Final[dict[type[ast.expr], Callable[..., Value]]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.Attribute: _attribute,
    ast.JoinedStr: _joined,
    ast.BinOp: _binary,
    ast.BoolOp: _boolean,
    ast.UnaryOp: _unary,
    ast.Compare: _compare,
    ast.IfExp: _conditional,
    ast.List: _sequence,
    ast.Tuple: _sequence,
    ast.Set: _sequence,
    ast.Dict: _dict,
    ast.Subscript: _subscript,
    ast.Lambda: _lambda,
    ast.ListComp: _comprehension,
    ast.SetComp: _comprehension,
    ast.GeneratorExp: _comprehension,
    ast.DictComp: _comprehension,
    ast.Call: _call,
    ast.NamedExpr: _named,
    ast.Yield: _yield,
    ast.YieldFrom: _yield_from,
    ast.Await: _await,
    ast.Starred: _inner,
}
