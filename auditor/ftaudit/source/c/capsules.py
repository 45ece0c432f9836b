"""Objects that Python code holds in capsules: `(struct context *)PyCapsule_GetPointer(capsule, NAME)`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from ftaudit.source.c.functions import Function
from ftaudit.source.c.objects import named_struct
from ftaudit.source.c.preprocess import Macro

WORD: Final = "PyCapsule_GetPointer"
_NAME: Final = r"(?:const\s+)?(?:struct\s+)?(?:\w+\s*::\s*)*([A-Za-z_]\w*)\s*\*"
_CAST: Final = re.compile(rf"(?:\(\s*{_NAME}\s*\)\s*\(*|_cast\s*<\s*{_NAME}\s*>\s*\(\s*)\s*PyCapsule_GetPointer\s*\(")
_DECLARED: Final = re.compile(rf"\b{_NAME}\s*(?:const\s+)?\w+\s*=\s*PyCapsule_GetPointer\s*\(")
_ASSIGNED: Final = re.compile(r"\b([A-Za-z_]\w*)\s*=\s*PyCapsule_GetPointer\s*\(")
_NEAR: Final = 2_000
"""How many characters before an assignment are searched for the declaration of the variable."""
_SHORT: Final = 600
"""How many characters a function may have that only gets the pointer."""
_NO_TYPES: Final = frozenset({"void", "char", "int", "PyObject"})
_HANDED_OVER: Final = re.compile(r"DLManagedTensor\w*|Arrow(?:Device)?(?:Array|Schema)(?:Stream)?")
"""Types of protocols in which one consumer takes what a capsule holds, once."""


def find_capsule_types(code: str) -> dict[str, dict[str, str]]:
    """Return the types that a text casts the pointers of capsules to, with the fields that it defines for them.

    `code` is masked.
    """
    if WORD not in code:
        return {}
    names = {found[1] or found[2] for found in _CAST.finditer(code)}
    names |= {found[1] for found in _DECLARED.finditer(code)}
    for found in _ASSIGNED.finditer(code):
        declared = re.compile(rf"\b{_NAME}\s*{found[1]}\s*[;,=]")
        before = [*declared.finditer(code, max(0, found.start() - _NEAR), found.start())]
        if before:
            names.add(before[-1][1])
    return {
        name: named_struct(code, name)
        for name in sorted(names)
        if name not in _NO_TYPES and not _HANDED_OVER.fullmatch(name)
    }


def capsule_getters(code: str, macros: Mapping[str, Macro], functions: Iterable[Function]) -> dict[str, str]:
    """Return the macros and short functions of a file that return the pointer of a capsule, with its type."""
    found = {}
    for name, macro in macros.items():
        if WORD in macro.body and (cast := _CAST.search(macro.body)) is not None:
            found[name] = cast[1] or cast[2]
    for function in functions if WORD in code else ():
        if function.end - function.body <= _SHORT and _gets_pointer(code[function.body : function.end]):
            kind = re.search(rf"{_NAME}\s*\Z", code[function.start : function.at])
            if kind is not None and kind[1] not in _NO_TYPES:
                found[function.short_name] = kind[1]
    return found


def _gets_pointer(text: str) -> bool:
    """Return whether the body of a function returns what a capsule points to."""
    if WORD not in text:
        return False
    if re.search(r"\breturn\b[^;]*\bPyCapsule_GetPointer\s*\(", text):
        return True
    names = re.findall(r"\b(\w+)\s*=\s*(?:\([^()]*\)\s*)?PyCapsule_GetPointer\s*\(", text)
    return any(re.search(rf"\breturn\s+{name}\s*;", text) for name in names)


def capsule_type(text: str, declared: str, getters: Mapping[str, str]) -> str:
    """Return the type of the object that an expression takes out of a capsule; empty for other expressions.

    `declared` is the type of the variable that gets it.
    """
    cast = _CAST.match(text)
    if cast is not None:
        return cast[1] or cast[2] or ""
    if text.startswith(WORD):
        return declared
    call = re.match(r"([A-Za-z_]\w*)\s*\(", text)
    return getters.get(call[1], "") if call is not None else ""
