"""Reads a folder of wheels and sdists, as `pip download` and `pip wheel` fill one."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from ftaudit.errors import ArchiveError, InputError
from ftaudit.lockfiles.direct import parse_file
from ftaudit.lockfiles.requirements import InputFormat, LockData, LockedPackage, Requirements
from ftaudit.lockfiles.resolve.needs import Needs, parse_needs
from ftaudit.model import DistributionFile, Location

MAX_FILES: Final = 20_000
_SUFFIXES: Final = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz")


def read(path: Path) -> Requirements:
    """Return a package for each release that the folder has files of; these are its only candidates.

    What each needs stands in the METADATA of its smallest wheel; an sdist is not opened. Raise `InputError` for a
    folder without such a file; a file that cannot be read is a row.
    """
    try:
        entries = sorted(itertools.islice(path.iterdir(), MAX_FILES + 1))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if len(entries) > MAX_FILES:
        raise InputError(f"{path} holds more than {MAX_FILES:,} entries")
    releases: dict[tuple[NormalizedName, Version], list[Path]] = defaultdict(list)
    packages: list[LockedPackage] = []
    for entry in entries:
        if not entry.name.lower().endswith(_SUFFIXES):
            continue
        found = parse_file(entry.name)
        if found is None or not entry.is_file():
            packages.append(_stranger(entry, "is no file" if found else "has no name of a wheel or sdist"))
        else:
            releases[found].append(entry)
    incomplete: list[str] = []
    packages += [_package(name, version, files, incomplete) for (name, version), files in sorted(releases.items())]
    if not packages:
        raise InputError(f"{path} holds no wheel", hint="name a folder of wheels, or a requirements or lock file")
    return Requirements(
        path=path,
        format=InputFormat.WHEELS,
        lock=LockData(packages=tuple(packages), tolerant=True, incomplete=tuple(incomplete)),
    )


def _stranger(entry: Path, what: str) -> LockedPackage:
    name = canonicalize_name(
        "".join(c if c.isalnum() else "-" for c in entry.name.partition("-")[0]).strip("-") or "file"
    )
    return LockedPackage(
        name=name, version=None, location=Location(path=str(entry)), problem=f"{entry.name} {what}", source=str(entry)
    )


def _package(name: NormalizedName, version: Version, files: Sequence[Path], incomplete: list[str]) -> LockedPackage:
    needs = Needs()
    wheels = [file for file in files if file.suffix == ".whl"]
    if wheels:
        needs = _needs(min(wheels, key=lambda file: file.stat().st_size), incomplete)
    else:
        incomplete.append(f"the dependencies of {name} {version} were not looked at: there is an sdist alone")
    return LockedPackage(
        name=name,
        version=version,
        location=Location(path=str(files[0])),
        source=str(files[0].parent),
        from_index=False,
        files=tuple(
            DistributionFile(filename=file.name, url=file.absolute().as_uri(), size=file.stat().st_size)
            for file in files
        ),
        edges=needs.edges,
        extra_edges=needs.extra_edges,
    )


def _needs(wheel: Path, incomplete: list[str]) -> Needs:
    from ftaudit.wheel import open_wheel, read_metadata

    try:
        with open_wheel(wheel, cache_dir=wheel.parent) as archive:
            requires = read_metadata(archive, wheel.name).requires
    except ArchiveError as error:
        incomplete.append(f"the dependencies of {wheel.name} were not looked at: {error.problem}")
        return Needs()
    if requires is None:
        incomplete.append(f"the dependencies of {wheel.name} were not looked at: it has no METADATA")
        return Needs()
    needs = parse_needs(requires)
    incomplete += [f"{wheel.name}: a requirement was passed over: {line!r}" for line in needs.malformed]
    return needs
