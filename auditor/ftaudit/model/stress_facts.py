"""What many threads did to a package at once: what failed, and how much of the package was driven."""

from __future__ import annotations

from dataclasses import dataclass

from ftaudit.model.gaps import Gap, GapKind
from ftaudit.model.words import Status, StrEnum

_NOT_ASKED = Gap(kind=GapKind.STRESS_NOT_ASKED)


class StressFailureKind(StrEnum):
    """How a unit failed without the GIL."""

    CRASH = "crash"
    """A signal ended the process, or the process aborted."""
    HANG = "hang"
    """Threads waited for each other forever, or one never returned."""
    WRONG_RESULT = "wrong result"
    """A result or a state that no single thread produces."""
    ERROR = "error"
    """An exception that only damaged state raises: `SystemError`, a panic, "already borrowed"."""
    GROWTH = "memory growth"
    """The process needs more and more memory."""


class StressEnd(StrEnum):
    """Why no more units ran."""

    BUDGET = "budget"
    """The processor time was used up."""
    CLOCK = "clock"
    """The wall time was over before the processor time was used up."""
    FAILURES = "failures"
    """Enough failures were found."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StressUnit:
    """Operations that threads did on the same objects."""

    schedule: str
    """How the operations met: `pair of methods`, `changed input`, `first use`, …"""
    target: str
    """The type or function under test."""
    operations: tuple[str, ...]
    """Python expressions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StressFailure:
    """One cause, with the smallest reproduction."""

    kind: StressFailureKind
    unit: StressUnit
    also: tuple[str, ...] = ()
    """Other callables whose units failed at the same place."""
    signal: int = 0
    """The number of the signal that ended the process; 0 without a signal."""
    message: str = ""
    native: str = ""
    """The innermost function or offset of the package's images on the native stack: `image.so:function`."""
    stack: str = ""
    """What faulthandler wrote."""
    tries: int
    failed: int
    """How many of `tries` runs failed without the GIL."""
    control: int = 0
    """How many failed with the GIL, or in one thread."""
    threads: int
    by_recipe: bool = False
    """Whether a recipe provided an object or an operation of it."""
    script: str = ""
    """A standalone Python script that fails."""
    explained_by: tuple[tuple[str, str, int], ...] = ()
    """Rules of the scan with findings in the source of the same callable: each code with a path and a line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StressedCallable:
    """A function, method or operation that was found."""

    name: str
    driven: bool
    """Whether several threads called it at once."""
    by_recipe: bool = False
    reason: str = ""
    """Why it was not driven."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StressFacts:
    """What stress found about one package. It never means that a package is safe."""

    status: Status = Status.SKIPPED
    reason: Gap | None = _NOT_ASKED
    interpreter: str | None = None
    seed: int = 0
    budget: float = 0.0
    """The processor time limit in seconds."""
    callables: tuple[StressedCallable, ...] = ()
    types: int = 0
    """The number of types with an object."""
    types_driven: tuple[str, ...] = ()
    left_out: int = 0
    """Callables beyond the limit, which are not checked."""
    units: int = 0
    rounds: int = 0
    overlapped: int = 0
    """Rounds in which all threads were active at the same moment."""
    calls: int = 0
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    alone: tuple[tuple[str, int], ...] = ()
    """Calls that end the process with a single thread, each with its signal."""
    with_gil: tuple[StressUnit, ...] = ()
    """Units that also fail with the GIL, or in one thread."""
    in_interpreter: tuple[StressUnit, ...] = ()
    """Units that end the process although no compiled code of a package is loaded: faults of CPython itself."""
    rare: tuple[StressUnit, ...] = ()
    """Units that failed too rarely to be reported."""
    failures: tuple[StressFailure, ...] = ()
    notes: tuple[str, ...] = ()
    """What the sandbox could not block, one sentence each."""
    ended: StressEnd | None = None
    """Why no more units ran; `None` if there was nothing more to run, or the run did not end by itself."""

    @property
    def driven(self) -> int:
        """The number of callables that were driven."""
        return sum(each.driven for each in self.callables)
