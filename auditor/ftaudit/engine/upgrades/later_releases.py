"""The later releases of a package as the index lists them: what their files alone say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from packaging.version import Version

from ftaudit.engine.upgrades.surveys import Question
from ftaudit.index.choose import choose_wheel
from ftaudit.index.release import ProjectFiles, ReleaseFiles
from ftaudit.model import DistributionFile, IndexFacts, Status, WheelKind
from ftaudit.model.plans import Candidate, Fate
from ftaudit.model.reasons import Exclusion
from ftaudit.model.sentences import exclusion
from ftaudit.target import Platform, Target

SLOWER: Final = "falls back to pure Python: it works, slower"


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A later release, and the wheel of it that is still to be read."""

    candidate: Candidate
    wheel: DistributionFile | None = None


def list_later(question: Question, project: ProjectFiles, target: Target) -> list[Listed]:
    """Return every later release, oldest first, with what its files alone say.

    A release without compiled wheels before one that has some again is a gap, and not the end of compiled code.
    """
    current = question.pin.version
    releases: list[Listed] = []
    compiled_again = False
    for version, files in sorted(project.versions.items(), reverse=True):
        if current is None or version <= current:
            break
        release = _release(question, version, files, project.origin, target)
        if release.candidate.fate is Fate.GOOD and compiled_again:
            release = replace(release, candidate=replace(release.candidate, fate=Fate.FALLBACK, reason=SLOWER))
        compiled_again = compiled_again or release.wheel is not None
        releases.insert(0, release)
    return releases


def _release(
    question: Question, version: Version, files: Sequence[DistributionFile], origin: str | None, target: Target
) -> Listed:
    pin, platform = question.pin, question.platform
    asked = replace(pin, version=version, files=None, allowed_hashes=frozenset(), problem=None)

    def judge(files: Sequence[DistributionFile]) -> IndexFacts:
        listed = ReleaseFiles(status=Status.DONE, origin=origin, files=tuple(files))
        return choose_wheel(asked, listed, target, platform)

    chosen = judge([file for file in files if file.yanked is None])
    name = None if chosen.wheel is None else chosen.wheel.filename

    def settled(fate: Fate, reason: str) -> Listed:
        return Listed(candidate=Candidate(version=version, fate=fate, reason=reason, wheel=name))

    if version.is_prerelease and not (pin.version is not None and pin.version.is_prerelease):
        has = "with" if chosen.wheel is not None else "without"
        early = settled(Fate.PRE_RELEASE, f"a pre-release, {has} a wheel for {platform.name}")
        return replace(early, wheel=None if chosen.kind is WheelKind.PURE else chosen.wheel)
    if chosen.wheel is None:
        return settled(*_why_none(files, chosen, judge, platform))
    if chosen.kind is WheelKind.PURE:
        if chosen.compiled:
            return settled(Fate.FALLBACK, SLOWER)
        return settled(Fate.GOOD, "pure Python: no compiled code in any wheel")
    waiting = Candidate(
        version=version, fate=Fate.NOT_LOOKED_INTO, reason=f"has a wheel for {platform.name}, not read", wheel=name
    )
    return Listed(candidate=waiting, wheel=chosen.wheel)


def _why_none(
    files: Sequence[DistributionFile],
    chosen: IndexFacts,
    judge: Callable[[Sequence[DistributionFile]], IndexFacts],
    platform: Platform,
) -> tuple[Fate, str]:
    """Say why there is no wheel to install: yanked, kept from this Python, or never made."""
    yanked = [file for file in files if file.yanked is not None]
    if yanked and (taken := judge(files).wheel) is not None:
        why = f": {taken.yanked}" if taken.yanked else ""
        return Fate.YANKED, f"its wheel for {platform.name} was yanked{why}"
    excluded = next((file for file in chosen.excluded if file.by is Exclusion.REQUIRES_PYTHON), None)
    if excluded is not None:
        return Fate.REQUIRES_PYTHON, exclusion(excluded)
    if yanked and len(yanked) == len(files):
        return Fate.YANKED, "yanked"
    elsewhere = f" (there is one for {', '.join(chosen.other_platforms[:3])})" if chosen.other_platforms else ""
    return Fate.NO_WHEEL, f"no wheel for {platform.name}{elsewhere}"
