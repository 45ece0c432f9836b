"""The checks that CPython makes of a module's `PyABIInfo` (PEP 803): `PyABIInfo_Check` in `Python/modsupport.c`."""

from __future__ import annotations

import struct
from typing import Final

from ftaudit.cpython.versions import Version
from ftaudit.model import AbiInfo, Refusal, RefusalKind

SIZE: Final = 12
"""Bytes of the structure, whose layout CPython guarantees permanently (`Include/modsupport.h`)."""

STABLE: Final = 0x0001
GIL: Final = 0x0002
FREE_THREADED: Final = 0x0004
INTERNAL: Final = 0x0008

_OLDEST: Final = (3, 2)


def parse_abi_info(raw: bytes) -> AbiInfo:
    """Return the structure in `SIZE` bytes."""
    major, minor, flags, build, abi = struct.unpack("<BBHII", raw)
    return AbiInfo(major=major, minor=minor, flags=flags, build_version=build, abi_version=abi)


def version_of(hexadecimal: int) -> Version:
    """Return the major and minor version in a `PY_VERSION_HEX`."""
    return hexadecimal >> 24 & 0xFF, hexadecimal >> 16 & 0xFF


def check_abi_info(info: AbiInfo, version: Version) -> Refusal | None:
    """Return why the free-threaded build of a version refuses a module with this information, or `None`.

    Which release of a version runs is not known: information about CPython's internals of the same version passes.
    """
    if info.major == 0:
        return None
    if info.major > 1:
        return Refusal(kind=RefusalKind.ABI_STRUCT_TOO_NEW)
    asked = version_of(info.abi_version)
    if info.flags & INTERNAL and info.abi_version and asked != version:
        return Refusal(kind=RefusalKind.INTERNAL_ABI, version=asked)
    if info.flags & STABLE:
        if info.abi_version and asked > version:
            return Refusal(kind=RefusalKind.STABLE_ABI_TOO_NEW, version=asked)
        if info.abi_version and asked < _OLDEST:
            return Refusal(kind=RefusalKind.STABLE_ABI_INVALID, version=asked)
        if info.flags & INTERNAL:
            return Refusal(kind=RefusalKind.STABLE_ABI_INVALID)
    elif info.abi_version and asked != version:
        return Refusal(kind=RefusalKind.OTHER_ABI_VERSION, version=asked)
    if info.flags & (GIL | FREE_THREADED) == GIL:
        return Refusal(kind=RefusalKind.GIL_ONLY)
    return None
