"""Why a package has its verdict: a closed union of values. `ftaudit.model.sentences` formats them.

No reason names the platform: the same reasons on two platforms are equal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Final, TypeAlias

from ftaudit.model.binaries import Refusal
from ftaudit.model.gaps import Gap
from ftaudit.model.words import GilDeclaration, Location, StrEnum

WORST_FIRST: Final = (
    GilDeclaration.USED,
    GilDeclaration.UNDECLARED,
    GilDeclaration.UNDETERMINED,
    GilDeclaration.NOT_USED,
)
"""What modules declare, from good to bad; the worst declaration is the wheel's."""

System: TypeAlias = tuple[str, str]
"""An image format and a machine, as `ModuleBinary` names them; the machine is empty if any machine matches."""


class Exclusion(StrEnum):
    """Why a matching file is not installed."""

    REQUIRES_PYTHON = "requires-python"
    """`wanted` is its range, `has` the target's version."""
    HASH = "hash"
    """Its hash is not among those that the input allows."""
    NO_BINARY = "no-binary"
    """It is a wheel, and the input does not allow wheels of the package."""
    ONLY_BINARY = "only-binary"
    """It is an sdist, and the input allows only wheels."""
    SYSTEM = "system"
    """`wanted` is the system that its tag requires, `has` the version on the platform."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Excluded:
    """A file that the target would install if one condition were met."""

    kind: ClassVar[str] = "excluded"
    filename: str
    by: Exclusion
    wanted: str = ""
    has: str = ""
    older: bool = False
    """It requires Python versions older than the target's."""

    @property
    def is_wheel(self) -> bool:
        """Whether the file is a wheel; otherwise it is an sdist."""
        return self.filename.endswith(".whl")


@dataclass(frozen=True, kw_only=True, slots=True)
class WrongSuffix:
    """The target does not look for files of this name."""

    suffix: str
    """`.cpython-314-x86_64-linux-gnu.so`."""
    executable: str
    """`python3.14t`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WrongImage:
    """The image contradicts the wheel's tag."""

    is_for: System
    wanted: tuple[System, ...]
    """The systems of the wheel that cannot load it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Misfit:
    """Why a module's file cannot be imported."""

    what: WrongSuffix | WrongImage
    certain: bool
    """The file is meant for the target. Otherwise it may belong to another build, and does not affect the package."""

    @property
    def of_image(self) -> bool:
        """Whether the image contradicts the wheel's tag."""
        return isinstance(self.what, WrongImage)


