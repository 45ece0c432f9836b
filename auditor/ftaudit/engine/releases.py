"""Which wheels `ftaudit wheel` checks: files, folders, URLs, and names become releases, and releases become rows."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    NormalizedName,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import VERSION_PATTERN, Version

from ftaudit.cpython.versions import ABI3T_SINCE
from ftaudit.errors import ArchiveError, InputError, UsageError
from ftaudit.index.choose import choose_wheel
from ftaudit.index.client import Index
from ftaudit.index.release import ReleaseFiles, preferred_versions
from ftaudit.model import DistributionFile, GapKind, IndexFacts, Pin, Status, WheelKind
from ftaudit.model.sentences import gap_phrase
from ftaudit.target import (
    DEFAULT_TARGET,
    TARGETS,
    Platform,
    Target,
    kind_of,
    parse_platform,
    parse_target,
    platform_of_tag,
    suits_gil_build,
)
from ftaudit.wheel.conda_package import is_conda, read_conda_package

FOLDERS: Final = frozenset({"dist", "wheelhouse", "wheels", "build", "target", "out", "output", "artifacts"})
"""Folders that contain wheels: a missing name in them never means an index project of that name."""
NEAR: Final = 4
"""How many versions are named if the requested version does not exist."""
_VERSION: Final = re.compile(VERSION_PATTERN, re.VERBOSE | re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """The files of one version of one project."""

    name: NormalizedName
    version: Version
    files: tuple[DistributionFile, ...]
    whole: bool
    """Whether these are all files of the release (a folder, an index), instead of files named one by one."""


def find_releases(items: Iterable[str], index: Index) -> tuple[tuple[Release, ...], tuple[str, ...]]:
    """Return the releases of the items, and a sentence for each item that the index does not answer.

    Raise `InputError` for an item that does not exist.
    """
    named: list[DistributionFile] = []
    releases: list[Release] = []
    incomplete: list[str] = []
    for item in items:
        path = Path(item)
        if item.startswith(("http://", "https://", "file://")):
            file = _at(item)
            _check_suffix(file.filename, shown=file.filename or item)
            named.append(file)
        elif path.is_dir():
            misnamed: list[str] = []
            releases += _grouped(_in_folder(path, incomplete), whole=True, misnamed=misnamed)
            incomplete += (f"{problem}; installers reject it" for problem in misnamed)
        elif path.is_file() and path.name.endswith((".conda", ".tar.bz2")) and is_conda(path):
            named += _of_conda(path, incomplete)
        elif path.is_file():
            _check_suffix(path.name, shown=item)
            named.append(_local(path))
        elif item.lower() in FOLDERS:
            raise InputError(
                f"there is no folder named {item} here",
                hint=f"build the wheels first; the project of that name is {item}==VERSION",
            )
        elif item.endswith(".whl") or "/" in item or os.sep in item:
            raise InputError(f"{item} does not exist", hint="specify a wheel, a folder, a URL, NAME or NAME==VERSION")
        else:
            found = _on_index(item, index)
            if isinstance(found, str):
                incomplete.append(found)
            else:
                releases.append(found)
    return (*releases, *_grouped(named, whole=False)), tuple(incomplete)


def _at(item: str) -> DistributionFile:
    """Return the file at a URL, with the hash that its fragment names (PEP 503)."""
    url, _, fragment = item.partition("#")
    hashes = tuple(pair for pair in parse_qsl(fragment) if pair[0] == "sha256")
    for _, digest in hashes:
        if not re.fullmatch("[0-9a-fA-F]{64}", digest):
            raise UsageError(f"{item}: #sha256= needs a SHA-256 digest", hint="specify its 64 hexadecimal digits")
    filename = unquote(urlsplit(url).path.rpartition("/")[2])
    return DistributionFile(filename=filename, url=url, hashes=tuple((name, each.lower()) for name, each in hashes))


def _local(path: Path) -> DistributionFile:
    return DistributionFile(filename=path.name, url=path.resolve().as_uri())


def _of_conda(path: Path, incomplete: list[str]) -> Iterator[DistributionFile]:
    """Yield the wheel from a conda package; add a note if it cannot be read or has no Python code."""
    try:
        found = read_conda_package(path)
    except ArchiveError as error:
        incomplete.append(error.problem)
        return
    if found.file is None:
        incomplete.append(f"{path.name} has no Python package")
    else:
        yield found.file


def _in_folder(folder: Path, incomplete: list[str]) -> list[DistributionFile]:
    files: list[DistributionFile] = []
    count = len(incomplete)
    for path in sorted(folder.iterdir()):
        if path.name.endswith((".conda", ".tar.bz2")) and path.is_file() and is_conda(path):
            files += _of_conda(path, incomplete)
        elif path.name.endswith((".whl", ".tar.gz")) and path.is_file():
            files.append(_local(path))
    if not files and len(incomplete) == count:
        raise InputError(f"{folder}: no wheel in this folder", hint="build one, or specify another folder")
    return files


def _on_index(item: str, index: Index) -> Release | str:
    """Return the release for `NAME` or `NAME==VERSION`: without a version, the newest that is not yanked."""
    try:
        requirement = Requirement(item)
    except InvalidRequirement as error:
        raise UsageError(
            f"{item!r} is neither a file, a folder, a URL nor NAME==VERSION", hint="check its spelling"
        ) from error
    name = canonicalize_name(requirement.name)
    project = index.find_project(name)
    if project.status is not Status.DONE:
        told = "the index did not respond" if project.reason is None else gap_phrase(project.reason)
        if project.reason is not None and project.reason.kind is GapKind.NO_PROJECT:
            raise InputError(f"{item}: {told}", hint="check its spelling, and --index-url")
        return f"{name}: {told}"
    allowed = [version for version in project.versions if requirement.specifier.contains(version, prereleases=True)]
    if not allowed:
        raise InputError(
            f"{name}: the index has no version {requirement.specifier or 'at all'}",
            hint=_near(requirement.specifier, tuple(project.versions)),
        )
    version = preferred_versions({version: project.versions[version] for version in allowed})[0]
    return Release(name=name, version=version, files=project.versions[version], whole=True)


def _near(specifier: SpecifierSet, versions: Sequence[Version]) -> str:
    """Return a phrase with the existing `versions` around the requested version, the newest first."""
    asked = next((Version(each.version) for each in specifier if _VERSION.fullmatch(each.version)), None)
    if asked is None or not versions:
        return f"it has {', '.join(map(str, versions[:NEAR])) or 'none'}"
    later = [version for version in versions if version > asked]
    start = max(0, min(len(later) - NEAR // 2, len(versions) - NEAR))
    return f"the nearest are {', '.join(map(str, versions[start : start + NEAR]))}"


def _check_suffix(filename: str, *, shown: str) -> None:
    """Raise `InputError` for a file that is neither a wheel nor an sdist; `shown` is what the user named."""
    if not filename.endswith((".whl", ".tar.gz", ".zip")):
        listed = filename.endswith((".txt", ".toml", ".lock", ".in"))
        hint = f"ftaudit check {shown}" if listed else "specify a wheel, or a folder of wheels"
        raise InputError(f"{shown} is not a wheel", hint=hint)


def _release_of(file: DistributionFile) -> tuple[NormalizedName, Version]:
    """Return the parts of a file's name; raise `InputError` for a name that cannot be parsed."""
    title = file.filename or file.url
    try:
        if file.filename.endswith(".whl"):
            return parse_wheel_filename(file.filename)[:2]
        return parse_sdist_filename(file.filename)
    except (InvalidWheelFilename, InvalidSdistFilename) as error:
        raise InputError(f"{title}: {error}", hint="wheels are named NAME-VERSION-TAGS.whl") from error


