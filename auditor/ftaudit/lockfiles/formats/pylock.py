"""Reads `pylock.toml` and `pylock.*.toml` (PEP 751)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from ftaudit.errors import InputError
from ftaudit.lockfiles.direct import local_path, parse_file
from ftaudit.lockfiles.fields import are_for_one_system, check_known, read_range
from ftaudit.lockfiles.input_files import file_name, header_lines, how_to_repair, read_toml
from ftaudit.lockfiles.requirements import Edge, EdgeSource, InputFormat, LockData, LockedPackage, Requirements
from ftaudit.model import DistributionFile, Location
from ftaudit.urls import public

if TYPE_CHECKING:
    from packaging.pylock import Package, PackageSdist, PackageWheel

VERSION: Final = Version("1.0")


def read(
    path: Path, *, extras: Sequence[str] = (), groups: Sequence[str] = (), all_extras: bool = False
) -> Requirements:
    """Return the locked packages; the lock's default groups count as well as the named ones.

    Raise `InputError` with the place of the error (`packages[3].wheels[0].hashes`), `UsageError` for an unknown extra
    or group.
    """
    from packaging.pylock import Pylock, PylockUnsupportedVersionError, PylockValidationError

    document, text = read_toml(path)
    _check_version(document, path)
    listed = document.get("packages")
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            # Pipenv does not normalize names; installers read them anyway.
            entry["name"] = canonicalize_name(entry["name"])
    try:
        lock = Pylock.from_dict(document)
        read_range(str(lock.requires_python or ""))
    except PylockUnsupportedVersionError as error:
        raise InputError(f"{path}: {error}", hint="upgrade ftaudit") from error
    except PylockValidationError as error:
        raise InputError(
            f"{path}: {error.context or 'the document'}: {error.message}", hint=how_to_repair(path)
        ) from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is not a valid pylock.toml file: {error}", hint=how_to_repair(path)) from error
    offered, known = frozenset(lock.extras or ()), frozenset(lock.dependency_groups or ())
    wanted = offered if all_extras else frozenset(map(canonicalize_name, extras))
    check_known("extra", wanted, offered, path)
    check_known("group", groups, known, path)
    lines = header_lines(text, "packages", len(lock.packages))
    places = [Location(path=str(path), line=line) for line in lines]
    packages = [
        _package(package, place, path, i) for i, (package, place) in enumerate(zip(lock.packages, places, strict=True))
    ]
    knows_edges = len(packages) < 2 or any(package.edges for package in packages)
    return Requirements(
        path=path,
        format=InputFormat.PYLOCK,
        lock=LockData(
            edges_from=EdgeSource.LOCK if knows_edges else EdgeSource.NOWHERE,
            packages=tuple(packages),
            requires_python=(lock.requires_python,) if lock.requires_python else (),
            remedy="requires-python or environments of the project",
            environments=tuple(map(str, lock.environments or ())),
            extras=wanted,
            groups=frozenset((*(lock.default_groups or ()), *groups)),
            single_environment=_single_environment(lock.packages),
        ),
    )


def _check_version(document: dict[str, Any], path: Path) -> None:
    """Reject an unknown minor version: `packaging` would only warn and skip new content."""
    value = document.get("lock-version")
    if not isinstance(value, str):
        what = f"{path}: lock-version is missing or is not a string: this is not a pylock.toml file"
        raise InputError(what, hint=how_to_repair(path))
    try:
        version = Version(value)
    except InvalidVersion as error:
        raise InputError(f"{path}: lock-version: {value!r} is not a version", hint=how_to_repair(path)) from error
    if version != VERSION:
        raise InputError(
            f"{path}: lock-version {value} is not supported; ftaudit supports {VERSION}",
            hint="upgrade ftaudit",
        )


def _single_environment(packages: Sequence[Package]) -> bool:
    """Return whether the listed wheels are only those for one system, instead of all wheels on the index.

    PEP 751 lets a locker list only the wheels for its own environment (as `pip lock` and `uv pip compile` do). In such
    a file, a missing free-threaded wheel means nothing.
    """
    names = [file_name(wheel.url or wheel.path or wheel.name or "") for p in packages for wheel in p.wheels or ()]
    return are_for_one_system(names)


def _package(package: Package, place: Location, path: Path, position: int) -> LockedPackage:
    files: tuple[DistributionFile, ...] | None = None
    version = package.version
    source_tree = problem = None
    if package.directory is not None:
        source_tree = str(local_path(package.directory.path, path.parent))
    elif package.vcs is not None:
        where = public(package.vcs.url or package.vcs.path or "")
        problem = f"it comes from a repository ({where}), which ftaudit does not build"
    elif package.archive is not None:
        archive = package.archive
        url = archive.url or local_path(archive.path or "", path.parent).as_uri()
        files = (DistributionFile(filename=file_name(url), url=url, hashes=_hashes(archive.hashes), size=archive.size),)
        found = parse_file(url)
        version = version or (found[1] if found else None)
    else:
        listed: list[PackageWheel | PackageSdist] = [*(package.wheels or ())]
        if package.sdist is not None:
            listed.append(package.sdist)
        files = tuple(_file(item, path) for item in listed)
        if version is None and (found := parse_file(files[0].filename)):
            version = found[1]
    return LockedPackage(
        name=package.name,
        version=version,
        location=place,
        marker=str(package.marker) if package.marker else None,
        files=files,
        index_url=package.index,
        edges=tuple(_edge(item, path, position, i) for i, item in enumerate(package.dependencies or ())),
        source="archive" if package.archive is not None else None,
        source_tree=source_tree,
        problem=problem,
        from_index=package.archive is None and package.vcs is None and package.directory is None,
    )


def _edge(item: Any, path: Path, position: int, number: int) -> Edge:
    name, version = item.get("name"), item.get("version")
    if not isinstance(name, str) or not isinstance(version, str | None):
        what = f"{path}: packages[{position}].dependencies[{number}] does not name a package"
        raise InputError(what, hint=how_to_repair(path))
    return Edge(name=canonicalize_name(name), version=version)


def _file(item: PackageWheel | PackageSdist, path: Path) -> DistributionFile:
    url = item.url or local_path(item.path or "", path.parent).as_uri()
    return DistributionFile(filename=item.filename, url=url, hashes=_hashes(item.hashes), size=item.size)


def _hashes(hashes: Any) -> tuple[tuple[str, str], ...]:
    return tuple((algorithm.lower(), digest.lower()) for algorithm, digest in hashes.items())
