"""The model of a plan: the ways out for the blockers, the changes that apply them, and the proof that they fit.

Plain frozen data, made by `ftaudit.planning` and rendered by `ftaudit.report`; this module makes no decisions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from ftaudit.model.gaps import Gap
from ftaudit.model.outlook import Outlook
from ftaudit.model.reachability import BlockerReach
from ftaudit.model.reasons import Excluded, InSource, Reasons
from ftaudit.model.words import BLOCKING, GilDeclaration, Location, StrEnum, Verdict


class Fate(StrEnum):
    """The result of a release for the target on one platform, from its files and the declarations in its wheel."""

    GOOD = "good"
    """The target installs its wheel, and every module leaves the GIL disabled."""
    UNDETERMINED = "undetermined"
    """The target installs its wheel, but some module could not be read; no module is known to enable the GIL."""
    FALLBACK = "fallback"
    """The target gets a pure-Python wheel of a package that has compiled ones: it works, but more slowly."""
    REENABLES_GIL = "reenables-gil"
    BROKEN = "broken"
    """The target installs its wheel, but cannot load its content."""
    NO_WHEEL = "no-wheel"
    YANKED = "yanked"
    """It has such a wheel, but that wheel was yanked."""
    PRE_RELEASE = "pre-release"
    REQUIRES_PYTHON = "requires-python"
    """Its files exclude the target's version of Python."""
    EXCLUDED = "excluded"
    """Other requirements exclude it: the reason comes from uv."""
    BLOCKED_ON_IMPORT = "blocked-on-import"
    """Its binaries look good, but importing it enabled the GIL or failed."""
    NOT_LOOKED_INTO = "not-looked-into"
    """It has such a wheel, which was not read because there are too many wheels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One later release of a blocked package, on one platform."""

    version: Version
    fate: Fate
    wheel: str | None = None
    """File name of the wheel that the target installs."""
    verdict: Verdict | None = None
    """The verdict from its files and binaries; `None` if its wheel was not read."""
    why: Reasons = ()
    """The reasons of the verdict."""
    excluded: Excluded | None = None
    """The excluded file, if that is the reason."""
    elsewhere: tuple[str, ...] = ()
    """Platform tags of its free-threaded wheels, if this platform has no such wheel."""
    has_no_wheel: bool = False
    """It has no wheel for any build and any platform."""
    yanked: str | None = None
    """Why the wheel that would be installed was yanked; may be empty."""
    explanation: str | None = None
    """What uv or the audit of a proposed set reports for or against it."""

    @property
    def is_good(self) -> bool:
        """Whether `ftaudit check --static` reports it as ready, pure, or a fallback."""
        return self.verdict in (Verdict.READY, Verdict.PURE, Verdict.FALLBACK)


@dataclass(frozen=True, kw_only=True, slots=True)
class OrdinaryWheel:
    """What the modules in the GIL-enabled wheel of the same version say about a rebuild."""

    wheel: str | None
    """Its file name."""
    declares: GilDeclaration
    """The worst declaration of a module."""
    modules: int
    """The number of modules with that declaration."""
    total: int


@dataclass(frozen=True, kw_only=True, slots=True)
class NotRead:
    """The sdist's source was not read."""

    sdist: str
    problem: str | None
    """Why it could not be fetched; `None` if it is too large to fetch for this purpose."""


BuildEvidence: TypeAlias = OrdinaryWheel | InSource | NotRead
"""The source that shows what a build would declare."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceEvidence:
    """The result of building the blocked release, or the newest release, from its sdist."""

    sdist: str | None
    """File name of the sdist; `None` without one."""
    version: Version
    would_declare: GilDeclaration
    """What the modules of a build for the target would declare together; the worst declaration counts."""
    evidence: tuple[BuildEvidence, ...]
    contradicted: bool = False
    """The source declares that it does not use the GIL, but the wheel made from it enables the GIL."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Switch:
    """A documented setting that stops a package's extension modules from enabling the GIL; a hint, never evidence."""

    package: NormalizedName
    versions: str
    """The versions that support it, as a specifier; empty for all."""
    setting: str
    """`NAME=VALUE` of an environment variable, or another setting."""
    effect: str
    """Its effect and its cost, in one sentence."""
    source: str
    """The documentation of the setting."""
    checked: str
    """The day on which that documentation was read, `2026-11-21`."""


