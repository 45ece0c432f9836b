"""One open wheel: its members, its metadata, and no more bytes read of it than are asked for."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, wait
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Final

from ftaudit.errors import ArchiveError
from ftaudit.wheel.directory import LOCAL_HEADER, Member, read_directory, shown_name
from ftaudit.wheel.image import image_format, mapped_part, mapped_size
from ftaudit.wheel.limits import Limits
from ftaudit.wheel.source import Source

HEAD: Final = 12 << 10
"""Compressed bytes of a large member that are read first, to see how much of it is needed."""
LARGE: Final = 192 << 10
"""Compressed size from which a member is worth requests of its own."""
GAP: Final = 4 << 10
"""Unwanted bytes that are fetched rather than making another request."""
SPAN: Final = 2 << 20
"""Bytes fetched by one request for several members."""
PROBED: Final = 2 * HEAD
"""Compressed size up to which a member is not worth two requests."""
AT_A_TIME: Final = 8
"""Requests of one wheel under way at a time."""
STEP: Final = 24 << 10
"""Bytes that are read on at a time where the first estimate fell short."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """What the loader maps of one member that is a shared object, or why there is nothing of it."""

    member: Member
    data: bytes = b""
    error: ArchiveError | None = None
    checked: bool = False
    """Whether all of the member was read, so that its CRC could be checked."""


class WheelArchive:
    """A wheel, local or remote. Not for several threads at a time; a context manager."""

    def __init__(self, source: Source, limits: Limits) -> None:
        self._source = source
        self._limits = limits
        self.name = source.name
        self.members, self.problems = read_directory(source, limits)
        self._by_name = {member.name: member for member in self.members}

    def __enter__(self) -> WheelArchive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back what is open."""
        self._source.close()

    @property
    def size(self) -> int:
        """Bytes of the whole wheel."""
        return self._source.size

    @property
    def bytes_read(self) -> int:
        """Bytes that came over the network so far."""
        return self._source.fetched

    def member(self, name: str) -> Member | None:
        """Return the member of that name, if there is one."""
        return self._by_name.get(name)

    def read(self, member: Member) -> bytes:
        """Return a member, whole and with its CRC checked; raise `ArchiveError` where it lies."""
        return _Reader(self._source, member, self._limits).whole()

    def read_images(self, members: Sequence[Member], *, fetchers: Executor | None = None) -> Iterator[Image]:
        """Yield what the loader maps of each member that starts like a shared object; others come without data.

        Of large members only as much is fetched as the loader maps; small ones are fetched with their
        neighbours; `fetchers`, threads, do so in parallel, and then the images come as they are ready. What is
        wrong with one member does not keep the others from being read, but a connection that breaks does: then
        `ArchiveError` is raised.
        """
        readers = [
            _Reader(self._source, member, self._limits) for member in sorted(members, key=lambda member: member.offset)
        ]
        if self._source.whole is not None or not readers:
            yield from (reader.image(partly=False) for reader in readers)
            return
        # Modules of one wheel are built alike: the largest tells whether much stands behind the last segment.
        first = max(readers, key=lambda reader: reader.member.compressed)
        readers.remove(first)
        yield first.image(partly=first.member.compressed > PROBED)
        alone = [reader for reader in readers if reader.member.compressed > (PROBED if first.lean else LARGE)]
        together = [reader for reader in readers if reader not in alone]
        tasks = [partial(_read_alone, reader) for reader in alone]
        tasks += [partial(self._read_together, group) for group in _groups(together)]
        for images in _in_parallel(tasks, fetchers):
            yield from images

    def _read_together(self, group: Sequence[_Reader]) -> list[Image]:
        """Read neighbours with one request."""
        if len(group) > 1:
            start = group[0].member.offset
            span = self._source.read(start, group[-1].member.end)
            for reader in group:
                reader.take(span, start)
        return [reader.image(partly=False) for reader in group]


def _read_alone(reader: _Reader) -> list[Image]:
    return [reader.image(partly=True)]


def _in_parallel(tasks: Sequence[Callable[[], list[Image]]], fetchers: Executor | None) -> Iterator[list[Image]]:
    """Yield what the tasks return; with an executor as they end, a few of them under way at a time."""
    if fetchers is None:
        yield from (task() for task in tasks)
        return
    waiting = iter(tasks)
    running = {fetchers.submit(task) for task in itertools.islice(waiting, AT_A_TIME)}
    try:
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {fetchers.submit(task) for task in itertools.islice(waiting, len(done))}
            for future in done:
                yield future.result()
    finally:
        for future in running:
            future.cancel()
        wait(running)


def _groups(readers: Sequence[_Reader]) -> Iterator[list[_Reader]]:
    """Yield neighbours that one request fetches."""
    group: list[_Reader] = []
    for reader in readers:
        if group and (
            reader.member.offset - group[-1].member.end > GAP or reader.member.end - group[0].member.offset > SPAN
        ):
            yield group
            group = []
        group.append(reader)
    if group:
        yield group


