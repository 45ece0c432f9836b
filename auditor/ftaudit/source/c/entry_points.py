"""Entry points of C and C++: the functions that Python code can call, from tables, slots, bindings and macros."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ftaudit.source.c.functions import Function
from ftaudit.source.c.text import closing, split_arguments
from ftaudit.source.c.unit import CUnit
from ftaudit.source.shared_state import EntryKind

_LAST_NAME: Final = re.compile(r"([A-Za-z_]\w*)\s*\)*\s*\Z")
_STRING: Final = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_CALL: Final = re.compile(r"\s*([A-Za-z_]\w*)\s*(\(|\Z|(?=[,{}]))")
_SLOT_WORDS: Final = ("tp_", "sq_", "mp_", "nb_", "bf_", "am_")
_SLOT_ROW: Final = re.compile(r"Py_((?:tp|sq|mp|nb|bf|am)_\w+)\s*,\s*([^;,{}]{1,200})")
_SLOT_DOT: Final = re.compile(r"\.\s*((?:tp|sq|mp|nb|bf|am)_\w+)\s*=(?!=)\s*([^;,{}]{1,200})")
_SLOT_ARROW: Final = re.compile(r"->\s*((?:tp|sq|mp|nb|bf|am)_\w+)\s*=(?!=)\s*([^;,{}]{1,200})")
_NO_FUNCTION: Final = frozenset(
    ["NULL", "nullptr", "tp_methods", "tp_members", "tp_getset", "tp_doc", "tp_base", "tp_bases", "tp_name", "tp_dict"]
)
_TYPE_SLOTS: Final = [
    "name",
    "basicsize",
    "itemsize",
    "dealloc",
    "vectorcall_offset",
    "getattr",
    "setattr",
    "as_async",
    "repr",
    "as_number",
    "as_sequence",
    "as_mapping",
    "hash",
    "call",
    "str",
    "getattro",
    "setattro",
    "as_buffer",
    "flags",
    "doc",
    "traverse",
    "clear",
    "richcompare",
    "weaklistoffset",
    "iter",
    "iternext",
    "methods",
    "members",
    "getset",
    "base",
    "dict",
    "descr_get",
    "descr_set",
    "dictoffset",
    "init",
    "alloc",
    "new",
    "free",
    "is_gc",
    "bases",
    "mro",
    "cache",
    "subclasses",
    "weaklist",
    "del",
    "version_tag",
    "finalize",
    "vectorcall",
]
"""The members of `PyTypeObject` in their order (Include/cpython/object.h of 3.14)."""
_SUB_SLOTS: Final = {
    "PyNumberMethods": [
        "add",
        "subtract",
        "multiply",
        "remainder",
        "divmod",
        "power",
        "negative",
        "positive",
        "absolute",
        "bool",
        "invert",
        "lshift",
        "rshift",
        "and",
        "xor",
        "or",
        "int",
        "reserved",
        "float",
        "inplace_add",
        "inplace_subtract",
        "inplace_multiply",
        "inplace_remainder",
        "inplace_power",
        "inplace_lshift",
        "inplace_rshift",
        "inplace_and",
        "inplace_xor",
        "inplace_or",
        "floor_divide",
        "true_divide",
        "inplace_floor_divide",
        "inplace_true_divide",
        "index",
        "matrix_multiply",
        "inplace_matrix_multiply",
    ],
    "PySequenceMethods": [
        "length",
        "concat",
        "repeat",
        "item",
        "was_slice",
        "ass_item",
        "was_ass_slice",
        "contains",
        "inplace_concat",
        "inplace_repeat",
    ],
    "PyMappingMethods": ["length", "subscript", "ass_subscript"],
    "PyAsyncMethods": ["await", "aiter", "anext", "send"],
    "PyBufferProcs": ["getbuffer", "releasebuffer"],
}
_SPECIAL: Final = {
    "length": "__len__",
    "absolute": "__abs__",
    "negative": "__neg__",
    "positive": "__pos__",
    "subtract": "__sub__",
    "multiply": "__mul__",
    "remainder": "__mod__",
    "power": "__pow__",
    "concat": "__add__",
    "repeat": "__mul__",
    "floor_divide": "__floordiv__",
    "true_divide": "__truediv__",
    "matrix_multiply": "__matmul__",
    "subscript": "__getitem__",
    "item": "__getitem__",
    "ass_subscript": "__setitem__",
    "ass_item": "__setitem__",
    "contains": "__contains__",
    "iternext": "__next__",
    "richcompare": "__eq__",
    "getattro": "__getattribute__",
    "setattro": "__setattr__",
    "descr_get": "__get__",
    "descr_set": "__set__",
    "getbuffer": "__buffer__",
    "releasebuffer": "__release_buffer__",
}
_CONSTRUCTORS: Final = frozenset({"new", "init", "alloc"})
_DESTRUCTORS: Final = frozenset({"dealloc", "clear", "traverse", "free", "finalize", "del", "is_gc"})
_MAKING: Final = frozenset({"__init__", "__new__", "__setstate__"})
_ENDING: Final = frozenset({"__del__"})
_BINDING: Final = re.compile(r"\.\s*(def\w*|add_property)\s*\(")
_METHOD: Final = re.compile(r"&\s*((?:[A-Za-z_]\w*\s*(?:<[^<>;]*>\s*)?::\s*)*)([A-Za-z_]\w*)\s*\Z")
_LOCKING_POLICY: Final = re.compile(r"\block_self\b|call_guard\s*<[^<>;]*(?:[lL]ock|critical)")
_THREAD: Final = re.compile(
    r"\b(?:pthread_create|PyThread_start_new_thread|PyThread_start_joinable_thread|thrd_create|CreateThread|_beginthreadex"
    r"|Py_AddPendingCall)\s*\("
)
_THREAD_WORDS: Final = ("pthread_create", "PyThread_start", "thrd_create", "CreateThread", "_beginthread", "AddPending")
_MOST_BINDINGS: Final = 5_000


@dataclass(frozen=True, kw_only=True, slots=True)
class PythonEntry:
    """One function that code outside the project can run."""

    function: str
    """Its name in the source, with its class if the table names one: `Pool::take`."""
    body: int | None
    """The start of its body, if known: for lambdas."""
    name: str
    """Its name in Python."""
    kind: EntryKind
    at: int
    """The place in the table that names it."""
    locked: bool = False
    """Whether the table itself makes CPython take a lock around it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TableField:
    """A field that a table lets Python code read, and perhaps write."""

    name: str
    type: str
    field: str
    at: int
    writable: bool
    guarded: bool
    """Whether the reader and writer are CPython's, which use atomics and critical sections (Python/structmember.c)."""


