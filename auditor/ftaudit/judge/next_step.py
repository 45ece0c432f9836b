"""What to do about a verdict."""

from __future__ import annotations

from dataclasses import replace

from ftaudit.judge.rebuild import find_rebuild
from ftaudit.judge.table import left_out_by_hashes
from ftaudit.model import GapKind, PackageFacts, Pin, Status, Verdict
from ftaudit.model.reasons import InSource
from ftaudit.model.steps import GoodRelease, ImportThere, Lead, NothingLater, Simply, Step, Upgrade


def next_step(
    verdict: Verdict, facts: PackageFacts, *, later: Lead | None, forecast: InSource | None = None
) -> Step | None:
    """Return what to do about a verdict: `later` is about later versions, `forecast` is what the sdist declares."""
    pin = facts.pin
    match verdict:
        case Verdict.SOURCE_ONLY | Verdict.UNAVAILABLE if left_out_by_hashes(facts):
            return Simply.LOCK_AGAIN
        case Verdict.REENABLES_GIL | Verdict.SOURCE_ONLY | Verdict.UNAVAILABLE | Verdict.BROKEN:
            if later is not None:
                return Upgrade(lead=later, decided_by=_puller(pin))
            if verdict is Verdict.BROKEN:
                return Simply.REPORT
            if verdict is not Verdict.SOURCE_ONLY:
                return NothingLater(verdict=verdict, rebuild=None)
            rebuild = find_rebuild(facts.modules)
            declares = None if rebuild is None else rebuild.worst
            return NothingLater(verdict=verdict, rebuild=declares if forecast is None else forecast.declares)
        case Verdict.UNKNOWN:
            return _to_know_more(facts)
        case Verdict.FALLBACK if isinstance(later, GoodRelease):
            return Upgrade(lead=replace(later, slower=None), decided_by=_puller(pin))
        case Verdict.READY | Verdict.PURE | Verdict.FALLBACK:
            return None


def _puller(pin: Pin) -> str | None:
    """Return which package pulls a package in and so determines its version."""
    return pin.required_by[0][-2] if pin.required_by and len(pin.required_by[0]) > 1 else None


def _to_know_more(facts: PackageFacts) -> Step | None:
    pin = facts.pin
    if pin.source_tree:
        return Simply.BUILD_TREE
    kinds = {pin.obstacle, *(gap.kind for gap in (facts.index.reason, facts.binary.reason) if gap is not None)}
    if GapKind.OFFLINE in kinds:
        return Simply.FILL_CACHE
    if GapKind.UNCONNECTED in kinds:
        return Simply.CHECK_NETWORK
    if facts.modules and facts.runtime.status is Status.SKIPPED:
        return ImportThere(target=facts.target)
    return None
