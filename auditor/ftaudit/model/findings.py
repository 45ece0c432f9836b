"""Findings: what a rule reports about a package, a module or a line, and whether it is accepted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from ftaudit.model.fixes import Fix, NoFix
from ftaudit.model.words import Confidence, GilDeclaration, Location, Severity, StrEnum


class AcceptedBy(StrEnum):
    """The person or file that accepted a known problem."""

    CONFIGURATION = "configuration"
    """An `accept` entry with a reason."""
    BASELINE = "baseline"
    """It existed when the baseline was made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """Why a blocked package or a finding does not count for the exit code. It never changes a verdict."""

    by: AcceptedBy
    reason: str
    """A sentence; for a configuration entry, in its author's words."""
    source: Location | None = None
    """The location of the entry; for a baseline, the file."""
    expires: date | None = None
    """The last day on which it counts; `None` means no end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """One of the places that a finding is about."""

    location: Location
    access: str
    """The kind of access: a value of `ftaudit.source.shared_state.AccessKind`."""
    entry_point: str
    """The function that other code can call and that reaches the place."""
    locks: tuple[str, ...] = ()
    """The locks that are held at the place, as the source names them, sorted."""
    state: str = ""
    """The piece of state, in a finding about several pieces; otherwise empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One message of a rule about a package, a module, or a line."""

    rule: str
    """The rule's kebab-case name."""
    code: str
    severity: Severity
    confidence: Confidence
    message: str
    location: Location | None = None
    declared: Location | None = None
    """The declaration of the variable that is written at `location`: a comment at the declaration also silences the
    finding.
    """
    module: str | None = None
    remedy: str | None = None
    interleaving: tuple[str, ...] = ()
    """Two sentences: what one thread does, and what another thread does at the same time."""
    sites: tuple[Site, ...] = ()
    """Every place in a finding about state that several places access, by path and line."""
    declares: GilDeclaration | None = None
    """What the module at `location` declares after it is built; `None` if the finding does not show that."""
    blocks: bool = False
    """Whether the finding blocks the target whatever the package's verdict, unless it is accepted."""
    accepted: Acceptance | None = None
    """Known and accepted: shown as accepted, and not counted."""
    fix: Fix | NoFix | None = None
    """The edits that remove it, or why it has no fix; `None` if its rule has no fix or fixes were not requested."""
    targets: tuple[str, ...] = ()
    """The targets that it applies to, if the scan has several and it does not apply to all; otherwise empty."""