def find_entries(unit: CUnit) -> tuple[list[PythonEntry], list[TableField]]:
    """Return the entry points that a file's tables and bindings name."""
    entries: list[PythonEntry] = []
    members: list[TableField] = []
    code = unit.code
    of_module = _module_tables(unit) if "PyMethodDef" in code else frozenset()
    for variable in unit.syntax.variables:
        if variable.initializer is None:
            continue
        words = variable.words
        if "PyMethodDef" in words:
            kind = EntryKind.FUNCTION if variable.name in of_module else EntryKind.METHOD
            entries += (entry for row in _rows(unit, variable.initializer) if (entry := _method(row, kind)))
        elif "PyGetSetDef" in words:
            for row in _rows(unit, variable.initializer):
                entries += _property(row)
        elif "PyMemberDef" in words:
            members += (member for row in _rows(unit, variable.initializer) if (member := _member(row)))
        elif "PyTypeObject" in words:
            entries += _positional(unit, variable.initializer, _TYPE_SLOTS, named=True)
        else:
            for table, slots in _SUB_SLOTS.items():
                if table in words:
                    entries += _positional(unit, variable.initializer, slots, named=False)
    if any(map(code.__contains__, _SLOT_WORDS)):
        for pattern in (_SLOT_ROW, _SLOT_DOT, _SLOT_ARROW):
            for found in pattern.finditer(code):
                entries += _slot(found[1], found[2], found.start())
    if unit.cpp and (".def" in code or "add_property" in code):
        more, fields = _bindings(unit)
        entries += more
        members += fields
    if any(map(code.__contains__, _THREAD_WORDS)):
        for found in _THREAD.finditer(code):
            entries += _thread(unit, found)
    return entries, members


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of a table: its elements, with strings as in the text."""

    parts: tuple[str, ...]
    at: int


def _module_tables(unit: CUnit) -> frozenset[str]:
    names: set[str] = set()
    for variable in unit.syntax.variables:
        if variable.initializer is not None and "PyModuleDef" in variable.words:
            names.update(re.findall(r"[A-Za-z_]\w*", unit.code[slice(*variable.initializer)]))
    for found in re.finditer(r"Py(?:Module_AddFunctions|_InitModule\w*)\s*\(([^;]{0,300})", unit.code):
        names.update(re.findall(r"[A-Za-z_]\w*", found[1]))
    return frozenset(names)


def _rows(unit: CUnit, span: tuple[int, int]) -> Iterator[_Row]:
    code = unit.code
    start = code.find("{", *span)
    end = closing(code, start, span[1]) if start >= 0 else -1
    if end < 0:
        return
    for begin, stop in split_arguments(code, start + 1, end):
        if code[begin : begin + 1] == "{":
            inner = closing(code, begin, stop + 1)
            if inner > 0:
                spans = split_arguments(code, begin + 1, inner)
                yield _Row(tuple(_with_strings(unit, *part) for part in spans), begin)
            continue
        for text in _expanded(unit, unit.text[begin:stop] if stop - begin < 2000 else ""):
            yield _Row(text, begin)


def _with_strings(unit: CUnit, start: int, end: int) -> str:
    """Return a piece of the code with its strings; comments within are left out."""
    piece = unit.code[start:end]
    return unit.text[start:end] if '"' in piece and "/" not in unit.text[start:end] else piece


def _expanded(unit: CUnit, text: str) -> Iterator[tuple[str, ...]]:
    """Yield the rows that a macro expands to, if its text is known."""
    for _ in range(4):
        if "{" in text:
            break
        replaced = _expand_once(text, unit)
        if replaced is None:
            return
        text = replaced
    at = text.find("{")
    while at >= 0:
        end = closing(text, at)
        if end < 0:
            return
        yield tuple(text[slice(*part)] for part in split_arguments(text, at + 1, end))
        at = text.find("{", end)


def _expand_once(text: str, unit: CUnit) -> str | None:
    found = _CALL.match(text)
    if found is None:
        return None
    macro = unit.preprocessed.macros.get(found[1])
    parameters, body = (macro.parameters, macro.body) if macro else unit.tree.table_macros.get(found[1], (None, None))
    if body is None:
        return None
    values: dict[str, str] = {}
    if parameters is not None:
        end = closing(text, found.end() - 1) if found[2] == "(" else -1
        if end < 0:
            return None
        given = [text[slice(*part)] for part in split_arguments(text, found.end(), end)]
        for index, name in enumerate(parameters):
            if name == "...":
                values["__VA_ARGS__"] = ", ".join(given[index:])
            else:
                values[name] = given[index] if index < len(given) else ""
    return substitute(body, values)


def substitute(body: str, values: Mapping[str, str]) -> str:
    """Return a macro's body with its parameters replaced, `#x` as a string, and `a##b` joined."""
    body = body.replace("\\\n", " ")
    body = re.sub(r"(?<!#)#\s*([A-Za-z_]\w*)", lambda m: f'"{values[m[1]]}"' if m[1] in values else m[0], body)
    body = re.sub(r"[A-Za-z_]\w*", lambda m: values.get(m[0], m[0]), body)
    return re.sub(r"\s*##\s*", "", body)