class WayKind(StrEnum):
    """The best way out that exists."""

    UPGRADE = "upgrade"
    FALLBACK = "fallback"
    """No good release, but one that falls back to pure Python: it does not block, and is slower."""
    SWITCH = "switch"
    """No such release, but a documented setting."""
    BUILD = "build"
    """No such release, but an sdist whose modules would leave the GIL disabled."""
    NONE = "none"
    UNKNOWN = "unknown"
    """The answer is unknown: the index did not answer, or no index lists the package."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WayOut:
    """The ways out for one blocked package on one platform."""

    name: NormalizedName
    current: Version | None
    platform: str
    verdict: Verdict
    """Why it blocks."""
    why: Reasons
    """The report's reasons for the verdict, most important first."""
    kind: WayKind
    problem: Gap | None = None
    """The index's answer, if later releases could not be looked up."""
    first: Candidate | None = None
    """The nearest later release that does not block, by index and binary evidence."""
    newest_good: Version | None = None
    fallback: Version | None = None
    """The nearest later release that falls back to pure Python."""
    passed_over: tuple[Candidate, ...] = ()
    """Later releases before `first` (all of them if there is no `first`), oldest first, each with the reason."""
    given_up: str | None = None
    """Why the plan cannot use it: uv's message, or what the audit of the proposed set found."""
    newest: Version | None = None
    """The newest final release on the index, good or not."""
    source: SourceEvidence | None = None
    switches: tuple[Switch, ...] = ()
    required_by: tuple[tuple[str, ...], ...] = ()
    """Chains from a root requirement to the package, shortest first."""
    location: Location | None = None
    """The location of the first chain's root requirement."""
    solved: bool = False
    """Whether the plan's changes together remove this blocker or restore the compiled code."""

    @property
    def first_good(self) -> Version | None:
        """The version of the nearest later release that does not block."""
        return None if self.first is None else self.first.version

    @property
    def pre_release(self) -> Candidate | None:
        """The newest later pre-release that leaves the GIL off; a plan proposes none by itself."""
        return next((one for one in reversed(self.passed_over) if one.fate is Fate.PRE_RELEASE and one.is_good), None)

    @property
    def blocks(self) -> bool:
        """Whether the package blocks today; otherwise it falls back to pure Python, and a later release does not."""
        return self.verdict in BLOCKING


class ChangeKind(StrEnum):
    """What to edit for a change."""

    REQUIREMENT = "requirement"
    """A line or dependency that belongs to the user."""
    CONSTRAINT = "constraint"
    """Another package needs it: a new line that constrains it."""
    LOCK = "lock"
    """The lock file's own tool has to make the change."""
    IMPLIED = "implied"
    """Nothing: the other changes cause it."""


