"""What built-in functions and helpers of the standard library return."""

from __future__ import annotations

from typing import Final

from ftaudit.model.reachability import ConditionKind, OpenKind
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
    Pattern,
    Pending,
    Scope,
    Super,
    Value,
    choices_of,
    is_constant,
    join,
    spoil,
    truth,
)
from ftaudit.reach.bindings import put, set_attribute
from ftaudit.reach.class_values import lineage, look_up
from ftaudit.reach.iterating import iterate
from ftaudit.reach.library_calls import LibraryCall, calls


@calls("builtins.globals", "builtins.vars", "builtins.locals")
def _globals(call: LibraryCall) -> Value:
    if call.given:
        return call.machine.language.attribute(call.machine, call.given[0], "__dict__", call.scope, call.node)
    names = call.scope.module.scope.names if call.function.name.endswith("globals") else call.scope.names
    return DictValue(names, complete=not call.scope.module.is_open)


@calls("builtins.getattr")
def _getattr(call: LibraryCall) -> Value:
    if len(call.given) < 2:
        return UNKNOWN
    owner, name = call.given[0], call.given[1]
    result: Value = UNSET
    for each in choices_of(name):
        if isinstance(each, str):
            result = join(result, call.machine.language.attribute(call.machine, owner, each, call.scope, call.node))
        else:
            result = join(result, UNKNOWN)
            if isinstance(owner, Module) and "__getattr__" in owner.scope.names:
                call.machine.note(OpenKind.COMPUTED, call.scope, call.line, f"{owner.name}.")
    if len(call.given) > 2 and (result is UNKNOWN or isinstance(result, LibraryObject)):
        return join(result, call.given[2])
    return UNKNOWN if result is UNSET else result


@calls("builtins.hasattr")
def _hasattr(call: LibraryCall) -> Value:
    if len(call.given) < 2 or not isinstance(call.given[1], str):
        return UNKNOWN
    owner, name = call.given
    match owner:
        case Module(scope=Scope(names=names)) if name in names:
            call.machine.language.attribute(call.machine, owner, name, call.scope, call.node)
            return True
        case Class() if look_up(owner, name) not in (UNSET, UNKNOWN):
            return True
        case Instance(attributes=attributes) if name in attributes:
            return True
        case _:
            return UNKNOWN


@calls("builtins.setattr")
def _setattr(call: LibraryCall) -> Value:
    if len(call.given) < 3:
        return None
    owner, name, value = call.given[:3]
    if isinstance(name, str):
        set_attribute(call.machine, owner, name, value, call.scope)
        return None
    for each in choices_of(owner):
        if isinstance(each, Module):
            each.is_open = True
    return None


@calls("builtins.super")
def _super(call: LibraryCall) -> Value:
    if len(call.given) >= 2 and isinstance(call.given[0], Class):
        return Super(call.given[0], call.given[1])
    here: Scope | None = call.scope
    while here is not None and here.owner is None:
        here = here.parent
    return UNKNOWN if here is None or here.owner is None else Super(here.owner, here.first)


@calls("builtins.type")
def _type(call: LibraryCall) -> Value:
    match call.given:
        case [Instance(cls=cls)]:
            return cls
        case [Class(meta=meta)]:
            return meta or LibraryObject("builtins.type")
        case [str() as name, Items(items=bases), DictValue(entries=names)]:
            return Class(name, call.scope.module, list(bases), {k: v for k, v in names.items() if isinstance(k, str)})
        case _:
            return UNKNOWN


@calls("builtins.isinstance")
def _isinstance(call: LibraryCall) -> Value:
    if len(call.given) < 2:
        return UNKNOWN
    value, kind = call.given[:2]
    kinds = kind.items if isinstance(kind, Items) else [kind]
    names = {each.name.removeprefix("builtins.") for each in kinds if isinstance(each, LibraryObject)}
    if len(names) != len(kinds):
        if isinstance(value, Instance) and all(isinstance(each, Class) for each in kinds):
            line = list(lineage(value.cls))
            if any(each in line for each in kinds):
                return True
            return UNKNOWN if None in line else False
        if is_constant(value) and all(isinstance(each, (Class, LibraryObject)) for each in kinds) and not names:
            return False
        return UNKNOWN
    own = {
        str: "str",
        int: "int",
        bool: "bool",
        bytes: "bytes",
        float: "float",
        DictValue: "dict",
        Pattern: "str",
    }.get(type(value))
    if isinstance(value, Items):
        own = value.kind
    if own is None:
        return False if value is None and "NoneType" not in "".join(names) else UNKNOWN
    if own in names or (own == "bool" and "int" in names):
        return True
    return False if names <= _TYPES else UNKNOWN


_TYPES: Final = {"str", "int", "bool", "bytes", "float", "dict", "list", "tuple", "set", "type", "frozenset"}


