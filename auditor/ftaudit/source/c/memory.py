"""Memory: the use of a block from the object allocator, and the family of functions that frees each block."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ftaudit.source.c.file import Call
from ftaudit.source.c.functions import Function
from ftaudit.source.c.text import strip_casts
from ftaudit.source.c.unit import CUnit

_OBJECT_TYPE: Final = re.compile(
    r"^(?:const\s+)?(?:struct\s+)?(?:Py\w*Object|PyObject|_?Py\w+Object|\w*Object|\w*Object_?t)\s*\*+$"
)
_CAST: Final = re.compile(r"\(\s*((?:const\s+|struct\s+|unsigned\s+)*[\w:]+\s*\*+)\s*\)\s*$")
_CPP_CAST: Final = re.compile(r"_cast\s*<\s*([\w:\s]+\*+)\s*>\s*\(\s*$")
_ASSIGNED: Final = re.compile(r"(?P<target>[\w.>\-\[\]*]+)\s*=\s*(?:\([^()]*\)\s*)?$")
_SIZE_OF: Final = re.compile(r"\bsizeof\s*\(\s*(?:struct\s+)?([\w:]+)\s*\)")
_INITIALISES: Final = re.compile(
    r"\bPyObject_(?:Init|INIT|InitVar|INIT_VAR)\s*\(|\bPy_SET_TYPE\s*\(|\b_Py_NewReference\s*\(|\bPyObject_GC_"
)
_BASIC_SIZE: Final = re.compile(r"\btp_basicsize\b|\b_PyObject_SIZE\b|\b_PyObject_VAR_SIZE\b")

_ALLOCATORS: Final = {
    **{f"PyObject_{name}": "PyObject" for name in ("Malloc", "Calloc", "Realloc", "MALLOC", "CALLOC", "REALLOC")},
    **{f"PyMem_Raw{name}": "PyMem_Raw" for name in ("Malloc", "Calloc", "Realloc")},
    **{
        f"PyMem_{name}": "PyMem"
        for name in ("Malloc", "Calloc", "Realloc", "MALLOC", "REALLOC", "New", "NEW", "Resize")
    },
    **dict.fromkeys(("malloc", "calloc", "realloc", "strdup", "strndup"), "malloc"),
}
_RELEASERS: Final = {
    **dict.fromkeys(("PyObject_Free", "PyObject_FREE"), "PyObject"),
    **dict.fromkeys(("PyMem_RawFree",), "PyMem_Raw"),
    **dict.fromkeys(("PyMem_Free", "PyMem_FREE", "PyMem_Del", "PyMem_DEL"), "PyMem"),
    "free": "malloc",
}


_FAMILIES: Final = frozenset({*_ALLOCATORS, *_RELEASERS})


def family_of(name: str) -> str | None:
    """Return the family of an allocating or releasing function."""
    return _ALLOCATORS.get(name) or _RELEASERS.get(name)


def holds_object(unit: CUnit, call: Call) -> bool:
    """Return whether a block from the object allocator becomes a Python object, by its surroundings."""
    function = call.function
    if function is None or not call.arguments:
        return True
    body = unit.code[function.body : function.end]
    if _BASIC_SIZE.search(call.arguments[-1]) or _INITIALISES.search(body) or "tp_alloc" in function.short_name:
        return True
    before = unit.code[max(function.body, call.start - 160) : call.start]
    cast = _CAST.search(before) or _CPP_CAST.search(before)
    named = _SIZE_OF.search(call.arguments[-1])
    kind = cast[1] if cast else ""
    if not cast:
        assigned = _ASSIGNED.search(before)
        if assigned and (name := re.search(r"(\w+)$", assigned["target"])):
            declared = re.search(rf"\b((?:struct\s+)?[\w:]+)\s*(\*+)\s*{re.escape(name[1])}\b", body)
            kind = declared[1] + declared[2] if declared else ""
    if kind and not kind.replace(" ", "").startswith("void*"):
        return is_object_type(unit, kind)
    if named:
        return is_object_type(unit, named[1] + " *")
    return bool(re.search(r"\breturn\s*(?:\([^()]*\)\s*)?$", before)) or "alloc" not in call.name.lower()


def is_object_type(unit: CUnit, kind: str) -> bool:
    """Return whether a pointer type points to a Python object, by its name or by a struct of this file with a head."""
    text = " ".join(kind.split())
    if _OBJECT_TYPE.match(text) and text.count("*") == 1:
        return True
    name = re.sub(r"\b(?:const|struct)\b|[*\s]", "", text)
    if not name or text.count("*") > 1:
        return False
    defined = re.search(
        rf"struct(?<!\wstruct)\s+{re.escape(name)}\s*\{{\s*PyObject_(?:VAR_)?HEAD\b"
        rf"|PyObject_(?<!\wPyObject_)(?:VAR_)?HEAD\b[^{{}}]*\}}\s*{re.escape(name)}\s*;",
        unit.code,
    )
    return defined is not None


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A block that one family allocates and another one frees."""

    call: Call
    what: str
    allocator: str


def find_mismatches(unit: CUnit) -> Iterator[Mismatch]:
    """Yield the releases of variables of one function, and of members of one name in a file, by the wrong family."""
    if len({family_of(name) for name in _FAMILIES & unit.called_names}) < 2:
        return
    releases = unit.calls(*_RELEASERS)
    if not releases or len({family_of(call.name) for call in [*releases, *unit.calls(*_ALLOCATORS)]}) < 2:
        return
    members = _member_allocators(unit)
    released = _member_releasers(releases)
    for call in releases:
        if call.function is None or not call.arguments:
            continue
        what = strip_casts(call.arguments[0])
        allocator: str | None = None
        if what.isidentifier():
            allocator = last_allocator(unit, call.function, what, call.start)
        elif "->" in what:
            member = what.rpartition("->")[2].strip()
            names = members.get(member, set())
            if len({_ALLOCATORS[name] for name in names}) == 1 and len(released.get(member, set())) == 1:
                allocator = min(names)
        if allocator and _ALLOCATORS[allocator] != _RELEASERS[call.name]:
            yield Mismatch(call, what, allocator)


def _member_releasers(releases: list[Call]) -> dict[str, set[str]]:
    """Return the families that free members of a name; if there are several, a flag of the object selects one."""
    found: dict[str, set[str]] = {}
    for call in releases:
        what = strip_casts(call.arguments[0]) if call.arguments else ""
        if "->" in what:
            found.setdefault(what.rpartition("->")[2].strip(), set()).add(_RELEASERS[call.name])
    return found


def last_allocator(unit: CUnit, function: Function, expression: str, before: int) -> str | None:
    """Return the allocating function that last set an expression, or the variable it names."""
    text = strip_casts(expression)
    values = [text] if not text.isidentifier() else unit.assigned(function, text, before)
    families = []
    for value in values:
        found = re.match(r"(\w+)\s*\(", strip_casts(value))
        if found and found[1] in _ALLOCATORS:
            families.append(found[1])
        elif value not in ("NULL", "0", "nullptr"):
            return None
    return families[-1] if families and len({_ALLOCATORS[name] for name in families}) == 1 else None


def _member_allocators(unit: CUnit) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for call in unit.calls(*_ALLOCATORS):
        before = unit.code[max(0, call.start - 120) : call.start]
        assigned = re.search(r"->\s*(\w+)\s*=\s*(?:\([^()]*\)\s*)?$", before)
        if assigned:
            found.setdefault(assigned[1], set()).add(call.name)
    return found
