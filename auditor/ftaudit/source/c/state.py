"""Shared state: which static variables functions write while the program runs, and whether anything guards that."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ftaudit.source.c.declarations import Variable
from ftaudit.source.c.locks import words
from ftaudit.source.c.syntax import Function
from ftaudit.source.c.unit import CUnit
from ftaudit.source.c.uses import Use, UseKind

OBJECT_TYPES: Final = re.compile(
    r"\b(?:PyObject|PyTypeObject|PyHeapTypeObject|Py[A-Z]\w*Object|PyFrameObject|PyCodeObject|PyThreadState)\b(?=.*\*)|\bPyObjectPtr\b"
)
_TABLES: Final = frozenset(
    {
        "PyMethodDef",
        "PyModuleDef",
        "PyModuleDef_Slot",
        "PySlot",
        "PyGetSetDef",
        "PyMemberDef",
        "PyType_Slot",
        "PyType_Spec",
        "PyTypeObject",
        "PyHeapTypeObject",
        "PyBufferProcs",
        "PyNumberMethods",
        "PySequenceMethods",
        "PyMappingMethods",
        "PyAsyncMethods",
        "PyStructSequence_Field",
        "PyStructSequence_Desc",
        "_Py_Identifier",
        "_PyArg_Parser",
        "PyCFunctionFastWithKeywords",
    }
)
_TEST_OF: Final = r"(?:!\s*(?:{n})\b(?!\s*[\[.(])|\b(?:{n})\s*(?:==\s*(?:NULL|0|nullptr|Py_None|-\s*1|Py_?False|false|FALSE)\b|<\s*[01]\b)|(?:NULL|nullptr|0)\s*==\s*(?:{n})\b|\b(?:{n})\s*(?:!=\s*(?:NULL|0|nullptr)\b|\)))"


@dataclass(frozen=True, slots=True)
class SharedWrite:
    """A shared variable and the places that write it with no guard, while any thread may run them."""

    variable: Variable
    writes: tuple[tuple[Use, Function], ...]
    """Unguarded, in functions that do not only run at import; at least one."""
    lazy: bool
    """Whether one of them fills the variable when it is found empty."""

    @property
    def objects(self) -> bool:
        """Whether it holds references to Python objects."""
        return bool(OBJECT_TYPES.search(self.variable.type)) or (
            bool(self.variable.words & {"PyObject", "PyTypeObject"}) and self.variable.pointer
        )


def find_shared_writes(unit: CUnit) -> tuple[SharedWrite, ...]:
    """Return the variables of a file that functions write unguarded; worked out once for each unit."""
    known: tuple[SharedWrite, ...] | None = unit.memory.get("shared writes")  # type: ignore[assignment]
    if known is None:
        known = tuple(_find(unit))
        unit.memory["shared writes"] = known
    return known


def _find(unit: CUnit) -> Iterator[SharedWrite]:
    for variables in list(unit.shared_variables.values()):
        for variable in variables:
            if not _may_matter(unit, variable):
                continue
            writes = [found for found in unit.uses(variable) if _is_write(unit, variable, found[0])]
            if not writes:
                continue
            open_writes = [(use, function) for use, function in writes if _is_open(unit, variable, use, function)]
            if open_writes and not _atomically_published(unit, variable):
                lazy = any(_is_lazy(unit, variable, use, function) for use, function in open_writes)
                yield SharedWrite(variable, tuple(open_writes), lazy)


def _may_matter(unit: CUnit, variable: Variable) -> bool:
    if variable.constant and not variable.array:
        return False
    if variable.constant or unit.is_synchronised(variable):
        return False
    if variable.words & _TABLES and not variable.pointer:
        return False
    return not (unit.cpp and variable.function is not None and "&" in variable.type)


def _is_write(unit: CUnit, variable: Variable, use: Use) -> bool:
    if use.kind is UseKind.WRITE:
        return not _is_comparison_artifact(use, variable)
    if not use.callee:
        return False
    handed_out = use.kind is UseKind.ADDRESS or (variable.array and use.kind is UseKind.READ)
    return handed_out and writes_parameter(unit, use.callee, use.argument)


def _is_comparison_artifact(use: Use, variable: Variable) -> bool:
    """A member of an object that a pointer leads to is not the variable: `cached->ob_type`-like stores are others'."""
    return use.element and variable.pointer and not variable.array and bool(OBJECT_TYPES.search(variable.type))


def writes_parameter(unit: CUnit, callee: str, index: int) -> bool:
    """Tell whether a function of this file writes through its parameter of that index."""
    for function in unit.functions:
        if function.short_name != callee or index >= len(function.parameters) or index < 0:
            continue
        parameter = function.parameters[index]
        if re.search(r"\bconst\b", parameter.type.rpartition("*")[0]):
            continue
        body = unit.code[function.body : function.end]
        name = re.escape(parameter.name)
        stored = re.search(
            rf"\*\s*{name}\s*=(?!=)|\b{name}\s*(?:->[\w.]+|\[[^\]]*\](?:\.\w+)?|\.\w+)\s*(?:[-+|&^*/]|<<|>>)?=(?!=)"
            rf"|\b{name}\s*->\s*\w+\s*(?:\+\+|--)|(?:\+\+|--)\s*{name}\s*->",
            body,
        )
        if stored and not unit.guarded(function.body + stored.start()):
            return True
    return False


def _is_open(unit: CUnit, variable: Variable, use: Use, function: Function) -> bool:
    if unit.at_import(function) or unit.guarded(use.at):
        return False
    return not (unit.maybe_at_import(function) and not _is_lazy(unit, variable, use, function))


def _is_lazy(unit: CUnit, variable: Variable, use: Use, function: Function) -> bool:
    start = max(function.body, use.at - 1500)
    name = re.escape(variable.name)
    pattern = r"\bif\s*\([^;{}]*?" + _TEST_OF.replace("{n}", name)
    return bool(re.search(pattern, unit.code[start : use.at]))


def _atomically_published(unit: CUnit, variable: Variable) -> bool:
    """Tell whether other places read or write it by atomic operations: then the plain ones are known to be safe."""
    if not unit.has_atomics:
        return False
    return any(
        use.callee and {"atomic", "sync", "interlocked"} & set(words(use.callee)) for use, _ in unit.uses(variable)
    )
