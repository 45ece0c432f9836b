"""A zip's central directory, read strictly: what is wrong with it is an error, or a recorded problem."""

from __future__ import annotations

import io
import re
import struct
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ftaudit.errors import ArchiveError, DamagedArchive
from ftaudit.wheel.limits import Limits
from ftaudit.wheel.source import WheelSource

# PKWARE APPNOTE.TXT 6.3.10, sections 4.3.7 (local header), 4.3.14–4.3.16 (the ends of the central directory).
LOCAL_HEADER: Final = struct.Struct("<4s H H H H H I I I H H")
_END: Final = struct.Struct("<4s H H H H I I H")
_END64: Final = struct.Struct("<4s Q H H I I Q Q Q Q")
_LOCATOR64: Final = struct.Struct("<4s I Q I")
_ENCRYPTED: Final = 0x2041
"""Flag bits 0 (encrypted), 6 (strongly) and 13 (the directory too)."""
_UTF8: Final = 0x800
_DRIVE: Final = re.compile("[A-Za-z]:")
SHOWN: Final = 120
"""Characters of a name that a message shows."""
_UNREADABLE: Final = (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError, OverflowError, EOFError)


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveMember:
    """One file of the archive, by the central directory. Sizes and offsets in bytes."""

    name: str
    offset: int
    """Of the local header."""
    end: int
    """The start of the next member or the central directory."""
    compressed: int
    size: int
    crc: int
    method: int
    flags: int
    problem: str | None = None
    """Why it cannot be read, or must not be; `None` when it can."""


def read_directory(source: WheelSource, limits: Limits) -> tuple[tuple[ArchiveMember, ...], tuple[str, ...]]:
    """Return the members and the archive's problems; raise `ArchiveError` if it cannot be read or is a trap."""
    ends = _locate(source, limits)
    try:
        with zipfile.ZipFile(_Window(source, ends.stop)) as archive:
            infos = archive.infolist()
            start = archive.start_dir
    except _UNREADABLE as error:
        raise DamagedArchive(f"its central directory cannot be read: {error}", about=source.name) from error
    problems = []
    if start != ends.start:
        problems.append(f"{start - ends.start} bytes precede the archive")
    if len(infos) != ends.count:
        problems.append(f"announces {ends.count} members but lists {len(infos)}")
    members = tuple(_members(source, infos, start))
    problems += _suspicious(members, limits)
    return members, tuple(problems)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ends:
    """The description of the central directory in the archive's last record."""

    start: int
    count: int
    stop: int
    """The end of that record: a comment may follow, which may look like another such record."""


def _locate(source: WheelSource, limits: Limits) -> _Ends:
    """Find the end-of-central-directory record and check the limits."""
    position = _end_position(source)
    _, disk, first_disk, here, count, size, start, _ = _END.unpack(source.read(position, position + _END.size))
    if 0xFFFF in (here, count, disk, first_disk) or 0xFFFFFFFF in (size, start):
        disk, first_disk, here, count, size, start = _zip64_end(source, position)
    if disk or first_disk or here != count:
        raise DamagedArchive("one of several parts of a split archive", about=source.name)
    if count > limits.members:
        raise ArchiveError(f"{count} members, more than {limits.members}", about=source.name)
    if size > limits.directory:
        raise ArchiveError(f"a central directory of {size} bytes, more than {limits.directory}", about=source.name)
    if start + size > position:
        raise DamagedArchive(
            "truncated, or its last record is wrong: the central directory is not in it", about=source.name
        )
    return _Ends(start=start, count=count, stop=position + _END.size)


def _end_position(source: WheelSource) -> int:
    """Return the place of the record whose comment ends with the file."""
    if source.size < _END.size:
        raise DamagedArchive(f"not a zip archive: {source.size} bytes", about=source.name)
    for length in (_END.size, min(source.size, _END.size + 0xFFFF)):
        tail = source.read(source.size - length, source.size)
        found = tail.rfind(b"PK\5\6", 0, len(tail) - _END.size + 4)
        while found >= 0:
            if found + _END.size + int.from_bytes(tail[found + 20 : found + 22], "little") == len(tail):
                return source.size - length + found
            found = tail.rfind(b"PK\5\6", 0, found)
    raise DamagedArchive("truncated, or not a zip archive: it has no central directory", about=source.name)


