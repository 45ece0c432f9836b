"""The results of standard library functions and values on the target, if imports depend on them."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, Final

from ftaudit.model.reachability import ConditionKind, OpenKind
from ftaudit.reach.abstract_run import AbstractRun
from ftaudit.reach.abstract_values import (
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
    LibraryObject,
    Module,
    OneOf,
    Pattern,
    Scope,
    Super,
    Value,
    choices_of,
    is_constant,
    join,
    truth,
)
from ftaudit.reach.class_values import look_up
from ftaudit.reach.finder import FoundKind
from ftaudit.reach.iterating import from_key, iterate

Handler = Callable[[AbstractRun, list[Value], dict[str, Value], Scope, ast.AST, LibraryObject], Value]
Method = Callable[[AbstractRun, Value, list[Value], dict[str, Value], Scope, ast.AST], Value]
CALLS: Final[dict[str, Handler]] = {}
"""The result of a function call, by the function's qualified name."""
METHODS: Final[dict[str, Method]] = {}
"""The result of a method of a built-in type, by type and name."""
MOST_NAMES: Final = 400
"""Limit on the modules that one computed import loads."""


def calls(*names: str) -> Callable[[Handler], Handler]:
    """Register a handler for the result of functions."""

    def register(handler: Handler) -> Handler:
        CALLS.update(dict.fromkeys(names, handler))
        return handler

    return register


def method(*names: str) -> Callable[[Method], Method]:
    """Register a handler for the result of methods."""

    def register(handler: Method) -> Method:
        METHODS.update(dict.fromkeys(names, handler))
        return handler

    return register


# Values


def version_info(machine: AbstractRun) -> Items:
    """Return `sys.version_info` of the target: the third part is unknown."""
    return Items("tuple", [*machine.version, UNKNOWN, UNKNOWN, UNKNOWN])


_SYSTEMS: Final = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}
VALUES: Final[dict[str, Callable[[AbstractRun, LibraryObject], Value]]] = {
    "sys.version_info": lambda machine, _: version_info(machine),
    "sys.version_info.major": lambda machine, _: machine.version[0],
    "sys.version_info.minor": lambda machine, _: machine.version[1],
    "sys.hexversion": lambda machine, _: machine.version[0] << 24 | machine.version[1] << 16 | 0x07F0,
    "sys.platform": lambda machine, _: machine.sys_platform,
    "sys.maxsize": lambda machine, _: (1 << 63) - 1,
    "sys.byteorder": lambda machine, _: "little",
    "sys.implementation.name": lambda machine, _: "cpython",
    "sys.dont_write_bytecode": lambda machine, _: UNKNOWN,
    "os.name": lambda machine, _: "nt" if machine.sys_platform == "win32" else "posix",
    "os.sep": lambda machine, _: "\\" if machine.sys_platform == "win32" else "/",
    "typing.TYPE_CHECKING": lambda machine, _: False,
    "string.ascii_letters": lambda machine, _: "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "builtins.__debug__": lambda machine, _: True,
}


