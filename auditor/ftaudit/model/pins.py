"""Pins: what is to be judged, and the distribution files that a release has."""

from __future__ import annotations

from dataclasses import dataclass

from packaging.utils import NormalizedName
from packaging.version import Version

from ftaudit.model.gaps import GapKind
from ftaudit.model.words import Location


@dataclass(frozen=True, kw_only=True, slots=True)
class DistributionFile:
    """A wheel or sdist as an index page, a lock file or a folder names it (PEP 503, 691, 592, 658, 751)."""

    filename: str
    url: str | None = None
    """Where it is, `https://` or `file://`; `None` where the lock file gives the name alone."""
    hashes: tuple[tuple[str, str], ...] = ()
    """Pairs of algorithm and lower-case hexadecimal digest."""
    size: int | None = None
    """In bytes, where the source says it."""
    requires_python: str | None = None
    yanked: str | None = None
    """The reason for which it was yanked (PEP 592; may be empty), or `None` when it was not."""
    conda_package: str | None = None
    """The file name of the conda package that the wheel was made of, or `None` for a file that was published so."""

    @property
    def sha256(self) -> str | None:
        """The SHA-256 digest, where the source gives one."""
        return dict(self.hashes).get("sha256")


@dataclass(frozen=True, kw_only=True, slots=True)
class OnDisk:
    """The compiled files of an installed package, which are read where they are."""

    root: str
    """The folder that the paths count from, `site-packages` most often."""
    modules: tuple[str, ...] = ()
    """Extension modules, by their names."""
    libraries: tuple[str, ...] = ()
    """Other shared libraries."""
    abi: str | None = None
    """The ABI tag of the Python that the environment is of, `cp314t`; `None` where nothing tells."""
    platform: str | None = None
    """A platform tag of its system and machine, `linux_x86_64`; `None` where nothing tells."""
    metadata: str | None = None
    """The METADATA file, where there is one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pin:
    """One package at one version, to be judged on one platform: what reading and resolving arrive at."""

    name: NormalizedName
    version: Version | None
    """`None` when no version could be found; `problem` then says why."""
    extras: tuple[str, ...] = ()
    required_by: tuple[tuple[str, ...], ...] = ()
    """Chains of names from a root requirement down to this package, shortest first; a root's own is `((name,),)`."""
    source: Location | None = None
    """The location of the package's own entry in a lock file; otherwise the location of the first chain's root
    requirement.
    """
    also: tuple[Location, ...] = ()
    """The other places at which the inputs list this package at this version."""
    files: tuple[DistributionFile, ...] | None = None
    """The files of this version when the input names them (lock files, direct URLs, local files), else `None`."""
    allowed_hashes: frozenset[str] = frozenset()
    """`algorithm:digest` of the files the input allows; empty allows all."""
    index_url: str | None = None
    """The one index that the lock file binds this package to, where it does."""
    problem: str | None = None
    """Why this package could not be resolved or cannot be looked up, in one sentence."""
    obstacle: GapKind | None = None
    """`OFFLINE` or `UNCONNECTED` where a network would have told more."""
    source_tree: str | None = None
    """The folder of a local project (`-e .`, `./lib`): its files are read, and it is never built."""
    yanked: str | None = None
    on_disk: OnDisk | None = None
    """Where it is installed, in an environment of the target: no index is asked."""
    no_binary: bool = False
    """The input allows no wheel of it (`--no-binary`)."""
    only_binary: bool = False
    """The input allows no build of it (`--only-binary`)."""

    @property
    def places(self) -> tuple[Location, ...]:
        """Every place at which the package is listed, `source` first."""
        return (self.source, *self.also) if self.source is not None else self.also
