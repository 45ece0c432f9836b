"""Limits for reading an untrusted archive."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Bounds on what a wheel may make us fetch, hold or inflate. All sizes in bytes."""

    members: int = 200_000
    name: int = 1024
    directory: int = 64 << 20
    """The central directory."""
    member: int = 1 << 30
    """One member that is read, inflated."""
    ratio: int = 200
    """Inflated to compressed size of a member that is read; shared objects reach 10."""
    libraries: int = 128 << 20
    """Plain shared libraries of a wheel that are read with its modules, compressed; of the others, as much again."""
    libraries_inflated: int = 512 << 20
    """The same, inflated."""
    others: int = 16 << 20
    """Small files of a remote wheel with unusual names, compressed."""
    probes: int = 64
    """Number of large files of a remote wheel with unusual names of which the first bytes are fetched."""
    download: int = 4 << 30
    """A wheel that must be fetched whole because its server does not support ranges."""
    timeout: float = 30.0
    """Seconds that a server may be silent."""
