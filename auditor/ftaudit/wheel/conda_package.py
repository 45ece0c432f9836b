"""Conda packages as wheels: the compiled files and the metadata of each, with the tags that its own index states."""

from __future__ import annotations

import email.parser
import hashlib
import json
import posixpath
import re
import shutil
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from ftaudit.cpython.suffixes import find_suffix
from ftaudit.errors import ArchiveError, DamagedArchive
from ftaudit.folders import scratch_folder
from ftaudit.model import DistributionFile
from ftaudit.wheel.conda_stream import SUFFIXES, CondaMember, read_members
from ftaudit.wheel.directory import shown_name
from ftaudit.wheel.limits import Limits
from ftaudit.wheel.module_members import is_library

LARGEST_TEXT: Final = 4 << 20
"""Bytes of `info/index.json` or of a METADATA file."""
_SITE: Final = re.compile(
    r"(?:lib/python(?P<version>\d\.\d+t?)/site-packages|Lib/site-packages|site-packages)/(?P<rest>.+)", re.DOTALL
)
"""The folders of packages: on Unix, on Windows, and in a package for every Python (`noarch: python`)."""
_INFO: Final = re.compile(r"[^/]+\.(?:dist|egg)-info/(?:METADATA|PKG-INFO)")
_ABI: Final = re.compile(r"python_abi\s+\S+\s+\*_(cp\d+t?)\b")
_GLIBC: Final = re.compile(r"__glibc\s*>=(\d+)\.(\d+)")
_MACOS: Final = re.compile(r"__osx\s*>=(\d+)\.(\d+)")
_BUILD: Final = re.compile(r"py(\d)(\d+)")
_LINUX: Final = {"64": "x86_64", "32": "i686", "armv7l": "armv7l"}
_WINDOWS: Final = {"win-64": "win_amd64", "win-arm64": "win_arm64", "win-32": "win32"}


@dataclass(frozen=True, kw_only=True, slots=True)
class FromConda:
    """A conda package, read."""

    name: NormalizedName
    version: Version
    file: DistributionFile | None
    """The wheel that holds what there is of Python in it; `None` if nothing is."""


def is_conda(path: Path) -> bool:
    """Return whether a file is a conda package: by its name, and a `.tar.bz2`, which may be an sdist, by what is in it.

    A file that cannot be read is not one.
    """
    if path.name.endswith(".conda"):
        return True
    parts = path.name.removesuffix(".tar.bz2").rsplit("-", 2)
    if not path.name.endswith(".tar.bz2") or len(parts) != 3 or not parts[1][:1].isdigit():
        return False
    try:
        return any(member.name == "info/index.json" for member in read_members(path, Limits()))
    except ArchiveError:
        return False


