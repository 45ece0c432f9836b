"""One open wheel: its members, its metadata, and no more bytes read than requested."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, wait
from functools import partial
from types import TracebackType
from typing import Final, TypeVar

from ftaudit.wheel.directory import ArchiveMember, read_directory
from ftaudit.wheel.limits import Limits
from ftaudit.wheel.member import HEAD, MemberError, MemberImage, MemberReader
from ftaudit.wheel.source import WheelSource

R = TypeVar("R")

LARGE: Final = 192 << 10
"""Compressed size from which a member gets separate requests."""
GAP: Final = 4 << 10
"""Unwanted bytes that are fetched rather than making another request."""
SPAN: Final = 2 << 20
"""Bytes fetched by one request for several members."""
PROBED: Final = 2 * HEAD
"""Compressed size up to which a member is not worth two requests."""
AT_A_TIME: Final = 8
"""Requests of one wheel under way at a time."""


class WheelArchive:
    """A wheel, local or remote. Not thread-safe, except for `read_on`; a context manager."""

    def __init__(self, source: WheelSource, limits: Limits) -> None:
        self._source = source
        self.limits = limits
        self.name = source.name
        self.members, self.problems = read_directory(source, limits)
        self._by_name = {member.name: member for member in self.members}
        self._begun: dict[str, MemberReader] = {}

    def __enter__(self) -> WheelArchive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close open files and connections."""
        self._source.close()

    @property
    def size(self) -> int:
        """Bytes of the whole wheel."""
        return self._source.size

    @property
    def is_whole(self) -> bool:
        """Whether the whole file is available, so that it was compared with its hash."""
        return self._source.whole is not None

    @property
    def bytes_read(self) -> int:
        """Bytes that came over the network so far."""
        return self._source.fetched

    def member(self, name: str) -> ArchiveMember | None:
        """Return the member of that name, if there is one."""
        return self._by_name.get(name)

    def read(self, member: ArchiveMember) -> bytes:
        """Return a member, whole and with its CRC checked; raise `ArchiveError` if the CRC is wrong."""
        return MemberReader(self._source, member, self.limits).whole()

    def starts_like_image(self, member: ArchiveMember) -> bool:
        """Return whether a member begins like a shared object; one that cannot be read counts as one."""
        return MemberReader(self._source, member, self.limits).starts_like_image()

    def images_among(
        self, members: Sequence[ArchiveMember], *, fetchers: Executor | None = None
    ) -> list[ArchiveMember]:
        """Return the members that begin like a shared object, or cannot be read; only their beginnings are fetched.

        A connection that breaks raises `ArchiveError`.
        """
        tasks = [partial(self._if_image, member) for member in members]
        return [member for member in _in_parallel(tasks, fetchers) if member is not None]

    def _if_image(self, member: ArchiveMember) -> ArchiveMember | None:
        return member if self.starts_like_image(member) else None

    def read_members(
        self, members: Sequence[ArchiveMember], *, fetchers: Executor | None = None
    ) -> Iterator[tuple[ArchiveMember, bytes | None]]:
        """Yield each member with its content, or with `None` if something is wrong with that member.

        Members that are near each other are fetched together. A connection that breaks raises `ArchiveError`.
        """
        readers = [MemberReader(self._source, member, self.limits) for member in sorted(members, key=_offset)]
        if self._source.whole is not None:
            yield from ((reader.member, _whole(reader)) for reader in readers)
            return
        tasks = [partial(self._read_wholes, group) for group in _groups(readers)]
        for found in _in_parallel(tasks, fetchers):
            yield from found

    def _read_wholes(self, group: Sequence[MemberReader]) -> list[tuple[ArchiveMember, bytes | None]]:
        """Read neighbors with one request."""
        start = group[0].member.offset
        span = self._source.read(start, group[-1].member.end)
        for reader in group:
            reader.take(span, start)
        return [(reader.member, _whole(reader)) for reader in group]

    def read_on(self, member: ArchiveMember, offset: int) -> MemberImage | None:
        """Return a module that came with holes with its code up to an offset, or `None`: it must be read whole."""
        reader = self._begun.get(member.name)
        return None if reader is None else reader.more(offset)

    def read_images(
        self,
        members: Sequence[ArchiveMember],
        *,
        fetchers: Executor | None = None,
        hooks: Mapping[str, str] | None = None,
    ) -> Iterator[MemberImage]:
        """Yield what the loader maps of each member that starts like a shared object; others come without data.

        Of large members, only the part that the loader maps is fetched; small ones are fetched with their
        neighbors; `fetchers`, threads, do so in parallel, and then the images come in order of completion. With the
        init hooks' names by member name in `hooks`, large modules come with holes in place of code that
        their initialization is unlikely to reach; a second request without `hooks` reads the rest. A fault
        in one member does not prevent reading the others, but a broken connection does: then
        `ArchiveError` is raised.
        """
        hooks = hooks or {}
        readers = [
            self._begun.pop(member.name)
            if member.name in self._begun
            else MemberReader(self._source, member, self.limits, hook=hooks.get(member.name, ""))
            for member in sorted(members, key=lambda member: member.offset)
        ]
        self._begun |= {reader.member.name: reader for reader in readers if reader.hook}
        if self._source.whole is not None or not readers:
            yield from (reader.image(partly=False) for reader in readers)
            return
        # Modules of one wheel are built alike: the largest shows whether much data follows the last segment.
        first = max(readers, key=lambda reader: reader.member.compressed)
        readers.remove(first)
        yield first.image(partly=first.member.compressed > PROBED)
        alone = [reader for reader in readers if reader.member.compressed > (PROBED if first.lean else LARGE)]
        together = [reader for reader in readers if reader not in alone]
        tasks = [partial(_read_alone, reader) for reader in alone]
        tasks += [partial(self._read_together, group) for group in _groups(together)]
        for images in _in_parallel(tasks, fetchers):
            yield from images

    def _read_together(self, group: Sequence[MemberReader]) -> list[MemberImage]:
        """Read neighbors with one request."""
        if len(group) > 1:
            start = group[0].member.offset
            span = self._source.read(start, group[-1].member.end)
            for reader in group:
                reader.take(span, start)
        return [reader.image(partly=False) for reader in group]


def _read_alone(reader: MemberReader) -> list[MemberImage]:
    return [reader.image(partly=True)]


def _offset(member: ArchiveMember) -> int:
    return member.offset


def _whole(reader: MemberReader) -> bytes | None:
    try:
        return reader.whole()
    except MemberError:
        return None


def _in_parallel(tasks: Sequence[Callable[[], R]], fetchers: Executor | None) -> Iterator[R]:
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


def _groups(readers: Sequence[MemberReader]) -> Iterator[list[MemberReader]]:
    """Yield neighbors that one request fetches."""
    group: list[MemberReader] = []
    for reader in readers:
        if group and (
            reader.member.offset - group[-1].member.end > GAP or reader.member.end - group[0].member.offset > SPAN
        ):
            yield group
            group = []
        group.append(reader)
    if group:
        yield group
