"""Wheels, local or remote: opened safely, with limits, and read no further than is needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ftaudit.errors import ArchiveError, NotFetched
from ftaudit.urls import redact
from ftaudit.wheel.archive import WheelArchive
from ftaudit.wheel.directory import ArchiveMember
from ftaudit.wheel.limits import Limits
from ftaudit.wheel.member import MemberImage
from ftaudit.wheel.metadata import WheelMetadata, parse_headers, read_metadata
from ftaudit.wheel.module_members import (
    SMALLEST_IMAGE,
    ModuleMember,
    is_library,
    may_be_image,
    module_member,
    module_members,
    modules_size,
    other_member,
)
from ftaudit.wheel.source import LocalSource, RemoteSource, WheelSource, check_digest, file_digest, read_body, shown
from ftaudit.wheel.startup import holds_code, installed_path, is_startup, parse_pth

if TYPE_CHECKING:
    import requests

__all__ = [
    "SMALLEST_IMAGE",
    "ArchiveMember",
    "Limits",
    "MemberImage",
    "ModuleMember",
    "WheelArchive",
    "WheelMetadata",
    "check_digest",
    "fetch_whole",
    "file_digest",
    "holds_code",
    "installed_path",
    "is_library",
    "is_startup",
    "local_path",
    "may_be_image",
    "module_member",
    "module_members",
    "modules_size",
    "open_wheel",
    "other_member",
    "parse_headers",
    "parse_pth",
    "read_body",
    "read_metadata",
]

TAIL = 20 << 10
"""Bytes of the first request: the central directory and the metadata of most wheels."""


def open_wheel(
    location: str | Path,
    *,
    cache_dir: Path,
    session: requests.Session | None = None,
    limits: Limits | None = None,
    sha256: str | None = None,
    whole: bool = False,
) -> WheelArchive:
    """Open a wheel at a path, a `file:` URL or an `http(s):` URL.

    Remote wheels are read by range requests; from a server that knows none, the wheel is fetched whole into
    `cache_dir`; with `whole` from any. A file that is available whole must have the SHA-256 digest `sha256`, if
    one is given.
    Raise `ArchiveError` when it cannot be fetched or read, or is not what it says it is.
    """
    limits = limits or Limits()
    path = local_path(location)
    if path is not None:
        if sha256 is not None:
            check_digest(path.name, file_digest(path), sha256)
        source: WheelSource = LocalSource(path)
    elif session is None:
        raise NotFetched("not fetched, because the network is disabled", about=redact(str(location)))
    else:
        source = RemoteSource(
            str(location), session=session, cache_dir=cache_dir, limits=limits, tail=0 if whole else TAIL, sha256=sha256
        )
    try:
        return WheelArchive(source, limits)
    except BaseException:
        source.close()
        raise


def fetch_whole(
    url: str, *, cache_dir: Path, session: requests.Session | None = None, limits: Limits | None = None
) -> Path:
    """Fetch a file whole into `cache_dir` and return its path, which is named by its SHA-256 digest.

    Raise `ArchiveError` if it cannot be fetched, or without a session to fetch it with.
    """
    if session is None:
        raise NotFetched("not fetched, because the network is disabled", about=shown(url))
    source = RemoteSource(url, session=session, cache_dir=cache_dir, limits=limits or Limits(), tail=0, sha256=None)
    source.close()
    if source.whole is None:
        raise ArchiveError("the server did not send the whole file", about=source.name)
    return source.whole


def local_path(location: str | Path) -> Path | None:
    """Return the path that a location means, or `None` when it is elsewhere (`http:`, `https:`).

    Raise `ArchiveError` for a URL that is malformed.
    """
    if isinstance(location, Path):
        return location
    try:
        parts = urlsplit(location)
    except ValueError as error:
        raise ArchiveError(f"not a URL: {redact(location)}") from error
    if parts.scheme in ("http", "https"):
        return None
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return Path(location)
