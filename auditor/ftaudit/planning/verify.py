"""Audits the proposed set with the same tiers as `ftaudit check`, so that the plan keeps its promise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ftaudit.engine.evidence import find_evidence
from ftaudit.engine.rows import judge_all
from ftaudit.engine.session import AuditSession
from ftaudit.engine.tiers.collect import Key
from ftaudit.lockfiles.selection import Selection
from ftaudit.model import BLOCKING, Package, Pin, Status, Verdict
from ftaudit.model.plans import CheckedPackage
from ftaudit.model.reasons import Reasons
from ftaudit.model.sentences import sentence
from ftaudit.planning.proposal import ProposalCase


@dataclass(frozen=True, kw_only=True, slots=True)
class ProposedPackage:
    """One package of a proposed set that is not in today's."""

    pin: Pin
    platform: str
    verdict: Verdict
    why: Reasons
    wheel: str | None
    read: bool
    """Whether only its wheel's binaries are known: nothing was imported."""

    @property
    def first_reason(self) -> str:
        """The most important reason as a phrase."""
        return sentence(self.why[0], self.platform)

    @property
    def checked(self) -> CheckedPackage:
        """The row for the plan."""
        return CheckedPackage(
            name=self.pin.name,
            version=self.pin.version,
            platform=self.platform,
            verdict=self.verdict,
            why=self.why,
            wheel=self.wheel,
        )

    @property
    def blocks(self) -> bool:
        """Whether it would block."""
        return self.verdict in BLOCKING


def audit_new(
    cases: Sequence[ProposalCase], selections: Sequence[Selection], rows: Iterable[Package], session: AuditSession
) -> tuple[ProposedPackage, ...]:
    """Judge every package of the proposed sets whose version is not in the report.

    The packages that stay are only dependencies of the others; their rows in the report remain valid.
    """
    known = {_same(row.facts.pin, row.facts.platform): row.facts.index for row in rows}
    keys: dict[tuple[object, ...], Key] = {}
    for case, selection in zip(cases, selections, strict=True):
        for pin in selection.pins:
            keys.setdefault(_same(pin, case.platform.name), (pin, case.platform))
    new = [key for same, key in keys.items() if same not in known]
    if not new:
        return ()
    stay = {key: known[same] for same, key in keys.items() if same in known}
    evidence = find_evidence(session, new, beside=stay)
    return tuple(
        ProposedPackage(
            pin=one.pin,
            platform=one.platform,
            verdict=verdict,
            why=reasons,
            wheel=one.index.wheel.filename if one.index.wheel else None,
            read=one.binary.status is Status.DONE and one.runtime.status is not Status.DONE,
        )
        for one, verdict, reasons in judge_all(evidence.facts)
    )


def _same(pin: Pin, platform: str) -> tuple[object, ...]:
    return pin.name, pin.version, pin.problem, pin.source_tree, platform
