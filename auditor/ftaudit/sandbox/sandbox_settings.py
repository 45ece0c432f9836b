"""The imports that the sandbox runs, and their limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import NormalizedName

from ftaudit.cores import count_cores

GIB = 1 << 30


@dataclass(frozen=True, kw_only=True, slots=True)
class WheelToImport:
    """One wheel of the environment: exactly the one that was judged."""

    name: NormalizedName
    version: str
    filename: str
    location: str
    """Its URL, or an absolute path."""
    sha256: str | None = None
    """The hash, if the index or the lock file gives it; uv then refuses any other content."""
    wanted: bool = True
    """Whether its modules are to be imported; a wheel that others need is installed all the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxSettings:
    """Limits of one process, and the folders in use."""

    cache_dir: Path
    offline: bool = False
    """uv answers only from its cache."""
    jobs: int = field(default_factory=count_cores)
    """How many distributions are imported at a time."""
    module_seconds: float = 60.0
    """Wall time of one import."""
    distribution_seconds: float = 300.0
    """Wall time of all the imports of one distribution."""
    cpu_seconds: int = 300
    """CPU time of one process (`RLIMIT_CPU`)."""
    memory_bytes: int = 4 * GIB
    """Resident memory of one process and its children, as measured."""
    file_bytes: int = 256 << 20
    """Size of any file that a module writes (`RLIMIT_FSIZE`)."""
    disk_bytes: int = 512 << 20
    """The most that one process may write to its folders in total, as measured."""
    output_chars: int = 2000
    """How much of a module's output is kept."""
    install_seconds: float = 900.0
    """Wall time of one run of uv."""
    keep_environments: int = 4
    """How many environments stay in the cache; the most recently used ones stay."""
    uv_arguments: tuple[str, ...] = ()
    """The user's additional arguments for `uv pip install`."""
