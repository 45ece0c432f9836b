"""Which names take a lock and which release it: CPython's, the platforms', and by their words any project's own."""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from typing import Final

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_LOCKS: Final = frozenset({"lock", "mutex", "rwlock", "spinlock", "critical", "srwlock", "latch", "wrlock", "rdlock"})
_TAKING: Final = frozenset(
    {"lock", "acquire", "enter", "begin", "wrlock", "rdlock", "trylock", "try", "take", "shared"}
)
_GIVING: Final = frozenset({"unlock", "release", "leave", "end", "exit", "drop", "give"})
_OTHER: Final = frozenset(
    [
        "init",
        "initialize",
        "new",
        "free",
        "destroy",
        "alloc",
        "allocate",
        "create",
        "delete",
        "is",
        "has",
        "check",
        "fini",
        "finalize",
        "reset",
        "size",
        "count",
        "type",
        "name",
        "set",
        "get",
        "gil",
        "locked",
        "unlocked",
        "locks",
        "threads",
        "block",
        "blocking",
        "nolock",
        "contended",
        "owner",
        "free",
        "allow",
    ]
)
_PYTHON_BEGIN: Final = re.compile(r"^(?:Py_BEGIN_CRITICAL_SECTION\w*|_?PyCriticalSection2?_Begin\w*|PyMutex_Lock\w*)$")
_PYTHON_END: Final = re.compile(r"^(?:Py_END_CRITICAL_SECTION\w*|_?PyCriticalSection2?_End\w*|PyMutex_Unlock\w*)$")
_GUARD_TYPE: Final = re.compile(
    r"\b((?:\w+\s*::\s*)*\w*(?:lock_guard|unique_lock|scoped_lock|shared_lock|LockGuard|lock_guard2|MutexLock\w*"
    r"|MutexLocker|Mutex_?Guard|ScopedLock\w*|Scoped_?Lock|AutoLock|Locker|Lock_?Guard|scoped_critical_section\w*|ft_lock_guard\w*|ft_object_guard\w*"
    r"|ft_object2_guard\w*|Critical\w*Section\w*|critical_section\w*|ReaderMutexLock|WriterMutexLock|with_\w*lock\w*|\w*[lL]ock_?[gG]uard\w*))"
    r"\s*(?:<[^;{}()]*>)?\s+\w+\s*[({=]"
)
_GUARD_MACRO: Final = re.compile(
    r"\b\w*(?:LOCK_GUARD|SCOPED_LOCK|LOCK_SCOPE|CRITICAL_SECTION_SCOPE|GUARDED_BY_LOCK)\w*\s*\("
)
ONCE: Final = re.compile(
    r"\b(?:std\s*::\s*call_once|absl\s*::\s*call_once|call_once|pthread_once|InitOnceExecuteOnce|_?PyOnceFlag_CallOnce\w*"
    r"|call_once_and_store_result|\w*_?[cC]all_?[oO]nce\w*|npy_\w*runtime\w*once)\s*(?:<[^;{}()]*>)?\s*\("
)
"""Calls that run their argument once, whatever the number of threads."""
SYNC_TYPES: Final = re.compile(
    r"\b(?:PyMutex|PyThread_type_lock|_?PyOnceFlag|pthread_\w*(?:mutex|rwlock|once|key|cond|spinlock)\w*|mtx_t|once_flag|tss_t"
    r"|Py_tss_t|CRITICAL_SECTION|SRWLOCK|INIT_ONCE|HANDLE|_Atomic|atomic|atomic_\w+|std\s*::\s*(?:\w*mutex|once_flag|atomic\w*)"
    r"|(?:recursive_|shared_|timed_)*mutex|Mutex|\w*[mM]utex(?:_t)?|gil_safe_call_once_and_store|ft_mutex|PyEvent|_PyRecursiveMutex|_PyRWMutex"
    r"|LocalVar|ThreadLocal\w*|thread_specific_ptr)\b"
)
"""Types that are locks, atomics or keys of thread-local storage: shared on purpose."""
_OF_GIL: Final = re.compile(r"(?<!no)(?<!no_)gil(?!_?disabled)")
"""A guard that takes the GIL, which no longer excludes other threads; not one that locks without the GIL."""
THREAD_LOCAL: Final = frozenset({"thread_local", "_Thread_local", "__thread", "_Py_thread_local", "Py_tss_t"})


@lru_cache(maxsize=20_000)
def means_thread_local(word: str) -> bool:
    """Return whether a macro's name says that what it declares is thread-local: build systems define some of them."""
    found = words(word)
    return word.upper() == word and ("tls" in found or "threadlocal" in found or {"thread", "local"} <= set(found))


LOCK_SIGNS: Final = ("ock", "OCK", "utex", "UTEX", "ritical", "RITICAL", "atch", "ATCH", "SRW")
"""Every name that takes or releases a lock by its words has one of these: faster to test than a pattern."""


class LockStep(Enum):
    """The effect of a call on a lock."""

    TAKE = "take"
    GIVE = "give"


@lru_cache(maxsize=20_000)
def words(name: str) -> tuple[str, ...]:
    """Return the words of an identifier in lower case: `PyMutex_Lock` gives `py mutex lock`."""
    return tuple(word.lower() for word in _WORD.findall(name))


@lru_cache(maxsize=20_000)
def lock_step(name: str) -> LockStep | None:
    """Return whether a function or macro takes a lock or releases one, by its name.

    Names of the GIL (`PyGILState_Ensure`, `Py_BEGIN_ALLOW_THREADS`) are neither: it serializes nothing any more.
    """
    if _PYTHON_BEGIN.match(name):
        return LockStep.TAKE
    if _PYTHON_END.match(name):
        return LockStep.GIVE
    found = set(words(name))
    if "gil" in found and found & {"disabled", "no"}:
        # A lock for builds without the GIL: `LOCK_IF_GIL_DISABLED`.
        found.discard("gil")
    if found & _GIVING and (found & _LOCKS or "unlock" in found) and not found & {"gil", "threads"}:
        return LockStep.GIVE
    if found & _TAKING and found & _LOCKS and not found & _OTHER:
        return LockStep.TAKE
    return None


@lru_cache(maxsize=20_000)
def lock_stem(name: str) -> tuple[str, ...]:
    """Return the common part of the names that take and release a lock."""
    return tuple(word for word in words(name) if word not in _TAKING | _GIVING)


def guard_types(text: str, start: int, end: int, *, cpp: bool) -> list[int]:
    """Return the places where a guard object or macro takes a lock that it holds to the end of its block."""
    patterns = [_GUARD_TYPE] if cpp else []
    if text.find("LOCK", start, end) >= 0 or text.find("CRITICAL_SECTION_SCOPE", start, end) >= 0:
        patterns.append(_GUARD_MACRO)
    return [
        found.start()
        for pattern in patterns
        for found in pattern.finditer(text, start, end)
        if not _OF_GIL.search(found[0].lower())
    ]
