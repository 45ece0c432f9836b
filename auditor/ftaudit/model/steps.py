"""What to do about a verdict: a closed union of values. `ftaudit.model.sentences` formats them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from packaging.version import Version

from ftaudit.model.gaps import Gap
from ftaudit.model.plans import Candidate
from ftaudit.model.words import GilDeclaration, StrEnum, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class NoLead:
    """Later releases could not be looked up."""

    gap: Gap


@dataclass(frozen=True, kw_only=True, slots=True)
class GoodRelease:
    """The nearest later release that is ready or pure according to the verdict table."""

    first: Version
    newest: Version
    slower: Version | None = None
    """A nearer release that falls back to pure Python."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NoGoodRelease:
    """No final release is good. At least one of these alternatives exists."""

    name: str
    newest: Candidate | None = None
    """The newest with a compiled wheel that the target installs."""
    slower: Version | None = None
    """The first with a pure-Python wheel."""
    early: Candidate | None = None
    """The newest pre-release, if it is good."""


Lead: TypeAlias = NoLead | GoodRelease | NoGoodRelease
"""The known facts about the later releases of a package. From files and binaries: nothing is imported."""


class Simply(StrEnum):
    """Steps without data."""

    LOCK_AGAIN = "lock-again"
    """With the hashes of all the files of the release."""
    REPORT = "report-upstream"
    BUILD_TREE = "build-tree"
    """Build a wheel of the local project, and pass it to ftaudit."""
    FILL_CACHE = "fill-cache"
    """Run once with a network."""
    CHECK_NETWORK = "check-network"
    BUILD_AGAIN = "build-again"
    """No installer accepts the wheel in its present form."""

    @property
    def kind(self) -> str:
        """The name of the step."""
        return self.value


@dataclass(frozen=True, kw_only=True, slots=True)
class Upgrade:
    """What is known about later releases."""

    kind: ClassVar[str] = "upgrade"
    lead: Lead
    decided_by: str | None = None
    """The package that pulls this one in and so determines its version."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NothingLater:
    """No later release to try."""

    kind: ClassVar[str] = "nothing-later"
    verdict: Verdict
    rebuild: GilDeclaration | None = None
    """What a build from the sdist would declare, if the GIL-enabled wheel shows it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportThere:
    """Only an import on that platform can show it."""

    kind: ClassVar[str] = "import-there"
    target: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Download:
    """The index has the wheel that the user's files lack."""

    kind: ClassVar[str] = "download"
    command: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Remedy:
    """What a rule recommends."""

    kind: ClassVar[str] = "remedy"
    text: str
    rule: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeWheel:
    """Build the missing wheel."""

    kind: ClassVar[str] = "make-wheel"
    executable: str
    """`python3.14t`."""
    release: str | None
    """`NAME==VERSION`, if the index may have it although the given files do not."""


Step: TypeAlias = Simply | Upgrade | NothingLater | ImportThere | Download | Remedy | MakeWheel
"""What to do next."""
