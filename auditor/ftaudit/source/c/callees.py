"""The effects of a called function on its arguments, by its name."""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from typing import Final

from ftaudit.source.native_names import frees

_NOT_RUN: Final = re.compile(r"(?i)assert|^Py_VISIT$")
_ATOMIC: Final = re.compile(r"(?i)atomic|interlocked|__sync_")
_ITEMS: Final = re.compile(r"(?:GET_ITEM|GETITEM|READ_CHAR|_READ|GET_CHAR|GetItem)$")
_PYTHON: Final = re.compile(r"_?Py[A-Z_]")
_NO_CALLS: Final = frozenset({"sizeof", "offsetof", "alignof", "decltype", "typeof", "__typeof__"})
_KEYWORDS: Final = frozenset(
    [
        "if",
        "for",
        "while",
        "switch",
        "return",
        "do",
        "else",
        "case",
        "goto",
        "catch",
        "new",
        "delete",
        "throw",
        "defined",
    ]
)
_GIL: Final = frozenset({"PyGILState_Release", "PyThread_release_lock", "PyEval_ReleaseThread", "PyThread_free_lock"})


class Does(Enum):
    """The effect of a call."""

    NOTHING = "nothing"
    """It is not a call, or it is a call of CPython's that does its own locking."""
    IGNORES = "ignores"
    """It does not evaluate its arguments, or does so in one atomic step."""
    REPLACES = "replaces"
    """It stores into its first argument and releases the old value."""
    RELEASES = "releases"
    """It releases a reference."""
    FILLS = "fills"
    """It writes to memory that one of its arguments points to; see `filled`."""
    INDEXES = "indexes"
    """It reaches into its first argument with its second one, and checks nothing."""
    FREES = "frees"
    """It frees the memory of its first argument."""
    CALLS = "calls"
    """A function of the project, or of a library that it uses."""


_EXACT: Final = {
    **dict.fromkeys(("Py_CLEAR", "Py_SETREF", "Py_XSETREF"), Does.REPLACES),
    **dict.fromkeys(("Py_DECREF", "Py_XDECREF", "Py_DecRef"), Does.RELEASES),
    **dict.fromkeys(_KEYWORDS, Does.NOTHING),
    **dict.fromkeys(_NO_CALLS, Does.IGNORES),
    **dict.fromkeys(_GIL, Does.NOTHING),
}
_FILLED: Final = {
    **dict.fromkeys(("memcpy", "memmove", "memset", "strcpy", "strncpy", "snprintf", "sprintf"), 0),
    **dict.fromkeys(("fread", "strcat"), 0),
    **dict.fromkeys(("read", "recv", "PyObject_GetBuffer"), 1),
}


@lru_cache(maxsize=20_000)
def what_it_does(name: str) -> Does:
    """Return the effect of a call of a function or macro with this name."""
    if name in _EXACT:
        return _EXACT[name]
    if name in _FILLED:
        return Does.FILLS
    if _ATOMIC.search(name) or _NOT_RUN.search(name):
        return Does.IGNORES
    if _ITEMS.search(name):
        return Does.INDEXES
    if _PYTHON.match(name):
        return Does.FREES if frees(name) else Does.NOTHING
    return Does.CALLS


def filled(name: str) -> int:
    """Return which argument a function of the kind `FILLS` writes to."""
    return _FILLED[name]