@calls("builtins.len")
def _len(call: LibraryCall) -> Value:
    match call.given:
        case [str() | bytes() as text]:
            return len(text)
        case [Items(items=items, complete=True)]:
            return len(items)
        case [DictValue(entries=entries, complete=True)]:
            return len(entries)
        case _:
            return UNKNOWN


@calls("builtins.list", "builtins.tuple", "builtins.set", "builtins.frozenset", "builtins.sorted", "builtins.iter",
       "builtins.reversed", "collections.deque", "itertools.chain.from_iterable")  # fmt: skip
def _container(call: LibraryCall) -> Value:
    kind = call.function.name.rpartition(".")[2]
    kind = {"frozenset": "set", "sorted": "list", "iter": "list", "reversed": "list", "deque": "list"}.get(kind, kind)
    if not call.given:
        return Items(kind, [])
    values, complete = iterate(call.machine, call.given[0])
    if call.function.name.endswith("from_iterable"):
        parts = [iterate(call.machine, each) for each in values]
        values = [each for items, _ in parts for each in items]
        complete = complete and all(known for _, known in parts)
    if call.function.name.endswith("sorted"):
        if all(isinstance(each, str) for each in values) and not call.keywords:
            values = sorted(values)
    elif call.function.name.endswith("reversed"):
        values = values[::-1]
    return Items(kind, values[:MOST_ITEMS], complete and len(values) <= MOST_ITEMS)


@calls("itertools.chain")
def _chain(call: LibraryCall) -> Value:
    parts = [iterate(call.machine, each) for each in call.given]
    return Items("list", [v for items, _ in parts for v in items][:MOST_ITEMS], all(known for _, known in parts))


@calls("builtins.dict", "collections.OrderedDict", "types.MappingProxyType", "collections.ChainMap",
       "collections.defaultdict")  # fmt: skip
def _dict(call: LibraryCall) -> Value:
    table = DictValue(dict(call.keywords), complete=not call.function.name.endswith("defaultdict"))
    for each in call.given:
        update(call.machine, table, each)
    return table


def update(machine: AbstractRun, table: DictValue, value: Value) -> None:
    """Add the content of a mapping or of pairs to a table."""
    if isinstance(value, Instance) and value.payload is not None:
        value = value.payload
    if isinstance(value, DictValue):
        for key, each in value.entries.items():
            put(machine, table.entries, key, each)
        table.complete = table.complete and value.complete
        return
    if value is UNKNOWN or isinstance(value, LibraryObject):
        spoil(table)
        return
    pairs, complete = iterate(machine, value)
    table.complete = table.complete and complete
    for pair in pairs:
        match pair:
            case Items(items=[key, each]) if is_constant(key):
                put(machine, table.entries, key, each)
            case _:
                table.complete = False


@calls("builtins.zip")
def _zip(call: LibraryCall) -> Value:
    parts = [iterate(call.machine, each) for each in call.given]
    rows = [Items("tuple", list(row)) for row in zip(*(items for items, _ in parts), strict=False)]
    return Items("list", list(rows), all(known for _, known in parts))


@calls("builtins.enumerate")
def _enumerate(call: LibraryCall) -> Value:
    values, complete = iterate(call.machine, call.given[0]) if call.given else ([], False)
    return Items("list", [Items("tuple", [number, each]) for number, each in enumerate(values)], complete)


@calls("builtins.range")
def _range(call: LibraryCall) -> Value:
    if not call.given or not all(isinstance(each, int) for each in call.given) or len(call.given) > 3:
        return Items("list", [], complete=False)
    try:
        numbers = range(*call.given)
    except ValueError:
        return UNKNOWN
    return Items("list", list(numbers[:64]), len(numbers) <= 64)


@calls("builtins.map", "builtins.filter")
def _map(call: LibraryCall) -> Value:
    if len(call.given) < 2:
        return UNKNOWN
    values, complete = iterate(call.machine, call.given[1])
    if len(call.given) > 2 or not complete:
        return Items("list", [], complete=False)
    return Pending(lambda: _mapped(call, values))


def _mapped(call: LibraryCall, values: list[Value]) -> Items:
    results = [
        call.machine.language.call(call.machine, call.given[0], [each], {}, call.scope, call.node)
        for each in values[:256]
    ]
    if call.function.name.endswith("map"):
        return Items("list", results, len(values) <= 256)
    kept = [each for each, wanted in zip(values, results, strict=False) if truth(wanted) is not False]
    return Items("list", kept, all(truth(each) is not None for each in results))


