"""The only wheel chooser: which file of a release the target's installer chooses on a platform."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from packaging.specifiers import SpecifierSet
from packaging.tags import Tag
from packaging.utils import canonicalize_name
from packaging.version import Version

from ftaudit.index.release import ReleaseFiles
from ftaudit.model import DistributionFile, Gap, GapKind, IndexFacts, Pin, Status, WheelKind
from ftaudit.model.reasons import Excluded, Exclusion
from ftaudit.target import Platform, Target, gil_tags, kind_of, supported_tags, wheel_tags

_PLATFORM_VERSION: Final = re.compile(r"(manylinux|musllinux|macosx)_(\d+)_(\d+)_(.+)")
_LEGACY: Final = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_SYSTEM: Final = {"manylinux": "glibc", "musllinux": "musl", "macosx": "macOS"}
_NO_BUILD: Final = (-1, "")


@dataclass(frozen=True, slots=True)
class _Wheel:
    """A wheel with the parts of its file name."""

    file: DistributionFile
    build: tuple[int, str]
    tags: frozenset[Tag]


def choose_wheel(pin: Pin, files: ReleaseFiles | None, target: Target, platform: Platform) -> IndexFacts:
    """Return which files of the pinned version exist, and which one the target installs on the platform.

    Files that the pin names itself (lock files, direct URLs) are used as they are, and `files` is then ignored. A pin
    is exact, so yanked files can be used, as pip and uv do for `==`, but only if no other wheel fits, with a note in
    `warnings` (PEP 592). `abi3` wheels never fit a free-threaded build. Installers accept `abi3t` wheels for every
    free-threaded build, even if it does not load their content (PEP 803). An unreadable `requires-python` excludes
    nothing, as with pip.
    """
    if pin.problem is not None and pin.version is None:
        return IndexFacts(status=Status.FAILED, reason=Gap(kind=GapKind.UNRESOLVED, detail=pin.problem))
    page_warnings: tuple[str, ...] = ()
    if pin.files is not None:
        local = all((file.url or "").startswith("file:") for file in pin.files) and pin.files
        origin, listed = "file" if local else "lock file", pin.files
    elif pin.source_tree is not None:
        return IndexFacts(status=Status.SKIPPED, reason=Gap(kind=GapKind.LOCAL_PROJECT, subject=pin.source_tree))
    elif files is None:
        return IndexFacts(status=Status.SKIPPED, reason=Gap(kind=GapKind.NOT_ASKED))
    elif files.status is not Status.DONE:
        return IndexFacts(status=files.status, reason=files.reason, origin=files.origin, warnings=files.warnings)
    else:
        origin, listed, page_warnings = files.origin or "index", files.files, files.warnings
    wheels, sdist, strangers = _sort(pin, listed)
    sdist_left_out = None if sdist is None else why_not_built(sdist, pin, target)
    warnings = [*page_warnings, *(f"{name} is not a wheel of {pin.name} {pin.version}" for name in strangers)]
    ranks = _ranks(target, platform)
    allowed: list[_Wheel] = []
    excluded: list[Excluded] = []
    for wheel in wheels:
        if _rank(wheel, ranks) is None:
            left_out = _near_miss(wheel, target, platform)
        else:
            left_out = _why_not(wheel.file, pin, target)
            if left_out is None:
                allowed.append(wheel)
        if left_out is not None:
            excluded.append(left_out)
    best = _best(allowed, ranks)
    if pin.no_binary and best is not None:
        excluded.append(Excluded(filename=best.file.filename, by=Exclusion.NO_BINARY))
        best, allowed = None, []
    if sdist_left_out is not None:
        excluded.append(sdist_left_out)
    if best is not None and best.file.yanked is not None:
        why = f": {best.file.yanked}" if best.file.yanked else ""
        warnings.append(f"{best.file.filename} was yanked{why}; it is used because the pin is exact")
    gil = _best((wheel for wheel in wheels if _why_not(wheel.file, pin, target) is None), _gil_ranks(target, platform))
    return IndexFacts(
        status=Status.DONE,
        origin=origin,
        kind=WheelKind.NONE if best is None else _kind(best, ranks, target),
        wheel=None if best is None else best.file,
        wheels=tuple(wheel.file for wheel in wheels),
        sdist=sdist if sdist_left_out is None else None,
        compiled=any(not _is_pure(tag) for wheel in wheels for tag in wheel.tags),
        excluded=tuple(excluded),
        other_platforms=_other_platforms(wheels, target, platform),
        gil_wheel=None if gil is None else gil.file,
        warnings=tuple(warnings),
    )


def is_installable(pin: Pin, files: Iterable[DistributionFile], target: Target, platform: Platform) -> bool:
    """Return whether an installer on the target or its GIL-enabled build has a file for the platform, or an sdist."""
    admitted = tuple(file for file in files if is_admitted(file, target))
    facts = choose_wheel(pin, ReleaseFiles(status=Status.DONE, files=admitted), target, platform)
    return any(file is not None for file in (facts.wheel, facts.gil_wheel, facts.sdist))


def is_admitted(file: DistributionFile, target: Target) -> bool:
    """Return whether an installer on the target considers a file: it is not yanked, and `requires-python` admits it."""
    return file.yanked is None and (file.requires_python is None or _admits(file.requires_python, target.full_version))


def _sort(pin: Pin, files: Iterable[DistributionFile]) -> tuple[list[_Wheel], DistributionFile | None, list[str]]:
    """Return the wheels, the sdist, and the names of unrelated files."""
    wheels: list[_Wheel] = []
    sdist: DistributionFile | None = None
    strangers: list[str] = []
    for file in files:
        if file.filename.endswith(".whl"):
            wheel = _parse_wheel(pin, file)
            if wheel is None:
                strangers.append(file.filename)
            else:
                wheels.append(wheel)
        elif _hash_is_refused(file, pin):
            continue
        elif sdist is None or (file.filename.endswith(".tar.gz") and sdist.yanked is not None):
            sdist = file
    return wheels, sdist, strangers


def why_not_built(sdist: DistributionFile, pin: Pin, target: Target) -> Excluded | None:
    """Return why an installer on the target does not build from the sdist, or `None`."""
    if pin.only_binary:
        return Excluded(filename=sdist.filename, by=Exclusion.ONLY_BINARY)
    wanted = sdist.requires_python
    if wanted is None or _admits(wanted, target.full_version):
        return None
    earlier = (Version(f"{target.version[0]}.{minor}") for minor in range(target.version[1]))
    return Excluded(
        filename=sdist.filename,
        by=Exclusion.REQUIRES_PYTHON,
        wanted=wanted,
        has=str(target.full_version),
        older=any(_admits(wanted, version) for version in earlier),
    )


def _parse_wheel(pin: Pin, file: DistributionFile) -> _Wheel | None:
    """Split a wheel's name (`NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl`); `None` if it is not the pin's."""
    parts = file.filename[:-4].split("-", 6)
    if len(parts) not in (5, 6) or _name(parts[0]) != pin.name:
        return None
    if pin.version is not None and _version(parts[1]) != pin.version:
        return None
    build = _build(parts[2]) if len(parts) == 6 else _NO_BUILD
    tags = wheel_tags(file.filename)
    return None if build is None or tags is None else _Wheel(file, build, tags)


@functools.lru_cache(maxsize=4096)
def _name(text: str) -> str:
    return canonicalize_name(text)


@functools.lru_cache(maxsize=4096)
def _version(text: str) -> Version | None:
    try:
        return Version(text.replace("_", "-"))
    except ValueError:  # InvalidVersion, or more digits than Python converts.
        return None


def _build(text: str) -> tuple[int, str] | None:
    matched = re.fullmatch(r"(\d{1,18})(.*)", text, re.ASCII)
    return None if matched is None else (int(matched[1]), matched[2])


@functools.lru_cache(maxsize=64)
def _ranks(target: Target, platform: Platform) -> dict[Tag, int]:
    """Return the rank of every tag that the target accepts; lower is better."""
    return {tag: place for place, tag in enumerate(supported_tags(target, platform))}


@functools.lru_cache(maxsize=64)
def _gil_ranks(target: Target, platform: Platform) -> dict[Tag, int]:
    return {tag: place for place, tag in enumerate(gil_tags(target, platform))}


def _rank(wheel: _Wheel, ranks: dict[Tag, int]) -> int | None:
    return min((ranks[tag] for tag in wheel.tags if tag in ranks), default=None)


def _best(wheels: Iterable[_Wheel], ranks: dict[Tag, int]) -> _Wheel | None:
    """Return the wheel that an installer chooses: not yanked, then by tag, then by the higher build number."""
    fitting = ((wheel, place) for wheel in wheels if (place := _rank(wheel, ranks)) is not None)
    return max(
        fitting,
        key=lambda pair: (pair[0].file.yanked is None, -pair[1], pair[0].build),
        default=(None, 0),
    )[0]


def _why_not(file: DistributionFile, pin: Pin, target: Target) -> Excluded | None:
    """Return why a file with matching tags is not installed, or `None`."""
    if file.requires_python is not None and not _admits(file.requires_python, target.full_version):
        return Excluded(
            filename=file.filename,
            by=Exclusion.REQUIRES_PYTHON,
            wanted=file.requires_python,
            has=str(target.full_version),
        )
    if _hash_is_refused(file, pin):
        return Excluded(filename=file.filename, by=Exclusion.HASH)
    return None


def _hash_is_refused(file: DistributionFile, pin: Pin) -> bool:
    """Return whether the input gives hashes, and this file has a different one."""
    if not (pin.allowed_hashes and file.hashes):
        return False
    algorithms = {hash_.partition(":")[0] for hash_ in pin.allowed_hashes}
    comparable = [pair for pair in file.hashes if pair[0] in algorithms]
    return bool(comparable) and not any(f"{name}:{digest}" in pin.allowed_hashes for name, digest in comparable)


@functools.lru_cache(maxsize=4096)
def _admits(requires_python: str, version: Version) -> bool:
    try:
        return SpecifierSet(requires_python).contains(version, prereleases=True)
    except ValueError:  # InvalidSpecifier, or more digits than Python converts.
        return True


def _kind(wheel: _Wheel, ranks: dict[Tag, int], target: Target) -> WheelKind:
    return kind_of(min((tag for tag in wheel.tags if tag in ranks), key=ranks.__getitem__), target)


def _is_pure(tag: Tag) -> bool:
    return tag.abi == "none" and tag.platform == "any"


def _is_free_threaded(tag: Tag, target: Target) -> bool:
    """Return whether the target installs a wheel of that tag on some platform, as one for free-threaded builds."""
    return kind_of(tag, target) in (WheelKind.FREE_THREADED, WheelKind.ABI3T)


def _other_platforms(wheels: list[_Wheel], target: Target, platform: Platform) -> tuple[str, ...]:
    here = set(platform.tags)
    found = {
        tag.platform
        for wheel in wheels
        for tag in wheel.tags
        if tag.abi.endswith("t") and _is_free_threaded(tag, target)
    }
    return tuple(sorted(found - here - {"any"}))


def _near_miss(wheel: _Wheel, target: Target, platform: Platform) -> Excluded | None:
    """Return the required system of a free-threaded wheel for this machine that needs a newer system."""
    needs: list[tuple[str, tuple[int, int], str]] = []
    for tag in wheel.tags:
        if not (tag.abi.endswith("t") and _is_free_threaded(tag, target)):
            continue
        wanted = _system(tag.platform)
        if wanted is not None:
            needs.append((*wanted[:2], tag.platform))
    for family, version, tag_text in sorted(needs, key=lambda need: need[1]):
        has = _newest(platform, family, tag_text)
        if has is not None and version > has:
            return Excluded(
                filename=wheel.file.filename,
                by=Exclusion.SYSTEM,
                wanted=f"{_SYSTEM[family]} {version[0]}.{version[1]} ({tag_text})",
                has=f"{has[0]}.{has[1]}",
            )
    return None


@functools.lru_cache(maxsize=4096)
def _system(tag: str) -> tuple[str, tuple[int, int], str] | None:
    """Split `manylinux_2_28_x86_64` into family, version, and machine."""
    matched = _PLATFORM_VERSION.fullmatch(tag)
    if matched is not None:
        return matched[1], (int(matched[2]), int(matched[3])), matched[4]
    alias, _, machine = tag.partition("_")
    return ("manylinux", _LEGACY[alias], machine) if alias in _LEGACY else None


@functools.lru_cache(maxsize=4096)
def _newest(platform: Platform, family: str, tag: str) -> tuple[int, int] | None:
    """Return the newest version of the family that the platform accepts for the machine of the tag."""
    wanted = _system(tag)
    found = (_system(own) for own in platform.tags)
    return max((own[1] for own in found if own and wanted and (own[0], own[2]) == (family, wanted[2])), default=None)
