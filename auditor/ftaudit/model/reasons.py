"""Why a package has its verdict: a closed union of values. `ftaudit.model.sentences` puts them into words.

No reason names the platform: the same reasons on two platforms are equal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Final, TypeAlias

from ftaudit.model.binaries import Refusal
from ftaudit.model.gaps import Gap
from ftaudit.model.words import GilDeclaration, StrEnum

WORST_FIRST: Final = (
    GilDeclaration.USED,
    GilDeclaration.UNDECLARED,
    GilDeclaration.UNDETERMINED,
    GilDeclaration.NOT_USED,
)
"""What modules declare, from bad to good; the worst of them is the wheel's."""

System: TypeAlias = tuple[str, str]
"""An image format and a machine, as `ModuleBinary` names them; the machine is empty where any may be."""


class Exclusion(StrEnum):
    """Why a file that would match is not installed."""

    REQUIRES_PYTHON = "requires-python"
    """`wanted` is its range, `has` the target's version."""
    HASH = "hash"
    """Its hash is not among those that the input allows."""
    NO_BINARY = "no-binary"
    """It is a wheel, and the input allows none of the package."""
    ONLY_BINARY = "only-binary"
    """It is an sdist, and the input allows wheels alone."""
    SYSTEM = "system"
    """`wanted` is the system that its tag asks for, `has` the version that the platform has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Excluded:
    """A file that the target would install if one condition were met."""

    kind: ClassVar[str] = "excluded"
    filename: str
    by: Exclusion
    wanted: str = ""
    has: str = ""
    older: bool = False
    """What it requires are older versions of Python than the target's."""

    @property
    def is_wheel(self) -> bool:
        """Whether the file is a wheel; otherwise it is an sdist."""
        return self.filename.endswith(".whl")


@dataclass(frozen=True, kw_only=True, slots=True)
class WrongSuffix:
    """The file's name is not one that the target looks for."""

    suffix: str
    """`.cpython-314-x86_64-linux-gnu.so`."""
    executable: str
    """`python3.14t`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WrongImage:
    """The image contradicts the wheel's tag."""

    is_for: System
    wanted: tuple[System, ...]
    """Those of the wheel's systems that cannot load it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Misfit:
    """Why a module's file cannot be imported."""

    what: WrongSuffix | WrongImage
    certain: bool
    """The file is meant for the target. Otherwise it may be another build's, of no concern to the package."""

    @property
    def of_image(self) -> bool:
        """Whether the image contradicts the wheel's tag."""
        return isinstance(self.what, WrongImage)


