"""Which wheels `ftaudit wheel` is to look at: files, folders, URLs and names become releases, and releases rows."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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

from ftaudit.errors import InputError, UsageError
from ftaudit.index.client import NO_PROJECT, Index
from ftaudit.model import DistributionFile, Status, WheelKind
from ftaudit.target import ABI3T_SINCE, Target, parse_platform

FOLDERS: Final = frozenset({"dist", "wheelhouse", "wheels", "build", "target", "out", "output", "artifacts"})
"""Where wheels are put: who names one that is missing does not mean the project of that name on the index."""
NEAR: Final = 4
"""How many versions are named where the one asked for does not exist."""
_VERSION: Final = re.compile(VERSION_PATTERN, re.VERBOSE | re.IGNORECASE)
_KINDS: Final = (WheelKind.FREE_THREADED, WheelKind.ABI3T, WheelKind.NATIVE, WheelKind.PURE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """The files of one version of one project."""

    name: NormalizedName
    version: Version
    files: tuple[DistributionFile, ...]
    whole: bool
    """Whether these are all files of the release (a folder, an index), and not some that were named one by one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wheel:
    """A wheel with what its name says."""

    file: DistributionFile
    tags: frozenset[Tag]
    kind: WheelKind
    """What it is to the target; `NONE` for wheels of other builds and versions."""

    @property
    def platform(self) -> str:
        """One platform tag that stands for all of the wheel's, the modern spelling where there is a choice."""
        return min((tag.platform for tag in self.tags), key=lambda tag: (tag.count("_") < 3, tag))


def find_releases(items: Iterable[str], index: Index) -> tuple[tuple[Release, ...], tuple[str, ...]]:
    """Return the releases that the items mean, and a sentence for each that the index does not answer for.

    Raise `InputError` for what does not exist.
    """
    named: list[DistributionFile] = []
    releases: list[Release] = []
    incomplete: list[str] = []
    for item in items:
        path = Path(item)
        if item.startswith(("http://", "https://", "file://")):
            named.append(_at(item))
        elif path.is_dir():
            misnamed: list[str] = []
            releases += _grouped(_in_folder(path), whole=True, misnamed=misnamed)
            incomplete += (f"{problem}: no installer takes it" for problem in misnamed)
        elif path.is_file():
            named.append(_local(path))
        elif item.lower() in FOLDERS:
            raise InputError(
                f"there is no folder {item} here",
                hint=f"build the wheels first; the project of that name is {item}==VERSION",
            )
        elif item.endswith(".whl") or "/" in item or os.sep in item:
            raise InputError(f"{item} does not exist", hint="name a wheel, a folder, an URL, NAME or NAME==VERSION")
        else:
            found = _on_index(item, index)
            if isinstance(found, str):
                incomplete.append(found)
            else:
                releases.append(found)
    return (*releases, *_grouped(named, whole=False)), tuple(incomplete)


def _at(item: str) -> DistributionFile:
    """Return the file at an URL, with the hash that its fragment names (PEP 503)."""
    url, _, fragment = item.partition("#")
    hashes = tuple(pair for pair in parse_qsl(fragment) if pair[0] == "sha256")
    for _, digest in hashes:
        if not re.fullmatch("[0-9a-fA-F]{64}", digest):
            raise UsageError(f"{item}: #sha256= is followed by no SHA-256 digest", hint="it has 64 hexadecimal digits")
    filename = unquote(urlsplit(url).path.rpartition("/")[2])
    return DistributionFile(filename=filename, url=url, hashes=tuple((name, each.lower()) for name, each in hashes))


def _local(path: Path) -> DistributionFile:
    return DistributionFile(filename=path.name, url=path.resolve().as_uri())


def _in_folder(folder: Path) -> list[DistributionFile]:
    files = [
        _local(path) for path in sorted(folder.iterdir()) if path.name.endswith((".whl", ".tar.gz")) and path.is_file()
    ]
    if not files:
        raise InputError(f"{folder}: no wheel in this folder", hint="build one, or name another folder")
    return files


def _on_index(item: str, index: Index) -> Release | str:
    """Return the release that `NAME` or `NAME==VERSION` means: without a version the newest that has files."""
    try:
        requirement = Requirement(item)
    except InvalidRequirement as error:
        raise UsageError(
            f"{item!r} is neither a file, a folder, an URL nor NAME==VERSION", hint="check its spelling"
        ) from error
    name = canonicalize_name(requirement.name)
    project = index.find_project(name)
    if project.status is not Status.DONE:
        if (project.reason or "").startswith(NO_PROJECT):
            raise InputError(f"{item}: {project.reason}", hint="check its spelling, and --index-url")
        return f"{name}: {project.reason}"
    allowed = [version for version in project.versions if requirement.specifier.contains(version, prereleases=True)]
    finals = [version for version in allowed if not version.is_prerelease]
    if not allowed:
        raise InputError(
            f"{name}: the index has no version {requirement.specifier or 'at all'}",
            hint=_near(requirement.specifier, tuple(project.versions)),
        )
    version = (finals or allowed)[0]
    return Release(name=name, version=version, files=project.versions[version], whole=True)


