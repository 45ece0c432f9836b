"""Builds on this machine: what a source distribution makes here, and why it makes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from ftaudit.model.words import StrEnum, Verdict


class BuildAnswer(StrEnum):
    """What a build of a source distribution on this machine arrives at."""

    LEAVES_GIL_OFF = "leaves-gil-off"
    """The wheel holds extension modules, and importing them leaves the GIL off."""
    PURE = "pure"
    """The wheel holds no extension module."""
    TURNS_GIL_ON = "turns-gil-on"
    BROKEN = "broken"
    """It builds, and importing its modules fails."""
    UNDECIDED = "undecided"
    """It builds, and what its modules do could not be determined."""
    REFUSES = "refuses-free-threading"
    """The build itself refuses free-threaded Python."""
    FAILS = "fails"
    """It does not build here; `BuildProblem` has the reason."""


class BuildProblem(StrEnum):
    """Why a build fails on this machine."""

    REQUIREMENTS = "requirements"
    """What the build requires has no wheel for the interpreter, or cannot be fetched."""
    COMPILER = "compiler"
    """The machine has no compiler."""
    TOOL = "tool"
    """A program is missing."""
    HEADER = "header"
    """A C header is missing."""
    LIBRARY = "library"
    """A library is missing."""
    LIMITED_API = "limited-api"
    """It asks for the limited API, which free-threaded builds do not have before 3.15."""
    CRATES = "crates"
    """It needs Rust crates, and a build has no network."""
    NETWORK = "network"
    """It needs the network."""
    TIME = "time"
    MEMORY = "memory"
    DISK = "disk"
    OUTPUT = "output"
    """It prints without end."""
    SANDBOX = "sandbox"
    """This system cannot confine a build, so it was not started."""
    SDIST = "sdist"
    """The release has no source distribution, or the source distribution cannot be read."""
    ERROR = "error"
    """Something else; the first error says what."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemPackages:
    """Packages that bring a header, a library or a program, by system."""

    debian: str
    fedora: str
    homebrew: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalBuild:
    """What happened to the build of one release. It is never the verdict of a published wheel."""

    name: str
    version: str
    answer: BuildAnswer
    sdist: str | None = None
    interpreter: str | None = None
    """The version of the interpreter that it was built for and with."""
    verdict: Verdict | None = None
    """What all tiers say of the wheel that was built here."""
    reasons: tuple[str, ...] = ()
    """The reasons of that verdict, as sentences."""
    culprits: tuple[str, ...] = ()
    """The modules that turn the GIL on."""
    problem: BuildProblem | None = None
    missing: str | None = None
    """The header, library or program that is missing, or the requirement that cannot be met."""
    packages: SystemPackages | None = None
    """What brings that, where it is known."""
    error: str | None = None
    """The first error in the log, on one line."""
    wheel: str | None = None
    """The path of the wheel."""
    log: str | None = None
    """The path of the log."""
    seconds: float = 0.0
    """Wall time of the build; that of the first one, where the wheel comes from the cache."""
    cached: bool = False

    @property
    def exit_code(self) -> int:
        """0 if it builds and leaves the GIL off, 1 if something blocks, 3 if that could not be determined."""
        if self.answer in (BuildAnswer.LEAVES_GIL_OFF, BuildAnswer.PURE):
            return 0
        return 3 if self.answer is BuildAnswer.UNDECIDED or self.problem in _OURS else 1


_OURS = frozenset({BuildProblem.SANDBOX, BuildProblem.TIME, BuildProblem.MEMORY, BuildProblem.DISK})
"""Limits of this machine or of ftaudit: another one might build it."""
