"""Package functions that read data outside the abstract run, with their results."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Final

from ftaudit.reach.abstract_run import AbstractRun, decode
from ftaudit.reach.abstract_values import (
    UNKNOWN,
    DictValue,
    FunctionValue,
    Items,
    Scope,
    Value,
)


def _attach_stub(
    machine: AbstractRun, arguments: list[Value], keywords: dict[str, Value], scope: Scope, node: ast.AST
) -> Value:
    """Read the stub next to a module, as `lazy_loader.attach_stub` does, and attach the names in it."""
    module = machine.modules.get(arguments[0]) if arguments and isinstance(arguments[0], str) else scope.module
    attach = machine.modules.get("lazy_loader")
    if module is None or attach is None:
        return UNKNOWN
    stem = module.found.path.rpartition("/")[2].rpartition(".")[0]
    data = machine.finder.read_beside(module.found, f"{stem}.pyi")
    if data is None:
        return UNKNOWN
    try:
        tree = machine.parse(decode(data))
    except Exception:  # Whatever the parser raises, nothing is attached.
        return UNKNOWN
    submodules: list[Value] = []
    names: dict[str, list[Value]] = {}
    for each in tree.body:
        if isinstance(each, ast.ImportFrom) and each.level == 1:
            if each.module is None:
                submodules += [alias.name for alias in each.names]
            else:
                names.setdefault(each.module, []).extend(alias.name for alias in each.names)
    table = DictValue({key: Items("list", value) for key, value in names.items()})
    function = attach.scope.names.get("attach")
    if not isinstance(function, FunctionValue):
        return UNKNOWN
    given: list[Value] = [module.name, Items("set", submodules), table]
    return machine.language.call(machine, function, given, {}, scope, node)


OVERRIDES: Final[dict[str, Callable[[AbstractRun, list[Value], dict[str, Value], Scope, ast.AST], Value]]] = {
    "lazy_loader.attach_stub": _attach_stub,
}
