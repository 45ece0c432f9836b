"""The content of an input file: requirements with their places, index options, locked packages, and problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from ftaudit.model import DistributionFile, Location, OnDisk, StrEnum

ALL: Final = ":all:"
"""The value of pip's `--no-binary` and `--only-binary` for every package."""


class InputFormat(StrEnum):
    """The formats that `read` supports."""

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


KNOWN_FORMATS: Final = (
    "requirements files (*.txt, *.in), pylock.toml, uv.lock, poetry.lock, pdm.lock, Pipfile.lock, pyproject.toml, "
    "setup.cfg, setup.py, tox.ini, scripts with metadata (*.py), environment.yml, pixi.lock, conda-lock.yml, the JSON "
    "of `pip list`, `pip inspect`, CycloneDX and SPDX, standard input (-), a folder of wheels and an installed "
    "environment"
)
"""What `read` supports, for messages."""


class ReferenceKind(StrEnum):
    """The target of a requirement that is not looked up by name."""

    FILE = "file"
    """A wheel or an sdist, by `https://` or `file://`."""
    TREE = "tree"
    """A local folder with a project."""
    VCS = "vcs"
    """A repository; it is not fetched, because it would have to be built."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """The target of a direct requirement."""

    kind: ReferenceKind
    url: str
    """A URL without fragment, or for a tree the folder's path. It may contain credentials: never print it unchanged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InputRequirement:
    """One requirement or constraint of the user, and its place."""

    name: NormalizedName | None
    """`None` if only the target of `reference` has the name."""
    specifier: SpecifierSet = field(default_factory=SpecifierSet)
    extras: tuple[str, ...] = ()
    marker: str | None = None
    location: Location
    hashes: frozenset[str] = frozenset()
    """`algorithm:digest`, in the form of `--hash`."""
    reference: Reference | None = None

    @property
    def exact(self) -> Version | None:
        """The version, if the requirement allows exactly one (`==1.2`, `===1.2`, not `==1.*`)."""
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
    """A package name; without one, the text of the requirement."""
    message: str
    location: Location


@dataclass(frozen=True, kw_only=True, slots=True)
class InputIndexes:
    """The input's sources of packages."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    no_index: bool = False
    find_links: tuple[str, ...] = ()
    """URLs or absolute paths."""
    pre: bool = False
    only_binary: tuple[str, ...] = ()
    """Names of packages that must not be built, or `:all:`."""
    no_binary: tuple[str, ...] = ()
    """Names of packages whose wheels must not be used, or `:all:`; a name takes precedence over `:all:`."""
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
    """One locked package's dependency on another."""

    name: NormalizedName
    version: str | None = None
    """Distinguishes forked versions of one package, if the lock file has several."""
    source: str | None = None
    """Distinguishes packages of one name from different sources."""
    extras: tuple[str, ...] = ()
    marker: str | None = None
    specifier: SpecifierSet | None = None
    """Distinguishes forked versions if the format has a range instead of the version."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedPackage:
    """One package of a lock file."""

    name: NormalizedName
    version: Version | None
    location: Location
    marker: str | None = None
    """The marker under which it is installed (pylock.toml)."""
    resolution_markers: tuple[str, ...] = ()
    """The forks of the resolution that contain it (uv.lock); one of them is enough."""
    source: str | None = None
    files: tuple[DistributionFile, ...] | None = None
    allowed_hashes: frozenset[str] = frozenset()
    """`algorithm:digest` of the files that may be installed, if the format has no file names for them."""
    index_url: str | None = None
    edges: tuple[Edge, ...] = ()
    extra_edges: Mapping[str, tuple[Edge, ...]] = field(default_factory=dict)
    """Per extra, by its normalized name."""
    source_tree: str | None = None
    problem: str | None = None
    own: bool = False
    """It is the project itself or a member of its workspace: its dependencies count as the project's own."""
    is_member: bool = False
    """It is a member of the workspace that is built and installed: a separate row if it would be compiled."""
    on_disk: OnDisk | None = None
    """Its compiled files, if it is installed."""
    origin: str | None = None
    """How it was installed, if its files are not those of an index: `built on this machine`."""
    from_index: bool = True
    """Whether it comes from an index, which may have files that the lock file does not list."""


class EdgeSource(StrEnum):
    """The source of the dependency edges of a lock file."""

    LOCK = "lock"
    """The lock file has them."""
    METADATA = "metadata"
    """The metadata of the packages, all of them."""
    SOME_METADATA = "some-metadata"
    """The metadata of some packages; the metadata of others could not be read."""
    NOWHERE = "nowhere"
    """No source says it: the dependents of a package are unknown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LockData:
    """The content of a lock file other than its packages."""

    packages: tuple[LockedPackage, ...]
    roots: tuple[tuple[Edge, Location], ...] | None = None
    """The project's own requirements, from which everything is reached; `None` if markers select packages instead."""
    direct: tuple[Edge, ...] = ()
    """Without `roots`: the known requirements of the project, only for the chains."""
    closed: bool = False
    """Whether it lists every dependency of its packages, so that a missing one is an error in the file."""
    tolerant: bool = False
    """Whether the dependencies are third-party (`Requires-Dist`): a malformed one is reported, and the others count."""
    edges_from: EdgeSource = EdgeSource.LOCK
    notes: tuple[str, ...] = ()
    """Notes about how the input was read that do not make the answer incomplete."""
    incomplete: tuple[str, ...] = ()
    """What remains unknown after the read."""
    requires_python: tuple[SpecifierSet, ...] = ()
    """The alternative ranges of Python versions that it is locked for; empty if it states none."""
    environments: tuple[str, ...] = ()
    """Markers, one of which must be true for the lock file to apply."""
    platforms: tuple[str, ...] = ()
    """The platforms that it was made for, in PDM's spelling (`musllinux_1_1_x86_64`); one must be the given one."""
    extras: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    """The values of `extras` and `dependency_groups` in markers."""
    single_environment: bool = False
    """It lists only the files for the environment it was made in, so a missing file proves nothing."""
    remedy: str | None = None
    """What to change in the project if the lock file is not for the target: `requires-python`, for example."""
    conflicting: frozenset[str] = frozenset()
    """The extras that `extras` selects from, and that become selected if an edge requests them."""
    apart: tuple[LockData, ...] = ()
    """For mutually exclusive choices: the lock file once for each, to judge instead of this one."""

    @property
    def knows_edges(self) -> bool:
        """Whether the dependencies of every package are known."""
        return self.edges_from in (EdgeSource.LOCK, EdgeSource.METADATA)


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirements:
    """The content of one input file, with the files that it includes."""

    path: Path
    format: InputFormat
    roots: tuple[InputRequirement, ...] = ()
    constraints: tuple[InputRequirement, ...] = ()
    overrides: tuple[InputRequirement, ...] = ()
    """Requirements that replace every other one of that name (`[tool.uv] override-dependencies`)."""
    index: InputIndexes = InputIndexes()
    package_indexes: Mapping[NormalizedName, str] = field(default_factory=dict)
    """The index that the file requires for a package."""
    left_out: tuple[str, ...] = ()
    """The project's extras and dependency groups that were not chosen, `extra NAME` or `group NAME`."""
    beside: tuple[str, ...] = ()
    """The other files in the folder that could have been read, if the user named a folder."""
    lock: LockData | None = None
    record: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What a lock file records about the project itself, parsed; to be read only."""
    problems: tuple[Problem, ...] = ()
