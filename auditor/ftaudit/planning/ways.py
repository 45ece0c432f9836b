"""The way out for each blocker: the nearest good release, a build, a setting, or none yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from packaging.version import Version

from ftaudit.engine.sdist_declarations import find_declaration
from ftaudit.engine.session import AuditSession
from ftaudit.engine.upgrades.surveys import Survey, SurveyQuestion
from ftaudit.model import GilDeclaration, Package, Verdict
from ftaudit.model.plans import (
    BuildEvidence,
    Candidate,
    Fate,
    OrdinaryWheel,
    SourceEvidence,
    WayKind,
    WayOut,
)
from ftaudit.model.reasons import WORST_FIRST, InSource
from ftaudit.planning.hints import find_switches

FETCHED_AT_ONCE: Final = 4
Release: TypeAlias = "tuple[str, Version]"


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockedRow:
    """A blocked row of the report with the survey of its later releases; `None` if no index lists it."""

    row: Package
    question: SurveyQuestion
    survey: Survey | None


def find_way(blocker: BlockedRow, source: SourceEvidence | None) -> WayOut:
    """Return the best way out for one blocker on one platform."""
    facts, survey, platform = blocker.row.facts, blocker.survey, blocker.question.platform
    pin = facts.pin
    releases = survey.releases if survey else ()
    first, newest, fallback = (survey.first, survey.newest, survey.fallback) if survey else (None, None, None)
    until = first or fallback
    over = tuple(one for one in releases if until is None or one.version < until.version)
    switches = find_switches(pin.name, pin.version)
    finals = [one.version for one in releases if one.fate is not Fate.PRE_RELEASE and one.fate is not Fate.YANKED]
    if survey is None or survey.problem is not None:
        kind = WayKind.UNKNOWN
    elif first is not None:
        kind = WayKind.UPGRADE
    elif fallback is not None:
        kind = WayKind.FALLBACK
    elif source is not None and source.sdist and source.would_declare is GilDeclaration.NOT_USED:
        kind = WayKind.BUILD
    else:
        kind = WayKind.SWITCH if switches else WayKind.NONE
    return WayOut(
        name=pin.name,
        current=pin.version,
        platform=platform.name,
        verdict=blocker.row.verdict,
        why=blocker.row.why,
        kind=kind,
        problem=None if survey is None else survey.problem,
        first=first,
        newest_good=None if newest is None else newest.version,
        fallback=None if fallback is None else fallback.version,
        passed_over=over,
        newest=max(finals, default=pin.version),
        source=source,
        switches=switches,
        required_by=pin.required_by,
        location=pin.source,
    )


def pass_over(survey: Survey, version: Version, fate: Fate, reason: str) -> Survey:
    """Return the survey with one release judged again."""

    def judged(release: Candidate) -> Candidate:
        return replace(release, fate=fate, told=reason) if release.version == version else release

    return replace(survey, releases=tuple(map(judged, survey.releases)))


def find_sources(blockers: Sequence[BlockedRow], session: AuditSession) -> Mapping[Release, SourceEvidence]:
    """Read what the sdists of blockers without a good release declare, each release once."""
    wanted: dict[Release, BlockedRow] = {}
    for blocker in blockers:
        pin, survey = blocker.row.facts.pin, blocker.survey
        if pin.version is not None and survey is not None and survey.first is None and survey.problem is None:
            wanted.setdefault((str(pin.name), pin.version), blocker)

    def read(release: Release) -> SourceEvidence:
        return _evidence(wanted[release], release[1], session)

    with ThreadPoolExecutor(max_workers=FETCHED_AT_ONCE) as pool:
        return dict(zip(wanted, pool.map(read, wanted), strict=True))


def _evidence(blocker: BlockedRow, version: Version, session: AuditSession) -> SourceEvidence:
    """Return what a build would produce: from the GIL-enabled wheel if that shows it, or else from the source."""
    sdist = blocker.row.facts.index.sdist
    name = None if sdist is None else sdist.filename
    evidence: list[BuildEvidence] = []
    declares, contradicted = GilDeclaration.UNDETERMINED, False
    if (rebuild := _rebuild(blocker.row)) is not None:
        evidence.append(rebuild)
        declares = rebuild.declares
    if declares is GilDeclaration.UNDETERMINED and sdist is not None:
        source = find_declaration(session, blocker.row.facts.pin.name, version, sdist.filename, sdist.size)
        evidence.append(source)
        if isinstance(source, InSource):
            declares = source.declares
        if declares is GilDeclaration.NOT_USED and blocker.row.verdict is Verdict.REENABLES_GIL:
            declares, contradicted = GilDeclaration.UNDETERMINED, True
    return SourceEvidence(
        sdist=name, version=version, would_declare=declares, evidence=tuple(evidence), contradicted=contradicted
    )


def _rebuild(row: Package) -> OrdinaryWheel | None:
    """Return what the GIL-enabled wheel of the same version, if it was read, says about a rebuild."""
    declared = [module.would_declare.declaration for module in row.facts.modules if module.would_declare is not None]
    if not declared:
        return None
    worst = next(one for one in WORST_FIRST if one in declared)
    wheel = row.facts.index.gil_wheel
    return OrdinaryWheel(
        wheel=None if wheel is None else wheel.filename,
        declares=worst,
        modules=declared.count(worst),
        total=len(declared),
    )
