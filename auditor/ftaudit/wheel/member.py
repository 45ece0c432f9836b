"""One member of a wheel: read forward from its local header, and no further than what the loader maps of it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

from ftaudit.errors import ArchiveError
from ftaudit.wheel.directory import LOCAL_HEADER, ArchiveMember, shown_name
from ftaudit.wheel.image import image_format, mapped_part, mapped_size
from ftaudit.wheel.limits import Limits
from ftaudit.wheel.parts import PAGE, Parts, find_holes, find_parts, find_reach
from ftaudit.wheel.source import WheelSource
from ftaudit.wheel.tail import NO_TAIL, Tail, inflate_tail

HEAD: Final = 12 << 10
"""Compressed bytes of a large member that are read first, to see how much of it is needed."""
HARMLESS: Final = 16 << 20
"""Bytes that a member may inflate to, whatever its ratio: patchelf pads small libraries with megabytes of zeros."""
FIRST: Final = 256
"""Compressed bytes of a member that show what kind of file it is."""
STEP: Final = 8 << 10
"""Bytes per further read if the first estimate was too low."""
ESTIMATES: Final = 3
"""How many times the start of a module's data in the compressed stream is estimated."""
AHEAD: Final = 32 << 10
"""Bytes of code after a place that was missed that are read with it: what it calls is often near."""
STRIPPED: Final = 0.85
"""Share of a file that the loader maps, from which on it is worth reading the end for the data before it."""
BEFORE_CODE: Final = 0.15
"""Share of a file before its code, up to which leaving code out is worth it: lld puts all read-only data there."""
SAVED: Final = 128 << 10
"""Compressed bytes of code from which on it is worth leaving some of them out."""
BEFORE: Final = 96 << 10
"""Inflated bytes before a module's data from which on its tail is read: the first of a tail are not all known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MemberImage:
    """The part of a shared object that the loader maps, or why there is no such part."""

    member: ArchiveMember
    data: bytes = b""
    error: ArchiveError | None = None
    checked: bool = False
    """Whether all of the member was read, so that its CRC could be checked."""
    holes: tuple[tuple[int, int], ...] = ()
    """Ranges of `data` that were not read, and are filled with zeros."""


class MemberReader:
    """Reads one member forward, from its local header on."""

    def __init__(self, source: WheelSource, member: ArchiveMember, limits: Limits, *, hook: str = "") -> None:
        self.member = member
        self.lean = False
        self.hook = hook
        """The init hook, if distant code may be left out."""
        self._tail = (member.end, b"")
        self._begun: _Begun | None = None
        self._source = source
        self._title = shown_name(member.name)
        self._limits = limits
        self._raw = b""

    def take(self, span: bytes, start: int) -> None:
        """Use bytes that were fetched together with those of other members."""
        self._raw = bytes(memoryview(span)[self.member.offset - start : self.member.end - start])

    def image(self, *, partly: bool) -> MemberImage:
        """Return what the loader maps; an error of the member is part of the answer."""
        try:
            self._refuse()
            return self._start() if partly else self._image(self.whole(), checked=True)
        except MemberError as error:
            return MemberImage(member=self.member, error=error)

    def starts_like_image(self) -> bool:
        """Return whether the member begins like a shared object, or cannot be read.

        Its size does not matter: only its first bytes are inflated.
        """
        try:
            self._refuse_unreadable()
            body = self._body(self._fetch(self.member.offset + LOCAL_HEADER.size + len(self.member.name) * 4 + FIRST))
            return image_format(_Inflater(self.member, self._source).feed(self._raw[body:])) is not None
        except MemberError:
            return True

    def whole(self) -> bytes:
        """Return the whole member, inflated and checked."""
        self._refuse()
        return self._finish(_Inflater(self.member, self._source), self._fetch(self.member.end), b"")

    def _refuse(self) -> None:
        """Raise for a member that must not be read, before anything of it is fetched."""
        self._refuse_unreadable()
        if self.member.size > self._limits.member:
            raise MemberError(
                f"{self._title}: {self.member.size} bytes, more than {self._limits.member}", about=self._source.name
            )
        if self.member.size > max(self._limits.ratio * self.member.compressed + 1024, HARMLESS):
            raise MemberError(
                f"{self._title}: it inflates to more than {self._limits.ratio} times its size", about=self._source.name
            )

    def _refuse_unreadable(self) -> None:
        if self.member.problem is not None:
            raise MemberError(f"{self._title}: {self.member.problem}", about=self._source.name)

    def _start(self) -> MemberImage:
        """Read on until all that the loader maps is there, and no further."""
        member = self.member
        hook, self.hook = self.hook, ""
        if hook and (sparse := self._without_code(hook)) is not None:
            return sparse
        inflater = _Inflater(member, self._source)
        done = self._body(self._fetch(member.offset + HEAD))
        out = inflater.feed(self._raw[done:])
        done = len(self._raw)
        if len(out) >= LOCAL_HEADER.size and image_format(out) is None:
            return MemberImage(member=member)
        wanted = mapped_size(out)
        if wanted is None or wanted >= member.size:
            return self._image(self._finish(inflater, self._fetch(member.end)[done:], out), checked=True)
        self.lean = wanted < 0.8 * member.size
        parts, length = [out], len(out)
        stop = int(member.compressed * wanted / member.size * 1.02)
        while length < wanted:
            rest = int(1.05 * (wanted - length) * member.compressed / member.size)
            stop = max(stop, done + STEP) if length == len(out) else done + max(STEP, rest)
            if stop > 0.96 * member.compressed:
                whole = self._finish(inflater, self._fetch(member.end)[done:], b"".join(parts))
                return self._image(whole, checked=True)
            self._fetch(member.offset + stop)
            parts.append(inflater.feed(self._raw[done:]))
            length += len(parts[-1])
            done = len(self._raw)
        return self._image(b"".join(parts), checked=False)

    def _without_code(self, hook: str) -> MemberImage | None:
        """Read a module's beginning and end, and the part of its code with its hook; `None` if that saves nothing."""
        member = self.member
        inflater = _Inflater(member, self._source)
        done = self._body(self._fetch(member.offset + HEAD))
        forward = bytearray(inflater.feed(self._raw[done:]))
        parts = find_parts(bytes(forward[:PAGE]))
        if parts is None or not member.method or not STRIPPED * member.size < parts.mapped <= member.size:
            return None
        if parts.code[0] > BEFORE_CODE * parts.mapped:
            return None
        ratio = member.compressed / member.size
        if ratio * (parts.mapped - parts.code[0] - (member.size - parts.data + BEFORE)) < SAVED:
            return None
        end = member.offset + done + member.compressed
        self._tail = (end, self._source.read(end, member.end) if end < member.end else b"")
        begun = _Begun(inflater=inflater, forward=forward, parts=parts, tail=NO_TAIL, end=end, start=member.size)
        self._begun = begun
        ahead = int(ratio * (member.size - parts.data + BEFORE))
        for _ in range(ESTIMATES):
            if not self._read_back(begun, ahead):
                return None
            if begun.start <= parts.data:
                break
            ahead = int(2 * ratio * (begun.start - parts.data)) + STEP
        if begun.start > parts.data or not self._read_on(begun, parts.code[0]):
            return None
        reach = find_reach(begun.joined(), parts, hook.encode())
        return None if reach is None else self.more(reach)

    def _read_back(self, begun: _Begun, more: int) -> bool:
        """Read so many more bytes of the end, compressed; return whether it could be inflated."""
        begin = max(self._tail[0] - more, self.member.offset + len(self._raw))
        if begin == self._tail[0]:
            return False
        self._tail = (begin, self._source.read(begin, self._tail[0]) + self._tail[1])
        tail = inflate_tail(self._tail[1][: begun.end - begin])
        if tail is None or len(tail.data) > self.member.size:
            return False
        begun.tail, begun.start = tail, self.member.size - len(tail.data)
        return True

    def more(self, offset: int) -> MemberImage | None:
        """Return the module with the data at an offset of the file, or `None` if it must be read whole."""
        begun = self._begun
        if begun is None or offset >= begun.parts.code[1]:
            return None
        if not self._read_on(begun, min(offset + AHEAD, begun.parts.code[1])):
            return None
        return MemberImage(member=self.member, data=mapped_part(begun.joined()), holes=begun.holes())

    def _read_on(self, begun: _Begun, wanted: int) -> bool:
        """Inflate until so many bytes are available; return whether that is before the part read from the end."""
        member = self.member
        while len(begun.forward) < wanted:
            done = len(self._raw)
            stop = member.offset + max(int(1.02 * wanted * member.compressed / member.size), done + STEP)
            if stop >= self._tail[0]:
                return False
            begun.forward += begun.inflater.feed(self._fetch(stop)[done:])
        return True

    def _image(self, data: bytes, *, checked: bool) -> MemberImage:
        if image_format(data) is None:
            return MemberImage(member=self.member, checked=checked)
        return MemberImage(member=self.member, data=mapped_part(data), checked=checked)

    def _fetch(self, stop: int) -> bytes:
        """Return the member's bytes, header and all, at least up to the offset `stop` of the archive."""
        have = self.member.offset + len(self._raw)
        stop = min(stop, self.member.end)
        begin, tail = self._tail
        if stop > have and tail and stop > begin:
            self._raw += (self._source.read(have, begin) if begin > have else b"") + tail[max(0, have - begin) :]
            have = self.member.offset + len(self._raw)
        if stop > have:
            self._raw += self._source.read(have, stop)
        return self._raw

    def _body(self, raw: bytes) -> int:
        """Return the start of the data after the local header; raise if the header contradicts the directory."""
        member = self.member
        if len(raw) < LOCAL_HEADER.size:
            raise MemberError(f"{self._title}: truncated", about=self._source.name)
        signature, _needed, flags, method, _time, _date, crc, compressed, size, name_length, extra = (
            LOCAL_HEADER.unpack(raw[: LOCAL_HEADER.size])
        )
        name = raw[LOCAL_HEADER.size : LOCAL_HEADER.size + name_length]
        later = bool(flags & 8)
        agrees = (
            signature == b"PK\3\4"
            and name in (member.name.encode("utf-8", "surrogateescape"), member.name.encode("cp437", "replace"))
            and method == member.method
            and (flags & ~8) == (member.flags & ~8)
            and (crc == member.crc or (later and crc == 0))
            and _same(compressed, member.compressed, later=later)
            and _same(size, member.size, later=later)
        )
        if not agrees:
            raise MemberError(
                f"{self._title}: its local header disagrees with the central directory", about=self._source.name
            )
        start: int = LOCAL_HEADER.size + name_length + extra
        if member.offset + start + member.compressed > member.end:
            raise MemberError(f"{self._title}: its data overlaps the next member", about=self._source.name)
        return start

    def _finish(self, inflater: _Inflater, more: bytes, before: bytes) -> bytes:
        """Inflate the rest and check the length and the CRC of the whole."""
        if not inflater.started:
            more = more[self._body(more) :]
        data = before + inflater.feed(more)
        if len(data) != self.member.size or not inflater.complete:
            raise MemberError(
                f"{self._title}: inflates to {len(data)} bytes, but {self.member.size} were announced",
                about=self._source.name,
            )
        if zlib.crc32(data) != self.member.crc:
            raise MemberError(f"{self._title}: its CRC does not match", about=self._source.name)
        return data


