"""Installed packages: their compiled files are packed as found, so that the tiers read them like a wheel."""

from __future__ import annotations

import hashlib
import re
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ftaudit.errors import cause_of
from ftaudit.folders import scratch_folder
from ftaudit.model import DistributionFile, Gap, GapKind, IndexFacts, OnDisk, Pin, Status, WheelKind
from ftaudit.target import Platform, Target
from ftaudit.wheel.image import mentions_hook

ORIGIN: Final = "environment"
"""The origin of facts from an environment's own files."""
IS_INSTALLED: Final = Gap(kind=GapKind.INSTALLED)
MOST_LIBRARIES: Final = 64 << 20
"""Byte limit for a package's plain shared libraries that are also packed; modules may call them."""
MOST_BYTES: Final = 4 << 30
_TAG: Final = re.compile(r"(linux|manylinux|musllinux|macosx|win)(?:(?:1|2010|2014|_\d+_\d+)(?=_))?_?(\w+)")
_SYSTEMS: Final = {"linux": "linux", "manylinux": "linux", "musllinux": "linux", "macosx": "darwin", "win": "win32"}


def installed_facts(pin: Pin, found: OnDisk, target: Target, platform: Platform) -> IndexFacts:
    """Return the index facts of an installed package, without a request to an index.

    An unreadable file is a failure: a file that was not checked is never reported as ready.
    """
    if found.platform is not None and not _is_of(found.platform, platform):
        reason = f"the installed files are for {found.platform}, not for {platform.name}"
        return IndexFacts(status=Status.FAILED, reason=Gap(kind=GapKind.FAILED, detail=reason), origin=ORIGIN)
    if not (found.modules or found.libraries):
        return IndexFacts(status=Status.DONE, origin=ORIGIN, kind=WheelKind.PURE)
    try:
        packed = _pack(pin, found, target, platform)
    except (OSError, ValueError, zipfile.LargeZipFile) as error:
        reason = f"the installed files cannot be read: {cause_of(error)}"
        return IndexFacts(status=Status.FAILED, reason=Gap(kind=GapKind.FAILED, detail=reason), origin=ORIGIN)
    file = DistributionFile(filename=packed.name, url=packed.as_uri(), size=packed.stat().st_size)
    return IndexFacts(
        status=Status.DONE,
        origin=ORIGIN,
        kind=WheelKind.FREE_THREADED if found.modules else WheelKind.PURE,
        wheel=file,
        wheels=(file,),
        compiled=bool(found.modules),
    )


def _is_of(tag: str, platform: Platform) -> bool:
    """Return whether a platform tag matches the platform's system and machine, whatever version it requires."""
    match = _TAG.fullmatch(tag)
    if match is None or _SYSTEMS.get(match[1]) != platform.sys_platform:
        return False
    same = {"amd64": "x86_64", "aarch64": "arm64", "32": "i686"}
    machine, wanted = (same.get(name.lower(), name.lower()) for name in (match[2], platform.machine))
    return machine in (wanted, "universal2")


def _pack(pin: Pin, found: OnDisk, target: Target, platform: Platform) -> Path:
    """Write a wheel with the compiled files and the metadata, and return its path."""
    stem = f"{str(pin.name).replace('-', '_')}-{pin.version or 0}"
    interpreter = target.abi.rstrip("t")
    tag = f"{interpreter}-{target.abi}-{found.platform or platform.tags[-1]}"
    place = hashlib.sha256(f"{found.root}\0{pin.source}".encode()).hexdigest()[:16]
    folder = scratch_folder() / place
    folder.mkdir(exist_ok=True)
    path = folder / f"{stem}-{tag}.whl"
    info = f"{stem}.dist-info"
    metadata = (
        Path(found.metadata).read_bytes() if found.metadata else f"Metadata-Version: 2.1\nName: {pin.name}\n".encode()
    )
    if not re.search(rb"^Version:", metadata, re.MULTILINE):
        metadata = metadata.rstrip() + f"\nVersion: {pin.version or 0}\n".encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for name in _files(found):
            archive.write(Path(found.root, name), name)
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def _files(found: OnDisk) -> Iterator[str]:
    """Yield the files to pack; raise `ValueError` for an invalid file.

    The files are every module, every library that mentions an init hook, and other libraries up to the size limit.
    """
    room, total = MOST_LIBRARIES, 0
    for name in (*found.modules, *found.libraries):
        status = Path(found.root, name).stat()
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{name} is not a plain file")
        total += status.st_size
        if total > MOST_BYTES:
            raise ValueError(f"its modules have more than {MOST_BYTES >> 30} GiB")
        if name in found.libraries:
            room -= status.st_size
            if room < 0 and not mentions_hook(Path(found.root, name)):
                continue
        yield name
