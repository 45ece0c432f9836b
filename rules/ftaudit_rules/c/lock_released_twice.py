"""FT380: C++ code releases a lock by hand although a guard object releases it at the end of the block."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import Language, RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit

_GUARD = re.compile(
    r"\b(?:lock_guard|scoped_lock|unique_lock)\s*(?:<[^;{}()]{0,80}>)?\s*\w+\s*[({]\s*"
    r"((?:this\s*->\s*|\*\s*)?[A-Za-z_]\w*(?:\s*(?:\.|->|::)\s*\w+)*)\s*[)}]\s*;"
)
_STEP = re.compile(r"[{}]")


class LockReleasedTwice(CRule):
    """A guard object of C++ releases its lock at the end of its block. If the code also calls `unlock()` on the lock
    itself, the rest of the block runs without it, and the guard releases it a second time: the behaviour is undefined,
    and a spin lock lets a second thread in while another one holds it.
    """

    info = RuleInfo(
        code="FT380",
        name="lock-released-twice",
        summary="A lock that a guard object holds is also released by hand.",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.2.0",
        remedy="Remove the call of `unlock()`, or end the block of the guard where the lock must be free.",
        links=("https://en.cppreference.com/w/cpp/thread/lock_guard",),
    )
    languages = frozenset({Language.CPP})
    words = ("unlock",)
    VALID = (
        SourceExample(
            code="""\
#include <mutex>
static std::mutex mutex;
static int calls;
void wait();
void run() {
    std::unique_lock<std::mutex> lock(mutex);
    calls++;
    lock.unlock();
    wait();
}
void wait_outside() {
    std::lock_guard<std::mutex> lock(mutex);
    mutex.unlock();
    wait();
    mutex.lock();
}
""",
            path="calls.cpp",
            instead=True,
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
#include <mutex>
static std::mutex mutex;
static int calls;
void run() {
    std::lock_guard<std::mutex> lock(mutex);
    calls++;
    mutex.unlock();
}
""",
            lines=(7,),
            path="calls.cpp",
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield the first `unlock()` of each lock in the block of its guard, unless the lock is taken again."""
        for function in unit.functions if unit.cpp else ():
            for guard in _GUARD.finditer(unit.code, function.body, function.end):
                name = re.escape(guard[1].lstrip("* ")).replace(r"\ ", r"\s*")
                end = _block_end(unit.code, guard.end(), function.end)
                released = re.compile(rf"(?<![\w.>]){name}\s*(?:\.|->)\s*unlock\s*\(\s*\)").search(
                    unit.code, guard.end(), end
                )
                if released is None:
                    continue
                if re.compile(rf"(?<![\w.>]){name}\s*(?:\.|->)\s*(?:try_)?lock\s*\(").search(
                    unit.code, released.end(), end
                ):
                    continue
                yield self.finding(
                    f"`{guard[1]}` is released here, and again at the end of the block by the guard from line "
                    f"{unit.line_at(guard.start())}",
                    location=unit.place(released.start()),
                )


def _block_end(code: str, at: int, limit: int) -> int:
    """Return the end of the block around a place."""
    depth = 0
    for brace in _STEP.finditer(code, at, limit):
        depth += 1 if brace[0] == "{" else -1
        if depth < 0:
            return brace.start()
    return limit
