"""The terms that facts, findings, and verdicts share: enumerations, and places in files."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class StrEnum(str, Enum):
    """A string enumeration that prints as its value (`enum.StrEnum` arrived in Python 3.11)."""

    def __str__(self) -> str:
        return str(self.value)


class GilDeclaration(StrEnum):
    """What an extension module tells CPython about the GIL (PEP 703, `Py_mod_gil`).

    `UNDECLARED` (no slot: CPython treats the module as "used") and `UNDETERMINED` (the answer is unknown) are different
    answers to a user and are never merged.
    """

    NOT_USED = "not_used"
    USED = "used"
    UNDECLARED = "undeclared"
    UNDETERMINED = "undetermined"


class Verdict(StrEnum):
    """What happens to a package on one target and one platform."""

    READY = "ready"
    PURE = "pure"
    FALLBACK = "fallback"
    REENABLES_GIL = "reenables-gil"
    SOURCE_ONLY = "source-only"
    UNAVAILABLE = "unavailable"
    BROKEN = "broken"
    UNKNOWN = "unknown"


BLOCKING = frozenset({Verdict.REENABLES_GIL, Verdict.SOURCE_ONLY, Verdict.UNAVAILABLE, Verdict.BROKEN})
"""The verdicts that make `ftaudit check` exit with 1."""


class Severity(StrEnum):
    """How bad a finding is if it is true."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    PEDANTIC = "pedantic"


class Confidence(StrEnum):
    """How sure a finding is."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Status(StrEnum):
    """Whether a tier of evidence was checked."""

    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


class WheelKind(StrEnum):
    """What the target's installer finds among the wheels of a release (PEP 425 tags, PEP 803 for abi3t)."""

    FREE_THREADED = "free-threaded"
    """A wheel whose ABI tag is that of the free-threaded target, `cp314t`."""
    ABI3T = "abi3t"
    """A stable-ABI wheel for free-threaded builds (PEP 803), since 3.15t."""
    NATIVE = "native"
    """A wheel for the platform with ABI tag `none`: compiled code that does not use the C API according to its name."""
    PURE = "pure"
    """A `none-any` wheel."""
    NONE = "none"
    """No wheel that the target installs on the platform."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Location:
    """A place in a file of the user. Lines and columns count from 1."""

    path: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return self.path if self.line is None else f"{self.path}:{self.line}"
