"""What functions of the standard library return that import modules, or find them."""

from __future__ import annotations

import ast
from typing import Any, Final

from ftaudit.model.reachability import ConditionKind, OpenKind
from ftaudit.reach.abstract_run import AbstractRun
from ftaudit.reach.abstract_values import (
    UNKNOWN,
    UNSET,
    DictValue,
    Items,
    LibraryObject,
    Module,
    Pattern,
    Scope,
    Value,
    choices_of,
    join,
    truth,
)
from ftaudit.reach.finder import FoundKind
from ftaudit.reach.library_calls import LibraryCall, MethodCall, calls, method
from ftaudit.reach.target_values import VALUES

MOST_NAMES: Final = 400
"""Limit on the modules that one computed import loads."""


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
def _import_module(call: LibraryCall) -> Value:
    name = call.given[0] if call.given else call.keywords.get("name", UNKNOWN)
    package = call.given[1] if len(call.given) > 1 else call.keywords.get("package")
    result: Value = UNSET
    names = tuple(_absolute(each, package) for each in choices_of(name))
    for each in names:
        result = join(result, each)
    return import_value(call.machine, UNKNOWN if result is UNSET else result, call.scope, call.line)


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
def _dunder_import(call: LibraryCall) -> Value:
    name = call.given[0] if call.given else call.keywords.get("name", UNKNOWN)
    names = call.given[3] if len(call.given) > 3 else call.keywords.get("fromlist")
    level = call.given[4] if len(call.given) > 4 else call.keywords.get("level", 0)
    if isinstance(level, int) and level > 0:
        name = _absolute("." * level + name, call.scope.module.package) if isinstance(name, str) else UNKNOWN
    module = import_value(call.machine, name, call.scope, call.line)
    if truth(names):
        if isinstance(module, Module) and isinstance(names, Items):
            for each in names.items:
                if isinstance(each, str) and call.machine.finder.find(f"{module.name}.{each}").kind in _FILES:
                    call.machine.import_name(f"{module.name}.{each}", call.scope, call.line)
        return module
    if isinstance(name, str) and isinstance(module, Module):
        return call.machine.modules.get(name.partition(".")[0], UNKNOWN)
    return module


_FILES: Final = (FoundKind.PYTHON, FoundKind.EXTENSION, FoundKind.NAMESPACE)


@calls(
    "importlib.util.find_spec",
    "importlib.find_loader",
    "pkgutil.find_loader",
    "importlib.machinery.PathFinder.find_spec",
)
def _find_spec(call: LibraryCall) -> Value:
    name = call.given[0] if call.given else call.keywords.get("name", UNKNOWN)
    if isinstance(name, str) and name.startswith("."):
        name = _absolute(name, call.given[1] if len(call.given) > 1 else call.keywords.get("package"))
    if not isinstance(name, str) or not _is_name(name):
        return UNKNOWN
    parent = name.rpartition(".")[0]
    if parent:
        call.machine.import_name(parent, call.scope, call.line)
    found = call.machine.finder.find(name)
    if found.kind is FoundKind.ABSENT:
        return None
    # All that matters about a spec is that it is not `None`.
    return UNKNOWN if found.kind is FoundKind.UNSURE else Items("tuple", [name])


@calls("importlib.util.module_from_spec", "importlib._bootstrap._load")
def _module_from_spec(call: LibraryCall) -> Value:
    match call.given:
        case [Items(kind="tuple", items=[str() as name])]:  # What `find_spec` returns.
            return call.machine.import_name(name, call.scope, call.line)
        case _:
            call.machine.note(OpenKind.COMPUTED, call.scope, call.line)
            return UNKNOWN


@calls("importlib.util.LazyLoader()")
def _lazy_loader(call: LibraryCall) -> Value:
    return UNKNOWN


@calls("pickle.load", "pickle.loads", "pickle.Unpickler().load", "marshal.load", "marshal.loads", "shelve.open",
       "logging.config.dictConfig", "logging.config.fileConfig", "code.interact", "timeit.timeit", "timeit.repeat",
       "code.InteractiveInterpreter().runsource", "code.InteractiveInterpreter().runcode", "unittest.mock.patch",
       "types.FunctionType", "importlib.machinery.SourceFileLoader", "importlib.machinery.ExtensionFileLoader",
       "importlib.machinery.SourcelessFileLoader", "importlib.util.spec_from_file_location",
       "importlib.util.spec_from_loader", "zipimport.zipimporter().load_module")  # fmt: skip
def _other_way(call: LibraryCall) -> Value:
    call.machine.note(OpenKind.EXECUTED, call.scope, call.line)
    return UNKNOWN