def _grouped(files: Iterable[DistributionFile], *, whole: bool, misnamed: list[str] | None = None) -> list[Release]:
    """Sort files into releases by their names.

    Errors about names that cannot be parsed go to `misnamed`; without it, raise `InputError`.
    """
    groups: dict[tuple[NormalizedName, Version], list[DistributionFile]] = {}
    for file in files:
        try:
            groups.setdefault(_release_of(file), []).append(file)
        except InputError as error:
            if misnamed is None:
                raise
            misnamed.append(error.problem)
    return [
        Release(name=name, version=version, files=tuple(group), whole=whole)
        for (name, version), group in groups.items()
    ]


def target_of_wheels(items: Iterable[str]) -> str:
    """Return the first target that loads a named wheel, or a wheel in a named folder; otherwise the default.

    A cp315t or abi3t wheel is for 3.15t. A project name, a URL without a wheel's name, or a missing file has no effect.
    """
    names: list[str] = []
    for item in items:
        path = Path(item)
        inside = path.glob("*.whl") if path.is_dir() else ()
        names += [file.name for file in inside] or [
            urlsplit(item).path.rpartition("/")[2] if "://" in item else path.name
        ]
    tags = {tag for name in names for tag in _tags_of(DistributionFile(filename=unquote(name)))}
    for name in TARGETS:
        target = parse_target(name)
        kinds = {kind_of(tag, target) for tag in tags}
        loads_abi3t = target.version >= ABI3T_SINCE and WheelKind.ABI3T in kinds
        if loads_abi3t or WheelKind.FREE_THREADED in kinds:
            return name
    return DEFAULT_TARGET


