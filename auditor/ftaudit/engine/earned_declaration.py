"""Whether a project may declare that its modules run without the GIL: what a scan and stress say against it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ftaudit.model import Finding, Fix, NoFix, Obstacle, Package, Severity, Status, StressFacts
from ftaudit.source.tree_scan import ScanResult

STANDING = (Severity.ERROR, Severity.WARNING)
"""Findings of these severities must be gone before a module declares anything."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StressedWheel:
    """What stress found in a wheel that was built from the edited tree."""

    wheel: str
    """Its file name."""
    row: Package
    """Only a wheel that leaves the GIL off is stressed."""

    @property
    def facts(self) -> StressFacts:
        """What stress found."""
        return self.row.facts.stress

    @property
    def is_through(self) -> bool:
        """Whether stress ran and found no failure."""
        return self.facts.status is Status.DONE and not self.facts.failures


@dataclass(frozen=True, kw_only=True, slots=True)
class EarnedDeclaration:
    """What prevents a project from declaring."""

    standing: tuple[Finding, ...]
    """Findings to fix first."""
    unread: int
    """Files that could not be read: their content is unknown."""
    whole: bool
    """Whether every rule ran."""
    silent: tuple[Finding, ...]
    """Modules that declare nothing, or that declare a need for the GIL."""
    without_edit: tuple[Finding, ...]
    """Of those, the ones without an edit."""
    stressed: StressedWheel | None = None
    """What stress found, if it was asked for."""

    @property
    def is_refused(self) -> bool:
        """Whether the declaration is refused, so that no edit is made."""
        failed = self.stressed is not None and not self.stressed.is_through
        return bool(self.standing or self.unread or not self.whole or failed)

    @property
    def exit_code(self) -> int:
        """0 for edits, or for nothing to declare; 1 if something blocks; 3 if not everything could be examined."""
        if self.standing or self.without_edit or (self.stressed is not None and self.stressed.facts.failures):
            return 1
        return 3 if self.is_refused else 0


def judge_declaration(result: ScanResult, *, whole: bool = True) -> EarnedDeclaration:
    """Return whether the result of a scan with `declare` lets the project declare.

    `whole` means that every rule ran.
    """
    declaring = {info.code for info in result.rules if info.asks_to_declare}
    declaring |= {code for info in result.rules if info.asks_to_declare for code in info.speaks_as}
    silent = tuple(finding for finding in result.findings if finding.code in declaring)
    return EarnedDeclaration(
        standing=tuple(
            finding for finding in result.findings if finding.severity in STANDING and finding.code not in declaring
        ),
        unread=result.unread,
        whole=whole,
        silent=silent,
        without_edit=tuple(finding for finding in silent if not _is_edited(finding)),
    )


def _is_edited(finding: Finding) -> bool:
    """Return whether the finding has an edit, or another finding's edit covers it."""
    match finding.fix:
        case Fix():
            return True
        case NoFix(obstacle=obstacle):
            return obstacle is Obstacle.OVERLAPS
        case None:
            return False


def not_examined(result: ScanResult, stressed: StressedWheel | None = None) -> Iterator[str]:
    """Yield what the scan and stress did not check, or checked and set aside, one item each."""
    for role, count in sorted(result.left_out.items()):
        yield f"{role} code ({count} file{'' if count == 1 else 's'})"
    if result.silenced:
        yield f"{len(result.silenced)} findings that comments silence"
    if result.accepted:
        yield f"{len(result.accepted)} findings that the configuration or the baseline accepts"
    yield "the libraries that the modules link"
    if stressed is None:
        yield "what happens when many threads use the modules at once"
        return
    yield f"whether {stressed.wheel} was built from the edited tree"
    every = len(stressed.facts.callables) + stressed.facts.left_out
    if left := every - stressed.facts.driven:
        yield f"{left} of {every} callables, which stress did not call"