@dataclass(frozen=True, kw_only=True, slots=True)
class Unresolved:
    """No version of the package could be found, or it cannot be looked up."""

    kind: ClassVar[str] = "unresolved"
    problem: str
    """What the resolver or the input's reader says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NotLookedUp:
    """The index tier has no answer."""

    kind: ClassVar[str] = "not-looked-up"
    gap: Gap | None


class Lack(StrEnum):
    """What there is where the target finds no wheel to install."""

    REFUSED = "refused"
    """A wheel that fits, but the input allows no wheel of the package."""
    HASHES = "hashes"
    """A wheel that fits, but the input's hashes leave it out."""
    ELSEWHERE = "elsewhere"
    """A wheel of the target's for other platforms."""
    ORDINARY = "ordinary"
    """A wheel of the ordinary (GIL) build."""
    NOTHING = "nothing"
    """No wheel at all."""
    OTHER = "other"
    """Wheels of other versions of Python."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NoWheel:
    """The target installs no wheel of the version on the platform."""

    kind: ClassVar[str] = "no-wheel"
    there: Lack
    wanted: tuple[str, ...]
    """The ABI tags that would do, `cp314t`."""
    sdist: bool
    """Whether there is an sdist to build from."""
    sdist_excluded: Excluded | None = None
    """The sdist that there is, where it is left out."""
    older: bool = False
    """The release was made for older versions of Python: the `requires-python` of its sdist excludes the target."""
    version: str | None
    elsewhere: tuple[str, ...] = ()
    """The platform tags that have such a wheel."""
    given: bool = False
    """The files are the user's own, and not an index's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rebuild:
    """What the modules in the GIL-enabled wheel would declare if they were built for the target."""

    kind: ClassVar[str] = "rebuild"
    counts: tuple[tuple[GilDeclaration, int], ...]
    """How many modules would declare what, the worst first. Never empty."""

    @property
    def worst(self) -> GilDeclaration:
        """The worst declaration: it is that of the whole wheel."""
        return self.counts[0][0]

    @property
    def tells(self) -> bool:
        """Whether any module could be determined."""
        return any(declaration is not GilDeclaration.UNDETERMINED for declaration, _ in self.counts)


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusedWheel:
    """Installers refuse the wheel."""

    kind: ClassVar[str] = "refused"
    told: str
    """What is wrong with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleFails:
    """A module cannot be loaded by the target, or crashes when it is imported."""

    kind: ClassVar[str] = "module-fails"
    module: str
    misfit: Misfit | None = None
    gil_build: bool = False
    """It was compiled for the build with the GIL."""
    evidence: str | None = None
    """What in the image shows that."""
    refusal: Refusal | None = None
    """Why the target refuses it."""
    version: tuple[int, int] = (0, 0)
    """The target's."""
    told: str | None = None
    """What its import ended with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportFails:
    """A plain `import NAME` of the package fails."""

    kind: ClassVar[str] = "import-fails"
    name: str
    told: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StartUpFails:
    """A file that runs when an interpreter starts ends that interpreter."""

    kind: ClassVar[str] = "start-up-fails"
    file: str
    told: str
    """How it ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnsOnAtStartUp:
    """A file that runs when an interpreter starts turns the GIL on."""

    kind: ClassVar[str] = "turns-on-at-start-up"
    file: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnsOnUnlisted:
    """An import of the package turns the GIL on through modules that no wheel lists."""

    kind: ClassVar[str] = "turns-on-unlisted"
    modules: tuple[str, ...]
    """Each name with its file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnsOnUnnamed:
    """The GIL is on after an import, and what turned it on is not known."""

    kind: ClassVar[str] = "turns-on-unnamed"
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Contested:
    """Another distribution has a different file in the place of an extension module."""

    kind: ClassVar[str] = "contested"
    file: str
    other: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TiersDisagree:
    """A module's binary says that it turns the GIL on, and its import says that it does not."""

    kind: ClassVar[str] = "tiers-disagree"
    module: str
    declaration: GilDeclaration


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnsOn:
    """Modules turn the GIL back on."""

    kind: ClassVar[str] = "turns-on"
    modules: tuple[str, ...]
    total: int
    """How many extension modules the wheel has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Declares:
    """What a module that turns the GIL on declares."""

    kind: ClassVar[str] = "declares"
    declaration: GilDeclaration | None
    made_with: str | None
    """`Cython 3.2.9`."""
    seen: bool
    """An import showed it; otherwise it was read from the binary."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlainImportOff:
    """A plain `import NAME` leaves the GIL off although some module of the package does not."""

    kind: ClassVar[str] = "plain-import-off"
    name: str
    lazily: tuple[str, ...] = ()
    """The imports that lead to a module that turns it on once a lazy import is resolved (PEP 810)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TierFailed:
    """A tier could not do its work, so that its answer cannot be relied on."""

    kind: ClassVar[str] = "tier-failed"
    gap: Gap


@dataclass(frozen=True, kw_only=True, slots=True)
class NothingLookedAt:
    """No module of the package was checked."""

    kind: ClassVar[str] = "nothing-looked-at"
    why: tuple[Gap, ...]
    """Why each tier was left out; empty where none says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Undetermined:
    """Modules whose effect on the GIL is not known."""

    kind: ClassVar[str] = "undetermined"
    modules: tuple[str, ...]
    total: int


@dataclass(frozen=True, kw_only=True, slots=True)
class WhyUndetermined:
    """Why a module could not be determined, or several."""

    kind: ClassVar[str] = "why-undetermined"
    module: str | None
    """`None` where several have it in common."""
    misfit: Misfit | None = None
    binary: str | None = None
    """Why the binary did not tell."""
    runtime: str | None = None
    """What the import ended with."""


class Plainly(StrEnum):
    """Reasons that need no data."""

    FALLBACK = "fallback"
    """The target gets the pure-Python wheel although compiled ones exist."""
    NO_COMPILED_CODE = "no-compiled-code"
    SOURCE_TREE = "source-tree-without-compiled-sources"
    BUILT_FROM_SOURCE = "built-from-source"
    """The release has no wheel, and an installer builds a pure-Python wheel from the sdist."""
    NO_EXTENSION_MODULE = "no-extension-module"
    """The wheel holds compiled code, and no extension module."""

    @property
    def kind(self) -> str:
        """The name of the reason."""
        return self.value


@dataclass(frozen=True, kw_only=True, slots=True)
class AllOff:
    """Every extension module leaves the GIL off."""

    kind: ClassVar[str] = "all-off"
    total: int
    imported: bool
    """Some were imported; otherwise the binaries were read."""


Reason: TypeAlias = (
    Unresolved
    | NotLookedUp
    | NoWheel
    | Rebuild
    | Excluded
    | RefusedWheel
    | ModuleFails
    | ImportFails
    | StartUpFails
    | TurnsOnAtStartUp
    | TurnsOnUnlisted
    | TurnsOnUnnamed
    | Contested
    | TiersDisagree
    | TurnsOn
    | Declares
    | PlainImportOff
    | TierFailed
    | NothingLookedAt
    | Undetermined
    | WhyUndetermined
    | Plainly
    | AllOff
)
"""One reason of a verdict."""
Reasons: TypeAlias = tuple[Reason, ...]


def in_common(reason: Reason) -> Reason:
    """Return a reason without the page or file of the package's own, so that packages can have it in common."""
    match reason:
        case NotLookedUp(gap=Gap() as gap):
            return NotLookedUp(gap=replace(gap, subject=None))
        case TierFailed(gap=gap):
            return TierFailed(gap=replace(gap, subject=None))
        case NothingLookedAt(why=why):
            return NothingLookedAt(why=tuple(replace(gap, subject=None) for gap in why))
        case _:
            return reason