@dataclass(frozen=True, kw_only=True, slots=True)
class Unresolved:
    """No version of the package could be found, or it cannot be looked up."""

    kind: ClassVar[str] = "unresolved"
    problem: str
    """The message of the resolver or the input's reader."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NotLookedUp:
    """The index tier has no answer."""

    kind: ClassVar[str] = "not-looked-up"
    gap: Gap | None


class Lack(StrEnum):
    """What exists if the target finds no wheel to install."""

    REFUSED = "refused"
    """A wheel that fits, but the input allows no wheel of the package."""
    HASHES = "hashes"
    """A wheel that fits, but the input's hashes exclude it."""
    ELSEWHERE = "elsewhere"
    """A wheel for the target on other platforms."""
    ORDINARY = "ordinary"
    """A wheel of the GIL-enabled build."""
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
    """The ABI tags that would fit, `cp314t`."""
    sdist: bool
    """Whether there is an sdist to build from."""
    sdist_excluded: Excluded | None = None
    """The existing sdist, if it is excluded."""
    older: bool = False
    """The release was made for older versions of Python: the `requires-python` of its sdist excludes the target."""
    version: str | None
    elsewhere: tuple[str, ...] = ()
    """The platform tags that have such a wheel."""
    given: bool = False
    """The files belong to the user, not to an index."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rebuild:
    """What the modules in the GIL-enabled wheel would declare if they were built for the target."""

    kind: ClassVar[str] = "rebuild"
    counts: tuple[tuple[GilDeclaration, int], ...]
    """The number of modules for each declaration, the worst first. Never empty."""

    @property
    def worst(self) -> GilDeclaration:
        """The worst declaration, which counts for the whole wheel."""
        return self.counts[0][0]

    @property
    def tells(self) -> bool:
        """Whether any module could be determined."""
        return any(declaration is not GilDeclaration.UNDETERMINED for declaration, _ in self.counts)


@dataclass(frozen=True, kw_only=True, slots=True)
class InSource:
    """What the source scanner reports about the declarations in an sdist."""

    kind: ClassVar[str] = "in-source"
    sdist: str
    declares: GilDeclaration
    """The worst declaration; `undetermined` if no rule supports the tool that makes the modules."""
    places: tuple[Location, ...]
    """The place in the sdist that shows it."""
    unread: int = 0
    """Files that could not be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusedWheel:
    """Installers refuse the wheel."""

    kind: ClassVar[str] = "refused"
    detail: str
    """What is wrong with the wheel."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleFails:
    """The target cannot load a module, or the module crashes on import."""

    kind: ClassVar[str] = "module-fails"
    module: str
    misfit: Misfit | None = None
    gil_build: bool = False
    """It was compiled for the GIL-enabled build."""
    evidence: str | None = None
    """What in the image shows that."""
    refusal: Refusal | None = None
    """Why the target refuses it."""
    version: tuple[int, int] = (0, 0)
    """The target's."""
    detail: str | None = None
    """How its import ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportFails:
    """A plain `import NAME` of the package fails."""

    kind: ClassVar[str] = "import-fails"
    name: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StartUpFails:
    """A file that runs when an interpreter starts ends that interpreter."""

    kind: ClassVar[str] = "start-up-fails"
    file: str
    detail: str
    """How the interpreter ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnsOnAtStartUp:
    """A file that runs when an interpreter starts enables the GIL."""

    kind: ClassVar[str] = "turns-on-at-start-up"
    file: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnsOnUnlisted:
    """An import of the package enables the GIL through modules that no wheel lists."""

    kind: ClassVar[str] = "turns-on-unlisted"
    modules: tuple[str, ...]
    """Each name with its file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnsOnUnnamed:
    """The GIL is on after an import, and the cause is not known."""

    kind: ClassVar[str] = "turns-on-unnamed"
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Contested:
    """Another distribution has a different file at the path of an extension module."""

    kind: ClassVar[str] = "contested"
    file: str
    other: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TiersDisagree:
    """A module's binary says that it enables the GIL, but its import shows that it does not."""

    kind: ClassVar[str] = "tiers-disagree"
    module: str
    declaration: GilDeclaration


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnsOn:
    """Modules enable the GIL again."""

    kind: ClassVar[str] = "turns-on"
    modules: tuple[str, ...]
    total: int
    """The number of extension modules in the wheel."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Declares:
    """The declaration of a module that enables the GIL."""

    kind: ClassVar[str] = "declares"
    declaration: GilDeclaration | None
    made_with: str | None
    """`Cython 3.2.9`."""
    seen: bool
    """An import showed it; otherwise the binary shows it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlainImportOff:
    """A plain `import NAME` leaves the GIL disabled although some module of the package does not."""

    kind: ClassVar[str] = "plain-import-off"
    name: str
    lazily: tuple[str, ...] = ()
    """The imports that lead to a module that enables the GIL after a lazy import is resolved (PEP 810)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TierFailed:
    """A tier failed, so its answer is not reliable."""

    kind: ClassVar[str] = "tier-failed"
    gap: Gap


@dataclass(frozen=True, kw_only=True, slots=True)
class NothingLookedAt:
    """No module of the package was checked."""

    kind: ClassVar[str] = "nothing-looked-at"
    why: tuple[Gap, ...]
    """Why each tier was skipped; empty if no tier states a reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Undetermined:
    """Modules with an unknown effect on the GIL."""

    kind: ClassVar[str] = "undetermined"
    modules: tuple[str, ...]
    total: int


@dataclass(frozen=True, kw_only=True, slots=True)
class WhyUndetermined:
    """Why one or several modules could not be determined."""

    kind: ClassVar[str] = "why-undetermined"
    module: str | None
    """`None` if several modules share it."""
    misfit: Misfit | None = None
    binary: str | None = None
    """Why the binary was not conclusive."""
    runtime: str | None = None
    """How the import ended."""


class Plainly(StrEnum):
    """Reasons without data."""

    FALLBACK = "fallback"
    """The target gets the pure-Python wheel though compiled wheels exist."""
    NO_COMPILED_CODE = "no-compiled-code"
    SOURCE_TREE = "source-tree-without-compiled-sources"
    BUILT_FROM_SOURCE = "built-from-source"
    """The release has no wheel, and an installer builds a pure-Python wheel from the sdist."""
    NO_EXTENSION_MODULE = "no-extension-module"
    """The wheel contains compiled code, but no extension module."""

    @property
    def kind(self) -> str:
        """The name of the reason."""
        return self.value


@dataclass(frozen=True, kw_only=True, slots=True)
class AllOff:
    """Every extension module leaves the GIL disabled."""

    kind: ClassVar[str] = "all-off"
    total: int
    imported: bool
    """Some modules were imported; otherwise the binaries were read."""


Reason: TypeAlias = (
    Unresolved
    | NotLookedUp
    | NoWheel
    | Rebuild
    | InSource
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
    """Return a reason without the page or file of the package, so that packages can share it."""
    match reason:
        case NotLookedUp(gap=Gap() as gap):
            return NotLookedUp(gap=replace(gap, subject=None))
        case TierFailed(gap=gap):
            return TierFailed(gap=replace(gap, subject=None))
        case NothingLookedAt(why=why):
            return NothingLookedAt(why=tuple(replace(gap, subject=None) for gap in why))
        case _:
            return reason
