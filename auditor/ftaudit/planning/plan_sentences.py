"""The sentences of a plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

from packaging.version import Version

from ftaudit.model.build_sentences import DECLARES, WOULD, in_source
from ftaudit.model.plans import (
    Aim,
    BuildEvidence,
    Candidate,
    Change,
    ChangeKind,
    ChangeReason,
    Fate,
    NotRead,
    OrdinaryWheel,
    Prefer,
    SourceEvidence,
    Switch,
    WayKind,
    WayOut,
)
from ftaudit.model.reasons import InSource
from ftaudit.model.sentences import candidate_phrase, gap_phrase, sentence

LISTED: Final = 3

_ONE: Final = {
    Fate.REENABLES_GIL: "turns the GIL on",
    Fate.BROKEN: "cannot be loaded by the target",
    Fate.FALLBACK: "falls back to pure Python",
    Fate.NO_WHEEL: "has no free-threaded wheel",
    Fate.YANKED: "is yanked",
    Fate.PRE_RELEASE: "is a pre-release",
    Fate.REQUIRES_PYTHON: "excludes this Python",
    Fate.EXCLUDED: "is excluded by other requirements",
    Fate.BLOCKED_ON_IMPORT: "blocks when it is imported",
    Fate.NOT_LOOKED_INTO: "was not checked",
    Fate.UNDETERMINED: "could not be determined",
    Fate.GOOD: "is good",
}
_MANY: Final = {
    Fate.REENABLES_GIL: "turn the GIL on",
    Fate.BROKEN: "cannot be loaded by the target",
    Fate.FALLBACK: "fall back to pure Python",
    Fate.NO_WHEEL: "have no free-threaded wheel",
    Fate.YANKED: "are yanked",
    Fate.PRE_RELEASE: "are pre-releases",
    Fate.REQUIRES_PYTHON: "exclude this Python",
    Fate.EXCLUDED: "are excluded by other requirements",
    Fate.BLOCKED_ON_IMPORT: "block when they are imported",
    Fate.NOT_LOOKED_INTO: "were not checked",
    Fate.UNDETERMINED: "could not be determined",
    Fate.GOOD: "are good",
}


_PREFERRED: Final = {
    Prefer.NEAREST: "the nearest release",
    Prefer.PATCH: "the last patch of the nearest series",
    Prefer.NEWEST: "the newest release",
}


def passed_over(candidates: Iterable[Candidate]) -> str:
    """Summarize releases by why they are not used: `2.0.52 and 2.0.53 fall back to pure Python`."""
    text = []
    for fate, group in groupby(candidates, key=lambda candidate: candidate.fate):
        versions = [str(candidate.version) for candidate in group]
        text.append(f"{_versions(versions)} {(_ONE if len(versions) == 1 else _MANY)[fate]}")
    return "; ".join(text)


def _versions(versions: Sequence[str]) -> str:
    if len(versions) > LISTED:
        return f"{versions[0]} to {versions[-1]} ({len(versions)} releases)"
    return listed(versions)


def listed(names: Iterable[str]) -> str:
    """Join with commas and `and`."""
    every = list(names)
    return every[0] if len(every) == 1 else f"{', '.join(every[:-1])} and {every[-1]}"


def way_out(way: WayOut, where: str) -> str:
    """Return the way out, or that there is no way out, in a sentence with its evidence; `where` names the platform."""
    text = _way(way, where)
    return text if way.given_up is None else f"{text}; but {way.given_up}"


def _way(way: WayOut, where: str) -> str:
    if way.kind is WayKind.UNKNOWN:
        if way.problem is None:
            return "no index lists this package; ask its maintainers"
        return f"later releases could not be looked up: {gap_phrase(way.problem, where)}"
    if way.first is not None:
        return _upgrade(way.first, way.newest_good, way.passed_over, where)
    if way.kind is WayKind.FALLBACK:
        text = f"{way.fallback} falls back to pure Python: it works, but slower"
        return f"{text}; {passed_over(way.passed_over)}" if way.passed_over else text
    text = _no_upgrade(way.name, way.current, way.passed_over, way.pre_release, where)
    return text if way.source is None else f"{text}; {build(way.source)}"


def change_reason(change: Change) -> str:
    """Return why a version changes, as one sentence."""
    reason, wanted = change.reason, change.wanted.version
    match reason.aim:
        case Aim.FIT:
            text = "its current version conflicts with another change"
        case Aim.FASTER:
            text = (
                f"the current version falls back to pure Python; this is {_PREFERRED[reason.prefer]} with compiled "
                "code that leaves the GIL off"
            )
        case Aim.REMOVE:
            text = _of_removal(reason)
            if change.proposed != wanted:
                text = f"{wanted} is {text}; if this version and later ones are allowed, uv chooses {change.proposed}"
    if change.kind is ChangeKind.IMPLIED:
        text += "; it follows from the other changes, so it needs no line of its own"
    elif reason.through is not None:
        text += f"; {reason.through} requires it, so it needs a line of its own"
    if reason.excluded_by:
        text += f"; {', '.join(reason.excluded_by)} excludes it and must change first"
    return text


def _of_removal(reason: ChangeReason) -> str:
    text = f"{_PREFERRED[reason.prefer]} that {'may' if reason.unsure else 'does'} not block"
    if reason.nearer is not None:
        text += f" and is compatible with the rest; {reason.nearer} is not"
    if reason.slower:
        text += "; it falls back to pure Python, which is slower"
    if reason.unsure:
        text += "; ftaudit could not determine whether it blocks"
    return text


def change_evidence(change: Change, ways: Iterable[WayOut]) -> tuple[str, ...]:
    """Return what the audit of the proposed set reports about a change; without an audit, the package's ways out."""
    text = tuple(
        f"{one.platform}: {one.verdict}: {sentence(one.why[0], one.platform)}{f' ({one.wheel})' if one.wheel else ''}"
        for one in change.evidence
    )
    return text or tuple(way_out(way, way.platform) for way in ways if way.name == change.name)


