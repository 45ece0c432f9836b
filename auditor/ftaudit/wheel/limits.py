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
    download: int = 4 << 30
    """A wheel that must be fetched whole because its server does not support ranges."""
    timeout: float = 30.0
    """Seconds that a server may be silent."""
