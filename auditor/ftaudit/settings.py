"""The settings of one audit, frozen, as the command line, the configuration or a caller gives them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ftaudit.folders import require_folder
from ftaudit.target import DEFAULT_TARGET

CACHE_VARIABLE: Final = "FTAUDIT_CACHE_DIR"
DEFAULT_TIMEOUT: Final = 60.0
"""Seconds that the import of one module may take."""


def default_cache_dir() -> Path:
    """Return the user's cache folder for ftaudit: `FTAUDIT_CACHE_DIR`, else what the system prescribes."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("ftaudit"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What an audit is to look at, and how far it may go."""

    target: str = DEFAULT_TARGET
    platforms: tuple[str, ...] = ()
    """Names or exact tags; empty means this machine."""
    extras: tuple[str, ...] = ()
    all_extras: bool = False
    groups: tuple[str, ...] = ()
    no_deps: bool = False
    """Audit only the listed packages."""
    static: bool = False
    """Run no code of any audited package: index and binary tiers alone."""
    source: bool = False
    """Scan the sdists of the packages too."""
    reach: tuple[str, ...] = ()
    """Start points of the user's code, to find what they load; an empty name means the project's own packages and
    scripts. Without any, that is not asked."""
    source_roots: tuple[Path, ...] = ()
    """Folders that the user's own modules are imported from; empty takes those of the project."""
    run_env: bool = False
    """Import what an environment of the target has with its own interpreter."""
    python: Path | None = None
    """The free-threaded interpreter to import with; `None` looks for one."""
    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    offline: bool = False
    no_cache: bool = False
    cache_dir: Path | None = None
    """`None` is the user's cache folder."""
    jobs: int | None = None
    """Import processes at a time; `None` is one for each core."""
    timeout: float = DEFAULT_TIMEOUT
    """Seconds that the import of one module may take."""
    memory: int = 8 << 30
    """Bytes that the process importing a distribution may use."""
    stress: bool = False
    """Use the packages that are ready from many threads at once."""
    budget: float = 60.0
    """Seconds of processor time for the stress of one package."""
    threads: int | None = None
    """Threads of each unit of stress; `None` varies them."""
    seed: int = 1
    """What the schedules of stress are made from."""
    recipes: tuple[Path, ...] = ()
    """Folders with recipes for stress."""
    select: tuple[str, ...] = ()
    """Codes, names or code prefixes of rules; empty takes the default profile."""
    ignore: tuple[str, ...] = ()
    rules: tuple[Path, ...] = ()
    """Folders with rules of the project's own; their modules are run, as those of the rule packs are."""

    @property
    def cache(self) -> Path:
        """The cache folder in force, absolute."""
        return self.cache_dir.expanduser().absolute() if self.cache_dir else default_cache_dir()

    def open_cache(self) -> Path | None:
        """Return the cache folder, made where it is missing, or `None` with `no_cache`.

        Raise `UsageError` if it cannot be made or written to.
        """
        if self.no_cache:
            return None
        require_folder(self.cache, "the cache folder", "name another folder with --cache-dir, or use --no-cache")
        return self.cache
