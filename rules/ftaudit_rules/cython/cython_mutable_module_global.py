"""FT402: a module-level C variable of a Cython file that functions write."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ftaudit.model import Confidence, Finding, Severity, Site
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CythonRule
from ftaudit.source.cython import CythonFunction, CythonUnit, CythonVariable, LogicalLine, stores
from ftaudit.source.shared_state import AccessKind

_MUTATORS: Final = frozenset(
    [
        "append",
        "extend",
        "insert",
        "remove",
        "pop",
        "popitem",
        "clear",
        "update",
        "setdefault",
        "add",
        "discard",
        "sort",
        "reverse",
        "push_back",
        "emplace_back",
        "push",
        "pop_back",
        "erase",
        "resize",
        "assign",
        "swap",
        "emplace",
        "reserve",
    ]
)
_OF_ARRAYS: Final = frozenset({"byteswap", "frombytes", "fromlist", "fromfile"})
_ARRAY: Final = re.compile(r"\barray\b")
_WRITES_FIRST: Final = frozenset(
    [
        "memset",
        "memcpy",
        "memmove",
        "strcpy",
        "strncpy",
        "strcat",
        "sprintf",
        "snprintf",
        "fgets",
        "fread",
        "read",
        "recv",
        "PyOS_snprintf",
        "qsort",
    ]
)
_ONCE: Final = re.compile(r"\b\w*call_?once\w* \( \w+ , (\w+) \)")
"""A function that the C++ library runs once, whatever the number of threads."""
_FILLED: Final = "filled"
_MOST_APART: Final = 3
"""How many variables that the same functions write are reported one by one."""
_MOST_SITES: Final = 20
_LITERALS: Final = {
    **dict.fromkeys(
        ("{ }", "dict ( )", "OrderedDict ( )", "collections . OrderedDict ( )", "WeakValueDictionary ( )"), "dict"
    ),
    **dict.fromkeys(("[ ]", "list ( )", "deque ( )", "collections . deque ( )"), "list"),
    "set ( )": "set",
}
"""The type of what a module binds a name to, by the expression."""
_REMOVES: Final = re.compile(r"emptied|changed by (?:pop|popitem|popleft|remove|clear)\(\)")
_GROWS: Final = re.compile(r"\b(?:dict|object|list)\s*\Z")
_DEBUG: Final = re.compile(r"(?i)(?:^|_)(?:debug|trace|verbose)(?:$|_)")
_CONTAINER: Final = re.compile(
    r"\b(?:object|dict|list|set|bytearray|deque|vector|map|unordered_map|queue|stack|string|unordered_set)\b"
)


class CythonMutableModuleGlobal(CythonRule):
    """A `cdef` variable at module level is a C static variable: all threads share it.

    Scratch buffers mix the data of two calls, and counters lose updates. An assignment to an object variable releases
    the old reference without a lock, so two threads can free the same object twice.
    """

    info = RuleInfo(
        code="FT402",
        name="cython-mutable-module-global",
        summary="Functions write to a module-level `cdef` variable without a lock.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Move a scratch buffer into the function that uses it, keep state in an object, or guard the variable with "
            "`cython.pymutex` or a critical section."
        ),
        links=("https://cython.readthedocs.io/en/latest/src/userguide/freethreading.html#thread-safety",),
    )

    VALID = (
        SourceExample(code="def enc(str s):\n    cdef char scratch[4096]\n    scratch[0] = 1\n", instead=True),
        SourceExample(code="cdef object _loads = json.loads\ndef f(s):\n    return _loads(s)\n"),
        SourceExample(
            code="cdef uint8_t TABLE[16]\nmemset(TABLE, 0, 16)\nfor i in range(128):\n    set_bit(TABLE, i)\n"
            "cdef inline void set_bit(uint8_t *t, int i):\n    t[i >> 3] |= 1 << i\n"
            "cdef class Q:\n    cdef uint8_t t[16]\n"
            "    def __init__(self):\n        memcpy(self.t, TABLE, sizeof(TABLE))\n"
        ),
        SourceExample(
            code="cdef int n = 0\ncdef cython.pymutex mu\ndef f():\n    global n\n    with mu:\n        n += 1\n"
        ),
        SourceExample(
            code="from libcpp.mutex cimport once_flag, call_once\ncdef object _find\ncdef once_flag _once\n"
            "cdef void _load() noexcept with gil:\n    global _find\n    if _find is None:\n"
            "        from pkg import find\n        _find = find\n"
            "def get():\n    with nogil:\n        call_once(_once, _load)\n    return _find\n"
        ),
        SourceExample(code='cdef extern from "x.h":\n    int level\ndef f():\n    global level\n    level = 1\n'),
        SourceExample(code="cdef int n = 0\ncdef void _init():\n    global n\n    n = detect()\n_init()\n"),
        SourceExample(code="cdef int n = 0\ndef f():\n    n = 1\n    return n\n"),
        SourceExample(code="_hooks = []\ndef register(f):\n    _hooks.append(f)\n    return list(_hooks)\n"),
        SourceExample(path="m.py", code="import cython\nx = 1\ndef f():\n    return x\n"),
    )
    INVALID = (
        SourceExample(code="cdef char scratch[4096]\ndef enc(str s):\n    scratch[0] = 1\n", lines=(1,)),
        SourceExample(
            code="DEF SIZE = 8\ncdef char BUFFER[SIZE]\ncdef inline void start(Writer *w):\n    w.buf = &BUFFER[0]\n",
            lines=(2,),
        ),
        SourceExample(
            code="cdef int calls = 0\n"
            "cdef object last\n"
            "def f():\n"
            "    global calls, last\n"
            "    calls += 1\n"
            "    last = calls\n",
            lines=(1, 2),
        ),
        SourceExample(
            code="cdef dict _cache = {}\n"
            "def get(k):\n"
            "    if k not in _cache:\n"
            "        _cache[k] = load(k)\n"
            "    return _cache[k]\n",
            lines=(1,),
        ),
        SourceExample(
            code="cdef object name, uri\n\n\n\n"
            "def set_names(tag):\n    global name, uri\n    uri, name = \\\n        split(tag)\n",
            lines=(1,),
        ),
        SourceExample(
            code="cdef array.array swapper = array.array('Q', [0])\n"
            "def swapped(char *b):\n    memcpy(swapper.data.as_voidptr, b, 8)\n"
            "    swapper.byteswap()\n    return swapper[0]\n",
            lines=(1,),
        ),
        SourceExample(
            code="cdef list registries = [[None] * 9, [None] * 9]\n"
            "cdef int add(int kind, f) except -1:\n    registry = registries[kind]\n"
            "    cdef int index = registry.index(None)\n    registry[index] = f\n    return index\n"
            "cdef int drop(int kind, int index) except -1:\n    registry = registries[kind]\n"
            "    registry[index] = None\n",
            lines=(1,),
        ),
        SourceExample(
            code="_cache = {}\ndef get(k):\n    if k in _cache:\n        return _cache[k]\n"
            "    return None\ndef drop(k):\n    if k in _cache:\n        del _cache[k]\n",
            lines=(1,),
        ),
        SourceExample(code="cdef:\n    list _free = []\n    int size\ndef give(x):\n    _free.append(x)\n", lines=(2,)),
    )

    def check(self, unit: CythonUnit) -> Iterator[Finding]:
        """Yield each variable that some function writes without a lock, with the first such place."""
        if not unit.path.endswith((".pyx", ".pxi", ".pyx.in", ".pxi.in", ".pyx.tp", ".pyx.src", ".pxi.src")):
            return
        variables = {variable.name: variable for variable in unit.variables if not variable.is_sync}
        of_python = _python_containers(unit, variables)
        variables |= of_python
        if not variables:
            return
        filled = _filled_at_import(unit)
        written: dict[str, list[_Write]] = defaultdict(list)
        once = set(_ONCE.findall(" ".join(word for line in unit.logical for word in line.words)))
        for function in unit.functions:
            if function.name in unit.init_only | once or function.name.startswith(("__pyx", "_cinit")):
                continue
            aliases = _aliases(function, variables)
            for line in function.body:
                for name, how in _writes(line, function, variables, filled, aliases):
                    if not unit.locked(line, function) and not _is_debugging(unit, line):
                        written[name].append(_Write(line, how, function.name))
        together: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for name, writes in written.items():
            if name in of_python and not any(_REMOVES.match(write.how) for write in writes):
                # One operation of such a container is safe; a key that is taken between two of them is missing.
                continue
            together[tuple(dict.fromkeys(write.writer for write in writes))].append(name)
        for names in together.values():
            for cause in [names] if len(names) > _MOST_APART else [[name] for name in names]:
                yield self._found(unit, [variables[name] for name in cause], [written[name] for name in cause])

    def _found(self, unit: CythonUnit, variables: list[CythonVariable], writes: list[list[_Write]]) -> Finding:
        """Return the finding of one variable, or of several that the same functions write."""
        first, last = writes[0][0], variables[-1].name
        what = f"is {first.how} in `{first.writer}` (line {first.line.number})"
        if len(variables) == 1:
            message = f"all threads share `{last}`, which {what} without a lock"
        else:
            message = (
                f"all threads share {len(variables)} variables (`{variables[0].name}` to `{last}`), and the first "
                f"{what} without a lock"
            )
        grows = all(
            write.how == _FILLED and _GROWS.search(variable.type) and write.line.words[-2:] != ["=", "None"]
            for variable, some in zip(variables, writes, strict=True)
            for write in some
        )
        return self.finding(
            message,
            location=unit.location(variables[0].line, variables[0].column),
            sites=tuple(
                Site(
                    location=unit.location(write.line.number, write.line.tokens[0].column),
                    access=AccessKind.WRITE.value,
                    entry_point=write.writer,
                )
                for some in writes
                for write in some[:_MOST_SITES]
            ),
            # Both threads store the same in a cache that only grows, and the container does it in one step.
            severity=Severity.PEDANTIC if grows else None,
        )


@dataclass(frozen=True, slots=True)
class _Write:
    """A place that writes a variable."""

    line: LogicalLine
    how: str
    writer: str


def _python_containers(unit: CythonUnit, declared: dict[str, CythonVariable]) -> dict[str, CythonVariable]:
    """Return the containers that the module binds without `cdef` and never rebinds: `_cache = {}`."""
    found: dict[str, CythonVariable] = {}
    for line in unit.module_lines:
        words = line.words
        kind = _LITERALS.get(" ".join(words[2:]))
        if words[1:2] == ["="] and kind is not None and words[0] not in declared and line.parent < 0:
            found[words[0]] = CythonVariable(
                name=words[0], type=kind, line=line.number, column=line.tokens[0].column, initialized=True
            )
    return found


def _aliases(function: CythonFunction, variables: dict[str, CythonVariable]) -> dict[str, str]:
    """Return the local names that mean a module variable's container, or an item of it: `registry = registries[0]`."""
    found: dict[str, str] = {}
    for line in function.body:
        words = line.words
        if "=" not in words[1:] or not any(word in variables for word in words):
            continue
        for target, operator in stores(line):
            value = words[words.index("=") + 1 :]
            if operator != "=" or len(target) != 1 or not value or value[0] not in variables:
                continue
            if (
                value[0] not in function.locals
                and _GROWS.search(variables[value[0]].type)
                and value[1:2] in ([], ["["])
            ):
                found[target[0].text] = value[0]
    return found


