"""The callers of a function: only module initialization, methods of an instance, or any code; seen within one file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from ftaudit.source.c.c_declarations import Variable
from ftaudit.source.c.functions import Function
from ftaudit.source.c.locks import ONCE, words
from ftaudit.source.c.syntax import FunctionFinder
from ftaudit.source.c.text import closing, find_words

_IDENTIFIER: Final = re.compile(r"[A-Za-z_]\w*")
_ENTRY: Final = re.compile(
    r"^(?:PyInit_\w+|PyModExport_\w+|main|wmain|DllMain|PY(?:BIND11)?_(?:EMBEDDED_)?MODULE\w*|PYBIND11_\w*MODULE\w*|NB_MODULE\w*|BOOST_PYTHON_MODULE\w*|TORCH_LIBRARY\w*|MOD_INIT\w*|MODINIT\w*|PyMODINIT\w*|\w*_MODULE_INIT\w*|MODULE_INIT\w*)$"
)
EXEC_SLOT: Final = re.compile(
    r"Py_mod_exec(?<!\wPy_mod_exec)\s*,\s*(?:\([^()]*(?:\([^()]*\))?[^()]*\)\s*)*(?:\w+_cast\s*<[^<>]*>\s*\(\s*)?&?\s*([A-Za-z_]\w*)"
)
_AT_EXIT: Final = re.compile(r"\b(?:Py_AtExit|atexit)\s*\(\s*&?\s*(\w+)")
_MODULE_TYPES: Final = frozenset({"PyModuleDef", "PyModuleDef_Slot", "PySlot"})
_TABLE_TYPES: Final = frozenset(
    {
        "PyMethodDef",
        "PyGetSetDef",
        "PyTypeObject",
        "PyType_Slot",
        "PyNumberMethods",
        "PySequenceMethods",
        "PyMappingMethods",
        "PyAsyncMethods",
        "PyBufferProcs",
    }
)
_LIFECYCLE: Final = frozenset(
    {
        "new",
        "init",
        "dealloc",
        "clear",
        "traverse",
        "free",
        "finalize",
        "finalise",
        "del",
        "destroy",
        "alloc",
        "destructor",
        "delete",
        "setstate",
    }
)
_ENDING: Final = frozenset({"destroy", "dealloc", "free", "finalize", "destructor", "teardown"})
_LIFECYCLE_SLOT: Final = re.compile(
    r"tp_(?:new|init|dealloc|clear|traverse|free|finalize|del|alloc)\s*[,=]\s*(?:\([^()]*\)\s*)*&?\s*(\w+)"
)
_INIT_WORDS: Final = frozenset(
    {"init", "initialize", "initialise", "setup", "register", "exec", "modinit", "modexec", "bootstrap", "import"}
)


@dataclass(frozen=True, slots=True)
class Reach:
    """The facts about the callers of a file's functions; functions are identified by the start of their body."""

    at_import: frozenset[int]
    """Functions that only the import of the module runs, or its end: they run in one thread."""
    named_init: frozenset[int]
    """Functions without a caller in the file whose name says that they initialize something."""
    methods: frozenset[int]
    """Functions that a method, getset or slot table names, and their callees, except constructors and destructors."""
    callers: Mapping[str, tuple[int, ...]]
    """The places where a function's name is called, by name."""
    mentioned: frozenset[str]
    """Functions that are named without being called: in tables, as callbacks."""


def find_reach(
    code: str,
    functions: Iterable[Function],
    variables: Iterable[Variable],
    called_at_import: frozenset[str],
    entry_macros: frozenset[str],
    finder: FunctionFinder,
    classes: Iterable[tuple[int, int, str]] = (),
) -> Reach:
    """Compute the calls in a file."""
    functions = list(functions)
    by_name: dict[str, list[Function]] = {}
    for function in functions:
        by_name.setdefault(function.short_name, []).append(function)
    calls, mentions = _occurrences(code, by_name, finder)
    tables = _table_entries(code, variables, by_name)
    roots = _roots(code, functions, tables.module, entry_macros)
    callers = {name: tuple(place for place, _ in found) for name, found in calls.items()}
    at_import = _only_from(roots, functions, calls, mentions, called_at_import, _method_names(functions, classes))
    named = {
        f.body
        for f in functions
        if f.body not in at_import
        and not f.bound
        and not calls.get(f.short_name)
        and f.short_name not in mentions
        and "::" not in f.name
        and _INIT_WORDS & set(words(f.name))
    }
    methods = _methods(functions, tables, calls, code)
    return Reach(frozenset(at_import), frozenset(named), frozenset(methods), callers, frozenset(mentions))


@dataclass(frozen=True, slots=True)
class _Tables:
    module: frozenset[str]
    methods: frozenset[str]
    lifecycle: frozenset[str]


def _occurrences(
    code: str, by_name: Mapping[str, list[Function]], finder: FunctionFinder
) -> tuple[dict[str, list[tuple[int, Function]]], set[str]]:
    """Return the calls of the file's functions with their callers, and the names used in any other way."""
    calls: dict[str, list[tuple[int, Function]]] = {}
    mentions: set[str] = set()
    for found in find_words(code, by_name):
        name, at = found[0], found.end()
        while at < len(code) and code[at] in " \t\n":
            at += 1
        inside = finder.at(found.start())
        if code[at : at + 1] == "(":
            if inside is not None and not _declares(code, found.start()):
                calls.setdefault(name, []).append((found.start(), inside))
        elif not any(f.start <= found.start() <= f.body for f in by_name[name]):
            mentions.add(name)
    return calls, mentions