def read_conda_package(path: Path, limits: Limits | None = None) -> FromConda:
    """Write what of a conda package is Python's as a wheel that is gone when the program ends, and return it.

    The wheel has the package's own name and version, and the tags of the Python and system that it was built for. It
    holds only the compiled files and the metadata. Raise `ArchiveError` for a package that cannot be read, is hostile,
    or does not say what it is for.
    """
    place = hashlib.sha256(str(path.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    folder = scratch_folder() / f"conda-{place}"
    folder.mkdir(exist_ok=True)
    part = folder / "part"
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        found = _copy(path, archive, limits or Limits())
        index = _Index.parse(found.index, path)
        if not found.has_python:
            return FromConda(name=index.name, version=index.version, file=None)
        tag = _tag(index, found, path)
        stem = f"{index.name.replace('-', '_')}-{index.version}"
        info = f"{stem}.dist-info"
        archive.writestr(f"{info}/METADATA", _metadata(index, found.metadata))
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")
        record = f"{info}/RECORD"
        archive.writestr(record, "".join(f"{name},,\n" for name in (*archive.namelist(), record)))
    build = f"{index.number}_{re.sub('[^A-Za-z0-9]', '_', index.build)}"
    wheel = part.replace(folder / f"{stem}-{build}-{tag}.whl")
    return FromConda(
        name=index.name,
        version=index.version,
        file=DistributionFile(
            filename=wheel.name, url=wheel.as_uri(), size=wheel.stat().st_size, conda_package=path.name
        ),
    )


@dataclass(kw_only=True, slots=True)
class _Found:
    """The members of a package."""

    index: bytes = b""
    metadata: list[bytes] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)
    """Extension modules, as paths below the folder of packages."""
    versions: set[str] = field(default_factory=set)
    """The versions of Python in whose folders files are, `3.14t`."""
    has_python: bool = False


def _copy(path: Path, archive: zipfile.ZipFile, limits: Limits) -> _Found:
    """Copy the compiled files from a package, and return its contents."""
    found = _Found()
    copied: set[str] = set()
    links: dict[str, str] = {}
    for member in read_members(path, limits):
        if member.name == "info/index.json" and not found.index:
            found.index = _text(member, path)
        place = _SITE.fullmatch(member.name)
        if place is None:
            continue
        found.has_python = True
        if place["version"]:
            found.versions.add(place["version"])
        rest = place["rest"]
        if _INFO.fullmatch(rest) and member.file is not None:
            found.metadata.append(_text(member, path))
        is_module = find_suffix(posixpath.basename(rest)) is not None
        if not is_module and not is_library(rest):
            continue
        if rest in copied or rest in links:
            raise DamagedArchive(f"{shown_name(member.name)}: two members have this name", about=path.name)
        if is_module:
            found.modules.append(rest)
        if member.file is None:
            links[rest] = posixpath.normpath(posixpath.join(posixpath.dirname(rest), member.link or ""))
            continue
        if member.size > limits.member:
            problem = f"{shown_name(member.name)}: {member.size} bytes, more than {limits.member}"
            raise ArchiveError(problem, about=path.name)
        copied.add(rest)
        with archive.open(zipfile.ZipInfo(rest), "w", force_zip64=True) as target:
            shutil.copyfileobj(member.file, target, 1 << 20)
    if astray := [link for link, target in links.items() if find_suffix(link) is not None and target not in copied]:
        raise ArchiveError(f"{shown_name(astray[0])} is a link to a file that was not read", about=path.name)
    found.modules = [module for module in found.modules if module not in links]
    return found


def _text(member: CondaMember, path: Path) -> bytes:
    if member.file is None or member.size > LARGEST_TEXT:
        raise DamagedArchive(f"{shown_name(member.name)} is a link or is too large", about=path.name)
    return member.file.read()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Index:
    """The content of `info/index.json` (conda's documentation, "Package metadata")."""

    name: NormalizedName
    version: Version
    build: str
    number: int
    subdir: str
    for_every_python: bool
    depends: tuple[str, ...]

    @classmethod
    def parse(cls, data: bytes, path: Path) -> _Index:
        """Return the index; raise `DamagedArchive` if it is malformed or not that of the file."""
        try:
            table: Any = json.loads(data)
            name, version, build = str(table["name"]), str(table["version"]), str(table["build"])
            number, depends = int(table.get("build_number", 0)), tuple(map(str, table.get("depends") or ()))
            subdir, noarch = str(table.get("subdir") or ""), table.get("noarch")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise DamagedArchive("its info/index.json is missing or malformed", about=path.name) from error
        stated = f"{name}-{version}-{build}"
        if not any(path.name == f"{stated}{suffix}" for suffix in SUFFIXES):
            raise DamagedArchive(f"its info/index.json is for {shown_name(stated)}", about=path.name)
        try:
            parsed = Version(version)
        except (InvalidVersion, ValueError) as error:
            problem = f"its version {shown_name(version)} is not a valid version of a Python package"
            raise ArchiveError(problem, about=path.name) from error
        return cls(
            name=canonicalize_name(name),
            version=parsed,
            build=build,
            number=max(number, 0),
            subdir=subdir,
            for_every_python=noarch == "python",
            depends=depends,
        )


def _tag(index: _Index, found: _Found, path: Path) -> str:
    """Return the tag of the wheel that would be installed where conda installs the package."""
    if index.for_every_python:
        if found.modules:
            raise ArchiveError("it is for every platform (noarch) but contains extension modules", about=path.name)
        return "py3-none-any"
    abi = _abi(index, found)
    if abi is None:
        raise ArchiveError("it does not say which Python version it is for", about=path.name)
    return f"{re.sub('t$', '', abi)}-{abi}-{_platform(index, path)}"


def _abi(index: _Index, found: _Found) -> str | None:
    """Return the ABI by what it depends on, else by its folder, its modules' suffixes, or the build's name."""
    stated = {match[1] for line in index.depends if (match := _ABI.match(line))}
    stated = stated or {f"cp{version.replace('.', '')}" for version in found.versions}
    if len(stated) == 1:
        return stated.pop()
    named = (find_suffix(posixpath.basename(module)) for module in found.modules)
    counts = Counter(suffix.abi for suffix in named if suffix is not None and suffix.abi and not suffix.is_stable)
    if counts:
        return counts.most_common(1)[0][0]
    built = _BUILD.search(index.build)
    return f"cp{built[1]}{built[2]}" if built else None


def _platform(index: _Index, path: Path) -> str:
    """Return the platform tag of the subdirectory of a channel, with the system that the package asks for."""
    family, _, machine = index.subdir.partition("-")
    if family == "linux" and machine:
        machine = _LINUX.get(machine, machine)
        glibc = max(_versions(_GLIBC, index.depends), default=None)
        return f"linux_{machine}" if glibc is None else f"manylinux_{glibc[0]}_{glibc[1]}_{machine}"
    if family == "osx" and machine in ("64", "arm64"):
        lowest = (11, 0) if machine == "arm64" else (10, 9)
        major, minor = max((lowest, *_versions(_MACOS, index.depends)))
        return f"macosx_{major}_{minor}_{_LINUX.get(machine, machine)}"
    if index.subdir in _WINDOWS:
        return _WINDOWS[index.subdir]
    raise ArchiveError(f"it is for an unknown platform: {shown_name(index.subdir) or 'none'}", about=path.name)


def _versions(pattern: re.Pattern[str], lines: Sequence[str]) -> list[tuple[int, int]]:
    return [(int(match[1][:4]), int(match[2][:4])) for line in lines if (match := pattern.match(line))]


def _metadata(index: _Index, stated: Sequence[bytes]) -> str:
    """Return METADATA of the package's name and version, with what its own metadata states of needs and classifiers."""
    lines = ["Metadata-Version: 2.1", f"Name: {index.name}", f"Version: {index.version}"]
    if len(stated) == 1:
        head = stated[0].decode("utf-8", "replace").replace("\r\n", "\n").partition("\n\n")[0]
        message = email.parser.HeaderParser().parsestr(head)
        for key in ("Requires-Dist", "Classifier", "Provides-Extra"):
            lines += [f"{key}: {' '.join(str(value).split())}" for value in message.get_all(key, [])]
    return "\n".join((*lines, "", ""))