def _method(row: _Row, kind: EntryKind) -> PythonEntry | None:
    function = _function_of(row.parts[1]) if len(row.parts) > 1 else None
    if function is None:
        return None
    flags = " ".join(row.parts[2:])
    static = "METH_STATIC" in flags or "METH_CLASS" in flags
    name = _string_of(row.parts[0]) or function
    if name in _MAKING:
        kind = EntryKind.CONSTRUCTOR
    elif name in _ENDING:
        kind = EntryKind.DESTRUCTOR
    return PythonEntry(
        function=function,
        body=None,
        name=name,
        kind=EntryKind.FUNCTION if static else kind,
        at=row.at,
    )


def _property(row: _Row) -> Iterator[PythonEntry]:
    name = _string_of(row.parts[0]) if row.parts else None
    for index, what in ((1, "getter"), (2, "setter")):
        part = next((p for p in row.parts if re.match(rf"\s*\.{what[:3]}\s*=", p)), None)
        if part is None and len(row.parts) > index and not row.parts[index].lstrip().startswith("."):
            part = row.parts[index]
        function = _function_of(part) if part else None
        if function is not None:
            yield PythonEntry(
                function=function,
                body=None,
                name=f"{name} {what}" if name else function,
                kind=EntryKind.PROPERTY,
                at=row.at,
            )


