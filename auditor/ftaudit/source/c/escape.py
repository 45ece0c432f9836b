"""The escape model: where the container in an expression comes from, and so whether other threads can reach it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from typing import Final, Protocol

from ftaudit.source.c.functions import Function
from ftaudit.source.c.locks import words
from ftaudit.source.c.text import closing, strip_casts


class ContainerOrigin(Enum):
    """The origin of a container."""

    STATIC = "a variable that all threads share"
    MEMBER = "a field that other threads reach"
    PARAMETER = "an argument that the caller still holds"
    ATTRIBUTE = "an attribute or item of another object"
    ITEM = "an item of the iterated object, which its owner still holds"
    TYPE_DICT = "a type's dictionary"
    MODULE_DICT = "a module's dictionary"
    PRIVATE = "made in this function"
    KEYWORDS = "the keyword arguments of this call"
    THREAD = "this thread's own"
    UNKNOWN = "not known"

    @property
    def shared(self) -> bool:
        """Whether another thread may change it meanwhile."""
        return self in _SHARED


class Variables(Protocol):
    """The questions of the model about the variables of a file."""

    @property
    def code(self) -> str:
        """The text without comments and literals."""

    @property
    def mutated_members(self) -> frozenset[str]:
        """Members that hold a container which the tree changes."""

    def is_shared_variable(self, name: str, function: Function | None) -> bool:
        """Return whether a name in a function means a variable that all threads see."""

    def assigned(self, function: Function, name: str, before: int) -> list[str]:
        """Return what a function assigns to a name before a place."""

    def is_changed_member(self, name: str, function: Function) -> bool:
        """Return whether a plain name in a method is a member whose container the file changes."""

    def passed_arguments(self, function: Function, index: int) -> Sequence[ContainerOrigin]:
        """Return where the arguments of a static function come from, call by call."""

    def is_held_by_objects(self, kind: str) -> bool:
        """Return whether a type is one of objects, or objects of the tree have a field of it; unknown means yes."""

    def passed_locals(self, function: Function, index: int) -> bool:
        """Return whether every caller of a static function passes the address of an automatic variable there."""


_SHARED: Final = frozenset(
    {
        ContainerOrigin.STATIC,
        ContainerOrigin.MEMBER,
        ContainerOrigin.PARAMETER,
        ContainerOrigin.ITEM,
        ContainerOrigin.TYPE_DICT,
        ContainerOrigin.MODULE_DICT,
    }
)
_FRESH: Final = frozenset(
    [
        "PyList_New",
        "PyByteArray_FromStringAndSize",
        "PyByteArray_FromObject",
        "PyByteArray_Concat",
        "PyDict_New",
        "PyDict_Copy",
        "PySequence_List",
        "PySequence_Tuple",
        "PyMapping_Keys",
        "PyMapping_Values",
        "PyMapping_Items",
        "PyDict_Keys",
        "PyDict_Values",
        "PyDict_Items",
        "PyList_GetSlice",
        "PyList_AsTuple",
        "PyObject_Dir",
        "PyUnicode_Split",
        "PyUnicode_Splitlines",
        "PyUnicode_RSplit",
        "PyTuple_New",
        "PyTuple_Pack",
        "PyTuple_GetSlice",
        "Py_BuildValue",
        "PySet_New",
        "PyFrozenSet_New",
        "PyObject_Str",
        "PyObject_Repr",
        "PyObject_GenericGetDict",
        "_PyDict_NewPresized",
        "_PyDict_NewKeysForClass",
        "PyDictProxy_New",
        "PySequence_GetSlice",
        "PySequence_Concat",
        "PySequence_Repeat",
        "PyNumber_Add",
        "PyList_Copy",
        "PyEval_GetLocals",
        "PyEval_GetFrameLocals",
        "PyStructSequence_New",
        "PyObject_CallNoArgs",
        "PyObject_CallObject",
        "PyObject_CallMethod",
        "PyObject_CallFunction",
        "PyObject_Call",
        "PyObject_CallFunctionObjArgs",
        "PyObject_CallMethodObjArgs",
        "PyObject_CallOneArg",
        "PyObject_CallMethodNoArgs",
        "PyObject_CallMethodOneArg",
        "PyRun_String",
        "PyRun_StringFlags",
        "PyMarshal_ReadObjectFromString",
        "PyErr_GetRaisedException",
    ]
)
_THREADS_OWN: Final = frozenset(
    {
        "PyThreadState_GetDict",
        "PyEval_GetGlobals",
        "PyImport_GetModuleDict",
        "PyEval_GetBuiltins",
        "PyEval_GetFrame",
        "PyInterpreterState_GetDict",
    }
)
_ITEM: Final = re.compile(
    r"^(?:PyObject_GetAttr\w*|PyObject_GetItem|_?PyObject_LookupAttr\w*|PyObject_GetOptionalAttr\w*|PyMapping_GetItem\w*|PySequence_GetItem"
    r"|PySequence_ITEM|PyList_GetItem\w*|PyList_GET_ITEM|_?PyDict_GetItem\w*|PyTuple_GetItem|PyTuple_GET_ITEM|PySys_GetObject)$"
)
_KEYWORD_NAME: Final = re.compile(
    r"^_*(?:py_?)?(?:kw|kwd|kwds|kwargs?|kwnames|keywds|keywords|keyword_args|kw_args|kwdict|named_args)_*$",
    re.IGNORECASE,
)
_ARGUMENTS_NAME: Final = re.compile(
    r"^_*(?:py_?)?(?:args?_?tuple|args|varargs|arguments|fargs|argtuple)_*$", re.IGNORECASE
)
_IS_ARGUMENTS: Final = re.compile(r"\bPyObject\b[^*]*\*\s*(?:const\s*)?\*")
"""The type of the array of arguments of a `METH_FASTCALL` function."""
_PARSE: Final = re.compile(
    r"\b_?Py(?:Arg|ArgParser)_\w*Parse\w*\s*\(|\bPyArg_UnpackTuple\s*\(|\bnpy_parse_arguments\s*\("
)
_CALL: Final = re.compile(r"([A-Za-z_]\w*)\s*\(")
_PLAIN: Final = re.compile(r"^[A-Za-z_]\w*$")
_BASE: Final = re.compile(r"^[&*\s]*([A-Za-z_]\w*)")
_OF_OBJECTS: Final = re.compile(r"Py|[oO]bject|[sS]tate|\bself\b")
"""Names of types that stand for objects of Python, or for what belongs to a module."""
_DICT_MEMBER: Final = re.compile(r"(?:->|\.)\s*tp_dict$")


def origin_of(unit: Variables, function: Function | None, expression: str, before: int) -> ContainerOrigin:
    """Return where the container in `expression`, used in `function` at `before`, came from.

    A name is followed back through its assignments in the same function, four steps at most.
    """
    for _ in range(4):
        expression = strip_casts(expression)
        if "->" in expression or ("." in expression and not expression.startswith('"')):
            return _member(unit, function, expression)
        call = _CALL.match(expression)
        if call and closing(expression, call.end() - 1) == len(expression) - 1:
            return _result(call[1])
        name = expression.lstrip("&*").strip()
        if "[" in name:
            base = name.split("[")[0]
            if function is not None and any(
                p.name == base and _IS_ARGUMENTS.search(p.type) for p in function.parameters
            ):
                return ContainerOrigin.PARAMETER
            return ContainerOrigin.STATIC if unit.is_shared_variable(base, function) else ContainerOrigin.UNKNOWN
        if not _PLAIN.match(name):
            return ContainerOrigin.UNKNOWN
        if function is None or unit.is_shared_variable(name, function):
            return ContainerOrigin.STATIC if unit.is_shared_variable(name, function) else ContainerOrigin.UNKNOWN
        values = unit.assigned(function, name, before)
        parameter = next((p for p in function.parameters if p.name == name), None)
        if not values:
            if parameter is not None:
                return _parameter(unit, function, name)
            if _parsed(unit, function, name, before):
                return ContainerOrigin.PARAMETER
            return ContainerOrigin.MEMBER if unit.is_changed_member(name, function) else ContainerOrigin.UNKNOWN
        if parameter is not None and _only_inside_branches(values, name):
            return _parameter(unit, function, name)
        origins = {_quick(value) for value in values}
        if origins == {ContainerOrigin.MODULE_DICT}:
            return ContainerOrigin.MODULE_DICT
        if origins == {ContainerOrigin.PRIVATE}:
            return ContainerOrigin.PRIVATE
        rest = [
            value
            for value in values
            if _quick(value) is not ContainerOrigin.PRIVATE and value not in ("NULL", "0", "nullptr")
        ]
        if not rest:
            return ContainerOrigin.PARAMETER if _parsed(unit, function, name, before) else ContainerOrigin.PRIVATE
        expression = rest[-1]
        if strip_casts(expression) == name:
            return ContainerOrigin.UNKNOWN
    return ContainerOrigin.UNKNOWN


def _quick(value: str) -> ContainerOrigin:
    call = _CALL.match(strip_casts(value))
    return _result(call[1]) if call else ContainerOrigin.UNKNOWN


def _only_inside_branches(values: list[str], name: str) -> bool:
    return all(value in ("NULL", "0", "Py_None") for value in values)


def _result(name: str) -> ContainerOrigin:
    if name == "PyModule_GetDict":
        return ContainerOrigin.MODULE_DICT
    if name in _FRESH:
        return ContainerOrigin.PRIVATE
    if name in _THREADS_OWN:
        return ContainerOrigin.THREAD
    if _ITEM.match(name):
        return ContainerOrigin.ATTRIBUTE
    if name == "PyIter_Next":
        return ContainerOrigin.ITEM
    said = set(words(name))
    if {"new", "create", "copy", "build", "make"} & said:
        return ContainerOrigin.PRIVATE
    if "globals" in said or said >= {"module", "dict"}:
        return ContainerOrigin.MODULE_DICT
    if "dict" in said and said & {"type", "class"}:
        return ContainerOrigin.TYPE_DICT
    return ContainerOrigin.UNKNOWN


def _parameter(unit: Variables, function: Function, name: str) -> ContainerOrigin:
    names = [p.name for p in function.parameters]
    if _KEYWORD_NAME.match(name):
        return ContainerOrigin.KEYWORDS
    if _ARGUMENTS_NAME.match(name):
        return ContainerOrigin.PRIVATE
    callers = unit.passed_arguments(function, names.index(name))
    if callers and all(value is ContainerOrigin.PRIVATE or value is ContainerOrigin.KEYWORDS for value in callers):
        return ContainerOrigin.PRIVATE
    return ContainerOrigin.PARAMETER


def _parsed(unit: Variables, function: Function, name: str, before: int) -> bool:
    for found in _PARSE.finditer(unit.code, function.body, before):
        end = closing(unit.code, found.end() - 1, function.end)
        if end > 0 and re.search(rf"&\s*{re.escape(name)}\b", unit.code[found.end() : end]):
            return True
    return False


def _is_plain_struct(unit: Variables, function: Function, name: str) -> bool:
    """Return whether a parameter is a structure of C that no object holds: its owner is the caller, for one call."""
    kind = next((parameter.type for parameter in function.parameters if parameter.name == name), "")
    return "*" in kind and _OF_OBJECTS.search(kind) is None and not unit.is_held_by_objects(kind)


def _member(unit: Variables, function: Function | None, expression: str) -> ContainerOrigin:
    """A field is shared if the tree changes its container anywhere; a local structure's field is private."""
    if _DICT_MEMBER.search(expression):
        return ContainerOrigin.TYPE_DICT
    base = _BASE.match(strip_casts(expression.split("->")[0].split(".")[0].strip("( ")))
    names = [] if function is None else [parameter.name for parameter in function.parameters]
    direct = expression.count("->") == 1
    if direct and base and function and base[1] in names and unit.passed_locals(function, names.index(base[1])):
        return ContainerOrigin.PRIVATE
    if base and function is not None and "->" not in expression:
        name = base[1]
        if not unit.is_shared_variable(name, function) and name not in {p.name for p in function.parameters}:
            return ContainerOrigin.PRIVATE
    if base and function is not None and _is_plain_struct(unit, function, base[1]):
        return ContainerOrigin.UNKNOWN
    member = re.split(r"->|\.", expression)[-1].strip(" )")
    return ContainerOrigin.MEMBER if member in unit.mutated_members else ContainerOrigin.UNKNOWN