class Prefer(StrEnum):
    """Which of several good releases a plan proposes."""

    NEAREST = "nearest"
    """The first one after the present version: the smallest change."""
    PATCH = "patch"
    """The last one of the nearest one's series, `1.4.7` for `1.4.1`: its fixes, and no more features."""
    NEWEST = "newest"
    """The last one of all."""

    def choose(self, versions: Sequence[Version]) -> Version:
        """Return the preferred one of good versions, oldest first; there is at least one."""
        match self:
            case Prefer.NEAREST:
                return versions[0]
            case Prefer.PATCH:
                series = (versions[0].epoch, versions[0].release[:2])
                return [one for one in versions if (one.epoch, one.release[:2]) == series][-1]
            case Prefer.NEWEST:
                return versions[-1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A package that changes, or may change."""

    version: Version
    """The version that works and is preferred, the nearest one by default."""
    prefer: Prefer = Prefer.NEAREST
    """How the version was chosen among the good ones."""
    not_these: frozenset[Version] = frozenset()
    """Later versions that do not work."""

    def instead_of(self, old: SpecifierSet | None) -> SpecifierSet:
        """Return the text that replaces a specifier, or goes on a new line.

        A single version stays a single version. A range begins at the nearest version and keeps every other bound that
        admits it.
        """
        if old is None or any(clause.operator in ("==", "===") and "*" not in clause.version for clause in old):
            return SpecifierSet(f"=={self.version}")
        kept = [
            str(clause)
            for clause in old
            if clause.operator not in (">", ">=") and clause.contains(self.version, prereleases=True)
        ]
        return self.or_later & SpecifierSet(",".join(kept))

    @property
    def or_later(self) -> SpecifierSet:
        """The nearest version that works, or a later one."""
        after = sorted(version for version in self.not_these if version > self.version)
        return SpecifierSet(",".join((f">={self.version}", *(f"!={version}" for version in after))))


class Aim(StrEnum):
    """The purpose of a change."""

    REMOVE = "remove"
    """It removes a blocker."""
    FASTER = "faster"
    """It restores compiled code for a package that falls back to pure Python."""
    FIT = "fit"
    """Other changes are incompatible with the present version."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeReason:
    """Why a version changes, and why to this version."""

    aim: Aim
    unsure: bool = False
    """Whether it blocks after the change could not be determined."""
    prefer: Prefer = Prefer.NEAREST
    """How the version was chosen among the good ones."""
    nearer: Version | None = None
    """A nearer good release, which is incompatible with the rest."""
    slower: bool = False
    """The proposed release falls back to pure Python."""
    through: str | None = None
    """The package that pulls it in, if it needs a separate line."""
    excluded_by: tuple[str, ...] = ()
    """Requirements of the project, outside the lock file, that have to change first, as the project writes them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedPackage:
    """What the audit of the proposed set reports for a package that is not in today's set."""

    name: NormalizedName
    version: Version | None
    platform: str
    verdict: Verdict
    why: Reasons
    wheel: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One version to change."""

    name: NormalizedName
    current: Version | None
    proposed: Version
    """The new version."""
    wanted: Wanted
    """The requested change: for a range, the resolver can take a later version than the nearest."""
    kind: ChangeKind
    old: str | None
    """The present requirement, `sqlalchemy==2.0.50`; `None` if a line is new."""
    new: str
    """The new requirement, `sqlalchemy==2.0.54`."""
    reason: ChangeReason
    evidence: tuple[CheckedPackage, ...] = ()
    """What the audit of the proposed set reports for the package, per platform."""
    removes: tuple[NormalizedName, ...] = ()
    """The blockers that it removes; empty if only another change needs it."""
    needed_by: tuple[NormalizedName, ...] = ()
    """The other changes that need this one; empty if it removes a blocker itself."""
    required_by: tuple[tuple[str, ...], ...] = ()
    location: Location | None = None
    """The line that changes; if a line is new, the file that gets it."""

    @property
    def is_major(self) -> bool:
        """Whether the major version changes: such a release may break existing behavior."""
        return self.current is not None and self.current.release[:1] != self.proposed.release[:1]


class ProofStatus(StrEnum):
    """The result of resolving the proposed set."""

    RESOLVED = "resolved"
    UNRESOLVED = "unresolved"
    NOT_NEEDED = "not-needed"
    """There is nothing to change."""
    NOT_ASKED = "not-asked"
    """The lock file's own tool resolves, or no resolver was available."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """What uv reports about the proposed set of one input on one platform, and the result of its audit."""

    input: str
    platform: str
    status: ProofStatus
    reason: str | None = None
    """Why it was not resolved or not checked."""
    command: str | None = None
    """The command that reproduces it after the changes are written."""
    requirements: tuple[str, ...] = ()
    """The question to uv, one requirement each."""
    resolved: tuple[tuple[NormalizedName, Version | None], ...] = ()
    """The versions that fit together."""
    checked: tuple[CheckedPackage, ...] = ()
    """The packages that differ from today's, audited by the same tiers as `ftaudit check`."""
    not_proven: tuple[str, ...] = ()
    """What the proof does not show, one sentence each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The changes that remove the blockers, the packages without a way out, and the proof."""

    target: str
    platforms: tuple[str, ...]
    inputs: tuple[str, ...]
    packages: int
    """How many packages were judged, each counted once."""
    ways: tuple[WayOut, ...]
    """One for each blocked package and platform, and one for each fallback that a later release avoids."""
    changes: tuple[Change, ...]
    """In the order to make them: changes that others need come first."""
    proofs: tuple[Proof, ...]
    """One for each input and platform."""
    lock_commands: tuple[str, ...] = ()
    """For lock files: the commands of their tools that make the changes."""
    notes: tuple[str, ...] = ()
    incomplete: tuple[str, ...] = ()
    """What could not be checked, one sentence each."""
    unknown: tuple[NormalizedName, ...] = ()
    """Packages whose verdict is `unknown`."""
    interpreter: str | None = None
    traffic: tuple[tuple[str, int], ...] = ()
    outlook: Outlook | None = None
    """What the next release of CPython has for the packages, at the proposed versions."""
    reach: tuple[BlockerReach, ...] = ()
    """When the user's code loads today's blockers, the most urgent first; empty if that was not requested."""

    @property
    def blocked(self) -> tuple[NormalizedName, ...]:
        """The blockers of today, by name."""
        return tuple(dict.fromkeys(way.name for way in self.ways if way.blocks))

    @property
    def still_blocked(self) -> tuple[NormalizedName, ...]:
        """The blockers that remain after the changes, by name."""
        return tuple(dict.fromkeys(way.name for way in self.ways if way.blocks and not way.solved))

    @property
    def faster(self) -> tuple[NormalizedName, ...]:
        """Packages that fall back to pure Python today and have compiled code after the changes, by name."""
        return tuple(dict.fromkeys(way.name for way in self.ways if not way.blocks and way.solved))

    @property
    def exit_code(self) -> int:
        """`0` nothing blocks after the changes, `1` something still blocks, `3` not everything could be checked."""
        if self.still_blocked:
            return 1
        return 3 if self.incomplete or self.unknown else 0
