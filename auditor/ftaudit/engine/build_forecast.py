"""What a build of a release would declare, from its GIL-enabled wheel or its sdist; nothing is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias

from packaging.version import Version

from ftaudit.engine.rows import Judged
from ftaudit.engine.sdist_declarations import find_declaration
from ftaudit.engine.session import AuditSession
from ftaudit.judge.rebuild import find_rebuild
from ftaudit.model import GilDeclaration, PackageFacts, Verdict
from ftaudit.model.plans import BuildEvidence, OrdinaryWheel, SourceEvidence
from ftaudit.model.reasons import InSource
from ftaudit.model.steps import GoodRelease, Lead

FETCHED_AT_ONCE: Final = 4
Release: TypeAlias = "tuple[str, Version]"
"""A normalized name and a version."""


def find_forecasts(
    session: AuditSession, judged: Sequence[Judged], later: Mapping[tuple[str, str], Lead]
) -> dict[Release, InSource]:
    """Read the sdists of packages without a wheel and without a good later release, each release once.

    The wheel of the GIL-enabled build, where it was read, is better evidence. An sdist that cannot be read, or shows
    nothing, has no entry: the verdict does not depend on it.
    """
    wanted = {
        (str(facts.pin.name), facts.pin.version): (facts, verdict)
        for facts, verdict, _ in judged
        if verdict is Verdict.SOURCE_ONLY
        and facts.pin.version is not None
        and facts.index.sdist is not None
        and not isinstance(later.get((str(facts.pin.name), facts.platform)), GoodRelease)
        and _is_open(facts)
    }
    if not wanted:
        return {}
    session.progress.stage("sources", len(wanted))
    return {
        release: source
        for release, found in find_build_evidence(session, wanted).items()
        for source in found.evidence
        if isinstance(source, InSource) and (source.declares is not GilDeclaration.UNDETERMINED or source.unread)
    }


def _is_open(facts: PackageFacts) -> bool:
    """Return whether no wheel of the GIL-enabled build says what a build would declare."""
    rebuild = find_rebuild(facts.modules)
    return rebuild is None or not rebuild.tells


def find_build_evidence(
    session: AuditSession, wanted: Mapping[Release, tuple[PackageFacts, Verdict]]
) -> dict[Release, SourceEvidence]:
    """Return what builds of releases would declare, from the facts about each and its verdict."""

    def read(release: Release) -> SourceEvidence:
        found = _evidence(session, *release, *wanted[release])
        session.progress.done(f"{release[0]} {release[1]}")
        return found

    with ThreadPoolExecutor(FETCHED_AT_ONCE) as pool:
        return dict(zip(wanted, pool.map(read, wanted), strict=True))


def _evidence(
    session: AuditSession, name: str, version: Version, facts: PackageFacts, verdict: Verdict
) -> SourceEvidence:
    """Return what a build would produce: from the GIL-enabled wheel if that shows it, or else from the source."""
    sdist = facts.index.sdist
    evidence: list[BuildEvidence] = []
    declares, contradicted = GilDeclaration.UNDETERMINED, False
    if (ordinary := _ordinary_wheel(facts)) is not None:
        evidence.append(ordinary)
        declares = ordinary.declares
    if declares is GilDeclaration.UNDETERMINED and sdist is not None:
        source = find_declaration(session, name, version, sdist)
        evidence.append(source)
        if isinstance(source, InSource):
            declares = source.declares
        if declares is GilDeclaration.NOT_USED and verdict is Verdict.REENABLES_GIL:
            declares, contradicted = GilDeclaration.UNDETERMINED, True
    return SourceEvidence(
        sdist=None if sdist is None else sdist.filename,
        version=version,
        would_declare=declares,
        evidence=tuple(evidence),
        contradicted=contradicted,
    )


def _ordinary_wheel(facts: PackageFacts) -> OrdinaryWheel | None:
    """Return what the GIL-enabled wheel of the same version, if it was read, says about a rebuild."""
    rebuild = find_rebuild(facts.modules)
    if rebuild is None:
        return None
    wheel = facts.index.gil_wheel
    counts = dict(rebuild.counts)
    return OrdinaryWheel(
        wheel=None if wheel is None else wheel.filename,
        declares=rebuild.worst,
        modules=counts[rebuild.worst],
        total=sum(counts.values()),
    )