_TYPE_BEFORE: Final = re.compile(r"(?:\b(?P<word>[A-Za-z_]\w*)|\w<[^;{}()]*[\w>*&]>)\s+\Z")
_BEFORE_CALLS: Final = frozenset(
    ["return", "else", "do", "throw", "case", "new", "delete", "and", "or", "not", "co_return", "co_yield", "co_await"]
)


def _declares(code: str, place: int) -> bool:
    """Return whether a name before a bracket is declared there: `std::lock_guard<std::mutex> g(mu);`."""
    before = _TYPE_BEFORE.search(code, max(0, place - 200), place)
    return before is not None and before["word"] not in _BEFORE_CALLS


def _table_entries(code: str, variables: Iterable[Variable], known: Mapping[str, object]) -> _Tables:
    module: set[str] = set()
    methods: set[str] = set()
    lifecycle = {
        slot[1]
        for slot in _LIFECYCLE_SLOT.finditer(code)
        if code[max(0, slot.start() - 80) : slot.start()].rstrip().endswith((".", "Py_"))
    }
    for variable in variables:
        if variable.initializer is None:
            continue
        kinds = variable.words
        text = code[slice(*variable.initializer)]
        if kinds & _MODULE_TYPES:
            module.update(name for name in _IDENTIFIER.findall(text) if name in known)
        elif kinds & _TABLE_TYPES:
            methods.update(name for name in _IDENTIFIER.findall(text) if name in known)
    if "Py_mod_exec" in code:
        module.update(EXEC_SLOT.findall(code))
    return _Tables(frozenset(module), frozenset(methods), frozenset(lifecycle))


def _roots(code: str, functions: list[Function], module: frozenset[str], entry_macros: frozenset[str]) -> set[int]:
    once: set[str] = set()
    for found in ONCE.finditer(code) if "once" in code or "Once" in code else ():
        end = closing(code, found.end() - 1)
        once.update(_IDENTIFIER.findall(code[found.end() : max(end, found.end())]))
    if "AtExit" in code or "atexit" in code:
        once |= set(_AT_EXIT.findall(code))
    structors = "structor" in code
    return {
        f.body
        for f in functions
        if _ENTRY.match(f.short_name)
        or f.short_name in entry_macros
        or "PyMODINIT_FUNC" in f.header
        or f.short_name in module
        or f.short_name in once
        or (structors and re.search(r"\bconstructor\b|\bdestructor\b", code[f.start : f.body]))
    }


def _method_names(functions: list[Function], classes: Iterable[tuple[int, int, str]]) -> dict[int, str]:
    """Return the names of methods with their class, `Pool::ready`, by the place of their body."""
    names: dict[int, str] = {}
    spans = list(classes)
    for function in functions:
        parts = [part.strip() for part in function.name.split("::")]
        if len(parts) > 1:
            names[function.body] = "::".join(parts[-2:])
        else:
            owners = [name for start, end, name in spans if start < function.start < end]
            if owners:
                names[function.body] = f"{owners[-1]}::{parts[0]}"
    return names


def _only_from(
    roots: set[int],
    functions: list[Function],
    calls: Mapping[str, list[tuple[int, Function]]],
    mentions: set[str],
    called_at_import: frozenset[str],
    names: Mapping[int, str],
) -> set[int]:
    found = set(roots)
    pending = [f for f in functions if f.body not in roots and f.short_name not in mentions and not f.bound]
    changed = True
    while changed:
        changed = False
        rest: list[Function] = []
        for function in pending:
            callers = [caller for _, caller in calls.get(function.short_name, ()) if caller.body != function.body]
            if (callers and all(caller.body in found for caller in callers)) or (
                not callers and names.get(function.body, function.short_name) in called_at_import
            ):
                found.add(function.body)
                changed = True
            else:
                rest.append(function)
        pending = rest
    return found


def _methods(
    functions: list[Function], tables: _Tables, calls: Mapping[str, list[tuple[int, Function]]], code: str
) -> set[int]:
    by_body = {f.body: f for f in functions}
    found = {
        f.body
        for f in functions
        if f.short_name in tables.methods and f.short_name not in tables.lifecycle and not is_lifecycle(f)
    }
    called_by: dict[int, set[str]] = {}
    for name, places in calls.items():
        for _, caller in places:
            called_by.setdefault(caller.body, set()).add(name)
    by_name: dict[str, list[int]] = {}
    for f in functions:
        by_name.setdefault(f.short_name, []).append(f.body)
    pending = list(found)
    while pending:
        for name in called_by.get(pending.pop(), ()):
            for body in by_name.get(name, ()):
                if body not in found and not is_lifecycle(by_body[body]):
                    found.add(body)
                    pending.append(body)
    return found


def is_lifecycle(function: Function) -> bool:
    """Return whether a function makes, clears or destroys an object, by its name: no other thread has it then."""
    named = words(function.short_name)
    ends = not _ENDING.isdisjoint(named) or function.short_name.startswith("~")
    return ends or not _LIFECYCLE.isdisjoint(named[-2:])
