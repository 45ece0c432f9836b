"""Import statements: what they load, and the values that they bind."""

from __future__ import annotations

import ast

from ftaudit.model.reachability import ConditionKind, OpenKind
from ftaudit.reach.abstract_run import AbstractRun
from ftaudit.reach.abstract_values import (
    UNKNOWN,
    UNSET,
    Bound,
    Failed,
    FunctionValue,
    Items,
    Lazy,
    LibraryObject,
    Module,
    OneOf,
    Scope,
    Value,
)
from ftaudit.reach.bindings import bind
from ftaudit.reach.finder import FoundKind


def run_import(machine: AbstractRun, node: ast.Import, scope: Scope) -> None:
    """Run `import a.b as c`."""
    machine.ran.add(node)
    for alias in node.names:
        if _is_lazy(machine, node.lineno, alias.name, scope):
            site = (scope, node.lineno)
            name = alias.asname or alias.name.partition(".")[0]
            bind(machine, scope, name, Lazy(module=alias.name, attribute=None, site=(site, bool(alias.asname))))
            continue
        bind_import(machine, alias.name, alias.asname, scope, node.lineno)


def bind_import(machine: AbstractRun, name: str, asname: str | None, scope: Scope, line: int) -> None:
    """Import a module, and bind it or its top-level package."""
    module = machine.import_name(name, scope, line)
    if asname:
        bind(machine, scope, asname, module)
        return
    top = name.partition(".")[0]
    found = machine.modules.get(top)
    if found is None and isinstance(module, Module):  # Next to a script.
        found = machine.modules.get(module.name.removesuffix(name) + top)
    bind(machine, scope, top, machine.aliases.get(top, UNKNOWN) if found is None else found.value)


def run_import_from(machine: AbstractRun, node: ast.ImportFrom, scope: Scope) -> None:
    """Run `from a import b`, also with `*`; a lazy import loads nothing yet."""
    machine.ran.add(node)
    base = absolute_name(node.module or "", node.level, scope)
    if base is None or (node.level and scope.module.name in machine.scripts):
        machine.fail("ImportError", node.module or ".")
        return
    if base == "__future__":
        return
    lazy = _is_lazy(machine, node.lineno, base, scope)
    if lazy and node.names[0].name != "*":
        for alias in node.names:
            value = Lazy(module=base, attribute=alias.name, site=((scope, node.lineno), True))
            bind(machine, scope, alias.asname or alias.name, value)
        return
    module = machine.import_name(base, scope, node.lineno)
    for alias in node.names:
        if alias.name == "*":
            _import_star(machine, module, scope, node)
        else:
            value = attribute_for_import(machine, module, base, alias.name, scope, node)
            bind(machine, scope, alias.asname or alias.name, value)


def absolute_name(name: str, level: int, scope: Scope) -> str | None:
    """Return the absolute name for a relative import, or `None` if it leaves its package."""
    if not level:
        return name
    parts = scope.module.package.split(".") if scope.module.package else []
    if level > len(parts):
        return None
    parts = parts[: len(parts) - level + 1]
    return ".".join([*parts, name] if name else parts)


