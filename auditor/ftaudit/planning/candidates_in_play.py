"""The candidate releases of the blockers: the nearest that work, except those that an audit or uv ruled out."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from packaging.utils import NormalizedName
from packaging.version import Version

from ftaudit.engine.upgrades.surveys import HOPEFUL, Survey
from ftaudit.model import Verdict
from ftaudit.model.plans import Fate, Prefer, Wanted
from ftaudit.planning.solve import Solution
from ftaudit.planning.verify import ProposedPackage
from ftaudit.planning.ways import BlockedRow, pass_over

ONLY_GOOD: Final = (frozenset({Fate.GOOD}),)
TIERS: Final = (*ONLY_GOOD, HOPEFUL, HOPEFUL | {Fate.FALLBACK})
"""The kinds of candidates to search for, in this order."""
UNASKED: Final = frozenset({Fate.YANKED, Fate.PRE_RELEASE})
"""Versions that uv uses only if a requirement names them, so that no range has to exclude them."""


def chosen(solution: Solution) -> dict[NormalizedName, Version]:
    """Return the new versions of the changed packages: for a range, uv can choose a later one."""
    resolved = {pin.name: pin.version for one in solution.selections for pin in one.pins if pin.version is not None}
    return {name: resolved.get(name, want.version) for name, want in solution.changes.items()}


def wanted_of(
    blockers: Sequence[BlockedRow], *, prefer: Prefer = Prefer.NEAREST, tiers: Sequence[frozenset[Fate]] = TIERS
) -> dict[NormalizedName, Wanted]:
    """Return the preferred version of each blocker that works on every platform on which any version works."""
    surveys: dict[NormalizedName, list[Survey]] = {}
    for blocker in blockers:
        if blocker.survey is not None:
            surveys.setdefault(blocker.row.facts.pin.name, []).append(blocker.survey)
    found = {name: _preferred(several, tiers, prefer) for name, several in surveys.items()}
    return {name: want for name, want in found.items() if want is not None}


def _preferred(surveys: Sequence[Survey], tiers: Iterable[frozenset[Fate]], prefer: Prefer) -> Wanted | None:
    """Return the version to move to, or `None` if no version works.

    The nearest good release was read. A later one may not have been: the audit of the proposed set decides about it.
    """
    for accepted in tiers:
        fates = [
            {one.version: one.fate for one in survey.releases}
            for survey in surveys
            if any(one.fate in accepted for one in survey.releases)
        ]
        versions = sorted({version for fate in fates for version in fate})
        looked_into = [v for v in versions if any(fate.get(v) in accepted for fate in fates)]
        nearest = next((v for v in looked_into if _may(v, fates, accepted)), None)
        if nearest is not None:
            later = [v for v in versions if v >= nearest and _may(v, fates, accepted)]
            never = {version for version in versions if any(fate.get(version) in UNASKED for fate in fates)}
            good = {version for version in versions if _may(version, fates, accepted | HOPEFUL)}
            return Wanted(version=prefer.choose(later), prefer=prefer, not_these=frozenset(versions) - good - never)
    return None


def _may(version: Version, fates: Iterable[Mapping[Version, Fate]], accepted: Container[Fate]) -> bool:
    """Return whether a version is good on every platform, as far as it was checked."""
    return all(fate.get(version) in accepted or fate.get(version) is Fate.NOT_LOOKED_INTO for fate in fates)


def no_better(names: Container[NormalizedName], rows: Iterable[ProposedPackage]) -> dict[NormalizedName, str]:
    """Return the optional changes without code that is known to leave the GIL disabled, and why."""
    return {
        row.pin.name: f"{row.pin.name} {row.pin.version} on {row.platform}: {row.first_reason}"
        for row in rows
        if row.pin.name in names and row.verdict not in (Verdict.READY, Verdict.PURE)
    }


def culprits(
    solution: Solution, rows: Iterable[ProposedPackage], blockers: Iterable[BlockedRow]
) -> dict[NormalizedName, str]:
    """Return the changes that cause an avoidable blocker, each with that blocker.

    A package that blocks today and has no good release on its platform still blocks; no change causes that.
    """
    stuck = {
        (blocker.row.facts.pin.name, blocker.row.facts.platform)
        for blocker in blockers
        if blocker.row.facts.pin.name not in solution.changes or not _has_hope(blocker)
    }
    found: dict[NormalizedName, str] = {}
    for row in rows:
        if not row.blocks or (row.pin.name, row.platform) in stuck:
            continue
        names = [row.pin.name, *(name for chain in row.pin.required_by for name in reversed(chain))]
        name = next((change for name in names for change in solution.changes if change == name), None)
        if name is not None:
            found[name] = f"{row.pin.name} {row.pin.version} on {row.platform}: {row.first_reason}"
    return found


def _has_hope(blocker: BlockedRow) -> bool:
    survey = blocker.survey
    return survey is not None and (survey.first is not None or survey.fallback is not None)


def confirm(blockers: Sequence[BlockedRow], rows: Iterable[ProposedPackage]) -> list[BlockedRow]:
    """Return the blockers with the audit results of the proposed set instead of the binary evidence."""
    ready = {(row.pin.name, row.platform): row for row in rows if row.verdict is Verdict.READY}
    result = []
    for blocker in blockers:
        row = ready.get((blocker.row.facts.pin.name, blocker.row.facts.platform))
        survey = blocker.survey
        if row is not None and row.pin.version is not None and survey is not None:
            survey = pass_over(survey, row.pin.version, Fate.GOOD, row.first_reason)
        result.append(replace(blocker, survey=survey))
    return result


def exclude(
    blockers: Sequence[BlockedRow], what: Mapping[NormalizedName, tuple[Version | None, str]]
) -> list[BlockedRow]:
    """Return the blockers with one release judged again or, with `None`, with every release that looked good."""
    result = []
    for blocker in blockers:
        survey = blocker.survey
        choice = what.get(blocker.row.facts.pin.name)
        if survey is not None and choice is not None:
            version, why = choice
            if version is not None:
                survey = pass_over(survey, version, Fate.BLOCKED_ON_IMPORT, why)
            else:
                taken = HOPEFUL if survey.first is not None else {Fate.FALLBACK}
                for release in survey.releases:
                    if release.fate in taken:
                        survey = pass_over(survey, release.version, Fate.EXCLUDED, why)
        result.append(replace(blocker, survey=survey))
    return result
