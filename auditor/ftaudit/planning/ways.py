"""The way out for each blocker: the nearest good release, a build, a setting, or none yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from packaging.version import Version

from ftaudit.engine.build_forecast import Release, find_build_evidence
from ftaudit.engine.session import AuditSession
from ftaudit.engine.upgrades.surveys import Survey, SurveyQuestion
from ftaudit.model import GilDeclaration, Package
from ftaudit.model.plans import (
    Candidate,
    Fate,
    SourceEvidence,
    WayKind,
    WayOut,
)
from ftaudit.planning.hints import find_switches


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
        return replace(release, fate=fate, explanation=reason) if release.version == version else release

    return replace(survey, releases=tuple(map(judged, survey.releases)))


def find_sources(blockers: Sequence[BlockedRow], session: AuditSession) -> Mapping[Release, SourceEvidence]:
    """Read what the sdists of blockers without a good release declare, each release once."""
    wanted: dict[Release, BlockedRow] = {}
    for blocker in blockers:
        pin, survey = blocker.row.facts.pin, blocker.survey
        if pin.version is not None and survey is not None and survey.first is None and survey.problem is None:
            wanted.setdefault((str(pin.name), pin.version), blocker)

    return find_build_evidence(
        session, {release: (each.row.facts, each.row.verdict) for release, each in wanted.items()}
    )
