"""How a place of the code uses a variable: reads it, writes it, or exposes its address."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ftaudit.source.c.text import KEYWORDS, closing, opening

_ASSIGNMENT: Final = re.compile(r"\s*(?:(?:<<|>>|[-+*/%&|^])?=(?!=)|\+\+|--)")
_TRAILER: Final = re.compile(r"\s*(?:(?P<index>\[)|(?P<member>(?:\.|->)\s*~?\w+))")
_MUTATING_METHOD: Final = re.compile(
    r"\s*(?:\.|->)\s*(?:push_back|push_front|emplace\w*|insert\w*|erase|clear|pop_back|pop_front|pop|push|resize|reserve"
    r"|assign|swap|reset|append|merge|extract|sort|splice|try_emplace|set|add|remove|put|store_value|release)\s*\("
)
_BEFORE_CALL: Final = re.compile(r"([A-Za-z_]\w*)\s*$")
_ATOMIC: Final = re.compile(
    r"(?i)atomic|interlocked|__sync_|std::atomic|once|\block\b|mutex|_lock|lock_|cond_|tss_|readnone"
)
_WRITERS: Final[dict[str, tuple[int, ...]]] = {
    **dict.fromkeys(
        ("memcpy", "memset", "memmove", "strcpy", "strncpy", "strcat", "strncat", "sprintf", "snprintf"), (0,)
    ),
    **dict.fromkeys(
        ("vsprintf", "vsnprintf", "strlcpy", "fgets", "gets", "qsort", "PyOS_snprintf", "PyOS_vsnprintf"), (0,)
    ),
    **dict.fromkeys(
        ("Py_CLEAR", "Py_SETREF", "Py_XSETREF", "setjmp", "_setjmp", "sigsetjmp", "localtime_r", "gmtime_r"), (0,)
    ),
    **dict.fromkeys(("strtok_r",), (2,)),
    "sysctlbyname": (1, 2),
    **dict.fromkeys(("sysctl", "fscanf"), (2, 3)),
    "getsockopt": (3, 4),
    **dict.fromkeys(("read", "recv", "fread"), (0, 1)),
    **dict.fromkeys(
        ("gettimeofday", "time", "ftime", "regcomp", "PyUnicode_InternInPlace", "PyUnicode_Append", "srandom_r"), (0,)
    ),
    **dict.fromkeys(("clock_gettime", "PyDict_GetItemRef", "PyObject_GetBuffer", "getrlimit", "frexp", "modf"), (1, 2)),
}
_SETS_MEMBER: Final = re.compile(r"(?:->|\.)\s*\w+\s*=\s*(?:\([^()]*\)\s*)?\Z")
_ALONE: Final = re.compile(r"\s*;")
_CONSTRUCTS: Final = re.compile(r"\b([A-Za-z_]\w*)(?:\s*<[^<>;]*>)?\s+[A-Za-z_]\w*\s*[({]\s*\Z")
_OUT_PARAMETERS: Final = re.compile(
    r"^(?:PyArg_Parse\w*|PyArg_UnpackTuple|PyArg_VaParse\w*|sscanf|scanf|fscanf|PyErr_Fetch|PyErr_NormalizeException)$"
)


class UseKind(Enum):
    """The effect on the variable."""

    READ = "read"
    WRITE = "write"
    ADDRESS = "address"
    """Its address is passed to a function; see `Use.callee`."""
    KEPT = "kept"
    """A member of something else is set to it: for an array, to its address."""


@dataclass(frozen=True, slots=True)
class VariableUse:
    """One place that names a variable."""

    at: int
    kind: UseKind
    value: str = ""
    """For a plain assignment to the whole variable, the assigned text, without blanks at its ends."""
    element: bool = False
    """The write is to an element, a member, or its target, not to the variable itself."""
    callee: str = ""
    argument: int = -1


def classify_use(code: str, start: int, end: int) -> VariableUse | None:
    """Return the use of `code[start:end]`, a variable's name; `None` if the name means something else.

    Members of other things (`x.name`), labels and declarations' names are not uses of the variable.
    """
    before = _previous(code, start)
    char = code[before] if before >= 0 else ";"
    if char == "." and code[before - 1 : before + 1] != "..":
        return None
    if char == ">" and code[before - 1 : before] == "-" and code[before - 5 : before - 1] != "this":
        return None
    if char in "+-" and code[before - 1 : before] == char and not _is_operand(code, _previous(code, before - 1)):
        return VariableUse(start, UseKind.WRITE)
    at, element = _past_trailers(code, end)
    if element and _mutating_method(code, end, at):
        return VariableUse(start, UseKind.WRITE, element=True)
    assigned = _ASSIGNMENT.match(code, at)
    if assigned:
        dereferenced = char == "*" and not _is_operand(code, _previous(code, before))
        return VariableUse(
            start, UseKind.WRITE, element=element or dereferenced, value="" if element else _value(code, assigned)
        )
    addressed = char == "&" and code[before - 1] != "&" and not _is_operand(code, _previous(code, before))
    return _argument(code, before if addressed else start, start, at, addressed, element)


def _mutating_method(code: str, end: int, at: int) -> bool:
    tail = code[end : at + 1]
    return any(found.end() == len(tail) for found in _MUTATING_METHOD.finditer(tail))


def _past_trailers(code: str, end: int) -> tuple[int, bool]:
    at, element = end, False
    while True:
        found = _TRAILER.match(code, at)
        if found is None:
            return at, element
        element = True
        if found["index"]:
            closed = closing(code, found.end() - 1, found.end() + 2000)
            if closed < 0:
                return at, element
            at = closed + 1
        else:
            at = found.end()


def _value(code: str, assigned: re.Match[str]) -> str:
    if assigned[0].strip() != "=":
        return ""
    end = code.find(";", assigned.end(), assigned.end() + 400)
    return code[assigned.end() : end].strip() if end > 0 else ""


def _argument(code: str, begin: int, start: int, at: int, addressed: bool, element: bool) -> VariableUse:
    """Return the use of a name that is a whole argument of a call."""
    before = _previous(code, begin)
    while before >= 0 and code[before] == ")":
        cast = opening(code, before, max(0, before - 120))
        if cast < 0:
            break
        before = _previous(code, cast)
    if before < 0 or code[before] not in "(,":
        kept = (
            not element
            and code[before] == "="
            and _ALONE.match(code, at)
            and _SETS_MEMBER.search(code, max(0, start - 120), start)
        )
        return VariableUse(start, UseKind.KEPT if kept else UseKind.READ)
    index = 0
    depth = 0
    limit = max(0, before - 3000)
    for place in range(before, limit - 1, -1):
        char = code[place]
        if char in ")]}":
            depth += 1
        elif char in "([{":
            if depth == 0:
                name = _BEFORE_CALL.search(code, max(0, place - 80), place) if char == "(" else None
                if name is None or name[1] in KEYWORDS:
                    return VariableUse(start, UseKind.READ)
                return _passed(name[1], index, start, addressed, element)
            depth -= 1
        elif char == "," and depth == 0:
            index += 1
        elif char == ";" and depth == 0:
            break
    return VariableUse(start, UseKind.READ)


def _passed(callee: str, index: int, start: int, addressed: bool, element: bool) -> VariableUse:
    if _ATOMIC.search(callee):
        return VariableUse(start, UseKind.READ, callee=callee, argument=index)
    if index in _WRITERS.get(callee, ()) or (
        addressed and _OUT_PARAMETERS.match(callee) and index >= _outs_from(callee)
    ):
        return VariableUse(start, UseKind.WRITE, element=element, callee=callee, argument=index)
    return VariableUse(
        start, UseKind.ADDRESS if addressed else UseKind.READ, callee=callee, argument=index, element=element
    )


def _outs_from(callee: str) -> int:
    """Return the first argument that such a function stores to: it follows the format and the keywords."""
    if callee.startswith("PyErr"):
        return 0
    if "Keywords" in callee or callee == "PyArg_UnpackTuple":
        return 4
    return 1 if callee == "scanf" else 2


def _previous(code: str, at: int) -> int:
    at -= 1
    while at >= 0 and code[at] in " \t\n":
        at -= 1
    return at


def _is_operand(code: str, at: int) -> bool:
    """Return whether the character ends an operand, so that `&`, `*`, `+` after it join two operands."""
    if at < 0 or not (code[at].isalnum() or code[at] in "_)]"):
        return False
    word = re.search(r"[A-Za-z_]\w*$", code[max(0, at - 20) : at + 1])
    if word and word[0] in KEYWORDS:
        return False
    return not (code[at] == ")" and _is_cast(code, at))


def _is_cast(code: str, at: int) -> bool:
    first = opening(code, at, max(0, at - 80))
    return first >= 0 and bool(
        re.fullmatch(r"\(\s*(?:const\s+|struct\s+|unsigned\s+)*\w+\s*\*+\s*\)", code[first : at + 1])
    )


def constructed_with(code: str, start: int) -> str:
    """Return the type of the object whose first constructor argument is the variable at a place, `Type x(name…`."""
    if code[start - 1] not in "({ \n":
        return ""
    found = _CONSTRUCTS.search(code, max(0, start - 100), start)
    return "" if found is None or found[1] in KEYWORDS else found[1]
