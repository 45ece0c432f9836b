"""The later releases of a package on the index, each judged as far as its files allow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from packaging.version import Version

from ftaudit.engine.rows import facts_of
from ftaudit.engine.upgrades.surveys import SurveyQuestion
from ftaudit.index.choose import choose_wheel
from ftaudit.index.release import ProjectFiles, ReleaseFiles
from ftaudit.judge.table import judge
from ftaudit.model import (
    BinaryFacts,
    DistributionFile,
    Gap,
    GapKind,
    IndexFacts,
    PackageFacts,
    RuntimeFacts,
    Status,
    Verdict,
    WheelKind,
)
from ftaudit.model.plans import Candidate, Fate
from ftaudit.model.reasons import Exclusion
from ftaudit.target import Target

NOT_IMPORTED: Final = RuntimeFacts(status=Status.SKIPPED, reason=Gap(kind=GapKind.LATER_RELEASE))
NOTHING_READ: Final = BinaryFacts(status=Status.SKIPPED, reason=Gap(kind=GapKind.NOTHING_COMPILED))
_FATES: Final = {
    Verdict.READY: Fate.GOOD,
    Verdict.PURE: Fate.GOOD,
    Verdict.FALLBACK: Fate.FALLBACK,
    Verdict.REENABLES_GIL: Fate.REENABLES_GIL,
    Verdict.BROKEN: Fate.BROKEN,
    Verdict.UNKNOWN: Fate.UNDETERMINED,
    Verdict.SOURCE_ONLY: Fate.NO_WHEEL,
    Verdict.UNAVAILABLE: Fate.NO_WHEEL,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedRelease:
    """A later release: what its file names show, and its wheel that is still unread."""

    candidate: Candidate
    facts: PackageFacts
    wheel: DistributionFile | None = None

    def read(self, binary: BinaryFacts) -> Candidate:
        """Return the release as the verdict table judges it after its wheel is read; a pre-release remains one."""
        facts = facts_of(
            self.facts.pin,
            target=Target(name=self.facts.target),
            platform=self.facts.platform,
            index=self.facts.index,
            binary=binary,
            runtime=NOT_IMPORTED,
        )
        return _judged(self.candidate, facts)


def _judged(candidate: Candidate, facts: PackageFacts) -> Candidate:
    verdict, why = judge(facts)
    fate = Fate.PRE_RELEASE if candidate.fate is Fate.PRE_RELEASE else _FATES[verdict]
    return replace(candidate, fate=fate, verdict=verdict, why=why)


def list_later(question: SurveyQuestion, project: ProjectFiles, target: Target) -> list[ListedRelease]:
    """Return every later release, oldest first, with what its file names show.

    A release without compiled wheels, followed by a release with them, is a gap and not the end of compiled code.
    """
    current = question.pin.version
    releases: list[ListedRelease] = []
    compiled_again = False
    for version, files in sorted(project.versions.items(), reverse=True):
        if current is None or version <= current:
            break
        release = _release(question, version, files, project.origin, target)
        if release.candidate.fate is Fate.GOOD and compiled_again:
            release = replace(release, candidate=replace(release.candidate, fate=Fate.FALLBACK))
        compiled_again = compiled_again or release.wheel is not None
        releases.insert(0, release)
    return releases


def _release(
    question: SurveyQuestion, version: Version, files: Sequence[DistributionFile], origin: str | None, target: Target
) -> ListedRelease:
    pin, platform = question.pin, question.platform
    asked = replace(pin, version=version, files=None, allowed_hashes=frozenset(), problem=None)

    def choose(files: Sequence[DistributionFile]) -> IndexFacts:
        listed = ReleaseFiles(status=Status.DONE, origin=origin, files=tuple(files))
        return choose_wheel(asked, listed, target, platform)

    chosen = choose([file for file in files if file.yanked is None])
    facts = facts_of(
        asked, target=target, platform=platform.name, index=chosen, binary=NOTHING_READ, runtime=NOT_IMPORTED
    )
    early = version.is_prerelease and not (pin.version is not None and pin.version.is_prerelease)
    candidate = Candidate(
        version=version,
        fate=Fate.PRE_RELEASE if early else Fate.NOT_LOOKED_INTO,
        wheel=None if chosen.wheel is None else chosen.wheel.filename,
    )
    if chosen.wheel is None:
        return ListedRelease(
            candidate=candidate if early else _without_wheel(candidate, files, chosen, choose), facts=facts
        )
    if chosen.kind is WheelKind.PURE:
        return ListedRelease(candidate=_judged(candidate, facts), facts=facts)
    return ListedRelease(candidate=candidate, facts=facts, wheel=chosen.wheel)


def _without_wheel(
    candidate: Candidate,
    files: Sequence[DistributionFile],
    chosen: IndexFacts,
    choose: Callable[[Sequence[DistributionFile]], IndexFacts],
) -> Candidate:
    """Return why no wheel can be installed: yanked, excluded for this Python, or never published."""
    yanked = [file for file in files if file.yanked is not None]
    if yanked and (taken := choose(files).wheel) is not None:
        return replace(candidate, fate=Fate.YANKED, yanked=taken.yanked)
    excluded = next((file for file in chosen.excluded if file.by is Exclusion.REQUIRES_PYTHON), None)
    if excluded is not None:
        return replace(candidate, fate=Fate.REQUIRES_PYTHON, excluded=excluded)
    if yanked and len(yanked) == len(files):
        return replace(candidate, fate=Fate.YANKED)
    return replace(candidate, fate=Fate.NO_WHEEL, elsewhere=chosen.other_platforms, has_no_wheel=not chosen.wheels)
