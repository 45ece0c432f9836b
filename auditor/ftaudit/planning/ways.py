"""The way out of each blocker: the nearest good release, a build, a switch, or none yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from packaging.version import Version

from ftaudit.engine.session import AuditSession
from ftaudit.engine.upgrades.surveys import Question, Survey
from ftaudit.errors import FtauditError
from ftaudit.model import DistributionFile, GilDeclaration, Package, Verdict
from ftaudit.model.plans import Candidate, Fate, SourceEvidence, WayKind, WayOut
from ftaudit.planning import words
from ftaudit.planning.hints import find_switches
from ftaudit.planning.sdist import find_declaration

LARGEST_SDIST: Final = 30_000_000
"""Bytes; a larger sdist is not fetched to read what it declares."""
FETCHED_AT_ONCE: Final = 4
Release: TypeAlias = "tuple[str, Version]"
_SAYS: Final = {
    GilDeclaration.NOT_USED: "declares that the GIL is not used",
    GilDeclaration.USED: "declares that the GIL is used",
    GilDeclaration.UNDECLARED: "does not declare it",
    GilDeclaration.UNDETERMINED: "could not be determined",
}
_GUILTY: Final = (GilDeclaration.USED, GilDeclaration.UNDECLARED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Blocker:
    """A blocked row of the report with the survey of its later releases; `None` for what no index lists."""

    row: Package
    question: Question
    survey: Survey | None


def find_way(blocker: Blocker, source: SourceEvidence | None) -> WayOut:
    """Return the best way out of one blocker on one platform."""
    facts, survey, platform = blocker.row.facts, blocker.survey, blocker.question.platform
    pin = facts.pin
    releases = survey.releases if survey else ()
    first, newest, fallback = (survey.first, survey.newest, survey.fallback) if survey else (None, None, None)
    until = first or fallback
    over = tuple(one for one in releases if until is None or one.version < until.version)
    switches = find_switches(pin.name, pin.version)
    finals = [one.version for one in releases if one.fate is not Fate.PRE_RELEASE and one.fate is not Fate.YANKED]
    if survey is None:
        kind, sentence = WayKind.UNKNOWN, "it is no package that an index lists: ask whoever makes it"
    elif survey.problem is not None:
        kind, sentence = WayKind.UNKNOWN, f"later releases could not be looked up: {survey.problem}"
    elif first is not None:
        kind, sentence = WayKind.UPGRADE, words.upgrade(first, newest, over, platform)
    elif fallback is not None:
        told = f"{fallback.version} falls back to pure Python: it works, slower"
        kind, sentence = WayKind.FALLBACK, f"{told}; {words.passed_over(over)}" if over else told
    else:
        sentence = words.no_upgrade(pin.name, pin.version, releases, platform)
        kind = WayKind.NONE
        if source is not None and source.sdist and source.would_declare is GilDeclaration.NOT_USED:
            kind = WayKind.BUILD
        elif switches:
            kind = WayKind.SWITCH
        if source is not None:
            sentence += f"; {words.build(source)}"
    return WayOut(
        name=pin.name,
        current=pin.version,
        platform=platform.name,
        verdict=blocker.row.verdict,
        reasons=blocker.row.reasons,
        kind=kind,
        sentence=sentence,
        first_good=None if first is None else first.version,
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
    """Return the survey with one release judged anew."""

    def judged(release: Candidate) -> Candidate:
        return replace(release, fate=fate, reason=reason) if release.version == version else release

    return replace(survey, releases=tuple(map(judged, survey.releases)))


def find_sources(blockers: Sequence[Blocker], session: AuditSession) -> Mapping[Release, SourceEvidence]:
    """Read what the sdists of blockers without a good release declare, each release once."""
    wanted: dict[Release, Blocker] = {}
    for blocker in blockers:
        pin, survey = blocker.row.facts.pin, blocker.survey
        if pin.version is not None and survey is not None and survey.first is None and survey.problem is None:
            wanted.setdefault((str(pin.name), pin.version), blocker)

    def read(release: Release) -> SourceEvidence:
        return _evidence(wanted[release], release[1], session)

    with ThreadPoolExecutor(max_workers=FETCHED_AT_ONCE) as pool:
        return dict(zip(wanted, pool.map(read, wanted), strict=True))


def _evidence(blocker: Blocker, version: Version, session: AuditSession) -> SourceEvidence:
    """Return what a build would give: by the ordinary build's wheel where that tells it, else by the source's text."""
    sdist = blocker.row.facts.index.sdist
    name = None if sdist is None else sdist.filename
    declaration, evidence = _told_by_binaries(blocker.row)
    if declaration is GilDeclaration.UNDETERMINED and sdist is not None:
        declaration, told = _told_by_source(blocker.row, sdist, version, session)
        evidence = (*evidence, *told)
        if declaration is GilDeclaration.NOT_USED and blocker.row.verdict is Verdict.REENABLES_GIL:
            declaration = GilDeclaration.UNDETERMINED
            evidence = (*evidence, "yet the wheel that was made of it turns the GIL on: ask upstream how it was built")
    return SourceEvidence(sdist=name, version=version, would_declare=declaration, evidence=evidence)


def _told_by_binaries(row: Package) -> tuple[GilDeclaration, tuple[str, ...]]:
    """Return what the ordinary build's wheel of the same version, if it was read, says of a rebuild."""
    declared = [module.would_declare.declaration for module in row.facts.modules if module.would_declare is not None]
    if not declared:
        return GilDeclaration.UNDETERMINED, ()
    worst = next((one for one in (*_GUILTY, GilDeclaration.UNDETERMINED) if one in declared), GilDeclaration.NOT_USED)
    wheel = row.facts.index.gil_wheel
    name = wheel.filename if wheel else "the ordinary build's wheel"
    return worst, (f"{name}: {_SAYS[worst]} ({declared.count(worst)} of {len(declared)} modules)",)


def _told_by_source(
    row: Package, sdist: DistributionFile, version: Version, session: AuditSession
) -> tuple[GilDeclaration, tuple[str, ...]]:
    if sdist.size is not None and sdist.size > LARGEST_SDIST:
        return GilDeclaration.UNDETERMINED, (f"{sdist.filename} is too large to be fetched for this",)
    try:
        return find_declaration(session.sdists.fetch(row.facts.pin.name, version))
    except FtauditError as error:
        return GilDeclaration.UNDETERMINED, (error.problem,)