@calls("platform.system")
def _system(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    return _SYSTEMS.get(machine.sys_platform, UNKNOWN)


@calls("platform.machine")
def _machine(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    return machine.machine


@calls("platform.python_implementation")
def _implementation(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    return "CPython"


@calls("platform.python_version_tuple")
def _version_tuple(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    return Items("tuple", [*map(str, machine.version), UNKNOWN])


@calls("sysconfig.get_config_var")
def _config_var(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    return 1 if given and given[0] == "Py_GIL_DISABLED" else UNKNOWN


# Imports


def import_value(machine: AbstractRun, name: Value, scope: Scope, line: int) -> Value:
    """Import a module whose name is a value; an unknown name is an open site."""
    options = choices_of(name)
    result: Value = UNSET
    for each in options:
        if isinstance(each, str) and _is_name(each):
            if len(options) == 1:
                return machine.import_name(each, scope, line)
            with machine.under(ConditionKind.SEVERAL, scope, line, each):
                result = join(result, machine.import_name(each, scope, line))
        elif each is not None and not isinstance(each, (int, str)):
            prefix = each.prefix if isinstance(each, Pattern) else ""
            machine.note(OpenKind.COMPUTED, scope, line, prefix)
            machine.may_fail("ImportError", prefix)
    return UNKNOWN if result is UNSET else result


def _is_name(text: str) -> bool:
    return 0 < len(text) < 500 and all(part.isidentifier() for part in text.split("."))


@calls("importlib.import_module", "importlib._bootstrap._gcd_import")
def _import_module(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    name = given[0] if given else keywords.get("name", UNKNOWN)
    package = given[1] if len(given) > 1 else keywords.get("package")
    result: Value = UNSET
    names = tuple(_absolute(each, package) for each in choices_of(name))
    for each in names:
        result = join(result, each)
    return import_value(machine, UNKNOWN if result is UNSET else result, scope, getattr(node, "lineno", 0))


def _absolute(name: Value, package: Value) -> Value:
    text = name.prefix if isinstance(name, Pattern) else name
    if not isinstance(text, str) or not text.startswith("."):
        return name
    if not isinstance(package, str):
        return UNKNOWN
    rest = text.lstrip(".")
    level = len(text) - len(rest)
    parts = package.split(".")
    if level > len(parts):
        return UNKNOWN
    base = ".".join(parts[: len(parts) - level + 1])
    full = f"{base}.{rest}" if rest or isinstance(name, Pattern) else base
    return Pattern(full, name.suffix) if isinstance(name, Pattern) else full


@calls("builtins.__import__", "importlib.__import__")
def _dunder_import(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    name = given[0] if given else keywords.get("name", UNKNOWN)
    names = given[3] if len(given) > 3 else keywords.get("fromlist")
    level = given[4] if len(given) > 4 else keywords.get("level", 0)
    line = getattr(node, "lineno", 0)
    if isinstance(level, int) and level > 0:
        name = _absolute("." * level + name, scope.module.package) if isinstance(name, str) else UNKNOWN
    module = import_value(machine, name, scope, line)
    if truth(names):
        if isinstance(module, Module) and isinstance(names, Items):
            for each in names.items:
                if isinstance(each, str) and machine.finder.find(f"{module.name}.{each}").kind in _FILES:
                    machine.import_name(f"{module.name}.{each}", scope, line)
        return module
    if isinstance(name, str) and isinstance(module, Module):
        return machine.modules.get(name.partition(".")[0], UNKNOWN)
    return module


_FILES: Final = (FoundKind.PYTHON, FoundKind.EXTENSION, FoundKind.NAMESPACE)


@calls(
    "importlib.util.find_spec",
    "importlib.find_loader",
    "pkgutil.find_loader",
    "importlib.machinery.PathFinder.find_spec",
)
def _find_spec(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    name = given[0] if given else keywords.get("name", UNKNOWN)
    if isinstance(name, str) and name.startswith("."):
        name = _absolute(name, given[1] if len(given) > 1 else keywords.get("package"))
    if not isinstance(name, str) or not _is_name(name):
        return UNKNOWN
    parent = name.rpartition(".")[0]
    if parent:
        machine.import_name(parent, scope, getattr(node, "lineno", 0))
    found = machine.finder.find(name)
    if found.kind is FoundKind.ABSENT:
        return None
    return UNKNOWN if found.kind is FoundKind.UNSURE else Spec(name)


def Spec(name: str) -> Value:  # It makes a value.
    """Return the result of `find_spec` for an existing module: an object that is not `None`."""
    return Items("tuple", [name])


@calls("importlib.util.module_from_spec", "importlib.util.LazyLoader()")
def _module_from_spec(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    return UNKNOWN


@calls("pkgutil.iter_modules", "pkgutil.walk_packages")
def _iter_modules(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    path = given[0] if given else keywords.get("path", UNKNOWN)
    prefix = given[1] if len(given) > 1 else keywords.get("prefix", "")
    if isinstance(path, Items) and len(path.items) == 1:
        path = path.items[0]
    if not isinstance(path, LibraryObject) or not isinstance(path.about, Module) or not isinstance(prefix, str):
        return Items("generator", [], complete=False)
    children = machine.finder.children(path.about.name)
    found = [Items("tuple", [UNKNOWN, f"{prefix}{name}", is_package]) for name, is_package in children]
    return Items("generator", found[:MOST_NAMES], complete=len(found) <= MOST_NAMES)


ENTRY_POINT: Final = "importlib.metadata.EntryPoint()"


@calls("importlib.metadata.entry_points", "importlib_metadata.entry_points", "pkg_resources.iter_entry_points")
def _entry_points(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    group = keywords.get("group", given[0] if given else None)
    if group is not None and not isinstance(group, str):
        return Items("list", [], complete=False)
    wanted = keywords.get("name")
    found = [
        LibraryObject(ENTRY_POINT, each)
        for each in machine.finder.entry_points(group)
        if not isinstance(wanted, str) or each[1] == wanted
    ]
    if group is None:
        table: dict[Any, Value] = {}
        for each in found:
            table.setdefault(each.about[0], Items("list", [])).items.append(each)
        return DictValue(table)
    return Items("list", list(found))


@calls(f"{ENTRY_POINT}.load", f"{ENTRY_POINT}.resolve", f"{ENTRY_POINT}.require")
def _load_entry_point(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    if what.name.endswith("require") or not isinstance(what.about, tuple):
        return UNKNOWN
    target, _, attribute = what.about[2].partition("[")[0].strip().partition(":")
    value = machine.import_name(target.strip(), scope, getattr(node, "lineno", 0))
    for part in filter(None, attribute.strip().split(".")):
        value = machine.language.attribute(machine, value, part, scope, node)
    return value


for _name, _index in (("group", 0), ("name", 1), ("value", 2)):
    VALUES[f"{ENTRY_POINT}.{_name}"] = lambda machine, owner, index=_index: (  # type: ignore[misc]
        owner.about[index] if isinstance(owner.about, tuple) else UNKNOWN
    )


@calls("importlib.metadata.version", "importlib.metadata.distribution", "importlib_metadata.version")
def _metadata(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    name = given[0] if given else keywords.get("distribution_name", UNKNOWN)
    known = {_plain(tree.name) for tree in machine.finder.trees}
    if isinstance(name, str) and _plain(name) not in known:
        if machine.finder.unread or any(tree.own for tree in machine.finder.trees):
            machine.may_fail("PackageNotFoundError", name)
        else:
            machine.fail("PackageNotFoundError", name)
    return UNKNOWN


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


@calls("builtins.exec", "builtins.eval")
def _exec(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    line = getattr(node, "lineno", 0)
    code = given[0] if given else UNKNOWN
    if not isinstance(code, str):
        if isinstance(code, Pattern) or what.name.endswith("exec"):
            machine.note(OpenKind.EXECUTED, scope, line)
            scope.module.is_open = True
        return UNKNOWN
    try:
        tree = machine.parse(code)
    except Exception:  # Whatever the parser raises, this text is not followed.
        return UNKNOWN
    into = scope
    if len(given) > 1 and isinstance(given[1], DictValue):
        names = given[2].entries if len(given) > 2 and isinstance(given[2], DictValue) else given[1].entries
        into = Scope(module=scope.module, names=names, parent=scope.module.scope, base=len(machine.conditions))
    if what.name.endswith("eval"):
        if len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr):
            return machine.language.evaluate(machine, tree.body[0].value, into)
        return UNKNOWN
    machine.language.run_block(machine, tree.body, into)
    return None


# Built-in functions


@calls("builtins.globals", "builtins.vars", "builtins.locals")
def _globals(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    if given:
        return machine.language.attribute(machine, given[0], "__dict__", scope, node)
    names = scope.module.scope.names if what.name.endswith("globals") else scope.names
    return DictValue(names, complete=not scope.module.is_open)


@calls("builtins.getattr")
def _getattr(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    if len(given) < 2:
        return UNKNOWN
    owner, name = given[0], given[1]
    result: Value = UNSET
    for each in choices_of(name):
        if isinstance(each, str):
            result = join(result, machine.language.attribute(machine, owner, each, scope, node))
        else:
            result = join(result, UNKNOWN)
            if isinstance(owner, Module) and "__getattr__" in owner.scope.names:
                machine.note(OpenKind.COMPUTED, scope, getattr(node, "lineno", 0), f"{owner.name}.")
    if len(given) > 2 and result is UNKNOWN:
        return join(UNKNOWN, given[2])
    return UNKNOWN if result is UNSET else result


@calls("builtins.hasattr")
def _hasattr(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    if len(given) < 2 or not isinstance(given[1], str):
        return UNKNOWN
    owner, name = given
    match owner:
        case Module(scope=Scope(names=names)) if name in names:
            return True
        case Class() if look_up(owner, name) not in (UNSET, UNKNOWN):
            return True
        case Instance(attributes=attributes) if name in attributes:
            return True
        case _:
            return UNKNOWN


@calls("builtins.setattr")
def _setattr(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    if len(given) < 3:
        return None
    owner, name, value = given[:3]
    for each in choices_of(owner):
        if isinstance(each, Module):
            if isinstance(name, str):
                each.scope.names[name] = value
            else:
                each.is_open = True
        elif isinstance(each, Instance) and isinstance(name, str):
            each.attributes[name] = value
        elif isinstance(each, Class) and isinstance(name, str):
            each.names[name] = value
    return None


@calls("builtins.super")
def _super(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    if len(given) >= 2 and isinstance(given[0], Class):
        return Super(given[0], given[1])
    here: Scope | None = scope
    while here is not None and here.owner is None:
        here = here.parent
    return UNKNOWN if here is None or here.owner is None else Super(here.owner, here.first)


@calls("builtins.type")
def _type(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    match given:
        case [Instance(cls=cls)]:
            return cls
        case [Class(meta=meta)]:
            return meta or LibraryObject("builtins.type")
        case [str() as name, Items(items=bases), DictValue(entries=names)]:
            return Class(name, scope.module, list(bases), {k: v for k, v in names.items() if isinstance(k, str)})
        case _:
            return UNKNOWN


@calls("builtins.isinstance")
def _isinstance(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    if len(given) < 2:
        return UNKNOWN
    value, kind = given[:2]
    kinds = kind.items if isinstance(kind, Items) else [kind]
    names = {each.name.removeprefix("builtins.") for each in kinds if isinstance(each, LibraryObject)}
    if len(names) != len(kinds):
        if isinstance(value, Instance) and all(isinstance(each, Class) for each in kinds):
            from ftaudit.reach.class_values import lineage

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
def _len(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    match given:
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
def _container(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    kind = what.name.rpartition(".")[2]
    kind = {"frozenset": "set", "sorted": "list", "iter": "list", "reversed": "list", "deque": "list"}.get(kind, kind)
    if not given:
        return Items(kind, [])
    values, complete = iterate(machine, given[0])
    if what.name.endswith("from_iterable"):
        parts = [iterate(machine, each) for each in values]
        values = [each for items, _ in parts for each in items]
        complete = complete and all(known for _, known in parts)
    if what.name.endswith("sorted"):
        if all(isinstance(each, str) for each in values) and not keywords:
            values = sorted(values)
    elif what.name.endswith("reversed"):
        values = values[::-1]
    return Items(kind, values[:MOST_ITEMS], complete and len(values) <= MOST_ITEMS)


@calls("itertools.chain")
def _chain(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    parts = [iterate(machine, each) for each in given]
    return Items("list", [v for items, _ in parts for v in items][:MOST_ITEMS], all(known for _, known in parts))


@calls("builtins.dict", "collections.OrderedDict", "types.MappingProxyType", "collections.ChainMap",
       "collections.defaultdict")  # fmt: skip
def _dict(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    table = DictValue(dict(keywords), complete=not what.name.endswith("defaultdict"))
    for each in given:
        update(machine, table, each)
    return table


def update(machine: AbstractRun, table: DictValue, value: Value) -> None:
    """Add the content of a mapping or of pairs to a table."""
    if isinstance(value, Instance) and value.payload is not None:
        value = value.payload
    if isinstance(value, DictValue):
        table.entries.update(value.entries)
        table.complete = table.complete and value.complete
        return
    pairs, complete = iterate(machine, value)
    table.complete = table.complete and complete
    for pair in pairs:
        match pair:
            case Items(items=[key, each]) if is_constant(key):
                table.entries[key] = each
            case _:
                table.complete = False


@calls("builtins.zip")
def _zip(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    parts = [iterate(machine, each) for each in given]
    rows = [Items("tuple", list(row)) for row in zip(*(items for items, _ in parts), strict=False)]
    return Items("list", list(rows), all(known for _, known in parts))


@calls("builtins.enumerate")
def _enumerate(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    values, complete = iterate(machine, given[0]) if given else ([], False)
    return Items("list", [Items("tuple", [number, each]) for number, each in enumerate(values)], complete)


@calls("builtins.range")
def _range(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    if not given or not all(isinstance(each, int) for each in given) or len(given) > 3:
        return Items("list", [], complete=False)
    try:
        numbers = range(*given)
    except ValueError:
        return UNKNOWN
    return Items("list", list(numbers[:64]), len(numbers) <= 64)


@calls("builtins.map", "builtins.filter")
def _map(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    if len(given) < 2:
        return UNKNOWN
    values, complete = iterate(machine, given[1])
    if len(given) > 2 or not complete:
        return Items("list", [], complete=False)
    results = [machine.language.call(machine, given[0], [each], {}, scope, node) for each in values[:256]]
    if what.name.endswith("map"):
        return Items("list", results, len(values) <= 256)
    kept = [each for each, wanted in zip(values, results, strict=False) if truth(wanted) is not False]
    return Items("list", kept, all(truth(each) is not None for each in results))


@calls("builtins.next")
def _next(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    values, complete = iterate(machine, given[0]) if given else ([], False)
    if values:
        return values[0]
    return given[1] if complete and len(given) > 1 else UNKNOWN


@calls("builtins.any", "builtins.all")
def _any(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    values, complete = iterate(machine, given[0]) if given else ([], False)
    answers = [truth(each) for each in values]
    decides = what.name.endswith("any")
    if decides in answers:
        return decides
    return UNKNOWN if None in answers or not complete else not decides


@calls("builtins.str", "builtins.int", "builtins.bool", "builtins.repr")
def _plain_type(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    kind = what.name.rpartition(".")[2]
    if not given:
        return {"str": "", "int": 0, "bool": False}.get(kind, UNKNOWN)
    value = given[0]
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
def _property(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    return _kind(given, "property")


@calls("builtins.property.setter")
def _setter(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    return what.about if what.about is not None else UNKNOWN


@calls("builtins.staticmethod", "builtins.classmethod")
def _static(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    return _kind(given, "static" if what.name.endswith("staticmethod") else "class")


@calls("contextlib.contextmanager")
def _context(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    if given and isinstance(given[0], FunctionValue):
        given[0].is_context = True
    return given[0] if given else UNKNOWN


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
def _same(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    return given[0] if given else UNKNOWN


@calls("functools.lru_cache", "dataclasses.dataclass")
def _with_or_without(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    if given and isinstance(given[0], (FunctionValue, Class)):
        return given[0]
    return LibraryObject(f"{what.name}()")


@calls("typing.cast")
def _cast(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    return given[1] if len(given) > 1 else UNKNOWN


@calls("functools.partial")
def _partial(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    return Bound(given[0], given[1:], dict(keywords)) if given else UNKNOWN


@calls("types.MethodType")
def _method_type(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    return Bound(given[0], given[1:2]) if given else UNKNOWN


@calls("function.__get__")
def _get(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    return Bound(what.about, given[:1]) if given and given[0] is not None else what.about


@calls("sys.modules.get", "sys.modules.setdefault")
def _modules_get(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    name = given[0] if given else UNKNOWN
    if not isinstance(name, str):
        return UNKNOWN
    module = machine.modules.get(name)
    if module is not None:
        return module if module.replacement is None else module.replacement
    if name in machine.aliases:
        return machine.aliases[name]
    if what.name.endswith("setdefault") and len(given) > 1:
        machine.aliases[name] = given[1]
        return given[1]
    return UNKNOWN


@calls("builtins.callable")
def _callable(
    machine: AbstractRun,
    given: list[Value],
    keywords: dict[str, Value],
    scope: Scope,
    node: ast.AST,
    what: LibraryObject,
) -> Value:
    match given:
        case [FunctionValue() | Class() | Bound()]:
            return True
        case [str() | int() | None]:
            return False
        case _:
            return UNKNOWN


# Methods of built-in types


_TEXT: Final = (
    *("capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha"),
    *("isdecimal", "isdigit", "isidentifier", "islower", "isupper", "lower", "lstrip", "partition"),
    *("removeprefix", "removesuffix", "replace", "rfind", "rpartition", "rsplit", "rstrip", "split"),
    *("splitlines", "startswith", "strip", "swapcase", "title", "upper", "zfill"),
)


def _text_method(name: str) -> Method:
    def run(
        machine: AbstractRun, owner: Value, given: list[Value], keywords: dict[str, Value], scope: Scope, node: ast.AST
    ) -> Value:
        if isinstance(owner, Pattern):
            if name == "startswith" and given and isinstance(given[0], str) and owner.prefix:
                size = min(len(given[0]), len(owner.prefix))
                if owner.prefix[:size] != given[0][:size]:
                    return False
                return True if size == len(given[0]) else UNKNOWN
            if name in ("strip", "lower", "rstrip"):
                return Pattern(owner.prefix.lower() if name == "lower" else owner.prefix.lstrip())
            return UNKNOWN
        plain: list[Any] = []
        for each in given:
            if is_constant(each):
                plain.append(each)
            elif isinstance(each, Items) and each.complete and all(isinstance(e, str) for e in each.items):
                plain.append(tuple(each.items))
            else:
                return UNKNOWN
        try:
            result = getattr(owner, name)(*plain)
        except (TypeError, ValueError, OverflowError, MemoryError):
            return UNKNOWN
        return _value_of(result)

    return run


def _value_of(result: Any) -> Value:
    if isinstance(result, (list, tuple)):
        return Items("list" if isinstance(result, list) else "tuple", list(result)[:MOST_ITEMS])
    return UNKNOWN if isinstance(result, str) and len(result) > MOST_TEXT else result


for _each in _TEXT:
    METHODS[f"str.{_each}"] = _text_method(_each)


@method("str.join")
def _join(
    machine: AbstractRun, owner: Value, given: list[Value], keywords: dict[str, Value], scope: Scope, node: ast.AST
) -> Value:
    values, complete = iterate(machine, given[0]) if given else ([], False)
    if complete and isinstance(owner, str) and all(isinstance(each, str) for each in values):
        text = owner.join(values)
        return text if len(text) <= MOST_TEXT else UNKNOWN
    prefix = ""
    for each in values:
        if not isinstance(each, str):
            break
        prefix += each + (owner if isinstance(owner, str) else "")
    return Pattern(prefix)


@method("str.format")
def _format(
    machine: AbstractRun, owner: Value, given: list[Value], keywords: dict[str, Value], scope: Scope, node: ast.AST
) -> Value:
    values = [*given, *keywords.values()]
    if isinstance(owner, str) and all(isinstance(each, (str, int)) for each in values) and len(owner) < 1000:
        if "{" in owner and any(mark in owner for mark in (":", "!", "[", ".")) and _has_spec(owner):
            return UNKNOWN
        try:
            text = owner.format(*given, **keywords)
        except (KeyError, IndexError, ValueError, AttributeError, TypeError):
            return UNKNOWN
        return text if len(text) <= MOST_TEXT else UNKNOWN
    return Pattern(owner.partition("{")[0]) if isinstance(owner, str) else UNKNOWN


def _has_spec(text: str) -> bool:
    """Return whether a replacement field has more than a name: a width could request gigabytes."""
    inside = [part.partition("}")[0] for part in text.split("{")[1:]]
    return any(mark in field for field in inside for mark in (":", "!", "[", "."))


@method("dict.get")
def _dict_get(
    machine: AbstractRun, owner: Value, given: list[Value], keywords: dict[str, Value], scope: Scope, node: ast.AST
) -> Value:
    key = given[0] if given else UNKNOWN
    default = given[1] if len(given) > 1 else keywords.get("default")
    if is_constant(key) and key in owner.entries:
        return owner.entries[key]
    return default if is_constant(key) and owner.complete else UNKNOWN


@method("dict.items", "dict.keys", "dict.values")
def _items(
    machine: AbstractRun, owner: Value, given: list[Value], keywords: dict[str, Value], scope: Scope, node: ast.AST
) -> Value:
    return UNKNOWN


def _view(which: str) -> Method:
    def run(
        machine: AbstractRun, owner: Value, given: list[Value], keywords: dict[str, Value], scope: Scope, node: ast.AST
    ) -> Value:
        pairs = [(k, v) for k, v in owner.entries.items() if not (isinstance(k, str) and k.startswith("\0"))]
        match which:
            case "items":
                found = [Items("tuple", [from_key(key), value]) for key, value in pairs]
            case "keys":
                found = [from_key(key) for key, _ in pairs]
            case _:
                found = [value for _, value in pairs]
        return Items("list", found[:MOST_ITEMS], owner.complete)

    return run


for _each in ("items", "keys", "values"):
    METHODS[f"dict.{_each}"] = _view(_each)


@method("dict.update")
def _dict_update(
    machine: AbstractRun, owner: Value, given: list[Value], keywords: dict[str, Value], scope: Scope, node: ast.AST
) -> Value:
    for each in given:
        update(machine, owner, each)
    owner.entries.update(keywords)
    return None


@method("dict.copy")
def _dict_copy(
    machine: AbstractRun, owner: Value, given: list[Value], keywords: dict[str, Value], scope: Scope, node: ast.AST
) -> Value:
    return DictValue(dict(owner.entries), owner.complete)


@method("dict.setdefault")
def _dict_setdefault(
    machine: AbstractRun, owner: Value, given: list[Value], keywords: dict[str, Value], scope: Scope, node: ast.AST
) -> Value:
    if not given or not is_constant(given[0]):
        owner.complete = False
        return UNKNOWN
    return owner.entries.setdefault(given[0], given[1] if len(given) > 1 else None)


@method("dict.pop")
def _dict_pop(
    machine: AbstractRun, owner: Value, given: list[Value], keywords: dict[str, Value], scope: Scope, node: ast.AST
) -> Value:
    if given and is_constant(given[0]):
        default = given[1] if len(given) > 1 and owner.complete else UNKNOWN
        return owner.entries.pop(given[0], default)
    owner.complete = False
    return UNKNOWN


@method("list.append", "set.add", "list.appendleft")
def _append(
    machine: AbstractRun, owner: Value, given: list[Value], keywords: dict[str, Value], scope: Scope, node: ast.AST
) -> Value:
    if machine.conditions or len(owner.items) >= MOST_ITEMS:
        owner.complete = False
        if len(owner.items) >= MOST_ITEMS:
            return None
    owner.items.extend(given[:1])
    return None


@method("list.extend", "set.update", "list.__iadd__")
def _extend(
    machine: AbstractRun, owner: Value, given: list[Value], keywords: dict[str, Value], scope: Scope, node: ast.AST
) -> Value:
    for each in given:
        values, complete = iterate(machine, each)
        owner.items.extend(values[: max(0, MOST_ITEMS - len(owner.items))])
        owner.complete = owner.complete and complete and len(owner.items) < MOST_ITEMS
    return None


@method("list.insert")
def _insert(
    machine: AbstractRun, owner: Value, given: list[Value], keywords: dict[str, Value], scope: Scope, node: ast.AST
) -> Value:
    if len(given) > 1 and isinstance(given[0], int):
        owner.items.insert(given[0], given[1])
    else:
        owner.complete = False
    return None


@method("list.pop", "list.popleft", "set.pop")
def _pop(
    machine: AbstractRun, owner: Value, given: list[Value], keywords: dict[str, Value], scope: Scope, node: ast.AST
) -> Value:
    index = given[0] if given else -1
    if owner.complete and isinstance(index, int) and -len(owner.items) <= index < len(owner.items):
        return owner.items.pop(index)
    owner.complete = False
    return UNKNOWN


@method("list.copy", "set.copy", "set.union", "set.__or__")
def _copy(
    machine: AbstractRun, owner: Value, given: list[Value], keywords: dict[str, Value], scope: Scope, node: ast.AST
) -> Value:
    parts = [iterate(machine, each) for each in given]
    more = [value for items, _ in parts for value in items]
    return Items(owner.kind, [*owner.items, *more], owner.complete and all(known for _, known in parts))


@method("list.remove", "list.clear", "list.sort", "list.reverse", "set.discard", "set.remove", "set.clear",
        "set.difference_update", "set.intersection", "set.difference", "dict.clear", "dict.popitem")  # fmt: skip
def _changes(
    machine: AbstractRun, owner: Value, given: list[Value], keywords: dict[str, Value], scope: Scope, node: ast.AST
) -> Value:
    owner.complete = False
    return UNKNOWN
