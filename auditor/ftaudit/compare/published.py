"""What upstream has published for the packages of a report: a good release for a blocker, wheels for other platforms.

`ftaudit.engine.upstream` finds it. Here it is compared with what the last run found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from ftaudit.model import Gap, StrEnum, Verdict

PublishedKey: TypeAlias = tuple[str, str, str | None]
"""Name, platform, and version."""


class LaterAnswer(StrEnum):
    """What is known about the later releases of a package."""

    NOT_NEEDED = "not-needed"
    """The package neither blocks nor falls back, or no index lists it."""
    GOOD = "good"
    NONE = "none"
    UNKNOWN = "unknown"
    """The index did not answer, or a later release could not be judged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """What upstream has published for one package of a report, on one platform."""

    name: str
    version: str | None
    platform: str
    verdict: Verdict
    later: LaterAnswer
    fix: str | None = None
    """The nearest later release that the verdict table accepts."""
    early: str | None = None
    """The newest pre-release that it accepts, if no final release is good."""
    wheels: tuple[str, ...] | None = ()
    """The named platforms for which this version has a free-threaded wheel; `None` if that is not known."""
    gap: Gap | None = None
    """Why one of these answers is unknown."""

    @property
    def key(self) -> PublishedKey:
        """What identifies it in a report."""
        return self.name, self.platform, self.version


class UpstreamKind(StrEnum):
    """What upstream did."""

    FIX = "fix"
    """A package that blocks or falls back has a good release now, or another one than before."""
    PRE_RELEASE = "pre-release"
    """The same, but only as a pre-release."""
    FIX_WITHDRAWN = "fix-withdrawn"
    """The good release is gone: it was yanked or removed."""
    WHEEL = "wheel"
    """This version has a free-threaded wheel for a further platform."""
    WHEEL_WITHDRAWN = "wheel-withdrawn"


@dataclass(frozen=True, kw_only=True, slots=True)
class UpstreamChange:
    """One thing that upstream did since the last run; for several platforms of the report it appears once."""

    kind: UpstreamKind
    name: str
    version: str | None
    verdict: Verdict
    platforms: tuple[str, ...]
    """The platforms of the report that it concerns."""
    release: str | None = None
    """For a fix: the release."""
    before: str | None = None
    """For a fix: the good release that the last run named."""
    wheels: tuple[str, ...] = ()
    """For a wheel: the named platforms that have it now, or no longer."""


def compare_published(old: Sequence[Published], new: Sequence[Published]) -> tuple[UpstreamChange, ...]:
    """Return what upstream did between two runs. What one of them does not know is not a change."""
    before = {row.key: row for row in old}
    known: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in old:
        known[row.name, row.platform].update(release for release in (row.fix, row.early) if release is not None)
    found = [
        change
        for row in new
        for change in (*_releases(row, before.get(row.key), known[row.name, row.platform]), *_wheels(row, before))
    ]
    groups: dict[UpstreamChange, list[str]] = defaultdict(list)
    for change in found:
        groups[replace(change, platforms=())] += change.platforms
    merged = (replace(one, platforms=tuple(dict.fromkeys(platforms))) for one, platforms in groups.items())
    kinds = list(UpstreamKind)
    return tuple(sorted(merged, key=lambda change: (kinds.index(change.kind), change.name, change.platforms)))


def _releases(row: Published, old: Published | None, known: set[str]) -> Iterator[UpstreamChange]:
    change = UpstreamChange(
        kind=UpstreamKind.FIX, name=row.name, version=row.version, verdict=row.verdict, platforms=(row.platform,)
    )
    before = None if old is None else old.fix
    if row.fix is not None and row.fix not in known:
        yield replace(change, release=row.fix, before=before)
    elif row.fix is None and row.early is not None and row.early not in known:
        yield replace(change, kind=UpstreamKind.PRE_RELEASE, release=row.early)
    if row.later is LaterAnswer.NONE and before is not None:
        yield replace(change, kind=UpstreamKind.FIX_WITHDRAWN, before=before)


def _wheels(row: Published, before: Mapping[PublishedKey, Published]) -> Iterator[UpstreamChange]:
    old = before.get(row.key)
    if old is None or old.wheels is None or row.wheels is None:
        return
    change = UpstreamChange(
        kind=UpstreamKind.WHEEL, name=row.name, version=row.version, verdict=row.verdict, platforms=()
    )
    came = tuple(platform for platform in row.wheels if platform not in old.wheels)
    went = tuple(platform for platform in old.wheels if platform not in row.wheels)
    if came:
        yield replace(change, wheels=came)
    if went:
        yield replace(change, kind=UpstreamKind.WHEEL_WITHDRAWN, wheels=went)


def keep_published(old: Iterable[Published], new: Sequence[Published], *, whole: bool) -> tuple[Published, ...]:
    """Return what the next run compares with: the new answers, and the old ones where a new answer is missing.

    With `whole`, packages that are not in `new` are gone; otherwise the run may have missed them.
    """
    before = {row.key: row for row in old}
    kept = [_known(row, before.get(row.key)) for row in new]
    there = {(row.name, row.platform) for row in new}
    missed = () if whole else (row for row in before.values() if (row.name, row.platform) not in there)
    return (*kept, *missed)


def _known(row: Published, old: Published | None) -> Published:
    row = replace(row, gap=None)
    if old is None:
        return row
    if row.later is LaterAnswer.UNKNOWN or row.verdict is Verdict.UNKNOWN:
        row = replace(row, later=old.later, fix=old.fix, early=old.early)
    return replace(row, wheels=old.wheels) if row.wheels is None else row