def _member(row: _Row) -> TableField | None:
    text = ", ".join(row.parts)
    place = re.search(r"\b(?:offsetof|OFFSETOF|OFF)\s*\(\s*(?:struct\s+)?(?:(\w+)\s*,\s*)?(\w+)", text)
    name = _string_of(row.parts[0]) if row.parts else None
    if place is None or place[1] is None:
        return None
    return TableField(
        name=name or place[2],
        type=place[1],
        field=place[2],
        at=row.at,
        writable=not re.search(r"\b(?:Py_)?READONLY\b", text),
        guarded=True,
    )


def _positional(unit: CUnit, span: tuple[int, int], slots: list[str], *, named: bool) -> Iterator[PythonEntry]:
    """Yield the functions of a table without designators; in `named` ones counting begins at the type's name."""
    code = unit.code
    start = code.find("{", *span)
    end = closing(code, start, span[1]) if start >= 0 else -1
    if end < 0:
        return
    spans = split_arguments(code, start + 1, end)
    first = 0
    if named:
        first = next((index for index, part in enumerate(spans) if '"' in code[slice(*part)]), -1)
        if first < 0:
            # A macro for the name: the head is the first element, with or without its size.
            first = 1 if len(spans) > 1 and "HEAD_INIT" in code[slice(*spans[0])] else -1
    if first < 0:
        return
    for index, (begin, stop) in enumerate(spans[first:]):
        text = code[begin:stop]
        if index < len(slots) and not text.startswith(".") and len(text) < 200:
            prefix = "tp_" if named else "xx_"
            yield from _slot(prefix + slots[index], text, begin)


def _slot(slot: str, value: str, at: int) -> Iterator[PythonEntry]:
    short = slot.partition("_")[2]
    function = _function_of(value)
    if function is None or slot in _NO_FUNCTION or short in ("doc", "name", "base", "flags", "basicsize", "itemsize"):
        return
    if short in ("methods", "members", "getset", "dict", "dictoffset", "weaklistoffset", "bases") or short.startswith(
        "as_"
    ):
        return
    kind = EntryKind.SLOT
    if slot.startswith("tp_"):
        kind = (
            EntryKind.CONSTRUCTOR
            if short in _CONSTRUCTORS
            else EntryKind.DESTRUCTOR
            if short in _DESTRUCTORS
            else EntryKind.SLOT
        )
    name = _special(short)
    yield PythonEntry(function=function, body=None, name=name, kind=kind, at=at)


