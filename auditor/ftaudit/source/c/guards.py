"""The guard model: which places of a function run under a lock (rules.md §0, points 2 and 4)."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ftaudit.source.c.functions import Function
from ftaudit.source.c.locks import LOCK_SIGNS, ONCE, LockStep, guard_types, lock_stem, lock_step
from ftaudit.source.c.text import closing

_CORE: Final = "lock|Lock|LOCK|mutex|Mutex|MUTEX|critical|Critical|CRITICAL|SRW|latch|Latch"
"""In alternatives that begin with plain letters, whose places are found at once."""
_LOCK: Final = re.compile(_CORE)
_SIGNS: Final = (*LOCK_SIGNS, "PyObject_", "Py_BEGIN", "Py_END")
_SCOPE: Final = re.compile(r"\s*::")
_PYTHON_CALL: Final = re.compile(r"PyObject_(?:Call|Vectorcall)\w*")
_PYTHON_BLOCK: Final = re.compile(r"Py_(?:BEGIN|END)_\w+")
_PYTHON_GIVES: Final = re.compile(r"(?i)unlock|release|__exit__")
_LOCK_WORD: Final = re.compile(r"(?i)(?:^|_|\W)(?:un)?lock|acquire|release|__enter__|__exit__|mutex")


_DECLARES: Final = re.compile(r"(?:(?<!-)>|(?!\b(?:else|do|return|throw|case|goto)\b)\b[A-Za-z_]\w*)[ \t]+\Z")
"""The text before a name that a declaration introduces: a type."""


@dataclass(frozen=True, slots=True)
class LockedSection:
    """A stretch of code that runs under a lock."""

    start: int
    end: int
    name: str
    """The function, macro or type that takes the lock."""
    argument: str
    """The name of the locked object, if known, without blanks and casts."""
    opened: int
    """The offset of the name that takes the lock."""


@dataclass(frozen=True, slots=True)
class _Step:
    at: int
    name: str
    argument: str
    takes: bool
    key: tuple[str, ...]


def find_sections(
    code: str, source: str, function: Function, takes: Collection[str], gives: Collection[str], *, cpp: bool
) -> list[LockedSection]:
    """Return the stretches of a function that run under a lock, by its text.

    A lock that is taken and released is held from then to the last release before it is taken again, so
    that `if (…) { unlock(); return; }` does not end it early. One that is never released is held to the end.
    """
    steps = _steps(code, source, function, takes, gives)
    sections: list[LockedSection] = []
    for index, step in enumerate(steps):
        if not step.takes:
            continue
        end = -1
        foreign = -1
        for later in steps[index + 1 :]:
            if later.takes:
                if later.key == step.key:
                    break
            elif later.key == step.key:
                end = later.at
            else:
                foreign = later.at
        if end < 0:
            end = foreign if foreign > 0 else function.end
        sections.append(LockedSection(step.at, end, step.name, step.argument, step.at))
    once = max(code.find(word, function.body, function.end) for word in ("once", "Once")) >= 0
    sections += (
        LockedSection(at, _block_end(code, at, function), "guard", "", at)
        for at in guard_types(code, function.body, function.end, cpp=cpp)
    )
    for found in ONCE.finditer(code, function.body, function.end) if once else ():
        end = closing(code, found.end() - 1, function.end)
        sections.append(LockedSection(found.end(), end if end > 0 else function.end, "once", "", found.start()))
    return sorted(sections, key=lambda section: section.start)


def _steps(code: str, source: str, function: Function, takes: Collection[str], gives: Collection[str]) -> list[_Step]:
    steps: list[_Step] = []
    for start, end_of_name in _candidates(code, function, frozenset({*takes, *gives})):
        name = code[start:end_of_name]
        bracket = _after_blanks(code, end_of_name)
        called = code[bracket : bracket + 1] == "("
        end = closing(code, bracket, function.end) if called else -1
        argument = "" if end < 0 else "".join(code[bracket + 1 : end].split())
        if _PYTHON_CALL.fullmatch(name):
            text = source[bracket + 1 : end] if end > 0 else ""
            if _LOCK_WORD.search(text):
                steps.append(_Step(start, name, argument, not _PYTHON_GIVES.search(text), ("python",)))
            continue
        if _DECLARES.search(code, max(function.body, start - 60), start):
            # An object with this name, `std::unique_lock<M> lock(mutex)`: a guard, which ends with its block.
            continue
        step = LockStep.TAKE if name in takes else LockStep.GIVE if name in gives else lock_step(name)
        if step is None or not (called or name in takes or name in gives or name.startswith("Py_")):
            continue
        if re.search(r"=\s*[\w.>-]*$", code[max(function.body, start - 40) : start]) and name == "lock":
            continue
        steps.append(_Step(start, name, argument, step is LockStep.TAKE, lock_stem(name)))
    return steps


def _candidates(code: str, function: Function, names: frozenset[str]) -> Iterator[tuple[int, int]]:
    """Yield the spans of the words of a function that may take or release a lock, in order.

    The search is for parts of such words, then for the word around them: a pattern of whole words tries every word.
    """
    done = function.body
    body = code[function.body : function.end]
    if not any(map(body.__contains__, _SIGNS)) and not any(map(body.__contains__, names)):
        return
    for found in _core(names).finditer(code, function.body, function.end):
        if found.start() < done:
            continue
        start, done = found.span()
        while code[start - 1].isalnum() or code[start - 1] == "_":
            start -= 1
        while code[done : done + 1].isalnum() or code[done : done + 1] == "_":
            done += 1
        word = code[start:done]
        if (
            (_LOCK.search(word) and not _SCOPE.match(code, done))
            or word in names
            or _PYTHON_CALL.match(word)
            or _PYTHON_BLOCK.match(word)
        ):
            yield start, done


@lru_cache(maxsize=256)
def _core(names: frozenset[str]) -> re.Pattern[str]:
    return re.compile(
        "|".join((_CORE, r"PyObject_(?:Call|Vectorcall)|Py_(?:BEGIN|END)_", *map(re.escape, sorted(names))))
    )


def _after_blanks(code: str, at: int) -> int:
    while at < len(code) and code[at] in " \t\n":
        at += 1
    return at


def _block_end(code: str, at: int, function: Function) -> int:
    """Return where the block ends that holds a place."""
    depth = 0
    for found in re.compile(r"[{}]").finditer(code, at, function.end):
        depth += 1 if found[0] == "{" else -1
        if depth < 0:
            return found.start()
    return function.end


class SectionFinder:
    """Answers whether places of one function are under a lock."""

    def __init__(self, sections: list[LockedSection]) -> None:
        self.sections = sections
        self._starts = [section.start for section in sections]

    def at(self, offset: int) -> list[LockedSection]:
        """Return the sections around a place, outermost first."""
        last = bisect_right(self._starts, offset)
        return [section for section in self.sections[:last] if section.end > offset]
