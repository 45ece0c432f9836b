"""The result of reading and resolving, and the settings of resolving."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from packaging.utils import NormalizedName
from packaging.version import Version

from ftaudit.model import Pin
from ftaudit.target import Platform

MetadataFinder: TypeAlias = Callable[[NormalizedName, Version], "tuple[str, ...] | None"]
"""Returns the `Requires-Dist` lines of a version without a wheel for the platform, or `None` if they are unknown.

They come from another platform's wheel, or from an sdist's PKG-INFO if that is static (metadata 2.2 and later). It
raises nothing.
"""


VersionFinder: TypeAlias = Callable[[NormalizedName, Version, Platform], "tuple[Version, ...]"]
"""Returns the versions after a given one that an installer on the target and platform can take, the newest first.

They have a file that is not yanked, whose `requires-python` admits the target, and that is an sdist or a wheel for the
platform, also one of the GIL-enabled build. Pre-releases are included. It raises nothing.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolveOptions:
    """The settings for resolving unpinned packages."""

    no_deps: bool = False
    """Judge only the listed packages."""
    offline: bool = False
    no_cache: bool = False
    cache_dir: Path | None = None
    """uv's cache folder; `None` uses uv's default."""
    index_urls: tuple[str, ...] | None = None
    """The indexes in order of priority, the default one last, with credentials in the URLs; empty means no index.

    A value is complete (the engine has merged command line, environment, and input file). `None` uses the input file,
    and without settings there, uv's own environment.
    """
    find_links: tuple[str, ...] | None = None
    """URLs or folders of files; `None` as for `index_urls`."""
    cert: str | None = None
    """A file of CA certificates; `None` uses uv's default."""
    proxy: str | None = None
    find_metadata: MetadataFinder | None = None
    find_versions: VersionFinder | None = None
    """Returns the releases that uv skipped because they have no wheel; `None` uses uv's answer unchanged."""
    online_until: float | None = None
    """The value of `time.monotonic()` after which uv may only use its cache; `None` sets no limit."""
    timeout: float = 120.0
    """Time limit in seconds for all calls to uv together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """The packages to judge on one platform."""

    pins: tuple[Pin, ...]
    notes: tuple[str, ...] = ()
    """Notes that a reader needs and that do not make the answer incomplete."""
    incomplete: tuple[str, ...] = ()
    """What was not checked, one sentence each. If it is not empty, the result cannot be "nothing blocks"."""
    without_wheels: tuple[NormalizedName, ...] = ()
    """Packages for which uv found no wheel and got the metadata from ftaudit."""
