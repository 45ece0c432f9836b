"""Opens project pages, from the cache, from the network, or from a folder, and reads releases from them."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from ftaudit.errors import IndexUnreachable, NotCached
from ftaudit.index.index_settings import IndexSource
from ftaudit.index.page import Found, Page
from ftaudit.index.store import DEFAULT_MAX_AGE, LONGEST_MAX_AGE, PageStore, StoredPage
from ftaudit.index.traffic import Traffic
from ftaudit.model import DistributionFile
from ftaudit.once import Once

if TYPE_CHECKING:
    from ftaudit.index.net import HttpResponse, Session

ACCEPT: Final = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.5, text/html;q=0.01"
"""The value of pypi-simple's `ACCEPT_JSON_PREFERRED` (a test compares them); importing it would delay every request."""

MOST_KEPT: Final = 500
"""The most files of later versions that are kept next to a page: every run reads them."""

_DENIED: Final = frozenset({401, 403, 407})


class Pages:
    """The source of pages. Every failure is an `IndexUnreachable` with the reason.

    Each page is opened once per run: later calls get the same reader, or the same failure.
    """

    def __init__(self, store: PageStore, traffic: Traffic, session: Callable[[], Session], *, offline: bool) -> None:
        """`session` makes the HTTP session when the first page is requested."""
        self.offline = offline
        self._store = store
        self._traffic = traffic
        self._session = session
        self._unconnected: dict[str, IndexUnreachable] = {}
        self._opened = Once[tuple[str, "str | None"], PageReader]()
        self._confirmed = Once[tuple[str, "str | None"], PageReader]()
        self.fallen_back: dict[str, None] = {}
        """Why cached pages were used although they should have been requested again, one sentence each."""

    @property
    def keeps(self) -> bool:
        """Whether pages are stored on disk."""
        return self._store.keeps

    def is_fresh(self, entry: StoredPage) -> bool:
        """Return whether a cached page may be used without a request."""
        return self._store.is_fresh(entry)

    def open(self, source: IndexSource, url: str, *, revalidate: bool = False) -> PageReader:
        """Return a reader of the page; its `exists` is false if the index does not have the page.

        With `revalidate`, the index has confirmed the page in this run.
        """
        key = url, source.user
        reader = self._opened.get(key, functools.partial(self._open, source, url))
        if not revalidate or reader.origin != "cache" or self.offline:
            return reader
        return self._confirmed.get(key, functools.partial(self._confirm, source, url))

    def _open(self, source: IndexSource, url: str) -> PageReader:
        if url.startswith("file:"):
            return self._open_file(source, url)
        entry = self._store.load(url, source.user)
        if self.offline:
            if entry is None:
                raise NotCached("offline, and the cache does not have its page", about=url)
            return PageReader(self, source, url, entry, None, "cache")
        if entry is not None and self.is_fresh(entry):
            self._traffic.add(saved=entry.length)
            return PageReader(self, source, url, entry, None, "cache")
        return self.fetch(source, url, entry)

    def _confirm(self, source: IndexSource, url: str) -> PageReader:
        """Make the index confirm a cached page; later callers get the result."""
        confirmed = self.fetch(source, url, self._store.load(url, source.user))
        self._opened.put((url, source.user), confirmed)
        return confirmed

    def open_listing(self, place: IndexSource) -> PageReader:
        """Return the reader of a find-links place: a folder of files, or an HTML page; a missing one is empty."""
        folder = _local_path(place.url) if place.url.startswith("file:") else None
        if folder is not None and folder.is_dir():
            return self._open_folder(place, folder)
        return self.open(place, place.url)

    def _open_file(self, source: IndexSource, url: str) -> PageReader:
        path = _local_path(url)
        if path.is_dir():
            path, url = path / "index.html", url.rstrip("/") + "/index.html"
        try:
            body = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return PageReader(self, source, url, StoredPage(url=url, form="absent"), b"", "file")
        except OSError as error:
            raise IndexUnreachable(f"cannot read {path}: {error.strerror or error}") from error
        return PageReader(self, source, url, StoredPage(url=url, form="html").with_body(body), body, "file")

    def _open_folder(self, place: IndexSource, folder: Path) -> PageReader:
        """Make a page from a folder."""
        try:
            files = sorted(path for path in folder.iterdir() if path.is_file())
        except OSError as error:
            raise IndexUnreachable(f"cannot read {folder}: {error.strerror or error}") from error
        links = (f'<a href="{path.as_uri()}">-</a>' for path in files)
        body = "\n".join(("<!doctype html><html><body>", *links, "</body></html>")).encode("utf-8", "replace")
        reader = PageReader(
            self, place, place.url, StoredPage(url=place.url, form="html").with_body(body), body, "file"
        )
        reader.hints = frozenset(canonicalize_name(path.name) for path in files)
        return reader

    def fetch(self, source: IndexSource, url: str, entry: StoredPage | None) -> PageReader:
        """Get a page, conditionally if the cache has it, and store it; raise `IndexUnreachable`.

        Without any connection, use the cached page, as with `--offline`.
        """
        from ftaudit.index.net import Unconnected

        try:
            return self._fetch(source, url, entry)
        except Unconnected as error:
            self._unconnected[urlsplit(url).netloc] = error
            if entry is None:
                raise
            self.fallen_back[error.problem] = None
            return PageReader(self, source, url, entry, None, "cache")

    def _fetch(self, source: IndexSource, url: str, entry: StoredPage | None) -> PageReader:
        if (unconnected := self._unconnected.get(urlsplit(url).netloc)) is not None:
            raise unconnected
        headers = {"Accept": ACCEPT}
        if entry is not None and entry.etag:
            headers["If-None-Match"] = entry.etag
        if entry is not None and entry.last_modified:
            headers["If-Modified-Since"] = entry.last_modified
        answer = self._session().get_page(url, headers)
        if answer.status == 304 and entry is not None:
            entry = self._store.save(url, source.user, _confirmed(entry, answer))
            self._traffic.add(saved=entry.length)
            return PageReader(self, source, url, entry, None, "index")
        return self._keep(source, url, answer)

    def _keep(self, source: IndexSource, url: str, answer: HttpResponse) -> PageReader:
        if answer.status in (404, 410):
            entry = _confirmed(StoredPage(url=answer.url, form="absent"), answer)
        elif answer.status in _DENIED:
            raise IndexUnreachable(
                f"access denied ({answer.status})",
                about=url,
                hint="put credentials into the index URL or netrc, or use keyring",
            )
        elif answer.status != 200:
            raise IndexUnreachable(f"the index answered {answer.status}", about=url)
        else:
            kind, _, parameters = answer.headers.get("Content-Type", "text/html").partition(";")
            form = _form(kind.strip().lower(), url)
            charset = parameters.partition("charset=")[2].strip(" \"';").lower() or None
            entry = StoredPage(
                url=answer.url,
                form=form,
                charset=charset,
                etag=answer.headers.get("ETag"),
                last_modified=answer.headers.get("Last-Modified"),
            )
            entry = _confirmed(entry, answer).with_body(answer.body)
        reader = PageReader(self, source, url, entry, answer.body, "index")
        if reader.exists:
            reader.page()  # An invalid page is not stored.
        if "no-store" in answer.headers.get("Cache-Control", "").lower():
            self._store.drop(url, source.user)
            reader.kept = False
        else:
            reader.entry = self._store.save(url, source.user, entry, answer.body)
        return reader

    def load_body(self, source: IndexSource, url: str, entry: StoredPage) -> bytes:
        """Return a cached body, or get it again if the cache lost it; raise `IndexUnreachable`."""
        body = self._store.load_body(url, source.user, entry)
        if body is None:
            self._store.drop(url, source.user)
            raise IndexUnreachable(f"the page {url} is missing from the cache", hint="run again without --offline")
        return body

    def keep_answers(self, source: IndexSource, url: str, entry: StoredPage) -> None:
        """Write the answers from the page next to it, for the next run."""
        self._store.save(url, source.user, entry)