class _Reader:
    """Reads one member forward, from its local header on."""

    def __init__(self, source: Source, member: Member, limits: Limits) -> None:
        self.member = member
        self.lean = False
        self._source = source
        self._title = f"{source.name}: {shown_name(member.name)}"
        self._limits = limits
        self._raw = b""

    def take(self, span: bytes, start: int) -> None:
        """Use bytes that were fetched together with those of other members."""
        self._raw = bytes(memoryview(span)[self.member.offset - start : self.member.end - start])

    def image(self, *, partly: bool) -> Image:
        """Return what the loader maps; an error of the member is part of the answer."""
        try:
            self._refuse()
            return self._start() if partly else self._image(self.whole(), checked=True)
        except _MemberError as error:
            return Image(member=self.member, error=error)

    def whole(self) -> bytes:
        """Return the whole member, inflated and checked."""
        self._refuse()
        return self._finish(_Inflater(self.member, self._title), self._fetch(self.member.end), b"")

    def _refuse(self) -> None:
        """Raise for a member that must not be read, before anything of it is fetched."""
        if self.member.problem is not None:
            raise _MemberError(f"{self._title}: {self.member.problem}")
        if self.member.size > self._limits.member:
            raise _MemberError(f"{self._title}: {self.member.size} bytes, more than {self._limits.member}")
        if self.member.size > self._limits.ratio * self.member.compressed + 1024:
            raise _MemberError(f"{self._title}: it inflates to more than {self._limits.ratio} times its size")

    def _start(self) -> Image:
        """Read on until all that the loader maps is there, and no further."""
        member = self.member
        inflater = _Inflater(member, self._title)
        done = self._body(self._fetch(member.offset + HEAD))
        out = inflater.feed(self._raw[done:])
        done = len(self._raw)
        if len(out) >= LOCAL_HEADER.size and image_format(out) is None:
            return Image(member=member)
        wanted = mapped_size(out)
        if wanted is None or wanted >= member.size:
            return self._image(self._finish(inflater, self._fetch(member.end)[done:], out), checked=True)
        self.lean = wanted < 0.8 * member.size
        parts, length = [out], len(out)
        stop = int(member.compressed * wanted / member.size * 1.02)
        while length < wanted:
            stop = max(stop, done + STEP)
            if stop > 0.96 * member.compressed:
                whole = self._finish(inflater, self._fetch(member.end)[done:], b"".join(parts))
                return self._image(whole, checked=True)
            self._fetch(member.offset + stop)
            parts.append(inflater.feed(self._raw[done:]))
            length += len(parts[-1])
            done = len(self._raw)
        return self._image(b"".join(parts), checked=False)

    def _image(self, data: bytes, *, checked: bool) -> Image:
        if image_format(data) is None:
            return Image(member=self.member, checked=checked)
        return Image(member=self.member, data=mapped_part(data), checked=checked)

    def _fetch(self, stop: int) -> bytes:
        """Return the member's bytes, header and all, at least up to the offset `stop` of the archive."""
        have = self.member.offset + len(self._raw)
        stop = min(stop, self.member.end)
        if stop > have:
            self._raw += self._source.read(have, stop)
        return self._raw

    def _body(self, raw: bytes) -> int:
        """Return where the data starts after the local header; raise where that tells another tale."""
        member = self.member
        if len(raw) < LOCAL_HEADER.size:
            raise _MemberError(f"{self._title}: truncated")
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
            raise _MemberError(f"{self._title}: its local header disagrees with the central directory")
        start: int = LOCAL_HEADER.size + name_length + extra
        if member.offset + start + member.compressed > member.end:
            raise _MemberError(f"{self._title}: its data runs into the next member")
        return start

    def _finish(self, inflater: _Inflater, more: bytes, before: bytes) -> bytes:
        """Inflate the rest and check the length and the CRC of the whole."""
        if not inflater.started:
            more = more[self._body(more) :]
        data = before + inflater.feed(more)
        if len(data) != self.member.size or not inflater.complete:
            raise _MemberError(f"{self._title}: inflates to {len(data)} bytes where {self.member.size} were announced")
        if zlib.crc32(data) != self.member.crc:
            raise _MemberError(f"{self._title}: its CRC does not match")
        return data


class _MemberError(ArchiveError):
    """What is wrong with one member: the others may be read."""


class _Inflater:
    """Inflates forward, and never to more than the directory announces."""

    def __init__(self, member: Member, title: str) -> None:
        self.started = False
        self._left = member.compressed
        self._room = member.size
        self._title = title
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
                raise _MemberError(f"{self._title}: cannot be inflated: {error}") from error
        self._room -= len(data)
        if self._room < 0:
            raise _MemberError(f"{self._title}: inflates to more than was announced")
        return data


def _same(local: int, central: int, *, later: bool) -> bool:
    """Compare a size of the local header: 0 where it follows the data, all ones where ZIP64 holds it."""
    return local in (central, 0xFFFFFFFF) or (later and local == 0)