def _special(slot: str) -> str:
    """Return the special method that a slot stands for."""
    inplace = slot.startswith("inplace_")
    name = _SPECIAL.get(slot.removeprefix("inplace_"), f"__{slot.removeprefix('inplace_')}__")
    return f"__i{name[2:]}" if inplace else name


def _function_of(value: str) -> str | None:
    """Return the name of the function in a table's element, without casts."""
    value = value.strip()
    if "{" in value or '"' in value:
        return None
    found = _LAST_NAME.search(value)
    if found is None or found[1] in _NO_FUNCTION or found[1].startswith(("Py_", "METH_")):
        return None
    qualifier = re.search(r"([A-Za-z_]\w*)\s*::\s*\Z", value[: found.start(1)])
    return f"{qualifier[1]}::{found[1]}" if qualifier else found[1]


def _string_of(part: str) -> str | None:
    found = _STRING.search(part)
    return found[1].strip() or None if found else None


def _bindings(unit: CUnit) -> tuple[list[PythonEntry], list[TableField]]:
    """Return what `.def` and similar functions of pybind11, nanobind and Boost.Python expose."""
    code = unit.code
    entries: list[PythonEntry] = []
    members: list[TableField] = []
    lambdas: dict[int, Function] = {f.start: f for f in unit.functions if f.bound}
    starts = sorted(lambdas)
    for count, found in enumerate(_BINDING.finditer(code)):
        end = closing(code, found.end() - 1, found.end() + 20_000) if count < _MOST_BINDINGS else -1
        if end < 0:
            continue
        spans = split_arguments(code, found.end(), end)
        if not spans:
            continue
        name = _string_of(unit.text[slice(*spans[0])]) if len(spans) > 1 else None
        name = name or "a bound function"
        policy = "".join(code[slice(*part)] for part in spans[1:] if "[" not in code[slice(*part)])
        locked = bool(_LOCKING_POLICY.search(policy))
        kind = EntryKind.PROPERTY if "prop" in found[1] or "readwrite" in found[1] else EntryKind.METHOD
        if name in _MAKING:
            kind = EntryKind.CONSTRUCTOR
        for begin, stop in spans[1:]:
            text = code[begin:stop]
            method = _METHOD.search(text) if "&" in text and "[" not in text else None
            if method and found[1] in ("def_readwrite", "def_readonly", "def_rw", "def_ro") and method[1]:
                owner = re.findall(r"[A-Za-z_]\w*", method[1])[-1]
                writable = found[1] in ("def_readwrite", "def_rw")
                members.append(
                    TableField(name=name, type=owner, field=method[2], at=begin, writable=writable, guarded=locked)
                )
            elif method:
                names = re.findall(r"[A-Za-z_]\w*", re.sub(r"<[^<>]*>", "", method[1]))
                function = f"{names[-1]}::{method[2]}" if names else method[2]
                entries.append(PythonEntry(function=function, body=None, name=name, kind=kind, at=begin, locked=locked))
        entries += (
            PythonEntry(
                function="",
                body=lambdas[start].body,
                name=name,
                kind=kind,
                at=start,
                locked=locked,
            )
            for start in starts
            if found.end() <= start < end
        )
    return entries, members


def _thread(unit: CUnit, found: re.Match[str]) -> Iterator[PythonEntry]:
    end = closing(unit.code, found.end() - 1, found.end() + 500)
    known = {function.short_name for function in unit.functions}
    for begin, stop in split_arguments(unit.code, found.end(), end) if end > 0 else ():
        function = _function_of(unit.code[begin:stop].lstrip("& "))
        if function in known and function is not None:
            yield PythonEntry(function=function, body=None, name=function, kind=EntryKind.THREAD, at=begin)
