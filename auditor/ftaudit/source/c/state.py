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
_STATIC: Final = re.compile(r"static\b")
_STATIC_VARIABLE: Final = re.compile(
    r"[^;{}()=]*(?:[;={]|\(\s*\*|\([^;{}]{0,80}\)\s*[;,=])|[^;{}()]*\b(?:__attribute__|__declspec|alignas)\b"
)
_LINE_START: Final = re.compile(r"^[A-Za-z_]", re.MULTILINE)
_GLOBAL_VARIABLE: Final = re.compile(
    r"(?!(?:typedef|using|namespace|template|return|public|private|protected|goto|case|default|friend|else)\b)"
    r"(?!(?:struct|class|enum|union)\s+\w+\s*;)(?:[\w:*&<>,\s\[\]]|\(\s*\*)*?[;={]"
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
_CONDITION: Final = re.compile(r"\bif\s*(?:UNLIKELY|NPY_UNLIKELY|unlikely|__builtin_expect)?\s*\(([^;{}]*)")
_LOOKED_AT: Final = 20
"""Writes of one variable that are asked whether they fill it; code made by translators has hundreds."""
_EMPTY: Final = re.compile(
    r"!\s*(\w+)\b(?!\s*[\[.(]|->)"
    r"|(?<![\w.>])(\w+)\s*(?:==\s*(?:NULL|0|nullptr|Py_None|-\s*1|Py_?False|false|FALSE)\b|<\s*[01]\b)"
    r"|\b(?:NULL|nullptr|0)\s*==\s*(\w+)\b"
    r"|(?<![\w.>])(\w+)\s*(?:!=\s*(?:NULL|0|nullptr)\b|\))"
)
"""Conditions that a variable is empty, or that it is not (and the function returns it or leaves)."""


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
    if not _may_have_variables(unit.code):
        return ()
    known: tuple[SharedWrite, ...] | None = unit.memory.get("shared writes")  # type: ignore[assignment]
    if known is None:
        known = tuple(_find(unit))
        unit.memory["shared writes"] = known
    return known


def _may_have_variables(code: str) -> bool:
    """Tell at a glance whether a file may define variables that live on: most headers do not, and need no parse."""
    return any(_STATIC_VARIABLE.match(code, found.end()) for found in _STATIC.finditer(code)) or any(
        _GLOBAL_VARIABLE.match(code, found.start()) for found in _LINE_START.finditer(code)
    )


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
                lazy = any(_is_lazy(unit, variable, use, function) for use, function in open_writes[:_LOOKED_AT])
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
    known = unit.memory.setdefault("written parameters", {})
    assert isinstance(known, dict)  # noqa: S101 - for the type checker: nobody else uses this key
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
        name = re.escape(parameter.name)
        pattern = re.compile(
            rf"\*\s*{name}\s*=(?!=)|\b{name}\s*(?:->[\w.]+|\[[^\]]*\](?:\.\w+)?|\.\w+)\s*(?:[-+|&^*/]|<<|>>)?=(?!=)"
            rf"|\b{name}\s*->\s*\w+\s*(?:\+\+|--)|(?:\+\+|--)\s*{name}\s*->"
        )
        stored = pattern.search(unit.code, function.body, function.end)
        if stored and not unit.guarded(stored.start()):
            return True
    return False


def _is_open(unit: CUnit, variable: Variable, use: Use, function: Function) -> bool:
    if unit.at_import(function) or unit.guarded(use.at):
        return False
    return not (unit.maybe_at_import(function) and not _is_lazy(unit, variable, use, function))


def _is_lazy(unit: CUnit, variable: Variable, use: Use, function: Function) -> bool:
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
    """Tell whether other places read or write it by atomic operations: then the plain ones are known to be safe."""
    if not unit.has_atomics:
        return False
    return any(
        use.callee and {"atomic", "sync", "interlocked"} & set(words(use.callee)) for use, _ in unit.uses(variable)
    )
