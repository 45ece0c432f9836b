"""Which members of a wheel are read to find extension modules: all candidates within the limits.

In a local wheel every member is checked, whatever its name. In a wheel that is read in ranges, the names decide
what is fetched (docs/binary.md, "Which files of a wheel ftaudit reads").
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

from ftaudit.wheel import (
    SMALLEST_IMAGE,
    ArchiveMember,
    ModuleMember,
    WheelArchive,
    is_library,
    may_be_image,
    module_member,
    other_member,
)

SMALL: Final = 128 << 10
"""Compressed bytes up to which a file that no import finds is fetched without further reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidates:
    """The members to read."""

    modules: tuple[ModuleMember, ...]
    held_back: tuple[ModuleMember, ...] = ()
    """Large shared libraries, which are read last: often a module needs them, and they are read with it."""
    left_out: tuple[ModuleMember, ...] = ()
    """Files with other names that are beyond the limits, so that they were not read."""


def find_candidates(archive: WheelArchive, *, fetchers: Executor | None = None) -> Candidates:
    """Return the members of a wheel that CPython could load as extension modules.

    Raise `ArchiveError` if the first bytes of a large file cannot be fetched.
    """
    modules: list[ModuleMember] = []
    held_back: list[ModuleMember] = []
    left_out: list[ModuleMember] = []
    large: list[ArchiveMember] = []
    room = archive.limits.others
    for member in archive.members:
        if member.name.endswith("/"):
            continue
        named = module_member(member)
        if named is not None and named.by_import:
            modules.append(named)
        elif member.size < SMALLEST_IMAGE:
            continue
        elif archive.is_whole:
            if archive.starts_like_image(member):
                modules.append(named or other_member(member))
        elif is_library(member.name):
            (modules if _is_small(member) else held_back).append(named or other_member(member))
        elif not may_be_image(member.name):
            continue
        elif not _is_small(member):
            large.append(member)
        elif member.compressed <= room:
            room -= member.compressed
            modules.append(other_member(member))
        else:
            left_out.append(other_member(member))
    modules += [
        other_member(member) for member in archive.images_among(large[: archive.limits.probes], fetchers=fetchers)
    ]
    left_out += [other_member(member) for member in large[archive.limits.probes :]]
    return Candidates(modules=tuple(modules), held_back=tuple(held_back), left_out=tuple(left_out))


def _is_small(member: ArchiveMember) -> bool:
    return member.compressed <= SMALL
