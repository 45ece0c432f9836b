"""Reads a folder of wheels, sdists, and conda packages, as filled by `pip download`, `pip wheel`, or `conda build`."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from ftaudit.errors import ArchiveError, InputError
from ftaudit.lockfiles.dependencies.needs import Needs, parse_needs
from ftaudit.lockfiles.direct import parse_file
from ftaudit.lockfiles.formats.conda import NO_PACKAGES
from ftaudit.lockfiles.requirements import InputFormat, LockData, LockedPackage, Requirements
from ftaudit.model import DistributionFile, Location
from ftaudit.wheel.conda_package import is_conda, read_conda_package

MAX_FILES: Final = 20_000
_SUFFIXES: Final = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz")


def read(path: Path) -> Requirements:
    """Return a package for each release that the folder has files of; these are its only candidates.

    The dependencies of each release come from the METADATA of its smallest wheel; an sdist is not opened. Conda
    packages are candidates of separate releases; the interpreter and packages without Python code are noted. Raise
    `InputError` for a folder without such a file; a file that cannot be read is a row.
    """
    try:
        entries = sorted(itertools.islice(path.iterdir(), MAX_FILES + 1))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if len(entries) > MAX_FILES:
        raise InputError(f"{path} has more than {MAX_FILES:,} entries")
    releases: dict[tuple[NormalizedName, Version], list[Path]] = defaultdict(list)
    packages: list[LockedPackage] = []
    conda = _Conda()
    for entry in entries:
        if entry.name.lower().endswith((".conda", ".tar.bz2")) and entry.is_file() and is_conda(entry):
            conda.take(entry)
            continue
        if not entry.name.lower().endswith(_SUFFIXES):
            continue
        found = parse_file(entry.name)
        if found is None or not entry.is_file():
            packages.append(_stranger(entry, "is not a file" if found else "is not named like a wheel or sdist"))
        else:
            releases[found].append(entry)
    incomplete: list[str] = []
    packages += [_package(name, version, files, incomplete) for (name, version), files in sorted(releases.items())]
    packages += conda.packages(incomplete)
    if not packages and not conda.left_out:
        raise InputError(f"{path} has no wheels", hint="specify a folder of wheels, or a requirements or lock file")
    return Requirements(
        path=path,
        format=InputFormat.WHEELS,
        lock=LockData(packages=tuple(packages), tolerant=True, incomplete=tuple(incomplete), notes=conda.notes()),
    )


class _Conda:
    """The conda packages of a folder."""

    def __init__(self) -> None:
        self._releases: dict[tuple[NormalizedName, Version], list[tuple[Path, DistributionFile]]] = defaultdict(list)
        self._odd: list[LockedPackage] = []
        self.left_out: list[str] = []
        """The conda packages without Python code, and the interpreter."""

    def take(self, path: Path) -> None:
        """Read a conda package; an unreadable one is a row."""
        try:
            found = read_conda_package(path)
        except ArchiveError as error:
            self._odd.append(_stranger(path, error.what))
            return
        if found.file is None or found.name in NO_PACKAGES:
            self.left_out.append(path.name)
        else:
            self._releases[found.name, found.version].append((path, found.file))

    def packages(self, incomplete: list[str]) -> Iterator[LockedPackage]:
        """Yield a package for each release, and the unreadable files."""
        yield from self._odd
        for (name, version), found in sorted(self._releases.items()):
            files = tuple(file for _, file in found)
            needs = _needs(Path(unquote(urlsplit(files[0].url or "").path)), incomplete)
            yield LockedPackage(
                name=name,
                version=version,
                location=Location(path=str(found[0][0])),
                source=str(found[0][0].parent),
                from_index=False,
                files=files,
                edges=needs.edges,
                extra_edges=needs.extra_edges,
            )

    def notes(self) -> tuple[str, ...]:
        """Return the notes that a reader needs about them."""
        count = sum(map(len, self._releases.values()))
        read = f"{count} conda package{'s are' if count > 1 else ' is'} treated like wheels"
        left_out = f"conda packages without a Python package: {', '.join(self.left_out)}"
        return tuple(note for note, counted in ((read, count), (left_out, self.left_out)) if counted)


def _stranger(entry: Path, what: str) -> LockedPackage:
    stem = entry.name.rsplit("-", 2)[0] if entry.name.endswith(".conda") else entry.name.partition("-")[0]
    name = canonicalize_name("".join(c if c.isalnum() else "-" for c in stem).strip("-") or "file")
    return LockedPackage(
        name=name, version=None, location=Location(path=str(entry)), problem=f"{entry.name} {what}", source=str(entry)
    )


def _package(name: NormalizedName, version: Version, files: Sequence[Path], incomplete: list[str]) -> LockedPackage:
    needs = Needs()
    wheels = [file for file in files if file.suffix == ".whl"]
    if wheels:
        needs = _needs(min(wheels, key=lambda file: file.stat().st_size), incomplete)
    else:
        incomplete.append(f"the dependencies of {name} {version}: there is only an sdist")
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
        incomplete.append(f"the dependencies of {wheel.name}: {error.problem}")
        return Needs()
    if requires is None:
        incomplete.append(f"the dependencies of {wheel.name}: it has no METADATA")
        return Needs()
    needs = parse_needs(requires)
    incomplete += [f"{wheel.name}: skipped an invalid requirement: {line!r}" for line in needs.malformed]
    return needs
