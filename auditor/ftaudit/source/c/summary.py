"""The facts of one file about shared state, as JSON data: its functions' effects and its entry points."""

from __future__ import annotations

import re
from typing import Any, Final

from ftaudit.source.base import Survey
from ftaudit.source.c.entry_points import find_entries
from ftaudit.source.c.function_effects import Effects, find_effects
from ftaudit.source.c.functions import Function
from ftaudit.source.c.objects import Fields, class_fields
from ftaudit.source.c.unit import HELD, CUnit

_LONGEST: Final = 60_000
"""How many characters a function may have to be read; longer ones are generated."""


def summarise_c(unit: CUnit) -> Survey | None:
    """Return the effects of the file's functions and its entry points, or `None` if there are neither.

    Functions that only the import of the module runs are left out: no other thread exists yet.
    """
    objects = _objects(unit)
    entries, members = find_entries(unit)
    functions: list[Any] = []
    places: dict[int, int] = {}
    for function in unit.functions:
        if unit.at_import(function) or function.end - function.body > _LONGEST:
            continue
        owner = _class_of(unit, function)
        effects = find_effects(unit, function, objects, owner if owner in objects and not function.bound else "")
        places[function.body] = len(functions)
        functions.append(_function_row(unit, function, owner, effects))
    rows = [
        [
            entry.function,
            None if entry.body is None else places.get(entry.body),
            entry.name,
            entry.kind.value,
            unit.line_at(entry.at),
            entry.locked,
        ]
        for entry in entries
    ]
    fields = [[m.name, m.type, m.field, unit.line_at(m.at), m.writable, m.guarded] for m in members]
    if not rows and not fields and not any(row[3] or row[4] for row in functions):
        return None
    return {"functions": functions, "entries": rows, "members": fields, "classes": _declared_methods(unit, objects)}


def _objects(unit: CUnit) -> dict[str, Fields]:
    """Return the types of objects of the tree, with this file's facts about the fields of bound classes."""
    objects = dict(unit.tree.objects)
    for start, end, name in unit.syntax.classes:
        if name in objects:
            objects[name] = {**class_fields(unit.code, start, end), **objects[name]}
    return objects


def _class_of(unit: CUnit, function: Function) -> str:
    if not unit.cpp or "static" in function.header:
        return ""
    qualifier = function.name.rpartition("::")[0].rpartition("::")[2].strip()
    if qualifier:
        return re.sub(r"<.*", "", qualifier).strip()
    owners = [name for start, end, name in unit.syntax.classes if start < function.start < end]
    return owners[-1] if owners else ""


def _function_row(unit: CUnit, function: Function, owner: str, effects: Effects) -> list[Any]:
    held = bool(HELD.search(function.short_name)) or function.body in unit.clinic_locked
    lines = unit.line_at
    touches = [
        [touch.root, touch.type, touch.field, touch.kind.value, touch.locked or held, lines(touch.at)]
        for touch in effects.touches
    ]
    calls = [
        [
            call.callee,
            [None if value is None else list(value) for value in call.arguments],
            list(call.handles),
            call.locked or held,
            lines(call.at),
        ]
        for call in effects.calls
    ]
    name = f"{owner}::{function.short_name}" if owner else function.short_name
    return [name, function.is_static, lines(function.at), touches, calls]


_DECLARED: Final = re.compile(
    r"\b([A-Za-z_]\w*)\s*\([^;{}()]*(?:\([^()]*\)[^;{}()]*)*\)\s*((?:const|noexcept|override|final|\s)*)\s*(?:;|\{|=)"
)


def _declared_methods(unit: CUnit, objects: dict[str, Fields]) -> dict[str, dict[str, bool]]:
    """Return the methods that the bodies of bound classes declare, and whether each is const."""
    found: dict[str, dict[str, bool]] = {}
    for start, end, name in unit.syntax.classes:
        if name in objects:
            methods = found.setdefault(name, {})
            for method in _DECLARED.finditer(unit.code, start, min(end, start + _LONGEST)):
                methods.setdefault(method[1], "const" in method[2])
    return found
