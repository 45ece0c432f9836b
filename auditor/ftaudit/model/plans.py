"""The words of a plan: the ways out of what blocks, the changes that take them, and the proof that they fit together.

Plain frozen data, made by `ftaudit.planning` and rendered by `ftaudit.report`; nothing here decides anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from ftaudit.model.gaps import Gap
from ftaudit.model.outlook import Outlook
from ftaudit.model.reasons import Excluded, Reasons
from ftaudit.model.words import BLOCKING, GilDeclaration, Location, StrEnum, Verdict


class Fate(StrEnum):
    """What a release would be to the target on one platform, by its files and what its wheel's modules declare."""

    GOOD = "good"
    """A wheel that the target installs, and every module leaves the GIL off."""
    UNDETERMINED = "undetermined"
    """A wheel that the target installs, of which some module could not be read; none is known to turn the GIL on."""
    FALLBACK = "fallback"
    """The target gets a pure-Python wheel of a package that has compiled ones: it works, slower."""
    REENABLES_GIL = "reenables-gil"
    BROKEN = "broken"
    """The target installs its wheel, and cannot load what is in it."""
    NO_WHEEL = "no-wheel"
    YANKED = "yanked"
    """It would have such a wheel, but that was yanked."""
    PRE_RELEASE = "pre-release"
    REQUIRES_PYTHON = "requires-python"
    """Its files exclude the target's version of Python."""
    EXCLUDED = "excluded"
    """The other requirements exclude it: uv's reason is given."""
    BLOCKED_ON_IMPORT = "blocked-on-import"
    """Its binaries look well, but importing it turned the GIL on or failed."""
    NOT_LOOKED_INTO = "not-looked-into"
    """It has such a wheel, which was not read: there are too many of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One later release of a blocked package, on one platform."""

    version: Version
    fate: Fate
    wheel: str | None = None
    """File name of the wheel that the target installs."""
    verdict: Verdict | None = None
    """What the verdict table says of it, from its files and binaries; `None` where its wheel was not read."""
    why: Reasons = ()
    """The reasons of the verdict."""
    excluded: Excluded | None = None
    """The file that is left out, where that decides."""
    elsewhere: tuple[str, ...] = ()
    """Platform tags of its free-threaded wheels, where the platform has none."""
    has_no_wheel: bool = False
    """It has no wheel at all, for no build and no platform."""
    yanked: str | None = None
    """Why the wheel that would be installed was yanked; may be empty."""
    told: str | None = None
    """What the audit of a proposed set, or uv, says against it or for it."""

    @property
    def is_good(self) -> bool:
        """Whether `ftaudit check --static` calls it ready, pure or a fallback."""
        return self.verdict in (Verdict.READY, Verdict.PURE, Verdict.FALLBACK)


@dataclass(frozen=True, kw_only=True, slots=True)
class OrdinaryWheel:
    """What the modules in the GIL-enabled wheel of the same version say about a rebuild."""

    wheel: str | None
    """Its file name."""
    declares: GilDeclaration
    """The worst that a module would declare."""
    modules: int
    """How many would declare that."""
    total: int


@dataclass(frozen=True, kw_only=True, slots=True)
class InSource:
    """What the source scanner says of the declarations in an sdist."""

    sdist: str
    declares: GilDeclaration
    """The worst of them; `undetermined` where no rule knows what makes the modules."""
    places: tuple[Location, ...]
    """Where the sdist says so."""
    unread: int = 0
    """Files that could not be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NotRead:
    """The sdist's source was not read."""

    sdist: str
    problem: str | None
    """Why it could not be had; `None` where it is too large to be fetched for this."""


BuildEvidence: TypeAlias = OrdinaryWheel | InSource | NotRead
"""The source that shows what a build would declare."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceEvidence:
    """What building the blocked release, or the newest, from its sdist would give."""

    sdist: str | None
    """File name of the sdist; `None` if there is no sdist."""
    version: Version
    would_declare: GilDeclaration
    """What the modules of a build for the target would declare, all taken together; the worst of them counts."""
    evidence: tuple[BuildEvidence, ...]
    contradicted: bool = False
    """The source declares no use of the GIL, and the wheel that was made of it turns the GIL on all the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Switch:
    """A documented setting that keeps a package's extension modules from turning the GIL on; a hint, never evidence."""

    package: NormalizedName
    versions: str
    """The versions that have it, as a specifier; empty for all."""
    setting: str
    """`NAME=VALUE` of an environment variable, or what else is to be set."""
    effect: str
    """What it does, and what it costs, in one sentence."""
    source: str
    """The documentation that says so."""
    checked: str
    """The day on which that was read, `2026-11-21`."""