def _upgrade(first: Candidate, newest: Version | None, over: Sequence[Candidate], where: str) -> str:
    """Name the nearest good release, why it is good, the newest release, and the releases between them."""
    sure = "leaves the GIL off" if first.fate is Fate.GOOD else "may leave the GIL off"
    text = f"{first.version} is the nearest release that {sure} on {where}: {candidate_phrase(first, where)}"
    if over:
        text += f"; {passed_over(over)}"
    if newest is not None and newest != first.version:
        text += f"; the newest such release is {newest}"
    return text


def _no_upgrade(name: str, current: object, later: Sequence[Candidate], early: Candidate | None, where: str) -> str:
    """Return that no good release exists, with the facts about the later releases."""
    if not later:
        return f"no fixed version yet: {current} is the newest release"
    excluded = any(one.fate in (Fate.EXCLUDED, Fate.BLOCKED_ON_IMPORT) for one in later)
    what = (
        "no release that leaves the GIL off is compatible with the rest"
        if excluded
        else "no version that was checked leaves the GIL off"
        if any(one.fate is Fate.NOT_LOOKED_INTO for one in later)
        else "no final release yet leaves the GIL off"
    )
    text = f"{what} on {where}: {passed_over(later)}"
    if early is None:
        return text
    return f"{text}; {early.version} is {candidate_phrase(early, where)}; to try it: {name}=={early.version}"


def build(source: SourceEvidence) -> str:
    """Return what a build from the sdist would produce."""
    if source.sdist is None:
        return "it has no sdist to build from"
    evidence = source_evidence(source)
    text = f" ({'; '.join(evidence)})" if evidence else ""
    return f"a build from the sdist of {source.version} {WOULD[source.would_declare]}{text}"


def source_evidence(source: SourceEvidence) -> tuple[str, ...]:
    """Return a phrase for each source that shows what a build would declare."""
    text = [_build_evidence(one) for one in source.evidence]
    if source.contradicted:
        text.append("but the wheel that was built from it turns the GIL on: ask upstream how it was built")
    return tuple(text)


def _build_evidence(evidence: BuildEvidence) -> str:
    match evidence:
        case OrdinaryWheel(wheel=wheel, declares=declares, modules=modules, total=total):
            return f"{wheel or 'the GIL-enabled wheel'}: {DECLARES[declares]} ({modules} of {total} modules)"
        case InSource():
            return in_source(evidence)
        case NotRead(sdist=sdist, problem=None):
            return f"{sdist} is too large to fetch"
        case NotRead(sdist=sdist, problem=problem):
            return f"{sdist} was not read: {problem}"


def switch(hint: Switch) -> str:
    """Name a setting with its source and its date."""
    return f"{hint.setting}: {hint.effect} (from {hint.source}, read on {hint.checked})"
