"""Pins: the packages to judge, and the distribution files of a release."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from packaging.utils import NormalizedName
from packaging.version import Version

from ftaudit.model.gaps import GapKind
from ftaudit.model.words import Location


@dataclass(frozen=True, kw_only=True, slots=True)
class DistributionFile:
    """A wheel or sdist as an index page, a lock file or a folder names it (PEP 503, 691, 592, 658, 751)."""

    filename: str
    url: str | None = None
    """Its URL, `https://` or `file://`; `None` if the lock file has only the name."""
    hashes: tuple[tuple[str, str], ...] = ()
    """Pairs of algorithm and lower-case hexadecimal digest."""
    size: int | None = None
    """In bytes, if the source states it."""
    requires_python: str | None = None
    yanked: str | None = None
    """The reason why it was yanked (PEP 592; may be empty), or `None` if it was not yanked."""
    conda_package: str | None = None
    """The file name of the conda package that the wheel was made from, or `None` for a file published as a wheel."""

    @property
    def sha256(self) -> str | None:
        """The SHA-256 digest, if the source states it."""
        return dict(self.hashes).get("sha256")

    def as_list(self) -> list[Any]:
        """Return the file as plain data that JSON can hold."""
        rest = (self.size, self.requires_python, self.yanked, self.conda_package)
        return [self.filename, self.url, self.hashes, *rest]

    @classmethod
    def from_list(cls, told: list[Any]) -> DistributionFile:
        """Return the file that `as_list` wrote; raise `ValueError` or `TypeError` for anything else."""
        filename, url, hashes, size, requires_python, yanked, conda_package = told
        if not isinstance(filename, str):
            raise TypeError("not what was written")
        return cls(
            filename=filename,
            url=url,
            hashes=tuple((algorithm, digest) for algorithm, digest in hashes),
            size=size,
            requires_python=requires_python,
            yanked=yanked,
            conda_package=conda_package,
        )

    @property
    def is_remote(self) -> bool:
        """Whether it is fetched over HTTP: a file on this machine can change while everything that names it stays."""
        return (self.url or "").startswith(("http://", "https://"))


@dataclass(frozen=True, kw_only=True, slots=True)
class OnDisk:
    """The compiled files of an installed package, which are read in place."""

    root: str
    """The folder that the paths are relative to, usually `site-packages`."""
    modules: tuple[str, ...] = ()
    """Extension modules, by their names."""
    libraries: tuple[str, ...] = ()
    """Other shared libraries."""
    abi: str | None = None
    """The ABI tag of the environment's Python, `cp314t`; `None` if it is unknown."""
    platform: str | None = None
    """A platform tag of its system and machine, `linux_x86_64`; `None` if it is unknown."""
    metadata: str | None = None
    """The METADATA file, if it exists."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pin:
    """One package at one version, to judge on one platform: the result of reading and resolving."""

    name: NormalizedName
    version: Version | None
    """`None` if no version could be found; `problem` then says why."""
    extras: tuple[str, ...] = ()
    required_by: tuple[tuple[str, ...], ...] = ()
    """Chains of names from a root requirement to this package, shortest first; for a root, `((name,),)`."""
    source: Location | None = None
    """The location of the package's own entry in a lock file; otherwise the location of the first chain's root
    requirement.
    """
    also: tuple[Location, ...] = ()
    """The other places where the inputs list this package at this version."""
    files: tuple[DistributionFile, ...] | None = field(default=None, hash=False)
    """The files of this version if the input names them (lock files, direct URLs, local files), otherwise `None`.

    Not part of the hash: a pin is a key of many tables, and a release may have hundreds of files.
    """
    allowed_hashes: frozenset[str] = frozenset()
    """`algorithm:digest` of the files that the input allows; empty allows all files."""
    index_url: str | None = None
    """The only index that the lock file allows for this package, if any."""
    problem: str | None = None
    """Why this package could not be resolved or cannot be looked up, in one sentence."""
    obstacle: GapKind | None = None
    """`OFFLINE` or `UNCONNECTED` if a network connection would have helped."""
    source_tree: str | None = None
    """The folder of a local project (`-e .`, `./lib`): its files are read, and it is never built."""
    yanked: str | None = None
    on_disk: OnDisk | None = None
    """Where it is installed, in an environment of the target: no index is queried."""
    no_binary: bool = False
    """The input does not allow wheels of it (`--no-binary`)."""
    only_binary: bool = False
    """The input does not allow builds of it (`--only-binary`)."""

    @property
    def places(self) -> tuple[Location, ...]:
        """Every place where the package is listed, `source` first."""
        return (self.source, *self.also) if self.source is not None else self.also
