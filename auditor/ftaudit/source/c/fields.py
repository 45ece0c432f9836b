"""Fields of an instance that its methods replace: the old value read, the new one stored, the old one released."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ftaudit.source.c.functions import Function
from ftaudit.source.c.reach import is_lifecycle
from ftaudit.source.c.text import opening
from ftaudit.source.c.unit import CUnit

_SWAP: Final = re.compile(
    r"\bPy_(?:X?SETREF|CLEAR)\s*\(\s*(?P<field>(?:\(\s*\(\s*\w+\s*\*\s*\)\s*)?(?P<base>\w+)\s*\)?\s*->\s*\w+(?:\s*(?:->|\.)\s*\w+)*)"
)
_MAY_SWAP: Final = re.compile(r"Py_(?:X?SETREF|CLEAR)\s*\(\s*(?:\(\s*\(\s*\w+\s*\*\s*\)\s*)?\w+\s*\)?\s*->|DECREF\s*\(")
_STORED: Final = re.compile(r"->\s*\w+\s*=(?!=)")
_AROUND: Final = 600
"""Characters around a release in which a store must stand for the two to be an exchange."""
_RELEASED: Final = re.compile(
    r"\bPy_X?DECREF\s*\(\s*(?:\(\s*PyObject\s*\*\s*\)\s*)?(?P<base>\w+)(?:\s*->\s*(?P<member>\w+))?\s*\)"
)
_KEPT: Final = re.compile(r"\b(?P<name>\w+)\s*=\s*(?:\([^()]*\)\s*)?(?P<base>\w+)\s*->\s*(?P<member>\w+)\s*;")
_ASSIGNED: Final = re.compile(r"(?<![\w.>])(?P<base>\w+)\s*->\s*(?P<member>\w+)\s*=(?!=)\s*")
_ALIAS: Final = r"\b(\w+)\s*=\s*(?:\(\s*[\w:]+\s*\*\s*\)\s*|\w+_cast\s*<[^<>]*>\s*\(\s*|\w+\s*\(\s*)?{n}\s*\)?\s*;"


_HEAD: Final = re.compile(r"\bPyObject_(?:VAR_)?HEAD\b|\bPy\w*Object\s+\w+\s*;|\bob_base\b")


@dataclass(frozen=True, slots=True)
class Swap:
    """One unguarded exchange."""

    at: int
    field: str
    function: Function


def find_swaps(unit: CUnit) -> Iterator[Swap]:
    """Yield the unguarded exchanges of fields of the instance in functions that threads may run on one object."""
    places = _places(unit.code)
    for function in unit.functions if places else ():
        first = bisect_right(places, function.body)
        if first == len(places) or places[first] >= function.end:
            continue
        if not function.parameters or is_lifecycle(function) or not _may_run_anywhere(unit, function):
            continue
        selves = instance_names(unit, function)
        if not selves:
            continue
        seen: set[str] = set()
        for swap in (*_macro_swaps(unit, function, selves), *_manual_swaps(unit, function, selves)):
            if swap.field not in seen and not unit.guarded(swap.at):
                seen.add(swap.field)
                yield swap


def _places(code: str) -> list[int]:
    """Return where an exchange may be, whatever its field: in order, and quicker found than the functions."""
    return [
        found.start()
        for found in _MAY_SWAP.finditer(code)
        if not found[0].startswith("DECREF")
        or _STORED.search(code, max(0, found.start() - _AROUND), found.end() + _AROUND)
    ]


def instance_names(unit: CUnit, function: Function) -> frozenset[str]:
    """Return the first parameter, where it points to an instance, and the local names that it is cast to."""
    if "::" in function.name or not function.parameters:
        return frozenset()
    first = function.parameters[0]
    if (
        not first.type.rstrip().endswith("*")
        or first.type.count("*") != 1
        or re.search(r"\b(?:void|char|PyTypeObject|Py_buffer)\b", first.type)
    ):
        return frozenset()
    if not _may_be_object(unit, first.type):
        return frozenset()
    names = {first.name}
    for found in re.finditer(_ALIAS.replace("{n}", re.escape(first.name)), unit.code[function.body : function.end]):
        names.add(found[1])
    return frozenset(names)


def _may_be_object(unit: CUnit, kind: str) -> bool:
    """Tell whether a pointer type may point to a Python object: not one to a struct of this file that has no head."""
    name = re.sub(r"\b(?:const|struct)\b|[*\s]", "", kind)
    defined = re.search(rf"\}}\s*{re.escape(name)}\s*;", unit.code)
    if defined is None:
        return True
    begin = opening(unit.code, defined.start(), max(0, defined.start() - 5000))
    return begin < 0 or bool(_HEAD.search(unit.code, begin, defined.start()))


def _may_run_anywhere(unit: CUnit, function: Function) -> bool:
    """Tell whether a table names the function or one of its callers; of what nobody here mentions, that is assumed."""
    if function.body in unit.reach.methods:
        return True
    if unit.at_import(function) or unit.reach.callers.get(function.short_name):
        return False
    return not unit.maybe_at_import(function) and function.short_name not in unit.reach.mentioned


def _macro_swaps(unit: CUnit, function: Function, selves: frozenset[str]) -> Iterator[Swap]:
    for found in _SWAP.finditer(unit.code, function.body, function.end):
        if found["base"] in selves:
            yield Swap(found.start(), "".join(found["field"].split()), function)


def _manual_swaps(unit: CUnit, function: Function, selves: frozenset[str]) -> Iterator[Swap]:
    code = unit.code
    for found in _ASSIGNED.finditer(code, function.body, function.end):
        if found["base"] not in selves:
            continue
        field = f"{found['base']}->{found['member']}"
        before = code[max(function.body, found.start() - 250) : found.start()]
        after = code[found.end() : min(function.end, found.end() + 300)]
        if "DECREF" not in before and "DECREF" not in after:
            continue
        same = found["base"], found["member"]
        kept = next((one["name"] for one in _KEPT.finditer(before) if (one["base"], one["member"]) == same), None)
        released_before = any((one["base"], one["member"]) == same for one in _RELEASED.finditer(before))
        released_after = kept and any(
            one["base"] == kept and one["member"] is None for one in _RELEASED.finditer(after)
        )
        if released_before or released_after:
            yield Swap(found.start(), field, function)
