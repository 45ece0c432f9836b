"""FT405: a parallel loop that uses the GIL as a lock."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CythonRule
from ftaudit.source.cython import LOCKING, CythonUnit, LogicalLine, stores

_HEAD = (
    "cdef double f(int i) noexcept nogil:\n    return i\n"
    "def run(int n, double[:] out, list seen, lock):\n"
    "    cdef int i\n    cdef double x\n    for i in prange(n, nogil=True):\n"
)


class CythonWithGilAsLock(CythonRule):
    """On a free-threaded build `with gil:` only attaches the thread; it does not exclude other threads. Several threads
    run the body of a `prange` at the same time, on the same objects. Cython's guide calls that extremely unsafe.
    """

    info = RuleInfo(
        code="FT405",
        name="cython-with-gil-as-lock",
        summary="A parallel loop changes Python objects under `with gil`, which is not a lock without the GIL.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Guard the shared object with `cython.pymutex` or a critical section, or collect separate results in each "
            "thread."
        ),
        links=("https://cython.readthedocs.io/en/latest/src/userguide/freethreading.html#thread-safety",),
        default=False,
    )

    VALID = (
        SourceExample(code=f"{_HEAD}        out[i] = f(i)\n"),
        SourceExample(code="cdef void note() noexcept nogil:\n    with gil:\n        totals.append(1)\n"),
        SourceExample(
            code=f"{_HEAD}        with gil:\n            with lock:\n                seen.append(i)\n", instead=True
        ),
        SourceExample(code=f"{_HEAD}        with gil:\n            raise ValueError(i)\n"),
    )
    INVALID = (
        SourceExample(code=f"{_HEAD}        with gil:\n            seen.append(i)\n", lines=(7,)),
        SourceExample(
            code=f"{_HEAD}        x = f(i)\n        with gil:\n            seen[i] = x\n",
            lines=(8,),
        ),
    )

    def check(self, unit: CythonUnit) -> Iterator[Finding]:
        """Yield each `with gil` in a parallel loop that changes something."""
        reported: set[int] = set()
        for line in unit.logical:
            if not _changes(line):
                continue
            block: LogicalLine | None = None
            for head in unit.heads(line):
                words = head.words
                if words[0] == "with" and LOCKING.search(" ".join(words[1:])):
                    break
                if words[:2] == ["with", "gil"]:
                    block = head
                elif block is not None and words[0] == "for" and "prange" in words:
                    if block.index not in reported:
                        reported.add(block.index)
                        yield self.finding(
                            (
                                "the threads of a parallel loop change Python objects here, and `with gil` does not "
                                "exclude other threads"
                            ),
                            location=unit.location(block.number, block.tokens[0].column),
                        )
                    break


def _changes(line: LogicalLine) -> bool:
    words = line.words
    if words[0] in ("raise", "print", "import", "return", "pass"):
        return False
    if any(len(target) > 1 or operator != "=" for target, operator in stores(line)):
        return True
    mutators = ("append", "extend", "add", "update", "insert", "pop", "remove", "setdefault")
    return any(word == "." and words[at + 1] in mutators for at, word in enumerate(words[:-1]))