class PageReader:
    """One opened page: its cache entry, and its body after it is needed. Usable from many threads."""

    def __init__(
        self, pages: Pages, source: IndexSource, url: str, entry: StoredPage, body: bytes | None, origin: str
    ) -> None:
        self._pages = pages
        self._source = source
        self._url = url
        self._body = body
        self._packed: bytes | None = None
        self._lock = threading.RLock()
        self._page: Page | None = None
        self._all: dict[NormalizedName, Found] = {}
        self.entry = entry
        self.origin = origin
        self.kept = origin != "file"
        """Whether answers from the page may be written next to it."""
        self.hints: frozenset[str] | None = None
        """The normalized file names in a folder: most projects have none there, which this shows without parsing."""
        self._new = False

    @property
    def exists(self) -> bool:
        """Whether such a page exists."""
        return self.entry.form != "absent"

    @property
    def age(self) -> float | None:
        """Seconds since the index confirmed the page, if the answer came from the cache."""
        return max(0.0, self.entry.age) if self.origin == "cache" else None

    @property
    def is_stale(self) -> bool:
        """Whether the answer comes from a cached page that the index should have confirmed."""
        return self.origin == "cache" and not self._pages.is_fresh(self.entry)

    @property
    def skipped(self) -> int:
        """Links that were skipped so far."""
        return self.entry.skipped if self._page is None else max(self.entry.skipped, self._page.skipped)

    def page(self) -> Page:
        """Return the parsed page; raise `IndexUnreachable` if it cannot be fetched or is not an index page."""
        with self._lock:
            if self._page is None:
                body = self._load() if self._body is None else self._body
                entry = self.entry
                self._page = Page(body, url=entry.url, form=entry.form, charset=entry.charset)
                self._body = body
            return self._page

    def rest(self) -> None:
        """Drop the parsed page until it is needed again; compress a body that is not in the cache."""
        with self._lock:
            if self._body is not None and self._packed is None and not (self.kept and self._pages.keeps):
                self._packed = zlib.compress(self._body, 1)
            self.entry = replace(self.entry, skipped=self.skipped)
            self._page, self._body, self._all = None, None, {}

    def _load(self) -> bytes:
        if self._packed is not None:
            return zlib.decompress(self._packed)
        try:
            return self._pages.load_body(self._source, self._url, self.entry)
        except IndexUnreachable:
            if self._pages.offline:
                raise
        again = self._pages.fetch(self._source, self._url, None)
        if not again.exists or again._body is None:
            raise IndexUnreachable(f"the page {self._url} is gone")
        self.entry, self.origin, self.kept = again.entry, again.origin, again.kept
        return again._body

    def files(self, name: NormalizedName, version: Version) -> tuple[DistributionFile, ...]:
        """Return the files of one version, from the cached answers or from the page."""
        if not self.exists:
            return ()
        key = answer_key(name, version)
        with self._lock:
            known = self.entry.answers.get(key)
            if known is None:
                known = tuple(file for _, file in self.page().files(name, version))
                answers = {**self.entry.answers, key: known}
                self.entry = replace(self.entry, answers=answers, skipped=self.skipped)
                self._new = True
            return known

    def later_files(self, name: NormalizedName, version: Version) -> tuple[Found, dict[str, datetime]]:
        """Return the files of the project's later versions that the page lists, and when the index received them.

        Few of them are kept next to the page, like the files of one version.
        """
        if not self.exists:
            return [], {}
        key = answer_key(name, version)
        with self._lock:
            with contextlib.suppress(ValueError, TypeError, KeyError):  # Another program wrote it.
                return _parse_later(self.entry.later[key])
            found = self.page().files(name, after=version)
            times = self.page().upload_times({file.filename for _, file in found})
            if len(found) <= MOST_KEPT:
                later = {**self.entry.later, key: _plain_later(found, times)}
                self.entry = replace(self.entry, later=later, skipped=self.skipped)
                self._new = True
            return found, times

    def project_files(self, name: NormalizedName) -> tuple[Found, dict[str, datetime]]:
        """Return every file of the project that the page lists, and when the index received them, by file name."""
        if not self.exists:
            return [], {}
        with self._lock:
            found = self.all_files(name)
            return found, self.page().upload_times({file.filename for _, file in found})

    def all_files(self, name: NormalizedName) -> Found:
        """Return every file of the project that the page lists."""
        if not self.exists:
            return []
        with self._lock:
            if name not in self._all:
                self._all[name] = self.page().files(name)
            return self._all[name]

    def lists(self, name: NormalizedName) -> bool:
        """Whether the page has a file of the project."""
        if self.hints is not None and not any(hint.startswith(f"{name}-") for hint in self.hints):
            return False
        return bool(self.all_files(name))

    def keep(self) -> None:
        """Write new answers from the page to the cache."""
        with self._lock:
            if self._new and self.kept:
                self._pages.keep_answers(self._source, self._url, self.entry)
                self._new = False