@calls("builtins.next")
def _next(call: LibraryCall) -> Value:
    if call.given and isinstance(call.given[0], Pending) and call.given[0].result is None:
        # Its code runs to the first `yield` only.
        with call.machine.under(ConditionKind.CALL, call.scope, call.line, "next"):
            iterate(call.machine, call.given[0])
    values, complete = iterate(call.machine, call.given[0]) if call.given else ([], False)
    if values:
        return values[0]
    return call.given[1] if complete and len(call.given) > 1 else UNKNOWN


@calls("builtins.any", "builtins.all")
def _any(call: LibraryCall) -> Value:
    values, complete = iterate(call.machine, call.given[0]) if call.given else ([], False)
    answers = [truth(each) for each in values]
    decides = call.function.name.endswith("any")
    if decides in answers:
        return decides
    return UNKNOWN if None in answers or not complete else not decides


@calls("builtins.str", "builtins.int", "builtins.bool", "builtins.repr")
def _plain_type(call: LibraryCall) -> Value:
    kind = call.function.name.rpartition(".")[2]
    if not call.given:
        return {"str": "", "int": 0, "bool": False}.get(kind, UNKNOWN)
    value = call.given[0]
    match kind:
        case "bool":
            decided = truth(value)
            return UNKNOWN if decided is None else decided
        case "str" if isinstance(value, (str, int)):
            return str(value)
        case "str" if isinstance(value, (Pattern, OneOf)):
            return value
        case "int" if isinstance(value, str) and value.isdecimal() and len(value) < 20:
            return int(value)
        case "int" if isinstance(value, int):
            return value
        case _:
            return UNKNOWN


@calls("builtins.property", "functools.cached_property", "abc.abstractproperty")
def _property(call: LibraryCall) -> Value:
    return _kind(call.given, "property")


@calls("builtins.property.setter")
def _setter(call: LibraryCall) -> Value:
    return call.function.about if call.function.about is not None else UNKNOWN


@calls("builtins.staticmethod", "builtins.classmethod")
def _static(call: LibraryCall) -> Value:
    if call.function.name.endswith("classmethod"):
        return _kind(call.given, "class")
    made = _kind(call.given, "static")
    return call.given[0] if made is UNKNOWN and call.given else made


@calls("contextlib.contextmanager")
def _context(call: LibraryCall) -> Value:
    if call.given and isinstance(call.given[0], FunctionValue):
        call.given[0].is_context = True
    return call.given[0] if call.given else UNKNOWN


def _kind(given: list[Value], kind: str) -> Value:
    if given and isinstance(given[0], FunctionValue):
        given[0].kind = kind
        return given[0]
    return UNKNOWN


@calls("functools.wraps()", "functools.lru_cache()", "functools.cache", "functools.singledispatch",
       "functools.total_ordering", "dataclasses.dataclass()", "typing.runtime_checkable", "typing.final",
       "typing.overload", "abc.abstractmethod", "typing.no_type_check", "enum.unique", "atexit.register",
       "types.coroutine", "typing.cast()", "warnings.deprecated()", "typing.override",
       "contextlib.asynccontextmanager")  # fmt: skip
def _same(call: LibraryCall) -> Value:
    return call.given[0] if call.given else UNKNOWN


@calls("functools.lru_cache", "dataclasses.dataclass")
def _with_or_without(call: LibraryCall) -> Value:
    if call.given and isinstance(call.given[0], (FunctionValue, Class)):
        return call.given[0]
    return LibraryObject(f"{call.function.name}()")


@calls("typing.cast")
def _cast(call: LibraryCall) -> Value:
    return call.given[1] if len(call.given) > 1 else UNKNOWN


@calls("functools.partial")
def _partial(call: LibraryCall) -> Value:
    return Bound(call.given[0], call.given[1:], dict(call.keywords)) if call.given else UNKNOWN


@calls("types.MethodType")
def _method_type(call: LibraryCall) -> Value:
    return Bound(call.given[0], call.given[1:2]) if call.given else UNKNOWN


@calls("function.__get__")
def _get(call: LibraryCall) -> Value:
    return (
        Bound(call.function.about, call.given[:1]) if call.given and call.given[0] is not None else call.function.about
    )


@calls("sys.modules.get", "sys.modules.setdefault")
def _modules_get(call: LibraryCall) -> Value:
    name = call.given[0] if call.given else UNKNOWN
    if not isinstance(name, str):
        return UNKNOWN
    module = call.machine.modules.get(name)
    if module is not None:
        return module.value
    if name in call.machine.aliases:
        return call.machine.aliases[name]
    if call.function.name.endswith("setdefault") and len(call.given) > 1:
        call.machine.aliases[name] = call.given[1]
        return call.given[1]
    return UNKNOWN


@calls("builtins.callable")
def _callable(call: LibraryCall) -> Value:
    match call.given:
        case [FunctionValue() | Class() | Bound()]:
            return True
        case [str() | int() | None]:
            return False
        case _:
            return UNKNOWN
