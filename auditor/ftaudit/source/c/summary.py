"""The facts of one file about shared state, as JSON data: its functions' effects and its entry points."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any, Final

from ftaudit.source.base import Survey
from ftaudit.source.c.access_kinds import releases_when_set
from ftaudit.source.c.entry_points import TableField, find_entries
from ftaudit.source.c.function_effects import Effects, find_effects
from ftaudit.source.c.functions import Function
from ftaudit.source.c.objects import Fields, class_fields, is_lazy_class
from ftaudit.source.c.unit import HELD, CUnit
from ftaudit.source.shared_state import AccessKind, EntryKind

_LONGEST: Final = 60_000
"""How many characters a function may have to be read; longer ones are generated."""


def summarize_c(unit: CUnit) -> Survey | None:
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
            None,
            False,
        ]
        for entry in entries
    ]
    rows += _const_entries(unit, objects, functions, places)
    rows += _entries_of_locking_classes(unit, functions, places)
    fields = [[m.name, m.type, m.field, unit.line_at(m.at), _stored(m, objects), m.guarded] for m in members]
    if not rows and not fields and not any(row[3] or row[4] for row in functions):
        return None
    declared, hidden = _declared_methods(unit, objects)
    return {"functions": functions, "entries": rows, "members": fields, "classes": declared, "hidden": hidden}


_CONST: Final = re.compile(r"\)\s*const\b[^;{}]*\Z")


def _const_entries(
    unit: CUnit, objects: dict[str, Fields], functions: list[Any], places: dict[int, int]
) -> Iterator[list[Any]]:
    """Yield the const methods that use mutable fields of their class: every thread may call them at once.

    That is what const means in C++ (the standard library says so of its types, and code relies on it), also for classes
    that no binding of the tree names.
    """
    for function in unit.functions if unit.cpp and "const" in unit.code else ():
        index = places.get(function.body)
        owner = _class_of(unit, function)
        if index is None or owner not in objects or not is_lazy_class(objects[owner]):
            continue
        if not _CONST.search(unit.code, function.at, function.body):
            continue
        mutable = [name for name, kind in objects[owner].items() if kind.startswith("mutable")]
        if any(kind == owner and name in mutable for _, kind, name, *_ in functions[index][3]):
            place = unit.line_at(function.at)
            yield [
                functions[index][0],
                index,
                function.short_name,
                EntryKind.METHOD.value,
                place,
                False,
                mutable,
                False,
            ]


_OPERATOR: Final = re.compile(r"\boperator\b")


def _entries_of_locking_classes(unit: CUnit, functions: list[Any], places: dict[int, int]) -> Iterator[list[Any]]:
    """Yield the functions that use fields of C++ classes whose objects own a lock: any thread may run them."""
    locking = unit.tree.locking
    if not unit.cpp or not locking:
        return
    for function in unit.functions:
        index = places.get(function.body)
        if index is None or function.short_name.startswith("~") or _OPERATOR.search(function.name):
            continue
        name, _, _, touches, calls = functions[index]
        owner = name.rpartition("::")[0]
        if owner == function.short_name:
            continue
        if any(kind in locking for _, kind, *_ in touches) or (owner in locking and calls):
            place = unit.line_at(function.at)
            yield [name, index, function.short_name, EntryKind.METHOD.value, place, False, None, True]


def _stored(member: TableField, objects: dict[str, Fields]) -> str | None:
    """Return what a write of an exposed field does to it; `None` if Python code can only read it."""
    if not member.writable:
        return None
    declared = objects.get(member.type, {}).get(member.field, "")
    frees = not member.guarded and releases_when_set(declared)
    kind = AccessKind.REPLACE if frees else AccessKind.SET
    return kind.value


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


_LABEL: Final = re.compile(r"\b(public|private|protected)\b[^:;{}()]*:(?!:)")


def _declared_methods(unit: CUnit, objects: dict[str, Fields]) -> tuple[dict[str, dict[str, bool]], list[str]]:
    """Return the methods that the bodies of known classes declare, and whether each is const; and the private ones."""
    found: dict[str, dict[str, bool]] = {}
    hidden: list[str] = []
    for start, end, name in unit.syntax.classes:
        if name in objects:
            methods = found.setdefault(name, {})
            end = min(end, start + _LONGEST)
            labels = [(label.end(), label[1]) for label in _LABEL.finditer(unit.code, start, end)]
            for method in _DECLARED.finditer(unit.code, start, end):
                methods.setdefault(method[1], "const" in method[2])
                above = bisect_left(labels, (method.start(), "")) - 1
                if above >= 0 and labels[above][1] != "public":
                    hidden.append(f"{name}::{method[1]}")
    return found, hidden