@dataclass(frozen=True, kw_only=True, slots=True)
class InstalledRelease:
    """One row to make: the file of a release that the target installs on one platform, or that it installs nothing."""

    release: Release
    platform: str
    index: IndexFacts
    """The answer of the wheel chooser, as in `ftaudit check`."""
    optional: bool = False
    """The wheel belongs to another build and was only named: a note, unless something is wrong with it."""

    @property
    def wheel(self) -> DistributionFile | None:
        """The wheel to read: the chosen one, or else the GIL-enabled one that shows what a rebuild would do."""
        return self.index.wheel or self.index.gil_wheel


def find_installed(release: Release, target: Target, platforms: Sequence[str]) -> Iterator[InstalledRelease]:
    """Yield the rows of a release.

    With `platforms`, one row each. Without them, one row for each wheel that the target installs on the minimum
    platform of the wheel's tag. Wheels that were named one by one are judged one by one.
    """
    if platforms:
        yield from (_choose(release, release.files, target, parse_platform(name)) for name in platforms)
    elif release.whole:
        yield from _everywhere(release, release.files, target)
    else:
        for file in release.files:
            yield from _everywhere(release, (file,), target)


def _choose(
    release: Release, files: tuple[DistributionFile, ...], target: Target, platform: Platform
) -> InstalledRelease:
    local = all((file.url or "").startswith("file:") for file in release.files)
    listed = ReleaseFiles(status=Status.DONE, origin="file" if local else "index", files=files)
    index = choose_wheel(Pin(name=release.name, version=release.version), listed, target, platform)
    named = tuple(file for file in release.files if file.filename.endswith(".whl"))
    return InstalledRelease(release=release, platform=platform.name, index=replace(index, wheels=named))


def _everywhere(release: Release, files: tuple[DistributionFile, ...], target: Target) -> Iterator[InstalledRelease]:
    """Yield what the target installs on its wheels' platforms; without such wheels, on the GIL-enabled wheels'
    platforms.
    """
    tags = [found for file in files if (found := _tags_of(file))]
    kinds = {kind_of(tag, target) for found in tags for tag in found} - {WheelKind.NONE}
    if kinds - {WheelKind.PURE}:
        places = [
            {tag.platform for tag in found if kind_of(tag, target) not in (WheelKind.NONE, WheelKind.PURE)}
            for found in tags
        ]
        yield from _on_each(release, files, target, places)
        return
    places = [{tag.platform for tag in found if suits_gil_build(tag, target)} for found in tags] if not kinds else []
    rows = list(_on_each(release, files, target, places))
    yield from (replace(row, optional=not release.whole) for row in rows)
    if not rows and (kinds or release.whole):
        yield _choose(release, files, target, platform_of_tag("any"))


def _tags_of(file: DistributionFile) -> frozenset[Tag]:
    """Return the tags in a wheel's name; nothing for an sdist or a name that cannot be parsed."""
    try:
        return parse_wheel_filename(file.filename)[3]
    except InvalidWheelFilename:
        return frozenset()


def _on_each(
    release: Release, files: tuple[DistributionFile, ...], target: Target, places: Iterable[Collection[str]]
) -> Iterator[InstalledRelease]:
    """Yield a row for each wheel that is chosen on a platform, and for each platform without a chosen wheel."""
    seen: set[str] = set()
    for names in sorted(sorted(found, key=_modern_first) for found in places):
        for name in names:
            # A `universal2` wheel may be installed on one of its machines, and a better one on the other.
            for tag in (name, name.replace("universal2", "x86_64")):
                row = _choose(release, files, target, platform_of_tag(tag))
                what = row.wheel.filename if row.wheel is not None else names[0]
                if what not in seen:
                    seen.add(what)
                    yield row


def _modern_first(platform: str) -> tuple[bool, str]:
    """Put the modern spelling of a platform tag before the old one: `manylinux_2_17` before `manylinux2014`."""
    return platform.count("_") < 3, platform
