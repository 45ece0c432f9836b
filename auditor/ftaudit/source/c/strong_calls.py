"""The strong-reference counterparts of functions that return borrowed references, and what older Pythons need."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from ftaudit.source.base import Room
from ftaudit.source.build.build_facts import BuildContext, FactKind
from ftaudit.source.build.required_versions import admits_python_before
from ftaudit.source.c.unit import CUnit

_COMPAT: Final = "pythoncapi_compat.h"
_SINCE: Final = "3.13"
_DIRECTIVE: Final = re.compile(r"^[ \t]*#[ \t]*(include|if|ifdef|ifndef|elif|else|endif)\b", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class StrongCall:
    """The replacement of a borrowing call (`Doc/c-api` of CPython 3.13)."""

    name: str
    """The function that returns a strong reference."""
    through_pointer: bool = False
    """It stores the reference through its last argument, and returns a status."""
    suppresses: bool = False
    """The borrowing call suppresses errors."""
    dead_is_none: bool = False
    """The borrowing call returns `None` if this one returns 0 and stores `NULL`."""
    unchecked: bool = False
    """The borrowing call cannot fail; this one can."""


STRONG: Final = {
    "PyDict_GetItem": StrongCall(name="PyDict_GetItemRef", through_pointer=True, suppresses=True),
    "PyDict_GetItemWithError": StrongCall(name="PyDict_GetItemRef", through_pointer=True),
    "PyDict_GetItemString": StrongCall(name="PyDict_GetItemStringRef", through_pointer=True, suppresses=True),
    "PyDict_SetDefault": StrongCall(name="PyDict_SetDefaultRef", through_pointer=True),
    "PyList_GetItem": StrongCall(name="PyList_GetItemRef"),
    "PyList_GET_ITEM": StrongCall(name="PyList_GetItemRef", unchecked=True),
    "PyImport_AddModule": StrongCall(name="PyImport_AddModuleRef"),
    "PyWeakref_GetObject": StrongCall(name="PyWeakref_GetRef", through_pointer=True, dead_is_none=True),
    "PyWeakref_GET_OBJECT": StrongCall(name="PyWeakref_GetRef", through_pointer=True, dead_is_none=True),
}
"""By the name of the borrowing function or macro."""

_OLDER: Final = {
    "PyDict_GetItemRef": """\
static inline int
PyDict_GetItemRef(PyObject *dict, PyObject *key, PyObject **result)
{
    *result = PyDict_GetItemWithError(dict, key);
    Py_XINCREF(*result);
    if (*result != NULL) {
        return 1;
    }
    return PyErr_Occurred() ? -1 : 0;
}
""",
    "PyDict_GetItemStringRef": """\
static inline int
PyDict_GetItemStringRef(PyObject *dict, const char *key, PyObject **result)
{
    PyObject *name = PyUnicode_FromString(key);
    *result = NULL;
    if (name == NULL) {
        return -1;
    }
    *result = PyDict_GetItemWithError(dict, name);
    Py_XINCREF(*result);
    Py_DECREF(name);
    if (*result != NULL) {
        return 1;
    }
    return PyErr_Occurred() ? -1 : 0;
}
""",
    "PyDict_SetDefaultRef": """\
static inline int
PyDict_SetDefaultRef(PyObject *dict, PyObject *key, PyObject *value, PyObject **result)
{
    int present = PyDict_Contains(dict, key);
    PyObject *kept = present < 0 ? NULL : PyDict_SetDefault(dict, key, value);
    if (result != NULL) {
        Py_XINCREF(kept);
        *result = kept;
    }
    return kept != NULL ? present : -1;
}
""",
    "PyList_GetItemRef": """\
static inline PyObject *
PyList_GetItemRef(PyObject *list, Py_ssize_t index)
{
    PyObject *item = PyList_GetItem(list, index);
    Py_XINCREF(item);
    return item;
}
""",
    "PyImport_AddModuleRef": """\
static inline PyObject *
PyImport_AddModuleRef(const char *name)
{
    PyObject *module = PyImport_AddModule(name);
    Py_XINCREF(module);
    return module;
}
""",
    "PyWeakref_GetRef": """\
static inline int
PyWeakref_GetRef(PyObject *reference, PyObject **result)
{
    PyObject *object = PyWeakref_GetObject(reference);
    *result = NULL;
    if (object == NULL) {
        return -1;
    }
    if (object == Py_None) {
        return 0;
    }
    Py_INCREF(object);
    *result = object;
    return 1;
}
""",
}


@dataclass(frozen=True, slots=True)
class Provision:
    """The text that a file needs so that older Pythons have a function, and its place."""

    at: int
    """The character offset in the file's text."""
    text: str


def provide(unit: CUnit, name: str) -> Provision | bool | None:
    """Return the text that the file needs to call a function that is new in CPython 3.13.

    `None` if it does not need one; `False` if no place for it is outside preprocessor conditions.
    """
    specifiers = [fact.value for fact in unit.context.of(Room.BUILD, BuildContext).of(FactKind.PYTHON)]
    if specifiers and not any(admits_python_before(value, _SINCE) for value in specifiers):
        return None
    if _COMPAT in unit.text or re.search(rf"\b{name}\s*\([^;]*\)\s*\{{", unit.uncommented):
        return None
    at = _after_includes(unit)
    if at is None:
        return False
    folder = PurePosixPath(unit.path).parent
    header = next((path for path in unit.context.paths if PurePosixPath(path).name == _COMPAT), None)
    if header is not None:
        return Provision(at, f'#include "{_relative(PurePosixPath(header), folder)}"\n')
    return Provision(at, f"\n#if PY_VERSION_HEX < 0x030D0000\n{_OLDER[name]}#endif\n")


def _relative(path: PurePosixPath, folder: PurePosixPath) -> str:
    shared = 0
    for one, other in zip(path.parts, folder.parts, strict=False):
        if one != other:
            break
        shared += 1
    return "/".join((*[".."] * (len(folder.parts) - shared), *path.parts[shared:]))


def _after_includes(unit: CUnit) -> int | None:
    """Return the start of the line after the last unconditional `#include`, before any function.

    `None` if every `#include` is under a condition that continues.
    """
    text = unit.uncommented
    end = unit.functions[0].start if unit.functions else len(text)
    depth, seen, found = 0, False, None
    for line in _DIRECTIVE.finditer(text, 0, end):
        match line[1]:
            case "if" | "ifdef" | "ifndef":
                depth += 1
            case "endif":
                depth -= 1
            case "include":
                seen = True
            case _:
                pass
        if seen and depth == 0:
            after = text.find("\n", line.end())
            found = len(text) if after < 0 else after + 1
    if found is None and not seen:
        return 0
    return found