def _is_debugging(unit: CythonUnit, line: LogicalLine) -> bool:
    """Return whether a line runs only if a constant for debugging is set."""
    return any(
        head.words[0] in ("if", "elif", "IF") and any(map(_DEBUG.search, head.words)) for head in unit.heads(line)
    )


def _filled_at_import(unit: CythonUnit) -> frozenset[str]:
    """Return the names that module-level code fills or passes to a function: tables, not scratch buffers."""
    found: set[str] = set()
    for line in unit.module_lines:
        found.update(target[0].text for target, _ in stores(line) if target and len(target) > 1)
        for token, following in zip(line.tokens, line.tokens[1:], strict=False):
            if token.kind == "name" and following.text in (",", ")"):
                found.add(token.text)
    return frozenset(found)


def _writes(
    line: LogicalLine,
    function: CythonFunction,
    variables: dict[str, CythonVariable],
    filled: frozenset[str],
    aliases: dict[str, str],
) -> Iterator[tuple[str, str]]:
    """Yield each module variable that the line writes, and how."""

    def reaches(name: str) -> bool:
        return name in variables and name not in function.locals

    for target, operator in stores(line):
        name = target[0].text
        if name in aliases and len(target) > 1 and target[1].text == "[":
            yield aliases[name], _FILLED
        if not reaches(name):
            continue
        if len(target) == 1:
            if name in function.globals:
                yield name, "assigned" if operator == "=" else "updated"
        elif target[1].text == "[" or (target[1].text == "." and not _is_plain_object(variables[name])):
            yield name, _FILLED
    tokens = line.tokens
    for position, token in enumerate(tokens):
        if token.kind != "name" or not reaches(token.text):
            continue
        before = tokens[position - 1].text if position else ""
        after = [each.text for each in tokens[position + 1 : position + 4]]
        variable = variables[token.text]
        if before == ".":
            continue
        if "del" in (tokens[0].text, before) and after[:1] == ["["]:
            yield token.text, "emptied"
        elif len(after) == 3 and after[0] == "." and after[1] in _MUTATORS | _OF_ARRAYS and after[2] == "(":
            if _CONTAINER.search(variable.type) or (after[1] in _OF_ARRAYS and _ARRAY.search(variable.type)):
                yield token.text, f"changed by `{after[1]}()`"
        elif after[:2] == [".", "data"] and before == "(" and position > 1 and _ARRAY.search(variable.type):
            if tokens[position - 2].text in _WRITES_FIRST:
                yield token.text, f"filled by `{tokens[position - 2].text}()`"
        elif variable.array and not variable.initialized and token.text not in filled and "const" not in variable.type:
            if before == "&":
                yield token.text, "passed as a buffer"
            elif before == "(" and position > 1 and tokens[position - 2].text in _WRITES_FIRST:
                yield token.text, f"filled by `{tokens[position - 2].text}()`"


def _is_plain_object(variable: CythonVariable) -> bool:
    """Return whether an attribute store sets an attribute of another object: `config.x = 1`."""
    return variable.type.split()[-1:] == ["object"]
