"""Calls that return a borrowed reference, with the escape model's result for their container."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ftaudit.source.c import api
from ftaudit.source.c.escape import ContainerOrigin
from ftaudit.source.c.file import Call
from ftaudit.source.c.functions import Function
from ftaudit.source.c.locks import words
from ftaudit.source.c.text import closing, strip_casts
from ftaudit.source.c.unit import CUnit

_COMPARED: Final = re.compile(r"^\s*(?:==|!=)\s*(?:NULL|nullptr|0)\b")
_COMPARED_BEFORE: Final = re.compile(r"(?:(?:NULL|nullptr)\s*(?:==|!=)|!)\s*\(*\s*$")
_TESTED: Final = re.compile(r"\s*(?:\)|&&|\|\|)")
_TESTED_BEFORE: Final = re.compile(r"(?:\b(?:if|while)\s*\(|&&|\|\|)\s*$")
_LIST_CHECK: Final = r"PyList_Check(?:Exact)?\s*\(\s*{n}\s*\)"
_FIRST_ARM: Final = re.compile(r"\b([A-Za-z_]\w*)\s*\?\s*\Z")
_LEAVES: Final = re.compile(r"\b(?:return\b[^;{}]*|goto\s+\w+\s*);\s*\Z")
_TUPLE_CHECK: Final = r"PyTuple_Check(?:Exact)?\s*\(\s*{n}\s*\)"
_CACHE_WORDS: Final = frozenset(
    {
        "cache",
        "caches",
        "registry",
        "memo",
        "interned",
        "pending",
        "seen",
        "callbacks",
        "handlers",
        "listeners",
        "subscribers",
        "watchers",
        "converters",
    }
)


@dataclass(frozen=True, slots=True)
class BorrowedCall:
    """One call that reads a container which another thread may change meanwhile."""

    call: Call
    container: str
    origin: ContainerOrigin


def find_borrowed(unit: CUnit, *names: str, private_tuples: bool = False) -> Iterator[BorrowedCall]:
    """Yield the unguarded calls of the functions named whose container other threads can reach.

    Left out: containers made in the function, the keyword arguments of the call, a thread's own, results that are only
    compared with `NULL`, functions that run only at import, and code under a lock.
    """
    for call in unit.calls(*names):
        function = call.function
        if function is None or not call.arguments or unit.at_import(function) or unit.maybe_at_import(function):
            continue
        if function.short_name == call.name or unit.guarded(call.start):
            continue
        if call.name not in api.DICT_ITERATION and only_tested(unit, call):
            continue
        container = strip_casts(call.arguments[0])
        origin = unit.origin(call)
        if (
            not origin.shared
            and _is_cache_name(container)
            and origin is ContainerOrigin.UNKNOWN
            and not container.isupper()
        ):
            origin = ContainerOrigin.MEMBER
        if not origin.shared or _left_before(unit, call, function):
            continue
        if private_tuples and known_tuple(unit, function, container, call.start):
            continue
        yield BorrowedCall(call, container, origin)


def only_tested(unit: CUnit, call: Call) -> bool:
    """Return whether the result is only compared with `NULL` at once: the reference itself is not used."""
    after = unit.code[call.end : call.end + 40]
    before = unit.code[max(0, call.start - 40) : call.start]
    if re.search(r"=\s*\(*\s*$", before) and not re.search(r"[=!]=\s*\(*\s*$", before):
        return False
    if _TESTED_BEFORE.search(before) and _TESTED.match(after):
        return True
    return bool(_COMPARED.match(after) or _COMPARED_BEFORE.search(before))


def known_tuple(unit: CUnit, function: Function, name: str, before: int) -> bool:
    """Return whether the preceding code ensures that it is a tuple: not if it also accepts a list."""
    if not name.isidentifier():
        return False
    code = unit.code[function.body : before]
    if re.search(_LIST_CHECK.replace("{n}", re.escape(name)), code):
        return False
    return bool(re.search(_TUPLE_CHECK.replace("{n}", re.escape(name)), code))


def _left_before(unit: CUnit, call: Call, function: Function) -> bool:
    """Return whether a call is the first arm of `flag ? … : …` while `if (flag)` has left the function before."""
    flag = _FIRST_ARM.search(unit.code, max(function.body, call.start - 60), call.start)
    if flag is None:
        return False
    for found in re.compile(rf"\bif\s*\(\s*{flag[1]}\s*\)\s*\{{").finditer(unit.code, function.body, call.start):
        end = closing(unit.code, found.end() - 1, function.end)
        if 0 < end < call.start and _LEAVES.search(unit.code, max(found.end(), end - 200), end):
            return True
    return False


def _is_cache_name(name: str) -> bool:
    """Return whether a name says that its container is filled while the program runs."""
    return bool(_CACHE_WORDS & set(words(name)))
