"""FT379: C++ code changes a container while it holds a lock only for reading."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import Language, RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.functions import Function

_SHARED = re.compile(
    r"\b(?:shared_lock(?:\s*<[^;{}]{0,80}>)?|ReaderMutexLock|ReaderLock|QReadLocker|ReadHolder|shared_lock_guard\s*<[^;{}]{0,80}>)"
    r"\s+(\w+)\s*[({]"
)
_CHANGES = re.compile(
    r"(?<![\w.>)\]])(?:this\s*->\s*)?([A-Za-z_]\w*)\s*\.\s*"
    r"(?:emplace\w*|try_emplace|insert\w*|erase|clear|push_back|push_front|pop_back|pop_front|resize|swap|extract|merge)\s*\("
)
_SUBSCRIPT = re.compile(r"(?<![\w.>)\]])(?:this\s*->\s*)?([A-Za-z_]\w*)\s*\[\s*(\"|[A-Za-z_][\w.]*(?:->\w+)*)")
_QUALIFIED = 20
"""Characters that a namespace in front of the type of a lock takes."""
_MAP = r"\b(?:unordered_|flat_hash_|node_hash_|btree_)?map\s*<[^;]*>\s*{name}\s*[;={{]"


class WriteUnderSharedLock(CRule):
    """Several threads can hold a shared lock at the same time: all of them may read, and none may change anything. The
    subscript of a map is a change: `map[key]` inserts an element if the key is missing, and can move all other
    elements.
    """

    info = RuleInfo(
        code="FT379",
        name="write-under-shared-lock",
        summary="A container is changed under a shared lock, which several threads can hold at the same time.",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy=(
            "Read with `find()` or `at()` under the shared lock. To change the container, take the lock exclusively "
            "(`std::unique_lock`) and look the key up again."
        ),
        links=("https://en.cppreference.com/w/cpp/thread/shared_lock",),
    )
    languages = frozenset({Language.CPP})
    words = ("shared_lock", "ReaderMutexLock", "ReaderLock", "QReadLocker", "ReadHolder")
    VALID = (
        SourceExample(
            code="""\
#include <map>
#include <mutex>
#include <shared_mutex>
#include <string>
static std::map<std::string, int> known;
static std::shared_timed_mutex mutex;
int find(const std::string &name) {
    {
        std::shared_lock<std::shared_timed_mutex> lock(mutex);
        auto found = known.find(name);
        if (found != known.end()) return found->second;
    }
    std::unique_lock<std::shared_timed_mutex> lock(mutex);
    return known[name] = 1;
}
""",
            path="known.cpp",
            instead=True,
        ),
        SourceExample(
            code="""\
#include <mutex>
#include <shared_mutex>
#include <vector>
static std::vector<int> known;
static std::shared_timed_mutex mutex;
int read(int at) {
    std::vector<int> copy;
    std::shared_lock<std::shared_timed_mutex> lock(mutex);
    copy.push_back(known[at]);
    return copy[0];
}
""",
            path="numbers.cpp",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
#include <map>
#include <mutex>
#include <shared_mutex>
#include <string>
static std::map<std::string, int> known;
static std::shared_timed_mutex mutex;
int find(const std::string &name) {
    std::shared_lock<std::shared_timed_mutex> lock(mutex);
    return known[name];
}
""",
            lines=(9,),
            path="known.cpp",
        ),
        SourceExample(
            code="""\
#include <mutex>
#include <shared_mutex>
#include <unordered_set>
class Seen {
    std::unordered_set<int> items;
    std::shared_timed_mutex mutex;
  public:
    bool first(int item) {
        std::shared_lock<std::shared_timed_mutex> lock(mutex);
        return items.insert(item).second;
    }
};
""",
            lines=(10,),
            path="seen.cpp",
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield the changes of shared containers in blocks that hold a shared lock and no other."""
        for function in unit.functions if unit.cpp else ():
            for lock in _SHARED.finditer(unit.code, function.body, function.end):
                end = _end(unit, function, lock)
                for at, name in _written(unit, function, lock.end(), end):
                    if unit.is_local(function, name) or _is_exclusive(unit, function, lock, at):
                        continue
                    if re.search(rf"\b{re.escape(lock[1])}\s*\.\s*unlock\s*\(", unit.code[lock.end() : at]):
                        continue
                    yield self.finding(
                        f"`{name}` is changed here under the shared lock from line {unit.line_at(lock.start())}, which "
                        "other threads can hold at the same time",
                        location=unit.place(at),
                    )
                    break


def _end(unit: CUnit, function: Function, lock: re.Match[str]) -> int:
    """Return the end of the block that a lock is declared in."""
    depth = 0
    for at in range(lock.end(), function.end):
        depth += (unit.code[at] == "{") - (unit.code[at] == "}")
        if depth < 0:
            return at
    return function.end


def _written(unit: CUnit, function: Function, start: int, end: int) -> Iterator[tuple[int, str]]:
    found = [(match.start(), match[1]) for match in _CHANGES.finditer(unit.code, start, end)]
    for match in _SUBSCRIPT.finditer(unit.code, start, end):
        name, key = match[1], match[2]
        if re.search(_MAP.format(name=re.escape(name)), unit.code) or key == '"' or _is_key(function, key):
            found.append((match.start(), name))
    yield from sorted(found)


def _is_key(function: Function, name: str) -> bool:
    """Return whether a name is a parameter that cannot be the index of an array: a pointer or a string."""
    return any(
        parameter.name == name and ("*" in parameter.type or "string" in parameter.type)
        for parameter in function.parameters
    )


def _is_exclusive(unit: CUnit, function: Function, lock: re.Match[str], at: int) -> bool:
    """Return whether another lock than the shared one is held."""
    sections = unit.sections(function).at(at)
    return any(not lock.start() - _QUALIFIED <= section.opened <= lock.end() for section in sections)