def _plain_later(found: Found, times: Mapping[str, datetime]) -> list[Any]:
    """Return files as plain data that JSON can hold."""
    received = {name: when.isoformat() for name, when in times.items()}
    return [[str(version), file.as_list(), received.get(file.filename)] for version, file in found]


def _parse_later(rows: list[Any]) -> tuple[Found, dict[str, datetime]]:
    """Return what `_plain_later` was given; raise `ValueError` or `TypeError` for anything else."""
    found = [(Version(version), DistributionFile.from_list(file)) for version, file, _ in rows]
    times = {
        file.filename: datetime.fromisoformat(when)
        for (_, file), (_, _, when) in zip(found, rows, strict=True)
        if when is not None
    }
    return found, times


def _form(content_type: str, url: str) -> str:
    if content_type.endswith("+json") or content_type == "application/json":
        return "json"
    if content_type.endswith("+html") or content_type in ("text/html", "application/xhtml+xml"):
        return "html"
    raise IndexUnreachable(
        f"the index answered with {content_type[:60]!r}, which is not a page of the Simple API", about=url
    )


def _confirmed(entry: StoredPage, answer: HttpResponse) -> StoredPage:
    """Return the entry as just confirmed, with its lifetime (RFC 9111, 4.2; 600 s if the server sends none)."""
    max_age = DEFAULT_MAX_AGE
    for directive in answer.headers.get("Cache-Control", "").lower().split(","):
        name, _, value = directive.strip().partition("=")
        if name in ("no-cache", "no-store"):
            max_age = 0.0
            break
        if name == "max-age" and value.strip('"').isdecimal():
            max_age = min(float(value.strip('"')), LONGEST_MAX_AGE)
    age = answer.headers.get("Age", "0").strip()
    holds = max(0.0, max_age - (float(age) if age.isdecimal() else 0.0))
    return replace(entry, checked=time.time(), max_age=holds)


def _local_path(url: str) -> Path:
    """Does the same as `urllib.request.url2pathname`, which imports an HTTP client that the cache does not need."""
    path = unquote(urlsplit(url).path)
    return Path(path[1:] if path[2:3] == ":" else path)  # `/C:/simple` on Windows.


def answer_key(name: NormalizedName, version: Version) -> str:
    """Return the cache key for the files of one version."""
    return f"{name} {version}"
