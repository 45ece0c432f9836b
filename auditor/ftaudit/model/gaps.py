"""Why a tier of evidence has no answer: a kind and its data. `ftaudit.model.sentences` formats it."""

from __future__ import annotations

from dataclasses import dataclass

from ftaudit.model.words import StrEnum


class GapKind(StrEnum):
    """Why a tier has no answer. The first kinds are choices and circumstances, the others are failures."""

    NO_WHEEL = "no-wheel"
    """No wheel exists that could be read."""
    NOTHING_COMPILED = "nothing-compiled"
    NOT_OPENED = "not-opened"
    """The wheel's tags promise no compiled code, and it could not be fetched to see whether that is true."""
    REBUILD_NOT_READ = "rebuild-not-read"
    """There is no wheel, and the wheel of the GIL-enabled build was not read either: `detail`."""
    STATIC = "static"
    """Imports were not requested."""
    IMPORTS_NOTHING = "imports-nothing"
    """The command imports nothing."""
    LATER_RELEASE = "later-release"
    """Later releases are read, and not imported."""
    INSTALLED = "installed"
    """Installed packages are read in place, and not imported."""
    CONDA_PACKAGE = "conda-package"
    """A conda package is read, and not imported."""
    OTHER_MACHINE = "other-machine"
    """This machine cannot run the platform's binaries."""
    NO_INTERPRETER = "no-interpreter"
    """`detail` is the executable that is missing."""
    NO_SANDBOX = "no-sandbox"
    """The system has no sandbox to import in."""
    SOURCE_NOT_ASKED = "source-not-asked"
    STRESS_NOT_ASKED = "stress-not-asked"
    STRESS_NOT_READY = "stress-not-ready"
    """Only code that runs without the GIL can be stressed."""
    NOTHING_DRIVEN = "nothing-driven"
    """Nothing in it can be called from several threads: `detail`."""
    NO_VERSION = "no-version"
    """It has no version that could be checked."""
    LOCAL_PROJECT = "local-project"
    """`subject` is its folder."""
    NOT_ASKED = "not-asked"
    """No index was asked."""
    TOO_LARGE = "too-large"
    """Too large to fetch: `detail`."""
    UNRESOLVED = "unresolved"
    """The resolver or the input's reader reports `detail`."""
    SOURCE_TREE = "source-tree"
    """A source tree that only a build can classify: `detail`."""
    NO_PLACE = "no-place"
    """The location of the wheel is unknown."""
    NOT_LISTED = "not-listed"
    """The location of the wheel `subject` is unknown: `detail`."""
    OTHER_HASH = "other-hash"
    """The index's file `subject` has a different hash than the input."""
    HASH_UNCHECKED = "hash-unchecked"
    """The hash that the input requires could not be checked: `detail`."""
    OFFLINE = "offline"
    """The network is disabled, and the cache does not have it."""
    UNCONNECTED = "unconnected"
    """No connection could be made."""
    NO_PROJECT = "no-project"
    """Every index answers, and no index has the project `subject`; `detail` names them."""
    NO_RELEASE = "no-release"
    """The index has the project but not the version `subject`; `detail` lists what it has."""
    NO_ANSWER = "no-answer"
    """The index did not answer within `detail` seconds."""
    FAILED = "failed"
    """The attempt failed: `detail`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """Why a tier of evidence has no answer about a package."""

    kind: GapKind
    detail: str = ""
    """The data of the kind, or the failure as a phrase: the same for every package that shares it."""
    subject: str | None = None
    """The page, file, or folder of this package."""
