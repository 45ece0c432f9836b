"""The sentences of a plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

from ftaudit.model import GilDeclaration
from ftaudit.model.plans import (
    BuildEvidence,
    Candidate,
    Fate,
    InSource,
    NotRead,
    OrdinaryWheel,
    SourceEvidence,
    Switch,
)
from ftaudit.model.sentences import candidate_phrase
from ftaudit.target import Platform

LISTED: Final = 3

_ONE: Final = {
    Fate.REENABLES_GIL: "turns the GIL on",
    Fate.BROKEN: "cannot be loaded by the target",
    Fate.FALLBACK: "falls back to pure Python",
    Fate.NO_WHEEL: "has no wheel",
    Fate.YANKED: "is yanked",
    Fate.PRE_RELEASE: "is a pre-release",
    Fate.REQUIRES_PYTHON: "excludes this Python",
    Fate.EXCLUDED: "is excluded by other requirements",
    Fate.BLOCKED_ON_IMPORT: "blocks when it is imported",
    Fate.NOT_LOOKED_INTO: "was not looked into",
    Fate.UNDETERMINED: "could not be determined",
    Fate.GOOD: "is good",
}
_MANY: Final = {
    Fate.REENABLES_GIL: "turn the GIL on",
    Fate.BROKEN: "cannot be loaded by the target",
    Fate.FALLBACK: "fall back to pure Python",
    Fate.NO_WHEEL: "have no wheel",
    Fate.YANKED: "are yanked",
    Fate.PRE_RELEASE: "are pre-releases",
    Fate.REQUIRES_PYTHON: "exclude this Python",
    Fate.EXCLUDED: "are excluded by other requirements",
    Fate.BLOCKED_ON_IMPORT: "block when they are imported",
    Fate.NOT_LOOKED_INTO: "were not looked into",
    Fate.UNDETERMINED: "could not be determined",
    Fate.GOOD: "are good",
}
_DECLARES: Final = {
    GilDeclaration.NOT_USED: "declares that the GIL is not used",
    GilDeclaration.USED: "declares that the GIL is used",
    GilDeclaration.UNDECLARED: "declares nothing about the GIL",
    GilDeclaration.UNDETERMINED: "could not be determined",
}
_WOULD: Final = {
    GilDeclaration.NOT_USED: "would leave the GIL off",
    GilDeclaration.USED: "would turn the GIL on",
    GilDeclaration.UNDECLARED: "would turn the GIL on",
    GilDeclaration.UNDETERMINED: "may or may not leave the GIL off",
}


def passed_over(candidates: Iterable[Candidate]) -> str:
    """Sum up releases by what keeps them from being taken: `2.0.52 and 2.0.53 fall back to pure Python`."""
    told = []
    for fate, group in groupby(candidates, key=lambda candidate: candidate.fate):
        versions = [str(candidate.version) for candidate in group]
        told.append(f"{_versions(versions)} {(_ONE if len(versions) == 1 else _MANY)[fate]}")
    return "; ".join(told)


def _versions(versions: Sequence[str]) -> str:
    if len(versions) > LISTED:
        return f"{versions[0]} to {versions[-1]} ({len(versions)} releases)"
    return listed(versions)


def listed(names: Iterable[str]) -> str:
    """Join with commas and `and`."""
    every = list(names)
    return every[0] if len(every) == 1 else f"{', '.join(every[:-1])} and {every[-1]}"


def upgrade(first: Candidate, newest: Candidate | None, over: Sequence[Candidate], platform: Platform) -> str:
    """Name the nearest good release, why it is good, the newest one and what lies between."""
    sure = "leaves the GIL off" if first.fate is Fate.GOOD else "may leave the GIL off"
    why = candidate_phrase(first, platform.name)
    told = f"{first.version} is the nearest release that {sure} on {platform.name}: {why}"
    if over:
        told += f"; {passed_over(over)}"
    if newest is not None and newest.version != first.version:
        told += f"; the newest that does is {newest.version}"
    return told


def no_upgrade(name: str, current: object, later: Sequence[Candidate], platform: Platform) -> str:
    """Say that there is no good release, and what the later ones are."""
    if not later:
        return f"no version yet: {current} is the newest release"
    excluded = any(one.fate in (Fate.EXCLUDED, Fate.BLOCKED_ON_IMPORT) for one in later)
    what = (
        "no release that leaves the GIL off goes together with the rest"
        if excluded
        else "no version that was looked into leaves the GIL off"
        if any(one.fate is Fate.NOT_LOOKED_INTO for one in later)
        else "no version yet leaves the GIL off"
    )
    told = f"{what} on {platform.name}: {passed_over(later)}"
    early = next((one for one in reversed(later) if one.fate is Fate.PRE_RELEASE and one.is_good), None)
    if early is None:
        return told
    return f"{told}; {early.version} is {candidate_phrase(early, platform.name)}; to try it: {name}=={early.version}"


def build(source: SourceEvidence) -> str:
    """Say what a build from the sdist would give."""
    if source.sdist is None:
        return "there is no sdist to build from"
    evidence = source_evidence(source)
    told = f" ({'; '.join(evidence)})" if evidence else ""
    return f"a build from the sdist of {source.version} {_WOULD[source.would_declare]}{told}"


def source_evidence(source: SourceEvidence) -> tuple[str, ...]:
    """Return a phrase for each thing that says what a build would declare."""
    told = [_build_evidence(one) for one in source.evidence]
    if source.contradicted:
        told.append("yet the wheel that was made of it turns the GIL on: ask upstream how it was built")
    return tuple(told)


def _build_evidence(evidence: BuildEvidence) -> str:
    match evidence:
        case OrdinaryWheel(wheel=wheel, declares=declares, modules=modules, total=total):
            return f"{wheel or 'the wheel of the ordinary build'}: {_DECLARES[declares]} ({modules} of {total} modules)"
        case InSource(sdist=sdist, declares=GilDeclaration.UNDETERMINED, places=(), unread=0):
            return f"{sdist}: no declaration was found that ftaudit knows"
        case InSource(sdist=sdist, places=places, declares=declares, unread=unread):
            where = [f"{places[0]}", *([f"{len(places) - 1} more"] if len(places) > 1 else [])] if places else []
            what = [f"{_DECLARES[declares]} ({' and '.join(where)})" if where else _DECLARES[declares]]
            what += [f"{unread} of its files could not be read"] if unread else []
            return f"{sdist}: {', '.join(what)}"
        case NotRead(sdist=sdist, problem=None):
            return f"{sdist} is too large to be fetched for this"
        case NotRead(sdist=sdist, problem=problem):
            return f"{sdist} was not read: {problem}"


def switch(hint: Switch) -> str:
    """Name a switch with its source and its date."""
    return f"{hint.setting}: {hint.effect} (a hint: {hint.source}, read on {hint.checked})"
