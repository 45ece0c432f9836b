"""The inputs as the audit and the plan read them, and the resolution of unpinned packages."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path

from packaging.utils import NormalizedName
from packaging.version import Version

from ftaudit import lockfiles
from ftaudit.index import index_settings
from ftaudit.index.choose import is_installable
from ftaudit.index.client import Index
from ftaudit.model import Pin
from ftaudit.settings import Settings
from ftaudit.target import Platform, Target


def read_inputs(paths: Iterable[str], settings: Settings) -> list[lockfiles.Requirements]:
    """Return the content of each input; raise `InputError` for an input that cannot be read."""
    return [
        lockfiles.read(Path(path), extras=settings.extras, groups=settings.groups, all_extras=settings.all_extras)
        for path in paths
    ]


def what_they_say(requirements: lockfiles.Requirements) -> index_settings.IndexOptions:
    """Return the index options of an input in the form that `ftaudit.index` expects."""
    return index_settings.IndexOptions(
        index_url=requirements.index.index_url,
        extra_index_urls=requirements.index.extra_index_urls,
        find_links=requirements.index.find_links,
        no_index=requirements.index.no_index,
    )


def find_versions(
    index: Index, target: Target, name: NormalizedName, after: Version, platform: Platform
) -> tuple[Version, ...]:
    """Return the later versions of a project that an installer on the target and platform can take, newest first."""
    found = index.find_project(name, after=after).versions
    return tuple(v for v, files in found.items() if is_installable(Pin(name=name, version=v), files, target, platform))


def resolve_options(
    settings: Settings, index: Index, target: Target, find_metadata: lockfiles.MetadataFinder
) -> lockfiles.ResolveOptions:
    """Return the options for uv: the same indexes, with the same credentials."""
    return lockfiles.ResolveOptions(
        no_deps=settings.no_deps,
        offline=settings.offline,
        online_until=index.online_until,
        no_cache=settings.no_cache,
        index_urls=tuple(source.with_credentials() for source in index.settings.sources),
        find_links=tuple(source.with_credentials() for source in index.settings.find_links),
        cert=index.settings.cert,
        proxy=index.settings.proxy,
        find_metadata=find_metadata,
        find_versions=functools.partial(find_versions, index, target),
    )
