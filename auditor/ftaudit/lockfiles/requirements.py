"""What an input file says: requirements with their places, index options, locked packages and problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from ftaudit.model import DistributionFile, Location, OnDisk, StrEnum

ALL: Final = ":all:"
"""What pip's `--no-binary` and `--only-binary` call every package."""


class InputFormat(StrEnum):
    """The formats that `read` knows."""

    REQUIREMENTS_TXT = "requirements.txt"
    PYLOCK = "pylock.toml"
    UV_LOCK = "uv.lock"
    PYPROJECT = "pyproject.toml"
    SETUPTOOLS = "setup.cfg"
    POETRY_LOCK = "poetry.lock"
    PDM_LOCK = "pdm.lock"
    PIPFILE_LOCK = "Pipfile.lock"
    CONDA = "environment.yml"
    ENVIRONMENT = "installed environment"
    WHEELS = "folder of wheels"
    SCRIPT = "script.py"
    PIP_LIST = "pip list"
    PIP_INSPECT = "pip inspect"
    CYCLONEDX = "CycloneDX"
    SPDX = "SPDX"
    PIXI_LOCK = "pixi.lock"
    CONDA_LOCK = "conda-lock.yml"
    TOX = "tox.ini"


class ReferenceKind(StrEnum):
    """What a requirement that is not looked up by name points at."""

    FILE = "file"
    """A wheel or an sdist, by `https://` or `file://`."""
    TREE = "tree"
    """A local folder with a project in it."""
    VCS = "vcs"
    """A repository; it is not fetched, for it would have to be built."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """Where a direct requirement stands."""

    kind: ReferenceKind
    url: str
    """A URL without fragment, or for a tree the folder's path. It may hold credentials: never print it as it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InputRequirement:
    """One requirement or constraint of the user's, and where it is written."""

    name: NormalizedName | None
    """`None` when only what `reference` points at could tell."""
    specifier: SpecifierSet = field(default_factory=SpecifierSet)
    extras: tuple[str, ...] = ()
    marker: str | None = None
    location: Location
    hashes: frozenset[str] = frozenset()
    """`algorithm:digest`, as `--hash` gives them."""
    reference: Reference | None = None

    @property
    def exact(self) -> Version | None:
        """The version, when the requirement allows one alone (`==1.2`, `===1.2`, not `==1.*`)."""
        for specifier in self.specifier:
            if specifier.operator in ("==", "===") and not specifier.version.endswith(".*"):
                try:
                    return Version(specifier.version)
                except ValueError:  # InvalidVersion, or more digits than Python converts.
                    return None
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """A requirement that cannot be followed: it becomes a row of the report."""

    name: str
    """A package name, or the text of the requirement if there is no name."""
    message: str
    location: Location