@calls("pkgutil.iter_modules", "pkgutil.walk_packages")
def _iter_modules(call: LibraryCall) -> Value:
    path = call.given[0] if call.given else call.keywords.get("path", UNKNOWN)
    prefix = call.given[1] if len(call.given) > 1 else call.keywords.get("prefix", "")
    if isinstance(path, Items) and len(path.items) == 1:
        path = path.items[0]
    if not isinstance(path, LibraryObject) or not isinstance(path.about, Module) or not isinstance(prefix, str):
        return Items("generator", [], complete=False)
    children = call.machine.finder.children(path.about.name)
    found = [Items("tuple", [UNKNOWN, f"{prefix}{name}", is_package]) for name, is_package in children]
    return Items("generator", found[:MOST_NAMES], complete=len(found) <= MOST_NAMES)


ENTRY_POINT: Final = "importlib.metadata.EntryPoint()"


@calls("importlib.metadata.entry_points", "importlib_metadata.entry_points", "pkg_resources.iter_entry_points")
def _entry_points(call: LibraryCall) -> Value:
    group = call.keywords.get("group", call.given[0] if call.given else None)
    if group is not None and not isinstance(group, str):
        return Items("list", [LibraryObject(ENTRY_POINT)], complete=False)
    wanted = call.keywords.get("name")
    found = [
        LibraryObject(ENTRY_POINT, each)
        for each in call.machine.finder.entry_points(group)
        if not isinstance(wanted, str) or each[1] == wanted
    ]
    if group is None:
        table: dict[Any, Value] = {}
        for each in found:
            table.setdefault(each.about[0], Items("list", [])).items.append(each)
        return DictValue(table)
    return Items("list", list(found))


@method("dict.select")
def _select(call: MethodCall) -> Value:
    return call.owner.entries.get(call.keywords.get("group"), UNKNOWN)


@calls("runpy.run_module", "pkgutil.resolve_name", "pydoc.locate")
def _by_name(call: LibraryCall) -> Value:
    name = call.given[0] if call.given else UNKNOWN
    if isinstance(name, str):
        module, _, _ = name.partition(":")
        parts = module.split(".")
        while len(parts) > 1 and call.machine.finder.find(".".join(parts)).kind is FoundKind.ABSENT:
            parts.pop()
        name = ".".join(parts)
    import_value(call.machine, name, call.scope, call.line)
    return UNKNOWN


@calls("runpy.run_path")
def _run_path(call: LibraryCall) -> Value:
    call.machine.note(OpenKind.EXECUTED, call.scope, call.line)
    return UNKNOWN


@calls(f"{ENTRY_POINT}.load", f"{ENTRY_POINT}.resolve", f"{ENTRY_POINT}.require")
def _load_entry_point(call: LibraryCall) -> Value:
    if call.function.name.endswith("require"):
        return UNKNOWN
    if not isinstance(call.function.about, tuple):
        call.machine.note(OpenKind.COMPUTED, call.scope, call.line)
        return UNKNOWN
    target, _, attribute = call.function.about[2].partition("[")[0].strip().partition(":")
    value = call.machine.import_name(target.strip(), call.scope, call.line)
    for part in filter(None, attribute.strip().split(".")):
        value = call.machine.language.attribute(call.machine, value, part, call.scope, call.node)
    return value


for _name, _index in (("group", 0), ("name", 1), ("value", 2)):
    VALUES[f"{ENTRY_POINT}.{_name}"] = lambda machine, owner, index=_index: (  # type: ignore[misc]
        owner.about[index] if isinstance(owner.about, tuple) else UNKNOWN
    )


@calls("importlib.metadata.version", "importlib.metadata.distribution", "importlib_metadata.version")
def _metadata(call: LibraryCall) -> Value:
    name = call.given[0] if call.given else call.keywords.get("distribution_name", UNKNOWN)
    known = {_plain(tree.name) for tree in call.machine.finder.trees}
    if isinstance(name, str) and _plain(name) not in known:
        if call.machine.finder.unread or any(tree.own for tree in call.machine.finder.trees):
            call.machine.may_fail("PackageNotFoundError", name)
        else:
            call.machine.fail("PackageNotFoundError", name)
    return UNKNOWN


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


@calls("builtins.exec", "builtins.eval")
def _exec(call: LibraryCall) -> Value:
    code = call.given[0] if call.given else UNKNOWN
    if not isinstance(code, str):
        if isinstance(code, Pattern) or call.function.name.endswith("exec"):
            call.machine.note(OpenKind.EXECUTED, call.scope, call.line)
            call.scope.module.is_open = True
        return UNKNOWN
    try:
        tree = call.machine.parse(code)
    except Exception:  # Whatever the parser raises, this text is not followed.
        return UNKNOWN
    into = call.scope
    if len(call.given) > 1 and isinstance(call.given[1], DictValue):
        names = (
            call.given[2].entries
            if len(call.given) > 2 and isinstance(call.given[2], DictValue)
            else call.given[1].entries
        )
        into = Scope(
            module=call.scope.module, names=names, parent=call.scope.module.scope, base=len(call.machine.conditions)
        )
    if call.function.name.endswith("eval"):
        if len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr):
            return call.machine.language.evaluate(call.machine, tree.body[0].value, into)
        return UNKNOWN
    call.machine.language.run_block(call.machine, tree.body, into)
    return None
