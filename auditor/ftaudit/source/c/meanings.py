"""What the names of a C or C++ file mean: aliases of types, macros for casts, functions that return known objects."""

from __future__ import annotations

import re
import string
from typing import Final

from ftaudit.source.c.capsules import capsule_getters
from ftaudit.source.c.text import strip_casts
from ftaudit.source.c.unit import CUnit

SHARED: Final = -1
"""The root of objects that belong to the module and not to a parameter."""
WORD: Final = re.compile(r"[A-Za-z_]\w*")
CAST: Final = re.compile(
    r"\(\s*(?:const\s+|struct\s+)*([A-Za-z_][\w:]*)\s*(?:const\s*)?\*\s*\)"
    r"|_cast\s*<\s*(?:const\s+|struct\s+)*([A-Za-z_][\w:]*)\s*[*&]\s*>"
)
STATE: Final = re.compile(
    r"(?i)(?:get_?\w*state|module_?state\w*|\w*_state|PyModule_GetState|PyType_GetModuleState|state_from\w*)\s*\("
)
_MOST_ALIASES: Final = 100


def calls_one_of(names: frozenset[str], code: str) -> bool:
    """Return whether a text has one of the names."""
    return bool(names) and not names.isdisjoint(WORD.findall(code))


def accessor_names(unit: CUnit) -> frozenset[str]:
    """Return the names of the functions that return an object which exists once, without their classes."""
    return unit.once(_find_accessor_names)


def _find_accessor_names(unit: CUnit) -> frozenset[str]:
    return frozenset(name.rpartition("::")[2] for name in unit.tree.accessors)


def known_capsule_getters(unit: CUnit) -> dict[str, str]:
    """Return the macros and functions of a file that return the pointer of a capsule, with its type."""
    return unit.once(_find_capsule_getters)


def _find_capsule_getters(unit: CUnit) -> dict[str, str]:
    return capsule_getters(unit.code, unit.preprocessed.macros, unit.functions)


def shared_users(unit: CUnit) -> frozenset[str]:
    """Return the functions of a file that use an object which exists once: their callers use it too."""
    return unit.once(_find_shared_users)


def _find_shared_users(unit: CUnit) -> frozenset[str]:
    names = accessor_names(unit) | unit.tree.globals.keys()
    if not unit.cpp or not names:
        return frozenset()
    return frozenset(
        function.short_name
        for function in unit.functions
        if not function.bound and calls_one_of(names, unit.code[function.body : function.end])
    )


_BLANKS: Final = " \t\n"
_NAME_CHARACTERS: Final = "_" + string.ascii_letters + string.digits
_LONGEST_NAME: Final = 100


def name_before(code: str, at: int, floor: int) -> tuple[int, int]:
    """Return the span of the identifier that ends before a place, ignoring blanks, or an empty span."""
    text = code[max(floor, at - _LONGEST_NAME) : at]
    while not (kept := text.rstrip(_BLANKS)) and at - len(text) > floor:
        at -= len(text)
        text = code[max(floor, at - _LONGEST_NAME) : at]
    end = at - len(text) + len(kept)
    start = end - len(kept) + len(kept.rstrip(_NAME_CHARACTERS))
    return (end, end) if start < end and code[start].isdigit() else (start, end)


def plain_type(kind: str) -> str:
    """Return the name of a type without qualifiers, stars and namespaces."""
    if kind.isidentifier():
        return kind
    text = re.sub(r"\b(?:const|struct|volatile|register|class|restrict)\b|<[^<>]*>|[*&\[\]]", " ", kind)
    words = text.split()
    return words[-1].rpartition("::")[2] if words else ""


_USING: Final = re.compile(r"\busing\s+([A-Za-z_]\w*)\s*=\s*(?:\w+\s*::\s*)*(\w+)\s*;")


def type_aliases(unit: CUnit) -> list[tuple[int, str, str]]:
    """Return the places of `using Self = Batch;` in a file, with both names; one list for the file."""
    known: list[tuple[int, str, str]] | None = unit.memory.get("type aliases")  # type: ignore[assignment]
    if known is None:
        found = _USING.finditer(unit.code) if "using " in unit.code else ()
        known = [(one.start(), one[1], one[2]) for one in found][:_MOST_ALIASES]
        unit.memory["type aliases"] = known
    return known


_RETURNS: Final = re.compile(r"\breturn\s+&?\s*([A-Za-z_]\w*)\s*->\s*([A-Za-z_]\w*)\s*;")
_MOST_GETTERS: Final = 20
"""How many functions of one file are known to return a field of the module's state."""
_SHORT: Final = 600
"""How many characters a function may have that only returns a field."""


def returned_fields(unit: CUnit) -> dict[str, tuple[int, str, str]]:
    """Return the short functions of a file that return a field: by name, which parameter's, of which type, which field.

    The parameter is `SHARED` for a field of the module's state.
    """
    known: dict[str, tuple[int, str, str]] | None = unit.memory.get("returned fields")  # type: ignore[assignment]
    if known is not None:
        return known
    known = {}
    for function in unit.functions:
        if function.end - function.body > _SHORT or function.bound:
            continue
        found = [*_RETURNS.finditer(unit.code, function.body, function.end)]
        if len(found) != 1:
            continue
        base, name = found[0].groups()
        names = [parameter.name for parameter in function.parameters]
        if base in names:
            index = names.index(base)
            known[function.short_name] = index, plain_type(function.parameters[index].type), name
            continue
        made = re.compile(rf"(\w+)\s*\*\s*{base}\s*=([^;]*);").search(unit.code, function.body, function.end)
        if made is not None and STATE.search(made[2]):
            known[function.short_name] = SHARED, made[1], name
    unit.memory["returned fields"] = known
    return known


def alias_macros(unit: CUnit) -> dict[str, tuple[str, str]]:
    """Return the macros of a file that stand for a name, with the type that they cast it to: `((Pool *)self)`."""
    known: dict[str, tuple[str, str]] | None = unit.memory.get("alias macros")  # type: ignore[assignment]
    if known is None:
        known = {}
        for name, macro in unit.preprocessed.macros.items():
            if macro.parameters is None and macro.body.startswith("(") and (cast := CAST.search(macro.body)):
                plain = strip_casts(macro.body)
                if plain.isidentifier() and plain != name:
                    known[name] = plain, plain_type(cast[1] or cast[2])
        unit.memory["alias macros"] = known
    return known


def calls_getter(unit: CUnit, code: str) -> bool:
    """Return whether a text calls a function of the file that returns a field of the module's state."""
    getters = [name for name, (owner, _, _) in returned_fields(unit).items() if owner == SHARED]
    return any(name in code for name in getters[:_MOST_GETTERS])