class WayKind(StrEnum):
    """The best way out that there is."""

    UPGRADE = "upgrade"
    FALLBACK = "fallback"
    """No good release, but one that falls back to pure Python: it does not block, and is slower."""
    SWITCH = "switch"
    """No such release, but a documented setting."""
    BUILD = "build"
    """No such release, but an sdist whose modules would leave the GIL off."""
    NONE = "none"
    UNKNOWN = "unknown"
    """The answer is unknown: the index did not answer, or no index lists the package."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WayOut:
    """What can be done about one blocked package on one platform."""

    name: NormalizedName
    current: Version | None
    platform: str
    verdict: Verdict
    """Why it blocks."""
    why: Reasons
    """The report's reasons for the verdict, most important first."""
    kind: WayKind
    problem: Gap | None = None
    """What the index answered, where later releases could not be looked up."""
    first: Candidate | None = None
    """The nearest later release that does not block, by index and binary evidence."""
    newest_good: Version | None = None
    fallback: Version | None = None
    """The nearest later release that falls back to pure Python."""
    passed_over: tuple[Candidate, ...] = ()
    """Later releases before `first` (all of them if there is no `first`), oldest first, each with the reason."""
    given_up: str | None = None
    """What keeps the plan from taking it: uv's words, or what the audit of the proposed set found."""
    newest: Version | None = None
    """The newest final release on the index, whatever it is."""
    source: SourceEvidence | None = None
    switches: tuple[Switch, ...] = ()
    required_by: tuple[tuple[str, ...], ...] = ()
    """Chains from a root requirement down to the package, shortest first."""
    location: Location | None = None
    """Where the root requirement of the first chain stands."""
    solved: bool = False
    """Whether the plan's changes, together, remove this blocker, or bring the compiled code back."""

    @property
    def first_good(self) -> Version | None:
        """The version of the nearest later release that does not block."""
        return None if self.first is None else self.first.version

    @property
    def blocks(self) -> bool:
        """Whether the package blocks today; otherwise it falls back to pure Python, and a release does not."""
        return self.verdict in BLOCKING


