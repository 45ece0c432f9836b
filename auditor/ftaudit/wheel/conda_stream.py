"""A conda package as the stream of its files, read with limits: nothing is unpacked to disk, nothing is followed."""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from ftaudit.errors import ArchiveError, DamagedArchive
from ftaudit.wheel import open_wheel
from ftaudit.wheel.directory import shown_name
from ftaudit.wheel.limits import Limits

SUFFIXES: Final = (".conda", ".tar.bz2")
MOST_BYTES: Final = 8 << 30
"""Bytes of all members, unpacked."""
LARGEST_HEADER: Final = 1 << 20
"""Bytes of a member's extended header; `tarfile` reads it into memory."""
_EXTRA: Final = "ftaudit[conda]"
_HEADERS: Final = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CondaMember:
    """One file or link of the package."""

    name: str
    """Below the prefix, with forward slashes."""
    size: int
    link: str | None = None
    """The target of a symbolic or hard link, as the archive spells it; the member has no bytes then."""
    file: IO[bytes] | None = None
    """Its bytes, until the next member is requested."""


def read_members(path: Path, limits: Limits) -> Iterator[CondaMember]:
    """Yield the members of a `.conda` or `.tar.bz2` package, in the archive's order.

    Both formats are those of conda's documentation ("Conda package specification"). Raise `ArchiveError` for what is
    damaged, larger than the limits, has a member whose name leads out, or needs a module that is not installed.
    """
    count = 0
    for compressed, stream in _streams(path, limits):
        bounded = _Bounded(stream, path.name, min(MOST_BYTES, limits.ratio * compressed + (1 << 20)))
        try:
            with tarfile.open(fileobj=bounded, mode="r|", tarinfo=_Header) as tar:
                for member in tar:
                    count += 1
                    if count > limits.members:
                        raise ArchiveError(f"more than {limits.members} members", about=path.name)
                    if not member.isdir():
                        yield _member(tar, member, path.name)
        except _failures() as error:
            raise DamagedArchive(f"cannot be read: {error}", about=path.name) from error


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo, about: str) -> CondaMember:
    name = member.name.removeprefix("./")
    if name.startswith("/") or ".." in name.split("/") or "\\" in name or "\0" in name or ":" in name.split("/")[0]:
        raise DamagedArchive(f"{shown_name(member.name)}: its name leads out of the archive", about=about)
    if member.issym() or member.islnk():
        return CondaMember(name=name, size=0, link=member.linkname)
    if not member.isreg():
        raise DamagedArchive(f"{shown_name(member.name)}: it is not a regular file", about=about)
    return CondaMember(name=name, size=member.size, file=tar.extractfile(member))


def _streams(path: Path, limits: Limits) -> Iterator[tuple[int, IO[bytes]]]:
    """Yield the compressed size and the open, decompressed bytes of each tar archive in the package."""
    if path.name.endswith(".tar.bz2"):
        import bz2

        try:
            with bz2.open(path) as stream:
                yield path.stat().st_size, stream
        except OSError as error:
            raise DamagedArchive(f"cannot be read: {error.strerror or error}", about=path.name) from error
        return
    with open_wheel(path, cache_dir=path.parent, limits=limits) as archive:
        inner = [member for member in archive.members if member.name.endswith(".tar.zst")]
        named = {member.name.partition("-")[0] for member in inner}
        if named != {"info", "pkg"} or len(inner) != 2:
            what = "not a conda package: it must contain exactly one info-*.tar.zst and one pkg-*.tar.zst"
            raise DamagedArchive(what, about=path.name)
        for member in sorted(inner, key=lambda member: member.name):
            data = archive.read(member)
            with _decompressed(io.BytesIO(data), path.name) as stream:
                yield len(data), stream


@contextmanager
def _decompressed(data: IO[bytes], about: str) -> Iterator[IO[bytes]]:
    """Open Zstandard data: with the standard library from Python 3.14 on, else with the package `zstandard`."""
    if sys.version_info >= (3, 14):
        try:
            from compression import zstd
        except ImportError as error:
            raise ArchiveError("reading it requires a Python that was built with Zstandard", about=about) from error
        with zstd.open(data) as stream:
            yield stream
    else:
        try:
            import zstandard
        except ImportError as error:
            raise ArchiveError(f"reading it requires Zstandard: pip install '{_EXTRA}'", about=about) from error
        with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as stream:
            yield stream


def _failures() -> tuple[type[Exception], ...]:
    """Return what hostile data makes `tarfile` and the decompressors raise."""
    modules = (sys.modules.get(name) for name in ("compression.zstd", "zstandard"))
    decompressors: list[type[Exception]] = [module.ZstdError for module in modules if module is not None]
    return (tarfile.TarError, EOFError, OSError, ValueError, OverflowError, RecursionError, *decompressors)


class _Header(tarfile.TarInfo):
    """A header that is refused if it is too large to be read into memory."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _HEADERS and self.size > LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        found: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc]
        return found


class _Bounded(io.RawIOBase):
    """A stream that ends in an error past a number of bytes."""

    def __init__(self, stream: IO[bytes], about: str, most: int) -> None:
        self._stream, self._about, self._left = stream, about, most

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise ArchiveError("it is too large when unpacked", about=self._about)
        return data