@dataclass(frozen=True, kw_only=True, slots=True)
class InputIndexes:
    """Where the input says that packages come from."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    no_index: bool = False
    find_links: tuple[str, ...] = ()
    """URLs or absolute paths."""
    pre: bool = False
    only_binary: tuple[str, ...] = ()
    """Names of packages that are not to be built, or `:all:`."""
    no_binary: tuple[str, ...] = ()
    """Names of packages whose wheels are not to be used, or `:all:`; a name weighs more than `:all:`."""
    trusted_hosts: tuple[str, ...] = ()

    def allows_wheels(self, name: NormalizedName) -> bool:
        """Return whether a wheel of the package may be installed."""
        return name in self.only_binary or (
            name not in self.no_binary and (ALL in self.only_binary or ALL not in self.no_binary)
        )

    def allows_builds(self, name: NormalizedName) -> bool:
        """Return whether the package may be built."""
        return name not in self.only_binary and (name in self.no_binary or ALL not in self.only_binary)


@dataclass(frozen=True, kw_only=True, slots=True)
class Edge:
    """One locked package's need of another."""

    name: NormalizedName
    version: str | None = None
    """Tells forked versions of one package apart, where the lock file has several."""
    source: str | None = None
    """Tells packages of one name from different sources apart."""
    extras: tuple[str, ...] = ()
    marker: str | None = None
    specifier: SpecifierSet | None = None
    """Tells forked versions apart where the format gives a range instead of the version."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedPackage:
    """One package of a lock file."""

    name: NormalizedName
    version: Version | None
    location: Location
    marker: str | None = None
    """When it is installed at all (pylock.toml)."""
    resolution_markers: tuple[str, ...] = ()
    """The forks of the resolution that it belongs to (uv.lock); any of them suffices."""
    source: str | None = None
    files: tuple[DistributionFile, ...] | None = None
    allowed_hashes: frozenset[str] = frozenset()
    """`algorithm:digest` of the files that may be installed, if the format gives no file names with them."""
    index_url: str | None = None
    edges: tuple[Edge, ...] = ()
    extra_edges: Mapping[str, tuple[Edge, ...]] = field(default_factory=dict)
    """Per extra, by its normalised name."""
    source_tree: str | None = None
    problem: str | None = None
    own: bool = False
    """It is the project itself or a member of its workspace: what it needs is requested by the project."""
    is_member: bool = False
    """It is a member of the workspace that is built and installed: a row of its own where it would be compiled."""
    on_disk: OnDisk | None = None
    """Its compiled files, where it is installed."""
    from_index: bool = True
    """Whether an index has it: what the lock file does not list of its files, the index may have."""


class EdgeSource(StrEnum):
    """Where it is known from which package of a lock file needs which."""

    LOCK = "lock"
    """The lock file says it."""
    METADATA = "metadata"
    """The metadata of the packages, all of them."""
    SOME_METADATA = "some-metadata"
    """The metadata of some packages; those of others could not be read."""
    NOWHERE = "nowhere"
    """Nothing says it: who pulls a package in is not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LockData:
    """The content of a lock file other than its packages."""

    packages: tuple[LockedPackage, ...]
    roots: tuple[tuple[Edge, Location], ...] | None = None
    """The project's own requirements, from which everything is reached; `None` if markers select instead."""
    direct: tuple[Edge, ...] = ()
    """Without `roots`: what is known about the project's own requirements, for the chains alone."""
    closed: bool = False
    """Whether it holds every need of its packages, so that one that is missing is a fault of the file."""
    tolerant: bool = False
    """Whether the dependencies are third-party (`Requires-Dist`): a malformed one is reported, and the others count."""
    edges_from: EdgeSource = EdgeSource.LOCK
    notes: tuple[str, ...] = ()
    """Notes about how the input was read that do not make the answer incomplete."""
    incomplete: tuple[str, ...] = ()
    """What reading it leaves unsaid."""
    requires_python: tuple[SpecifierSet, ...] = ()
    """The ranges of Python versions that it is locked for, one of which suffices; none where it says none."""
    environments: tuple[str, ...] = ()
    """Markers, one of which must hold where the lock file is used."""
    platforms: tuple[str, ...] = ()
    """The platforms that it was made for, as PDM names them (`musllinux_1_1_x86_64`); one must be the asked one."""
    extras: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    """What the markers' `extras` and `dependency_groups` stand for."""
    single_environment: bool = False
    """It lists the files for the environment it was made in, not all of them: they prove no absence."""
    remedy: str | None = None
    """What in the project is to change, where the lock file is not for the target: `requires-python`, for example."""
    conflicting: frozenset[str] = frozenset()
    """The extras of which `extras` holds the chosen ones, and which become chosen where an edge asks for them."""
    apart: tuple[LockData, ...] = ()
    """Where choices exclude each other: the lock file once for each, to be judged in place of this one."""

    @property
    def knows_edges(self) -> bool:
        """Whether it is known about every package which others it needs."""
        return self.edges_from in (EdgeSource.LOCK, EdgeSource.METADATA)


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirements:
    """What one input file, with those that it includes, asks for."""

    path: Path
    format: InputFormat
    roots: tuple[InputRequirement, ...] = ()
    constraints: tuple[InputRequirement, ...] = ()
    overrides: tuple[InputRequirement, ...] = ()
    """Requirements that replace every other one of that name (`[tool.uv] override-dependencies`)."""
    index: InputIndexes = InputIndexes()
    package_indexes: Mapping[NormalizedName, str] = field(default_factory=dict)
    """The index that the file binds a package to."""
    left_out: tuple[str, ...] = ()
    """The project's extras and dependency groups that were not chosen, `extra NAME` or `group NAME`."""
    beside: tuple[str, ...] = ()
    """What else the folder holds that could have been read, where a folder was named."""
    lock: LockData | None = None
    problems: tuple[Problem, ...] = ()
