"""Unpack an untrusted source distribution: regular files only, nothing outside the folder, within limits."""

from __future__ import annotations

import posixpath
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import IO, Final

from ftaudit.errors import ArchiveError, InputError
from ftaudit.folders import temporary_folder
from ftaudit.source.declaring_files import DeclaringFiles
from ftaudit.source.languages import may_be_source
from ftaudit.source.run_rules import Skipped
from ftaudit.source.source_files import FoundFiles, find_files

MAX_MEMBERS: Final = 60_000
MAX_TOTAL: Final = 2 << 30
"""The most bytes that all members together may have."""
MAX_MEMBER: Final = 20_000_000
"""Larger members are left out: the scanner would not read them."""
_CHUNK: Final = 1 << 20


@contextmanager
def unpacked(archive: Path, scratch: Path | None = None) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Unpack an sdist into a folder that is removed afterwards; yield the folder and what was left out, and why.

    Links, devices, absolute paths and paths with `..` are left out. Raise `ArchiveError` for an archive that is
    damaged, encrypted, of an unknown form, or larger than the limits.
    """
    with _folder(scratch) as folder:
        yield folder, unpack(archive, folder)


@contextmanager
def found_in(
    archive: Path,
    scratch: Path | None = None,
    *,
    include_tests: bool = False,
    include_vendored: bool = False,
    only: DeclaringFiles | None = None,
) -> Iterator[FoundFiles]:
    """Unpack an sdist, and yield its source files; omitted ones are among the skipped.

    With `only`, files that cannot hold a declaration are not unpacked. Errors as in `unpacked`; raise `InputError` if
    the sdist has no source file.
    """
    with _folder(scratch) as folder:
        left_out = [skip for skip in _unpack(archive, folder, only) if may_be_source(PurePosixPath(skip.path))]
        found = find_files(
            [folder], include_tests=include_tests, include_vendored=include_vendored, trust_git=False, base=folder
        )
        found = replace(found, skipped=(*found.skipped, *left_out))
        if not found.files and not found.skipped and not found.left_out and not (only is not None and only.left_out):
            raise InputError(f"no source files in {archive.name}", hint="specify a source distribution")
        yield found


@contextmanager
def _folder(scratch: Path | None) -> Iterator[Path]:
    """Yield a new folder that is removed afterwards."""
    if scratch is not None:
        scratch.mkdir(parents=True, exist_ok=True)
    with temporary_folder("sdist-", within=scratch) as folder:
        yield folder


def unpack(archive: Path, folder: Path) -> tuple[str, ...]:
    """Unpack an sdist into an existing, empty folder; return what was left out, and why. Errors as in `unpacked`."""
    return tuple(f"{skip.path}: {skip.reason}" for skip in _unpack(archive, folder))


def _unpack(archive: Path, folder: Path, only: DeclaringFiles | None = None) -> list[Skipped]:
    left_out: list[Skipped] = []
    try:
        members = _zip_members(archive) if archive.name.endswith(".zip") else _tar_members(archive)
        total = 0
        for count, (name, kind, file) in enumerate(members, 1):
            if count > MAX_MEMBERS:
                raise ArchiveError(f"{archive.name} has more than {MAX_MEMBERS:,} members")
            relative = _safe(name)
            if kind is not None:
                left_out.append(Skipped(path=name, reason=kind))
            elif relative is None:
                left_out.append(Skipped(path=name, reason="its path leads out of the archive"))
            elif file is not None:
                written = None if only is None else only.leaves_out(relative, file, MAX_MEMBER)
                if written is None:
                    written = _write(file, folder / relative)
                if written is None:
                    why = f"larger than {MAX_MEMBER // 1_000_000} MB, or in conflict with another member"
                    left_out.append(Skipped(path=name, reason=why))
                total += written or 0
                if total > MAX_TOTAL:
                    raise ArchiveError(f"{archive.name} unpacks to more than {MAX_TOTAL >> 30} GB")
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
        raise ArchiveError(f"{archive.name} cannot be unpacked: {error}") from error
    return left_out


def _tar_members(archive: Path) -> Iterator[tuple[str, str | None, IO[bytes] | None]]:
    if not tarfile.is_tarfile(archive):
        # The error of `open` has a line for each compression that it tried.
        raise ArchiveError(f"{archive.name} cannot be unpacked: it is not a tar archive")
    with tarfile.open(archive, mode="r:*") as tar:
        for member in tar:
            if member.isdir() or (member.issym() and _stays(member.name, member.linkname)):
                continue  # The target of a link within the archive is a member itself.
            if not member.isreg():
                yield member.name, "a link" if member.issym() or member.islnk() else "not a regular file", None
            else:
                yield member.name, None, tar.extractfile(member)


def _stays(name: str, target: str) -> bool:
    """Return whether a link leads to a place within the archive's first folder."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    return not path.startswith(("/", "../")) and path.partition("/")[0] == name.partition("/")[0]


def _zip_members(archive: Path) -> Iterator[tuple[str, str | None, IO[bytes] | None]]:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            if member.is_dir():
                continue
            if stat.S_ISLNK(member.external_attr >> 16):
                yield member.filename, "a link", None
            else:
                with opened.open(member) as file:
                    yield member.filename, None, file


def _safe(name: str) -> PurePosixPath | None:
    """Return the member's path if it stays below the folder on every system, else `None`."""
    path = PurePosixPath(name.replace("\\", "/"))
    parts = [part for part in path.parts if part != "."]
    if path.is_absolute() or not parts or ".." in parts or any(":" in part or "\0" in part for part in parts):
        return None
    if any(len(part.encode("utf-8", "surrogateescape")) > 255 for part in parts) or len(parts) > 60:
        return None
    return PurePosixPath(*parts)


def _write(source: IO[bytes], target: Path) -> int | None:
    """Write one member; return its size, or `None` if it is too large or another file is in the way."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        return None
    if target.exists():
        return None
    written = 0
    with target.open("xb") as file:
        while chunk := source.read(_CHUNK):
            written += len(chunk)
            if written > MAX_MEMBER:
                break
            file.write(chunk)
    if written > MAX_MEMBER:
        target.unlink()
        return None
    return written
