"""Shared state: which static variables functions write while the program runs, and whether anything guards that."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from typing import Final

from ftaudit.source.c.c_declarations import Variable
from ftaudit.source.c.candidates import TABLES, may_have_written_variables
from ftaudit.source.c.functions import Function
from ftaudit.source.c.locks import words
from ftaudit.source.c.unit import CUnit
from ftaudit.source.c.uses import UseKind, VariableUse, constructed_with

OBJECT_TYPES: Final = re.compile(
    r"\b(?:PyObject|PyTypeObject|PyHeapTypeObject|Py[A-Z]\w*Object|PyFrameObject|PyCodeObject|PyThreadState)\b(?=.*\*)|\bPyObjectPtr\b"
)
_TYPE_WORD: Final = re.compile(r"[A-Za-z_]\w*")
_STORES: Final = re.compile(r"\s*=(?!=)")
_STORES_INTO: Final = re.compile(
    r"\s*(?:(?:->[\w.]+|\[[^\]]*\](?:\.\w+)?|\.\w+)\s*(?:[-+|&^*/]|<<|>>)?=(?!=)|->\s*\w+\s*(?:\+\+|--))"
)
_LEADS_ON: Final = re.compile(r"\s*->")
"""The text after a pointer that something is stored through, by the text before it."""
_CONDITION: Final = re.compile(r"\bif\s*(?:UNLIKELY|NPY_UNLIKELY|unlikely|__builtin_expect)?\s*\(([^;{}]*)")
_LOOKED_AT: Final = 20
"""How many writes of one variable are checked for whether they fill it; generated code has hundreds."""
_EMPTY: Final = re.compile(
    r"!\s*(\w+)\b(?!\s*[\[.(]|->)"
    r"|(?<![\w.>])(\w+)\s*(?:==\s*(?:NULL|0|nullptr|Py_None|-\s*1|Py_?False|false|FALSE)\b|<\s*[01]\b)"
    r"|\b(?:NULL|nullptr|0)\s*==\s*(\w+)\b"
    r"|(?<![\w.>])(\w+)\s*(?:!=\s*(?:NULL|0|nullptr)\b|\))"
)
"""Conditions that a variable is empty, or that it is not (and the function returns it or leaves)."""


@dataclass(frozen=True)
class SharedWrite:
    """A shared variable and the places that write it without a guard, while any thread may run them."""

    unit: CUnit
    variable: Variable
    first: tuple[VariableUse, Function]
    """The first of the writes."""

    @cached_property
    def writes(self) -> tuple[tuple[VariableUse, Function], ...]:
        """The unguarded writes in functions that run not only at import; at least one."""
        return tuple(_open_writes(self.unit, self.variable))

    @cached_property
    def lazy(self) -> bool:
        """Whether one of the writes fills the variable when it is found empty."""
        looked_at = islice(_open_writes(self.unit, self.variable), _LOOKED_AT)
        return any(_is_lazy(self.unit, self.variable, use, function) for use, function in looked_at)


def holds_objects(variable: Variable) -> bool:
    """Return whether a variable holds references to Python objects; a container of them is a container."""
    return bool(OBJECT_TYPES.search(variable.outer_type) or OBJECT_TYPES.search(variable.members)) or (
        bool(variable.words & {"PyObject", "PyTypeObject"}) and variable.pointer
    )


def find_shared_writes(unit: CUnit, wanted: Callable[[Variable], bool] = lambda _: True) -> Iterator[SharedWrite]:
    """Yield the wanted ones of the variables of a file that functions write unguarded; each is computed once."""
    known: dict[int, SharedWrite | None] = unit.memory.setdefault("shared writes", {})  # type: ignore[assignment]
    for variable in _changeable(unit):
        if wanted(variable):
            if variable.start not in known:
                first = next(_open_writes(unit, variable), None)
                found = first is not None and not _atomically_published(unit, variable)
                known[variable.start] = SharedWrite(unit, variable, first) if first and found else None
            shared = known[variable.start]
            if shared is not None:
                yield shared


def _changeable(unit: CUnit) -> list[Variable]:
    """Return the shared variables of a file that are neither constants nor locks nor tables of CPython's."""
    known: list[Variable] | None = unit.memory.get("changeable")  # type: ignore[assignment]
    if known is None:
        found = unit.shared_variables.values() if may_have_written_variables(unit.code, cpp=unit.cpp) else ()
        known = [variable for variables in found for variable in variables if _may_matter(unit, variable)]
        unit.memory["changeable"] = known
    return known


def _open_writes(unit: CUnit, variable: Variable) -> Iterator[tuple[VariableUse, Function]]:
    """Yield the unguarded writes of a variable, in order."""
    for use, function in unit.uses(variable, partial(_is_write, unit, variable)):
        if _is_open(unit, variable, use, function):
            yield use, function


