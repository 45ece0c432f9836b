"""Audits the proposed set by the same tiers as `ftaudit check`, so that what the plan promises holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ftaudit.engine.rows import facts_of, judge_all
from ftaudit.engine.tiers.binaries import find_binary_facts
from ftaudit.engine.tiers.collect import Key, find_index_facts, find_runtime_facts
from ftaudit.engine.tiers.reader import Reader
from ftaudit.index.client import Index
from ftaudit.lockfiles.selection import Selection
from ftaudit.model import BLOCKING, IndexFacts, Package, PackageFacts, Pin, Status, Verdict
from ftaudit.model.sentences import sentences
from ftaudit.planning.proposal import Case
from ftaudit.progress import Progress
from ftaudit.settings import Settings
from ftaudit.target import Target


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One package of a proposed set that is not in today's."""

    pin: Pin
    platform: str
    verdict: Verdict
    reasons: tuple[str, ...]
    wheel: str | None
    read: bool
    """Whether its wheel's binaries are what is known of it: nothing was imported."""

    @property
    def blocks(self) -> bool:
        """Whether it would block."""
        return self.verdict in BLOCKING


def audit_new(
    cases: Sequence[Case],
    selections: Sequence[Selection],
    rows: Iterable[Package],
    *,
    target: Target,
    settings: Settings,
    index: Index,
    reader: Reader,
    progress: Progress,
) -> tuple[Row, ...]:
    """Judge every package of the proposed sets whose version is not in the report.

    The packages that stay are there for the others to import; their rows of the report hold.
    """
    known = {_same(row.facts.pin, row.facts.platform): row.facts.index for row in rows}
    keys: dict[tuple[object, ...], Key] = {}
    for case, selection in zip(cases, selections, strict=True):
        for pin in selection.pins:
            keys.setdefault(_same(pin, case.platform.name), (pin, case.platform))
    new = [key for same, key in keys.items() if same not in known]
    if not new:
        return ()
    found = find_index_facts(new, target=target, index=index, progress=progress)
    indexed: dict[Key, IndexFacts] = {key: found[key] if key in found else known[same] for same, key in keys.items()}
    facts = _collect(indexed, found, target=target, settings=settings, reader=reader, progress=progress)
    return tuple(
        Row(
            pin=one.pin,
            platform=one.platform,
            verdict=verdict,
            reasons=sentences(reasons, one.platform),
            wheel=one.index.wheel.filename if one.index.wheel else None,
            read=one.binary.status is Status.DONE and one.runtime.status is not Status.DONE,
        )
        for one, verdict, reasons in judge_all(facts)
    )


def _collect(
    indexed: dict[Key, IndexFacts],
    new: Mapping[Key, IndexFacts],
    *,
    target: Target,
    settings: Settings,
    reader: Reader,
    progress: Progress,
) -> list[PackageFacts]:
    binaries = find_binary_facts(new, target=target, reader=reader, progress=progress)
    imports = find_runtime_facts(indexed, target=target, settings=settings, progress=progress, only=new)
    return [
        facts_of(
            pin,
            target=target,
            platform=platform.name,
            index=new[pin, platform],
            binary=binaries[pin, platform],
            runtime=imports.facts[pin, platform],
        )
        for pin, platform in new
    ]


def _same(pin: Pin, platform: str) -> tuple[object, ...]:
    return pin.name, pin.version, pin.problem, pin.source_tree, platform
