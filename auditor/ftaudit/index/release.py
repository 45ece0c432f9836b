"""The questions to the index client, and its answers: releases and projects with their files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from packaging.utils import NormalizedName
from packaging.version import Version

from ftaudit.model import DistributionFile, Gap, Pin, Status


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """One release to look up."""

    name: NormalizedName
    version: Version
    index_url: str | None = None
    """The only index to query, if a lock file binds the package to it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseFiles:
    """The wheels and sdists of one version of a project, or why they are unknown."""

    status: Status
    reason: Gap | None = None
    """Why it failed; `None` when done."""
    origin: str | None = None
    """`index` (queried or revalidated in this run), `cache`, or `file`."""
    files: tuple[DistributionFile, ...] = ()
    page: str | None = None
    """URL of the project's page, without credentials."""
    age: float | None = None
    """Seconds since the index last confirmed the page, if the answer came from the cache."""
    warnings: tuple[str, ...] = ()
    """Notes that a reader of the answer needs, one sentence each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectFiles:
    """Every version of a project with its wheels and sdists, newest first, or why they are unknown."""

    status: Status
    reason: Gap | None = None
    origin: str | None = None
    versions: dict[Version, tuple[DistributionFile, ...]] = field(default_factory=dict)
    released: dict[Version, datetime] = field(default_factory=dict)
    """When the index received the first file of a version, in UTC, for versions where it says so."""
    page: str | None = None
    age: float | None = None
    warnings: tuple[str, ...] = ()


def preferred_versions(versions: Mapping[Version, Sequence[DistributionFile]]) -> tuple[Version, ...]:
    """Return the versions that an installer without a pin considers: final ones with a file that is not yanked.

    If there are none, return pre-releases, and if there are none, yanked ones; in the order of `versions`.
    """
    kept = tuple(version for version, files in versions.items() if any(file.yanked is None for file in files))
    finals = tuple(version for version in kept if not version.is_prerelease)
    return finals or kept or tuple(versions)


def query_for(pin: Pin) -> Query | None:
    """Return the question to an index about the pin, or `None` if it needs no index.

    Files that the input names are used without a request; a local project and a pin without a version have no question.
    """
    if pin.version is None or pin.files is not None or pin.source_tree is not None or pin.on_disk is not None:
        return None
    return Query(name=pin.name, version=pin.version, index_url=pin.index_url)
