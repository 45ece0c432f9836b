"""What "ready" means, in one place: how many packages of a report are ready, and what keeps the others."""

from __future__ import annotations

from collections import Counter
from typing import Final

from ftaudit.model import BLOCKING, Package, Report, Verdict
from ftaudit.model.words import StrEnum


class Readiness(StrEnum):
    """The state of one package on all platforms of a report, the best first."""

    READY = "ready"
    """Ready or pure on every platform, and it needs no blocked package."""
    SLOWER = "slower"
    """It works everywhere, somewhere without its compiled code."""
    NEEDS_BLOCKED = "needs-blocked"
    """It works itself, and needs a package that is blocked."""
    UNKNOWN = "unknown"
    """Somewhere it could not be checked."""
    BLOCKED = "blocked"
    """Somewhere it blocks."""


_ORDER: Final = tuple(Readiness)


def readiness(report: Report) -> dict[str, Readiness]:
    """Return the state of each package by name: the worst one of its rows. Accepted problems count as problems."""
    worst: dict[str, Readiness] = {}
    for package in report.packages:
        name = str(package.facts.pin.name)
        worst[name] = max(worst.get(name, Readiness.READY), _of(package), key=_ORDER.index)
    return worst


def count_ready(report: Report) -> dict[Readiness, int]:
    """Return the number of packages in each state; their sum is the number of packages."""
    counts = Counter(readiness(report).values())
    return {state: counts[state] for state in Readiness}


def _of(package: Package) -> Readiness:
    if package.verdict in BLOCKING:
        return Readiness.BLOCKED
    if package.verdict is Verdict.UNKNOWN:
        return Readiness.UNKNOWN
    if package.blocked_by:
        return Readiness.NEEDS_BLOCKED
    return Readiness.SLOWER if package.verdict is Verdict.FALLBACK else Readiness.READY