def _may_matter(unit: CUnit, variable: Variable) -> bool:
    if variable.constant and not variable.array:
        return False
    if variable.constant or unit.is_synchronized(variable):
        return False
    if not TABLES.isdisjoint(_TYPE_WORD.findall(variable.outer_type)) and not variable.pointer:
        return False
    return not (unit.cpp and variable.function is not None and "&" in variable.type)


def _is_write(unit: CUnit, variable: Variable, use: VariableUse) -> bool:
    if use.kind is UseKind.WRITE:
        return not _is_comparison_artifact(use, variable)
    if use.kind is UseKind.KEPT:
        # An array that starts out empty and whose address is stored elsewhere is filled by the code that stores it.
        return variable.array and variable.initializer is None
    if unit.cpp and use.kind is UseKind.READ and not variable.array and (kind := constructed_with(unit.code, use.at)):
        return _writes_reference(unit, kind)
    if not use.callee:
        return False
    handed_out = use.kind is UseKind.ADDRESS or (variable.array and use.kind is UseKind.READ)
    return handed_out and writes_parameter(unit, use.callee, use.argument)


def _is_comparison_artifact(use: VariableUse, variable: Variable) -> bool:
    """A member of an object that a pointer leads to is not the variable: `cached->ob_type`-like stores are others'."""
    return use.element and variable.pointer and not variable.array and bool(OBJECT_TYPES.search(variable.outer_type))


def writes_parameter(unit: CUnit, callee: str, index: int) -> bool:
    """Return whether a function of this file writes through its parameter of that index."""
    known = unit.memory.setdefault("written parameters", {})
    assert isinstance(known, dict)  # noqa: S101 - for the type checker: no other code uses this key
    if (callee, index) not in known:
        known[callee, index] = _writes_parameter(unit, callee, index)
    return bool(known[callee, index])


def _writes_parameter(unit: CUnit, callee: str, index: int) -> bool:
    for function in unit.functions_named(callee):
        if index >= len(function.parameters) or index < 0:
            continue
        parameter = function.parameters[index]
        if re.search(r"\bconst\b", parameter.type.rpartition("*")[0]):
            continue
        stored = _stored(unit.code, parameter.name, function)
        if stored is not None and not unit.guarded(stored):
            return True
    return False


def _writes_reference(unit: CUnit, kind: str) -> bool:
    """Return whether a constructor of this file writes through its first parameter: a flag set for a scope."""
    known: dict[str, bool] = unit.memory.setdefault("written references", {})  # type: ignore[assignment]
    if kind not in known:
        known[kind] = _constructor_writes(unit, kind)
    return known[kind]


def _constructor_writes(unit: CUnit, kind: str) -> bool:
    for function in unit.functions_named(kind):
        parameter = function.parameters[0] if function.parameters else None
        if parameter is None or "&" not in parameter.type or re.search(r"\bconst\b|&&", parameter.type):
            continue
        name = re.escape(parameter.name)
        if re.search(rf"(?<![\w.>]){name}\s*(?:[-+|&^]?=(?!=)|\+\+|--)", unit.code[function.body : function.end]):
            return True
    return False


def _stored(code: str, name: str, function: Function) -> int | None:
    """Return where a function first stores through a pointer: `*p = …`, `p->x = …`, `p[0] = …`, `++p->x`."""
    at = code.find(name, function.body, function.end)
    while at >= 0:
        before = code[max(function.body, at - 40) : at]
        if not (before[-1:].isalnum() or before[-1:] == "_"):
            end = at + len(name)
            if _STORES_INTO.match(code, end, function.end):
                return at
            operator = before.rstrip()
            if operator.endswith("*") and _STORES.match(code, end, function.end):
                return at - len(before) + len(operator) - 1
            if operator.endswith(("++", "--")) and _LEADS_ON.match(code, end, function.end):
                return at - len(before) + len(operator) - 2
        at = code.find(name, at + 1, function.end)
    return None


def _is_open(unit: CUnit, variable: Variable, use: VariableUse, function: Function) -> bool:
    if unit.at_import(function) or unit.guarded(use.at):
        return False
    return not (unit.maybe_at_import(function) and not _is_lazy(unit, variable, use, function))


def _is_lazy(unit: CUnit, variable: Variable, use: VariableUse, function: Function) -> bool:
    window = unit.code[max(function.body, use.at - 1500) : use.at]
    if variable.name not in window:
        return False
    return any(
        variable.name in tested.groups()
        for condition in _CONDITION.finditer(window)
        if variable.name in condition[1]
        for tested in _EMPTY.finditer(condition[1])
    )


def _atomically_published(unit: CUnit, variable: Variable) -> bool:
    """Return whether other places use atomic operations on it: then the plain accesses are known to be safe."""
    if not unit.has_atomics:
        return False
    return any(
        use.callee and {"atomic", "sync", "interlocked"} & set(words(use.callee)) for use, _ in unit.uses(variable)
    )