def _near(specifier: SpecifierSet, versions: Sequence[Version]) -> str:
    """Return which versions there are, of `versions` the newest first: those around the one asked for."""
    asked = next((Version(each.version) for each in specifier if _VERSION.fullmatch(each.version)), None)
    if asked is None or not versions:
        return f"it has {', '.join(map(str, versions[:NEAR])) or 'none'}"
    later = [version for version in versions if version > asked]
    start = max(0, min(len(later) - NEAR // 2, len(versions) - NEAR))
    return f"the nearest are {', '.join(map(str, versions[start : start + NEAR]))}"


def _release_of(file: DistributionFile) -> tuple[NormalizedName, Version]:
    """Return what a file's name says; raise `InputError` where that is nothing."""
    title = file.filename or file.url
    if not file.filename.endswith((".whl", ".tar.gz", ".zip")):
        listed = file.filename.endswith((".txt", ".toml", ".lock", ".in"))
        hint = f"ftaudit check {file.filename}" if listed else "name a wheel, or a folder of wheels"
        raise InputError(f"{title} is no wheel", hint=hint)
    try:
        if file.filename.endswith(".whl"):
            return parse_wheel_filename(file.filename)[:2]
        return parse_sdist_filename(file.filename)
    except (InvalidWheelFilename, InvalidSdistFilename) as error:
        raise InputError(f"{title}: {error}", hint="wheels are named NAME-VERSION-TAGS.whl") from error


def _grouped(files: Iterable[DistributionFile], *, whole: bool, misnamed: list[str] | None = None) -> list[Release]:
    """Sort files into releases by their names.

    What is wrong with a name that says nothing goes to `misnamed`; without that, raise `InputError`.
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One row to be made: a wheel of the release, or the want of one."""

    release: Release
    platform: str
    kind: WheelKind
    wheel: Wheel | None
    """The wheel that is read; for kind `NONE` the ordinary build's."""
    optional: bool = False
    """The wheel is another build's and was merely named: a note, unless something is wrong with it."""


def find_candidates(release: Release, target: Target, platforms: Sequence[str]) -> Iterator[Candidate]:
    """Yield the rows of a release."""
    wheels = [Wheel(file=file, tags=tags, kind=_kind(tags, target)) for file, tags in tagged(release.files)]
    fitting = [wheel for wheel in wheels if wheel.kind is not WheelKind.NONE]
    compiled = [wheel for wheel in fitting if wheel.kind is not WheelKind.PURE]
    ordinary = [wheel for wheel in wheels if _is_ordinary(wheel.tags, target)]
    if platforms:
        for name in platforms:
            accepted = set(parse_platform(name).tags)
            chosen, fallback = _best(fitting, accepted), _best(ordinary, accepted)
            kind = WheelKind.NONE if chosen is None else chosen.kind
            yield Candidate(release=release, platform=name, kind=kind, wheel=chosen or fallback)
        return
    for wheel in sorted(compiled, key=lambda wheel: wheel.platform) or fitting[:1]:
        yield Candidate(release=release, platform=wheel.platform, kind=wheel.kind, wheel=wheel)
    if fitting:
        return
    for wheel in sorted(ordinary, key=lambda wheel: wheel.platform):
        yield Candidate(
            release=release, platform=wheel.platform, kind=WheelKind.NONE, wheel=wheel, optional=not release.whole
        )
    if not ordinary and release.whole:
        yield Candidate(release=release, platform="any", kind=WheelKind.NONE, wheel=None)


def tagged(files: Iterable[DistributionFile]) -> Iterator[tuple[DistributionFile, frozenset[Tag]]]:
    """Yield the wheels that were not yanked, with their tags."""
    for file in files:
        if file.filename.endswith(".whl") and file.yanked is None:
            try:
                yield file, parse_wheel_filename(file.filename)[3]
            except InvalidWheelFilename:
                continue


def _kind(tags: frozenset[Tag], target: Target) -> WheelKind:
    """Return what a wheel is to the target, whatever the platform."""
    found = {_kind_of_tag(tag, target) for tag in tags}
    return next((kind for kind in _KINDS if kind in found), WheelKind.NONE)


def _kind_of_tag(tag: Tag, target: Target) -> WheelKind:
    newest = f"cp{target.version[0]}{target.version[1]}"
    if tag.abi == target.abi and tag.interpreter == newest:
        return WheelKind.FREE_THREADED
    if tag.abi == "abi3t" and target.version >= ABI3T_SINCE:
        return WheelKind.ABI3T
    if tag.abi == "none" and tag.interpreter in ("py3", f"py{target.version[0]}{target.version[1]}", newest):
        return WheelKind.PURE if tag.platform == "any" else WheelKind.NATIVE
    return WheelKind.NONE


def _is_ordinary(tags: frozenset[Tag], target: Target) -> bool:
    """Tell whether the ordinary build of the target's version installs the wheel somewhere."""
    return any(tag.abi == "abi3" or tag.abi == target.abi.rstrip("t") for tag in tags)


def _runs_on(wheel: Wheel, platform_tags: set[str]) -> bool:
    return any(tag.platform == "any" or tag.platform in platform_tags for tag in wheel.tags)


def _best(wheels: Iterable[Wheel], platform_tags: set[str]) -> Wheel | None:
    """Return the wheel that a platform installs: compiled before pure."""
    order = {kind: rank for rank, kind in enumerate((*_KINDS, WheelKind.NONE))}
    fitting = (wheel for wheel in wheels if _runs_on(wheel, platform_tags))
    return min(fitting, key=lambda wheel: order[wheel.kind], default=None)