def _zip64_end(source: WheelSource, position: int) -> tuple[int, int, int, int, int, int]:
    """Return disk, first disk, entries here, entries, size and start from the ZIP64 record."""
    if position < _LOCATOR64.size + _END64.size:
        raise DamagedArchive("its ZIP64 record is missing", about=source.name)
    signature, _disk, offset, _disks = _LOCATOR64.unpack(source.read(position - _LOCATOR64.size, position))
    if signature != b"PK\6\7" or offset + _END64.size > position:
        raise DamagedArchive("its ZIP64 record is missing", about=source.name)
    signature, _length, _made, _needed, *fields = _END64.unpack(source.read(offset, offset + _END64.size))
    if signature != b"PK\6\6":
        raise DamagedArchive("its ZIP64 record is missing", about=source.name)
    disk, first_disk, here, count, size, start = fields
    return disk, first_disk, here, count, size, start


def _members(source: WheelSource, infos: list[zipfile.ZipInfo], directory: int) -> Iterator[ArchiveMember]:
    """Yield the members in the directory's order; raise `ArchiveError` when two share bytes or one would go astray."""
    seen = Counter(info.filename for info in infos)
    ends: dict[int, int] = {}
    end = directory
    for info in sorted(infos, key=lambda info: info.header_offset, reverse=True):
        if _leads_out(info.orig_filename):
            raise DamagedArchive(
                f"{shown_name(info.orig_filename)}: its name leads out of the archive", about=source.name
            )
        if info.header_offset + LOCAL_HEADER.size + info.compress_size > end or info.header_offset < 0:
            raise ArchiveError(f"its members overlap at {shown_name(info.filename)}", about=source.name)
        ends[info.header_offset] = end
        end = info.header_offset
    for info in infos:
        yield ArchiveMember(
            name=info.filename,
            offset=info.header_offset,
            end=ends[info.header_offset],
            compressed=info.compress_size,
            size=info.file_size,
            crc=info.CRC,
            method=info.compress_type,
            flags=info.flag_bits,
            problem=_problem(info, seen[info.filename]),
        )


def _problem(info: zipfile.ZipInfo, times: int) -> str | None:
    """Return why a member is not read, if it is not."""
    name = info.orig_filename
    if not info.flag_bits & _UTF8 and not name.isascii():
        return "its name is not UTF-8"
    if not name.isprintable():
        return "its name has control characters"
    if times > 1:
        return f"{times} members have this name"
    if info.flag_bits & _ENCRYPTED:
        return "it is encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"wheels do not use its compression method ({info.compress_type})"
    return None


def _leads_out(name: str) -> bool:
    """Return whether an installer that follows the name would write elsewhere, on some system."""
    outside = name.startswith("/") or ".." in name.split("/") or _DRIVE.match(name) is not None
    return outside or "\0" in name or "\\" in name


def _suspicious(members: tuple[ArchiveMember, ...], limits: Limits) -> Iterator[str]:
    """Yield one sentence for each kind of thing that is wrong with members, with the first of them."""
    kinds: dict[str, list[str]] = {}
    for member in members:
        if member.problem is not None:
            kinds.setdefault(member.problem, []).append(member.name)
        if len(member.name) > limits.name:
            kinds.setdefault(f"its name is longer than {limits.name} characters", []).append(member.name)
        if member.size > limits.ratio * member.compressed + 1024:
            kinds.setdefault(f"it inflates to more than {limits.ratio} times its size", []).append(member.name)
    for problem, names in kinds.items():
        more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        yield f"{shown_name(names[0])}{more}: {problem}"


def shown_name(name: str) -> str:
    """Return an untrusted member name, cut and escaped, for messages."""
    escaped = name.encode("unicode_escape").decode("ascii")
    return escaped if len(escaped) <= SHOWN else f"{escaped[:SHOWN]}…"


class _Window(io.RawIOBase):
    """A source, up to an offset, as the seekable file that `zipfile` wants."""

    def __init__(self, source: WheelSource, size: int) -> None:
        self._source = source
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("a position before the file")
        self._position = base + offset
        return self._position

    def read(self, size: int = -1, /) -> bytes:
        stop = self._size if size < 0 else min(self._size, self._position + size)
        data = self._source.read(min(self._position, stop), stop)
        self._position += len(data)
        return data
