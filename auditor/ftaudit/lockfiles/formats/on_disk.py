"""The compiled files of an environment, and the package of each, from RECORD, conda's records, or the tree itself."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from ftaudit.cpython.suffixes import Suffix, find_suffix
from ftaudit.errors import InputError
from ftaudit.lockfiles.formats.distinfo import Distribution
from ftaudit.lockfiles.input_files import read_bytes
from ftaudit.model import OnDisk
from ftaudit.wheel.image import image_format, mentions_hook
from ftaudit.wheel.module_members import SMALLEST_IMAGE, is_library, may_be_image

_HEAD: Final = 64
MAX_FILES: Final = 400_000
"""Maximum number of files in a tree."""
_PYTHON: Final = re.compile(r"python(\d)\.(\d+)(t?)")
_LINUX: Final = re.compile(r"(x86_64|aarch64|i386|arm|powerpc64le|s390x|riscv64)-linux-(gnu|musl)\w*")
_WHEEL_TAG: Final = re.compile(r"^Tag: *[^-\s]+-[^-\s]+-([\w.]+)\s*$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class CondaPackage:
    """One record of `conda-meta` (conda's documentation, "Repodata record")."""

    name: NormalizedName
    version: Version | None
    build: str
    files: tuple[str, ...]
    """Below the prefix."""
    path: Path


@dataclass(kw_only=True, slots=True)
class InstalledFiles:
    """The content of the packages folders, by the `.dist-info` that owns it."""

    by_metadata: dict[Path, OnDisk] = field(default_factory=dict)
    others: dict[str, OnDisk] = field(default_factory=dict)
    """Extension modules that no distribution lists, by their top-level name."""


def read_conda(prefix: Path) -> tuple[CondaPackage, ...]:
    """Return the packages in conda's records; skip an unreadable record."""
    found = []
    for path in sorted((prefix / "conda-meta").glob("*.json")):
        try:
            record: Any = json.loads(read_bytes(path))
            name, files = record["name"], record.get("files", ())
            version = str(record.get("version", ""))
            found.append(
                CondaPackage(
                    name=canonicalize_name(name),
                    version=_version(version),
                    build=str(record.get("build", "")),
                    files=tuple(file for file in files if isinstance(file, str)),
                    path=path,
                )
            )
        except (InputError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue
    return tuple(found)


def find_on_disk(
    folders: Sequence[Path], distributions: Sequence[Distribution], conda: Sequence[CondaPackage]
) -> InstalledFiles:
    """Return the compiled files of each distribution, and those without one."""
    installed = InstalledFiles()
    for folder in folders:
        here = [each for each in distributions if each.path.parent == folder]
        compiled = tuple(_compiled(folder))
        abi = _abi_of_folder(folder, conda) or _abi_of_modules(compiled)
        owners = _owners(here, compiled)
        by_owner: dict[Path | str, list[str]] = {}
        for file in compiled:
            by_owner.setdefault(owners(file), []).append(file)
        for each in here:
            files = by_owner.pop(each.path, [])
            installed.by_metadata[each.path] = _on_disk(folder, files, abi, each.path)
        for top, files in by_owner.items():
            found = _on_disk(folder, files, abi, None)
            if found.modules or any(_may_hold_module(folder / file) for file in found.libraries):
                installed.others[str(top)] = found
    return installed


def _compiled(folder: Path) -> Iterator[str]:
    """Yield the extension modules and shared libraries below a folder, as relative paths."""
    count = 0
    for parent, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        for name in sorted(names):
            count += 1
            if count > MAX_FILES:
                raise InputError(f"{folder} has more than {MAX_FILES:,} files")
            path = Path(parent, name)
            inside = path.relative_to(folder).as_posix()
            if find_suffix(name) is not None or is_library(name) or (may_be_image(inside) and _is_image(path)):
                yield inside


def _may_hold_module(path: Path) -> bool:
    try:
        return mentions_hook(path)
    except (OSError, ValueError):
        return True


def _is_image(path: Path) -> bool:
    """Return whether a file starts like a shared object; an unreadable file counts, so that its reader reports the
    error.
    """
    try:
        if not path.is_file() or path.stat().st_size < SMALLEST_IMAGE:
            return False
        with path.open("rb") as file:
            return image_format(file.read(_HEAD)) is not None
    except OSError:
        return True


def _owners(distributions: Sequence[Distribution], compiled: Sequence[str]) -> Any:
    """Return a function that maps a file to its distribution: by the file list, or else by the top-level name."""
    listed: dict[str, Path] = {}
    tops: dict[str, list[Path]] = {}
    for each in distributions:
        for file in each.files or ():
            listed[file] = each.path
        names = {file.partition("/")[0] for file in each.files or () if "/" in file and ".dist-info/" not in file}
        for top in {*names, *each.top_level, each.name.replace("-", "_")}:
            tops.setdefault(top, []).append(each.path)

    def owner(file: str) -> Path | str:
        if file in listed:
            return listed[file]
        top = re.split(r"[/.]", file, maxsplit=1)[0]
        return tops[top][0] if len(set(tops.get(top, ()))) == 1 else top

    return owner


def _on_disk(folder: Path, files: Sequence[str], abi: str | None, metadata: Path | None) -> OnDisk:
    modules = tuple(file for file in files if find_suffix(file) is not None)
    tags = _text(metadata / "WHEEL") if metadata is not None and metadata.suffix == ".dist-info" else ""
    return OnDisk(
        root=str(folder),
        modules=modules,
        libraries=tuple(file for file in files if file not in set(modules)),
        abi=abi,
        platform=_platform(tags, modules),
        metadata=None if metadata is None or not (metadata / "METADATA").is_file() else str(metadata / "METADATA"),
    )


def _platform(wheel: str, modules: Sequence[str]) -> str | None:
    """Return the platform tag in WHEEL, or one from the modules' suffixes."""
    tagged = [tag for tag in _WHEEL_TAG.findall(wheel[:100_000]) if tag != "any"]
    if tagged:
        return str(tagged[0]).partition(".")[0]
    named = [suffix.platform for file in modules if (suffix := find_suffix(file)) is not None and suffix.platform]
    for name in named:
        if match := _LINUX.fullmatch(name):
            return f"linux_{ {'i386': 'i686', 'arm': 'armv7l', 'powerpc64le': 'ppc64le'}.get(match[1], match[1]) }"
        if name.startswith("win"):
            return name
    return None


def _abi_of_folder(folder: Path, conda: Sequence[CondaPackage]) -> str | None:
    """Return the ABI of the Python that owns a packages folder, from its path or conda's record of Python."""
    if match := _PYTHON.fullmatch(folder.parent.name):
        if match[3]:
            return f"cp{match[1]}{match[2]}t"
        return None
    for package in conda:
        if package.name == "python" and package.version is not None:
            free = re.search(r"_cp\d+t$", package.build) is not None
            return f"cp{package.version.major}{package.version.minor}{'t' if free else ''}"
    return None


def _abi_of_modules(files: Sequence[str]) -> str | None:
    """Return the ABI in most modules' suffixes."""
    suffixes: list[Suffix] = list(filter(None, map(find_suffix, files)))
    named = [suffix.abi for suffix in suffixes if suffix.abi is not None and not suffix.is_stable]
    counts = Counter(named)
    return str(counts.most_common(1)[0][0]) if counts else None


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except (InvalidVersion, ValueError):
        return None


def _text(path: Path) -> str:
    try:
        return read_bytes(path).decode("utf-8", "replace")
    except InputError:
        return ""


def conda_owners(conda: Sequence[CondaPackage], folder: Path, prefix: Path) -> Mapping[str, CondaPackage]:
    """Return the conda package of each file below a packages folder, by its relative path."""
    try:
        start = folder.absolute().relative_to(prefix.absolute()).as_posix() + "/"
    except ValueError:
        return {}
    return {file.removeprefix(start): package for package in conda for file in package.files if file.startswith(start)}