def attribute_for_import(
    machine: AbstractRun, module: Value, base: str, name: str, scope: Scope, node: ast.stmt
) -> Value:
    """Return the value for `from base import name`: a name of the module, a result of its `__getattr__`, or a
    submodule.
    """
    if not isinstance(module, Module):
        if module is UNKNOWN:
            return UNKNOWN
        value = machine.language.attribute(machine, module, name, scope, node)
        _may_miss(machine, value, f"{base}.{name}", scope)
        return value
    if module.found.kind is FoundKind.STDLIB:
        value = machine.language.attribute(machine, LibraryObject(base), name, scope, node)
        _may_miss(machine, value, f"{base}.{name}", scope)
        return value
    names = module.scope.names
    if name in names:
        value = machine.language.attribute(machine, module, name, scope, node)
        if isinstance(value, Module) and value.name == f"{base}.{name}":
            machine.import_name(value.name, scope, node.lineno)  # It is already loaded, and this place also needs it.
        return value
    hook = names.get("__getattr__")
    found = machine.finder.find(f"{base}.{name}")
    if isinstance(hook, (FunctionValue, Bound, OneOf)):
        value = UNKNOWN
        try:
            value = machine.language.call(machine, hook, [name], {}, scope, node)
        except Failed as failed:
            if failed.kind != "AttributeError":
                raise
        if found.kind in (FoundKind.PYTHON, FoundKind.EXTENSION, FoundKind.NAMESPACE) and value is UNKNOWN:
            return machine.import_name(f"{base}.{name}", scope, node.lineno)
        _may_miss(machine, value, f"{base}.{name}", scope)
        return value
    if found.kind in (FoundKind.PYTHON, FoundKind.EXTENSION, FoundKind.NAMESPACE) and module.found.is_package:
        return machine.import_name(f"{base}.{name}", scope, node.lineno)
    if f"{base}.{name}" in machine.aliases:
        return machine.aliases[f"{base}.{name}"]
    if module.done and not module.is_open and hook is None and name not in ("__version__", "__all__", "__doc__"):
        # It may exist for a reason that was not followed: both branches count.
        if machine.may_fail("ImportError", f"{base}.{name}"):
            condition = machine.condition(ConditionKind.BODY, scope, node.lineno, f"{base}.{name}")
            machine.conditions.append(condition)
        return UNKNOWN
    if not module.done:
        machine.may_fail("ImportError", f"{base}.{name}")  # A circular import: its body has not come to the name yet.
    else:
        _may_miss(machine, UNKNOWN, f"{base}.{name}", scope)
    return UNKNOWN


def _may_miss(machine: AbstractRun, value: Value, name: str, scope: Scope) -> None:
    """Count both branches in the user's code for a name of a module whose names are not known."""
    if scope.module.found.is_own and (value is UNKNOWN or isinstance(value, LibraryObject)):
        machine.may_fail("ImportError", name)


def _import_star(machine: AbstractRun, module: Value, scope: Scope, node: ast.ImportFrom) -> None:
    if not isinstance(module, Module):
        scope.module.is_open = True
        return
    if module.found.kind is FoundKind.STDLIB:
        scope.names.setdefault("\0star", Items("list", []))
        scope.names["\0star"].items.append(LibraryObject(module.name))
        return
    listed = module.scope.names.get("__all__", UNSET)
    if module.is_open or module.found.kind is FoundKind.EXTENSION:
        scope.module.is_open = True
    if isinstance(listed, Items):
        for name in listed.items:
            if isinstance(name, str):
                value = attribute_for_import(machine, module, module.name, name, scope, node)
                bind(machine, scope, name, value)
        if not listed.complete:
            scope.module.is_open = True
            machine.note_own(OpenKind.COMPUTED, scope, node.lineno)
            _import_unknown(machine, module, scope, node)
        return
    if listed is not UNSET:
        machine.note_own(OpenKind.COMPUTED, scope, node.lineno)
        scope.module.is_open = True
        _import_unknown(machine, module, scope, node)
    for name, value in list(module.scope.names.items()):
        if not name.startswith(("_", "\0")):
            if isinstance(value, Lazy):
                value = machine.language.attribute(machine, module, name, scope, node)
            bind(machine, scope, name, value)


def _import_unknown(machine: AbstractRun, module: Module, scope: Scope, node: ast.ImportFrom) -> None:
    """Run the `__getattr__` of a module for the names of `__all__` that are not known: each may load something."""
    hook = module.scope.names.get("__getattr__")
    if isinstance(hook, (FunctionValue, Bound, OneOf)):
        with machine.under(ConditionKind.SEVERAL, scope, node.lineno, f"{module.name}.__all__"):
            machine.language.call(machine, hook, [UNKNOWN], {}, scope, node)


def _is_lazy(machine: AbstractRun, line: int, name: str, scope: Scope) -> bool:
    if machine.version < (3, 15) or scope.label:
        return False
    if line in scope.module.lazy:
        return True
    listed = scope.names.get("__lazy_modules__")
    return isinstance(listed, Items) and name in [each for each in listed.items if isinstance(each, str)]