class ChangeKind(StrEnum):
    """What is to be edited for a change."""

    REQUIREMENT = "requirement"
    """A line or dependency of the user's."""
    CONSTRAINT = "constraint"
    """Something else needs the package: a new line that constrains it."""
    LOCK = "lock"
    """The lock file's own tool has to make it."""
    IMPLIED = "implied"
    """Nothing: the other changes bring it about."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A package that is to change, or may."""

    version: Version
    """The nearest version that will do."""
    not_these: frozenset[Version] = frozenset()
    """Later versions that will not."""

    def instead_of(self, old: SpecifierSet | None) -> SpecifierSet:
        """Return what is written instead of a specifier, or on a new line.

        One version stays one version. A range begins at the nearest version and keeps whatever else admits that.
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
        """The nearest version or a later one that will do."""
        after = sorted(version for version in self.not_these if version > self.version)
        return SpecifierSet(",".join((f">={self.version}", *(f"!={version}" for version in after))))


class Aim(StrEnum):
    """What a change is for."""

    REMOVE = "remove"
    """It removes a blocker."""
    FASTER = "faster"
    """It brings compiled code back to a package that falls back to pure Python."""
    FIT = "fit"
    """Other changes do not go together with the present version."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeReason:
    """Why a version changes, and why to that one."""

    aim: Aim
    unsure: bool = False
    """Whether it then blocks could not be determined."""
    nearer: Version | None = None
    """A nearer good release, which does not go together with the rest."""
    slower: bool = False
    """The proposed release falls back to pure Python."""
    through: str | None = None
    """The package that pulls it in, where a line of its own is needed."""
    excluded_by: tuple[str, ...] = ()
    """Requirements of the project, outside the lock file, that have to change first, as the project writes them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedPackage:
    """What the audit of the proposed set says of one package of it that is not in today's."""

    name: NormalizedName
    version: Version | None
    platform: str
    verdict: Verdict
    why: Reasons
    wheel: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One version that is to change."""

    name: NormalizedName
    current: Version | None
    proposed: Version
    """The version at which it arrives."""
    wanted: Wanted
    """The requested change: for a range, the resolver can take a later version than the nearest."""
    kind: ChangeKind
    old: str | None
    """The requirement as it is, `sqlalchemy==2.0.50`; `None` where a line is new."""
    new: str
    """The new requirement, `sqlalchemy==2.0.54`."""
    reason: ChangeReason
    evidence: tuple[CheckedPackage, ...] = ()
    """What the audit of the proposed set says of the package, per platform."""
    removes: tuple[NormalizedName, ...] = ()
    """The blockers that go with it; empty where the change is only needed by another."""
    needed_by: tuple[NormalizedName, ...] = ()
    """The other changes that want this one; empty where it removes a blocker itself."""
    required_by: tuple[tuple[str, ...], ...] = ()
    location: Location | None = None
    """The line that changes; where a line is new, the file that takes it."""

    @property
    def is_major(self) -> bool:
        """Whether the first number of the version changes: such a release may break what it did before."""
        return self.current is not None and self.current.release[:1] != self.proposed.release[:1]


class ProofStatus(StrEnum):
    """What came of resolving the proposed set."""

    RESOLVED = "resolved"
    UNRESOLVED = "unresolved"
    NOT_NEEDED = "not-needed"
    """Nothing is to change."""
    NOT_ASKED = "not-asked"
    """The lock file's own tool resolves, or no resolver was available."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """What uv says of the proposed set of one input on one platform, and what an audit of it said."""

    input: str
    platform: str
    status: ProofStatus
    reason: str | None = None
    """Why it was not resolved or not asked."""
    command: str | None = None
    """What reproduces it, once the changes are written."""
    requirements: tuple[str, ...] = ()
    """What uv was asked, one requirement each."""
    resolved: tuple[tuple[NormalizedName, Version | None], ...] = ()
    """The versions that go together."""
    checked: tuple[CheckedPackage, ...] = ()
    """The packages that differ from today's, audited by the same tiers as `ftaudit check`."""
    not_proven: tuple[str, ...] = ()
    """What this does not show, one sentence each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What to change so that the blockers go, what has no way out yet, and the proof."""

    target: str
    platforms: tuple[str, ...]
    inputs: tuple[str, ...]
    packages: int
    """How many packages were judged, each counted once."""
    ways: tuple[WayOut, ...]
    """One for each blocked package and platform, and one for each that falls back where a release does not."""
    changes: tuple[Change, ...]
    """In the order in which to make them: what others need first."""
    proofs: tuple[Proof, ...]
    """One for each input and platform."""
    lock_commands: tuple[str, ...] = ()
    """For lock files: the commands of their own tools that make the changes."""
    notes: tuple[str, ...] = ()
    incomplete: tuple[str, ...] = ()
    """What could not be checked, one sentence each."""
    unknown: tuple[NormalizedName, ...] = ()
    """Packages whose verdict is `unknown`."""
    interpreter: str | None = None
    traffic: tuple[tuple[str, int], ...] = ()
    outlook: Outlook | None = None
    """What the next release of CPython has of the packages, at the versions that are proposed."""

    @property
    def blocked(self) -> tuple[NormalizedName, ...]:
        """What blocks today, by name."""
        return tuple(dict.fromkeys(way.name for way in self.ways if way.blocks))

    @property
    def still_blocked(self) -> tuple[NormalizedName, ...]:
        """What would block once the changes are made, by name."""
        return tuple(dict.fromkeys(way.name for way in self.ways if way.blocks and not way.solved))

    @property
    def faster(self) -> tuple[NormalizedName, ...]:
        """What falls back to pure Python today and has its compiled code once the changes are made, by name."""
        return tuple(dict.fromkeys(way.name for way in self.ways if not way.blocks and way.solved))

    @property
    def exit_code(self) -> int:
        """`0` nothing blocks once the changes are made, `1` something still does, `3` not all could be checked."""
        if self.still_blocked:
            return 1
        return 3 if self.incomplete or self.unknown else 0
