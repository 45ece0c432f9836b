"""The source of a wheel's bytes: a local file, or a server with range requests."""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol
from urllib.parse import urlsplit, urlunsplit

from ftaudit.errors import ArchiveError, DamagedArchive
from ftaudit.wheel.limits import Limits
from ftaudit.whole_files import digest_of, unfinished

if TYPE_CHECKING:
    import requests

CHUNK: Final = 1 << 18
SLOWEST: Final = 8 << 10
"""Bytes a second below which a server is taken to have stopped."""
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class WheelSource(Protocol):
    """Bytes of one file; `read` may be called by several threads at a time."""

    name: str
    """Its name in messages; never with credentials."""
    size: int
    fetched: int
    """Bytes that came over the network so far."""
    whole: Path | None
    """The file on disk, if there is one."""

    def read(self, start: int, stop: int) -> bytes:
        """Return exactly the bytes from `start` to `stop`; raise `ArchiveError` when they cannot be had."""
        ...

    def close(self) -> None:
        """Close open files and connections."""
        ...


class LocalSource:
    """A file on this machine."""

    def __init__(self, path: Path, *, name: str | None = None) -> None:
        self.name = name or path.name
        self.whole: Path | None = path
        self.fetched = 0
        self._lock = threading.Lock()
        try:
            self._file: BinaryIO = path.open("rb")
        except OSError as error:
            raise ArchiveError(f"{error.strerror or error}", about=self.name) from error
        try:
            self.size = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            self._file.close()
            raise ArchiveError(f"{error.strerror or error}", about=self.name) from error

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to `stop`."""
        try:
            with self._lock:
                self._file.seek(start)
                data = self._file.read(stop - start)
        except OSError as error:
            raise ArchiveError(f"{error.strerror or error}", about=self.name) from error
        if len(data) != stop - start:
            raise DamagedArchive(f"truncated at byte {start + len(data)}", about=self.name)
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class RemoteSource:
    """A file behind a URL: ranges if the server supports them, else the whole file in the cache folder.

    The first request asks for the tail (RFC 9110, section 14: a suffix range), which says the size and mostly
    holds a zip's whole directory. A server that answers 200 is sending the whole file: that answer is kept.
    With a `tail` of 0 the whole file is requested.
    """

    def __init__(
        self, url: str, *, session: requests.Session, cache_dir: Path, limits: Limits, tail: int, sha256: str | None
    ) -> None:
        self.name = shown(url)
        self.size = 0
        self.fetched = 0
        self.whole: Path | None = None
        self._url = url
        self._session = session
        self._folder = cache_dir
        self._limits = limits
        self._sha256 = sha256
        self._lock = threading.Lock()
        self._downloading = threading.Lock()
        self._local: LocalSource | None = None
        self._tail_start = 0
        self._tail = b""
        self._open(tail)

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to `stop`, with one request unless the tail holds them."""
        if not 0 <= start <= stop <= self.size:
            raise ArchiveError(
                f"truncated: byte {stop} was requested, but the file has {self.size} bytes", about=self.name
            )
        if self._local is not None:
            return self._local.read(start, stop)
        if start >= self._tail_start:
            return self._tail[start - self._tail_start : stop - self._tail_start]
        if stop > self._tail_start:
            return self.read(start, self._tail_start) + self.read(self._tail_start, stop)
        with self._get(f"bytes={start}-{stop - 1}") as answer:
            if answer.status_code == 206 and self._range_of(answer) == (start, stop, self.size):
                return self._body(answer, stop - start)
            if answer.status_code == 206:
                raise ArchiveError("the server sent a different range than requested", about=self.name)
            with self._downloading:
                if self._local is None:
                    self._take_whole(answer)
        return self.read(start, stop)

    def close(self) -> None:
        """Close the cached file, if there is one; what it holds stays for the next run."""
        if self._local is not None:
            self._local.close()

    def _open(self, tail: int) -> None:
        kept = self._kept()
        if kept is not None:
            self._use(kept)
            return
        with self._get(f"bytes=-{tail}" if tail else None) as answer:
            found = self._range_of(answer) if answer.status_code == 206 else None
            if found is not None and found[1] == found[2]:
                self._tail_start, stop, self.size = found
                if stop - self._tail_start > tail:
                    raise ArchiveError("the server sent a different range than requested", about=self.name)
                self._tail = self._body(answer, stop - self._tail_start)
                if self._tail_start == 0:
                    check_digest(self.name, hashlib.sha256(self._tail).hexdigest(), self._sha256)
                return
            self._take_whole(answer)

    def _get(self, wanted: str | None) -> requests.Response:
        headers = {"Accept-Encoding": "identity"} | ({"Range": wanted} if wanted else {})
        try:
            return self._session.get(self._url, headers=headers, stream=True, timeout=self._limits.timeout)
        except _failures() as error:
            raise ArchiveError(f"cannot be fetched: {type(error).__name__}", about=self.name) from error

    def _range_of(self, answer: requests.Response) -> tuple[int, int, int] | None:
        """Return start, stop and size from `Content-Range`, or `None` if they are invalid."""
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            return None
        match = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
        if match is None:
            return None
        start, last, size = (int(group) for group in match.groups())
        return (start, last + 1, size) if start <= last < size else None

    def _chunks(self, answer: requests.Response) -> Iterator[bytes]:
        try:
            for chunk in read_body(answer, seconds=self._limits.timeout, name=self.name):
                with self._lock:
                    self.fetched += len(chunk)
                yield chunk
        except _failures() as error:
            raise ArchiveError(f"the connection broke off: {type(error).__name__}", about=self.name) from error

    def _body(self, answer: requests.Response, length: int) -> bytes:
        """Return a body of exactly `length` bytes; a longer one is cut off, unread."""
        data = bytearray()
        for chunk in self._chunks(answer):
            data += chunk
            if len(data) > length:
                break
        if len(data) != length:
            raise ArchiveError(f"the server sent {len(data)} bytes, but announced {length}", about=self.name)
        return bytes(data)

    def _kept(self) -> Path | None:
        """Return the whole file as an earlier run left it in the cache, if it still has its hash."""
        path = self._folder / f"{self._sha256}.whl"
        return path if self._sha256 and path.is_file() and file_digest(path) == self._sha256 else None

    def _take_whole(self, answer: requests.Response) -> None:
        """Fetch the whole file, from this answer if it is complete, else with another request."""
        if answer.status_code == 200:
            self._use(self._download(answer))
            return
        if answer.status_code not in (206, 416):
            raise ArchiveError(f"{self.name}: the server answered {answer.status_code} {answer.reason or ''}".rstrip())
        with self._get(None) as plain:
            if plain.status_code != 200:
                raise ArchiveError(
                    f"{self.name}: the server answered {plain.status_code} {plain.reason or ''}".rstrip()
                )
            self._use(self._download(plain))

    def _download(self, answer: requests.Response) -> Path:
        """Write the answer into the cache folder, under its hash, and return where; nothing half-written stays."""
        digest = hashlib.sha256()
        length = 0
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with unfinished(self._folder) as (file, part):
                for chunk in self._chunks(answer):
                    length += len(chunk)
                    if length > self._limits.download:
                        raise ArchiveError(f"larger than {self._limits.download} bytes", about=self.name)
                    digest.update(chunk)
                    file.write(chunk)
                file.close()
                announced = answer.headers.get("Content-Length", "")
                if announced.isdecimal() and int(announced) != length and "Content-Encoding" not in answer.headers:
                    raise ArchiveError(f"truncated: received {length} of {announced} bytes", about=self.name)
                check_digest(self.name, digest.hexdigest(), self._sha256)
                path = self._folder / f"{digest.hexdigest()}.whl"
                part.replace(path)
        except OSError as error:
            raise ArchiveError(f"cannot be saved in {self._folder}: {error.strerror}", about=self.name) from error
        return path

    def _use(self, path: Path) -> None:
        self._local = LocalSource(path, name=self.name)
        self.whole = path
        self.size = self._local.size
        self._tail = b""