@dataclass(kw_only=True, slots=True)
class _Begun:
    """A module of which the beginning and the end were inflated."""

    inflater: _Inflater
    forward: bytearray
    parts: Parts
    tail: Tail
    end: int
    """The offset in the archive where its data ends."""
    start: int
    """The offset in the file of the tail's first byte."""

    def joined(self) -> bytes:
        """Return the part that the loader maps, with zeros for unknown data."""
        mapped, known = self.parts.mapped, min(len(self.forward), self.parts.mapped)
        gap = bytes(max(0, self.start - known))
        with memoryview(self.forward) as forward:
            rest = memoryview(self.tail.data)[max(0, known - self.start) : mapped - self.start]
            return b"".join((forward[:known], gap, rest))

    def holes(self) -> tuple[tuple[int, int], ...]:
        """Return the unknown ranges of it."""
        known = min(len(self.forward), self.parts.mapped)
        return find_holes(known, self.start, self.tail, self.parts)


class MemberError(ArchiveError):
    """A fault of one member: the others may be read."""


class _Inflater:
    """Inflates forward, and never to more than the directory announces."""

    def __init__(self, member: ArchiveMember, source: WheelSource) -> None:
        self.started = False
        self._left = member.compressed
        self._room = member.size
        self._title = shown_name(member.name)
        self._source = source
        self._engine = zlib.decompressobj(-zlib.MAX_WBITS) if member.method else None

    @property
    def complete(self) -> bool:
        """Whether all compressed bytes were used, and ended where they say they do."""
        if self._engine is None:
            return self._left == 0
        return self._left == 0 and self._engine.eof and not self._engine.unused_data

    def feed(self, raw: bytes) -> bytes:
        """Return what these bytes, the next of the archive, inflate to."""
        self.started = True
        raw = raw[: self._left]
        self._left -= len(raw)
        if self._engine is None:
            data = raw
        else:
            try:
                data = self._engine.decompress(raw, self._room + 1)
            except zlib.error as error:
                raise MemberError(f"{self._title}: cannot be inflated: {error}", about=self._source.name) from error
        self._room -= len(data)
        if self._room < 0:
            raise MemberError(f"{self._title}: inflates to more than was announced", about=self._source.name)
        return data


def _same(local: int, central: int, *, later: bool) -> bool:
    """Compare a size of the local header: 0 if it follows the data, all ones if ZIP64 holds it."""
    return local in (central, 0xFFFFFFFF) or (later and local == 0)
