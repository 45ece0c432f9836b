"""The settings of one audit, frozen, from the command line, the configuration, or a caller."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ftaudit.folders import require_folder
from ftaudit.target import DEFAULT_TARGET

CACHE_VARIABLE: Final = "FTAUDIT_CACHE_DIR"
DEFAULT_TIMEOUT: Final = 60.0
"""Time limit in seconds for the import of one module."""

DEFAULT_READ_AGAIN: Final = 1.0
"""Percent of the answers of facts stores that are compared with the wheel."""


def default_cache_dir() -> Path:
    """Return the user's cache folder for ftaudit: `FTAUDIT_CACHE_DIR`, or else the system's default."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("ftaudit"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What an audit checks, and its limits."""

    target: str = DEFAULT_TARGET
    platforms: tuple[str, ...] = ()
    """Names or exact tags; empty means this machine."""
    extras: tuple[str, ...] = ()
    all_extras: bool = False
    groups: tuple[str, ...] = ()
    no_deps: bool = False
    """Audit only the listed packages."""
    static: bool = False
    """Run no code of any audited package: only the index and binary tiers."""
    source: bool = False
    """Also scan the sdists of the packages."""
    reach: tuple[str, ...] = ()
    """Start points of the user's code, to find what they load; an empty name means the project's own packages and
    scripts. Without start points, this analysis is skipped.
    """
    source_roots: tuple[Path, ...] = ()
    """Folders from which the user's own modules are imported; empty uses those of the project."""
    recorded: tuple[Path, ...] = ()
    """Records of real runs (`ftaudit reach --run`) that the answers of `reach` are compared with."""
    run_env: bool = False
    """Import the packages of an environment of the target with its own interpreter."""
    python: Path | None = None
    """The free-threaded interpreter for imports; `None` searches for one."""
    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    rate: float | None = None
    """The most requests to one host in a second, of all processes that share the cache; `None` sets no limit."""
    connections: int | None = None
    """The most connections of this process to one host; `None` uses the usual number."""
    offline: bool = False
    network_seconds: float | None = None
    """Seconds after which no request is started; cached pages count for a day. `None` sets no limit."""
    no_cache: bool = False
    cache_dir: Path | None = None
    """`None` is the user's cache folder."""
    facts: tuple[Path, ...] = ()
    """Facts stores to ask before a wheel is read, in addition to those that are imported or installed."""
    read_again: float = DEFAULT_READ_AGAIN
    """The share of the stores' answers, in percent, that are compared with the wheel."""
    jobs: int | None = None
    """The number of concurrent import processes; `None` is one for each core."""
    timeout: float = DEFAULT_TIMEOUT
    """Time limit in seconds for the import of one module."""
    memory: int = 8 << 30
    """Memory limit in bytes for the process that imports a distribution."""
    stress: bool = False
    """Use the packages that are ready from many threads at once."""
    budget: float = 60.0
    """Seconds of processor time for the stress of one package."""
    threads: int | None = None
    """Threads of each unit of stress; `None` varies them."""
    seed: int = 1
    """The seed of the stress schedules."""
    recipes: tuple[Path, ...] = ()
    """Folders with recipes for stress."""
    prefer: str = "nearest"
    """Which of several good releases a plan proposes: `nearest`, `patch` or `newest`."""
    select: tuple[str, ...] = ()
    """Codes, names, or code prefixes of rules; empty uses the default profile."""
    ignore: tuple[str, ...] = ()
    rules: tuple[Path, ...] = ()
    """Folders with the project's own rules; their modules are run, like those of rule packs."""

    @property
    def cache(self) -> Path:
        """The effective cache folder, absolute."""
        return self.cache_dir.expanduser().absolute() if self.cache_dir else default_cache_dir()

    def open_cache(self) -> Path | None:
        """Return the cache folder, created if it is missing, or `None` with `no_cache`.

        Raise `UsageError` if it cannot be created or is not writable.
        """
        if self.no_cache:
            return None
        require_folder(self.cache, "the cache folder", "specify another folder with --cache-dir, or use --no-cache")
        return self.cache
