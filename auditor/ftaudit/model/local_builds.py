"""Builds on this machine: the result of a source distribution here, and why it fails."""

from __future__ import annotations

from dataclasses import dataclass

from ftaudit.model.words import StrEnum, Verdict


class BuildAnswer(StrEnum):
    """The result of building a source distribution on this machine."""

    LEAVES_GIL_OFF = "leaves-gil-off"
    """The wheel contains extension modules, and importing them leaves the GIL disabled."""
    PURE = "pure"
    """The wheel contains no extension module."""
    TURNS_GIL_ON = "turns-gil-on"
    BROKEN = "broken"
    """It builds, but importing its modules fails."""
    UNDECIDED = "undecided"
    """It builds, but the effect of its modules could not be determined."""
    REFUSES = "refuses-free-threading"
    """The build itself refuses free-threaded Python."""
    FAILS = "fails"
    """It does not build here; `BuildProblem` has the reason."""


class BuildProblem(StrEnum):
    """Why a build fails on this machine."""

    REQUIREMENTS = "requirements"
    """A build requirement has no wheel for the interpreter, or cannot be fetched."""
    COMPILER = "compiler"
    """The machine has no compiler."""
    TOOL = "tool"
    """A program is missing."""
    HEADER = "header"
    """A C header is missing."""
    LIBRARY = "library"
    """A library is missing."""
    LIMITED_API = "limited-api"
    """It uses the limited API, which free-threaded builds do not have before 3.15."""
    CRATES = "crates"
    """It needs Rust crates, and a build has no network."""
    NETWORK = "network"
    """It needs the network."""
    TIME = "time"
    MEMORY = "memory"
    DISK = "disk"
    OUTPUT = "output"
    """Its output does not end."""
    SANDBOX = "sandbox"
    """This system cannot confine a build, so it was not started."""
    UNREACHABLE = "unreachable"
    """The source distribution could not be fetched, so nothing was built."""
    SDIST = "sdist"
    """The release has no source distribution, or the source distribution cannot be read."""
    ERROR = "error"
    """Any other cause; see the first error."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemPackages:
    """Packages that provide a header, a library, or a program, by system."""

    debian: str
    fedora: str
    homebrew: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalBuild:
    """The result of building one release. It is never the verdict of a published wheel."""

    name: str
    version: str
    answer: BuildAnswer
    sdist: str | None = None
    interpreter: str | None = None
    """The version of the interpreter that built it."""
    verdict: Verdict | None = None
    """What all tiers say about the wheel that was built here."""
    reasons: tuple[str, ...] = ()
    """The reasons of that verdict, as sentences."""
    culprits: tuple[str, ...] = ()
    """The modules that enable the GIL."""
    problem: BuildProblem | None = None
    missing: str | None = None
    """The missing header, library, or program, or the requirement that cannot be met."""
    packages: SystemPackages | None = None
    """What provides it, if that is known."""
    error: str | None = None
    """The first error in the log, on one line."""
    wheel: str | None = None
    """The path of the wheel."""
    log: str | None = None
    """The path of the log."""
    seconds: float = 0.0
    """Wall time of the build; of the first build if the wheel comes from the cache."""
    cached: bool = False

    @property
    def exit_code(self) -> int:
        """0 if it builds and leaves the GIL disabled, 1 if something blocks, 3 if that could not be determined."""
        if self.answer in (BuildAnswer.LEAVES_GIL_OFF, BuildAnswer.PURE):
            return 0
        return 3 if self.answer is BuildAnswer.UNDECIDED or self.problem in _OURS else 1


_OURS = frozenset(
    {BuildProblem.UNREACHABLE, BuildProblem.SANDBOX, BuildProblem.TIME, BuildProblem.MEMORY, BuildProblem.DISK}
)
"""Limits of this machine, its network or ftaudit: another machine may be able to build it."""