def read_body(answer: requests.Response, *, seconds: float, name: str) -> Iterator[bytes]:
    """Yield the body of an answer as it comes.

    Raise `ArchiveError`, about `name`, for a server that is slower than `SLOWEST` after the first `seconds`, and what
    requests and urllib3 raise. A body of a request with `Accept-Encoding: identity` is complete, or an error.
    """
    started, length = time.monotonic(), 0
    # `iter_content` waits until a chunk is full, so a body that drips would have no limit.
    while chunk := answer.raw.read1(CHUNK, decode_content=True):
        length += len(chunk)
        if time.monotonic() - started > seconds + length / SLOWEST:
            raise ArchiveError("the server sends too slowly", about=name)
        yield chunk


def _failures() -> tuple[type[Exception], ...]:
    """Return what `requests` raises, with what slips through it for malformed URLs and answers."""
    import requests
    import urllib3

    return requests.RequestException, urllib3.exceptions.HTTPError, ValueError


def check_digest(name: str, found: str, wanted: str | None) -> None:
    """Raise `ArchiveError` if an expected SHA-256 digest is given and the digest differs."""
    if wanted is not None and found != wanted.lower():
        raise ArchiveError(f"its SHA-256 is {found}, but {wanted.lower()} was expected", about=name)


def file_digest(path: Path) -> str:
    """Return the SHA-256 digest of a file, in lower-case hexadecimal; raise `ArchiveError` if it cannot be read."""
    try:
        return digest_of(path)
    except OSError as error:
        raise ArchiveError(f"{error.strerror or error}", about=path.name) from error


def shown(url: str) -> str:
    """Return the file name that a URL ends in, for messages: no credentials, no query."""
    parts = urlsplit(url)
    return parts.path.rpartition("/")[2] or urlunsplit(("", parts.hostname or "", parts.path, "", ""))
