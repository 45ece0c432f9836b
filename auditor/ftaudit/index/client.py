"""Asks the indexes which files a release has: in parallel, through the page cache, with every failure as a value."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.utils import NormalizedName
from packaging.version import Version

from ftaudit.errors import FtauditError, IndexUnreachable
from ftaudit.index.config import IndexSettings, Source, parse_source, pypi_simple_constant
from ftaudit.index.page import Found, Page
from ftaudit.index.release import ProjectFiles, Query, ReleaseFiles
from ftaudit.index.store import DEFAULT_MAX_AGE, LONGEST_MAX_AGE, Entry, PageStore
from ftaudit.index.traffic import Traffic
from ftaudit.model import DistributionFile, Status

if TYPE_CHECKING:
    from ftaudit.index.net import Answer, Session

T = TypeVar("T")
R = TypeVar("R")

_DENIED: Final = frozenset({401, 403, 407})


class Index:
    """The configured indexes, as one. Usable from many threads; nothing is imported for HTTP until it is needed."""

    def __init__(self, settings: IndexSettings) -> None:
        self.settings = settings
        self.traffic = Traffic()
        self._store = PageStore(settings.cache)
        self._lock = threading.RLock()
        self._session: Session | None = None
        self._unconnected: dict[str, IndexUnreachable] = {}
        self._listings: dict[Source, list[DistributionFile] | _Reader] = {}

    def session(self) -> Session:
        """Return the one configured `requests.Session`, made on first use; safe to `get` from many threads."""
        with self._lock:
            if self._session is None:
                from ftaudit.index.net import Session

                self._session = Session(self.settings, self.traffic)
            return self._session

    def close(self) -> None:
        """Close the connections that are kept alive."""
        with self._lock:
            if self._session is not None:
                self._session.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def find_releases(
        self,
        queries: Iterable[Query],
        *,
        on_done: Callable[[Query, ReleaseFiles], None] = lambda query, release: None,
    ) -> dict[Query, ReleaseFiles]:
        """Look every release up; `on_done` hears of each in this thread, as it comes.

        What the cache can answer is answered at once, the rest by `settings.workers` threads. Never raises for
        one package: a failure is a `ReleaseFiles` with status `failed` and its reason.
        """
        projects: dict[tuple[NormalizedName, str | None], list[Query]] = {}
        for query in dict.fromkeys(queries):
            projects.setdefault((query.name, query.index_url), []).append(query)
        results: dict[Query, ReleaseFiles] = {}

        def take(answers: Mapping[Query, ReleaseFiles]) -> None:
            for query, release in answers.items():
                results[query] = release
                on_done(query, release)

        waiting = []
        for group in projects.values():
            known = self._from_cache(group)
            if known is None:
                waiting.append(group)
            else:
                take(known)
        for answers in _in_parallel(self._look_up, waiting, self.settings.workers):
            take(answers)
        return results

    def find_project(self, name: NormalizedName, *, index_url: str | None = None) -> ProjectFiles:
        """Return every version of a project with its files, newest first; a failure is a value."""
        try:
            readers = self._readers(name, index_url)
            found = [pair for reader in readers for pair in reader.all_files(name)]
        except FtauditError as error:
            return ProjectFiles(status=Status.FAILED, reason=error.problem)
        if not readers:
            return ProjectFiles(status=Status.FAILED, reason=self._nowhere(name, index_url))
        versions: dict[Version, dict[str, DistributionFile]] = {}
        for version, file in found:
            versions.setdefault(version, {}).setdefault(file.filename, file)
        return ProjectFiles(
            status=Status.DONE,
            origin=readers[-1].origin,
            versions={v: tuple(versions[v].values()) for v in sorted(versions, reverse=True)},
            page=readers[-1].entry.url,
            age=readers[-1].age,
            warnings=_warnings(readers),
        )

    def _from_cache(self, group: list[Query]) -> dict[Query, ReleaseFiles] | None:
        """Return the answers where the small cache files hold them all and are fresh, else `None`."""
        if self.settings.find_links:
            return None
        name = group[0].name
        for source in self._sources(group[0].index_url):
            url = _page_url(source, name)
            entry = None if url.startswith("file:") else self._store.load(url, source.user)
            if entry is None or not (entry.fresh or self.settings.offline):
                return None
            if entry.form == "absent":
                continue
            answers = {query: entry.answers.get(_key(name, query.version), ()) for query in group}
            if not all(answers.values()):
                return None
            self.traffic.add(saved=entry.length)
            reader = _Reader(self, source, url, entry, None, "cache")
            return {query: _release(files, [reader]) for query, files in answers.items()}
        return None

    def _look_up(self, group: list[Query]) -> dict[Query, ReleaseFiles]:
        name, index_url = group[0].name, group[0].index_url
        try:
            readers = self._readers(name, index_url)
            answers = self._answers(group, readers)
            cached = any(reader.origin == "cache" for reader in readers) or not readers
            if not self.settings.offline and cached and not all(answers.values()):
                readers = self._readers(name, index_url, revalidate=True)
                answers = self._answers(group, readers)
            if not readers:
                reason = self._nowhere(name, index_url)
                return {query: ReleaseFiles(status=Status.FAILED, reason=reason) for query in group}
            return {
                query: _release(files, readers) if files else self._missing(query, readers)
                for query, files in answers.items()
            }
        except FtauditError as error:
            reason = error.problem
        except Exception as error:
            reason = f"ftaudit failed to read the index's answer: {type(error).__name__}: {str(error)[:200]}"
        return {query: ReleaseFiles(status=Status.FAILED, reason=reason) for query in group}

    def _answers(self, group: list[Query], readers: list[_Reader]) -> dict[Query, tuple[DistributionFile, ...]]:
        answers = {}
        for query in group:
            merged: dict[str, DistributionFile] = {}
            for reader in readers:
                for file in reader.files(query.name, query.version):
                    merged.setdefault(file.filename, file)
            answers[query] = tuple(merged.values())
        for reader in readers:
            reader.keep()
        return answers

    def _missing(self, query: Query, readers: list[_Reader]) -> ReleaseFiles:
        versions = [version for reader in readers for version, _ in reader.all_files(query.name)]
        final = [version for version in versions if not version.is_prerelease] or versions
        newest = f"newest: {max(final)}" if final else "it lists no files of that project"
        return ReleaseFiles(
            status=Status.FAILED,
            reason=f"version {query.version} is not on the index ({newest})",
            origin=readers[-1].origin,
            page=readers[-1].entry.url,
            age=readers[-1].age,
            warnings=_warnings(readers),
        )

    def _nowhere(self, name: NormalizedName, index_url: str | None) -> str:
        hosts = [urlsplit(source.url).netloc or source.url for source in self._sources(index_url)]
        where = " or ".join(dict.fromkeys(hosts)) or "any place that may be asked (--no-index)"
        return f"there is no project {name} on {where}"

    def _sources(self, index_url: str | None) -> tuple[Source, ...]:
        """Return the indexes to ask; one that a lock file names has the credentials of ours on the same host."""
        if index_url is None:
            return self.settings.sources
        bound = parse_source(index_url)
        host = urlsplit(bound.url).netloc
        for source in self.settings.sources:
            if bound.user is None and urlsplit(source.url).netloc == host:
                return (replace(bound, user=source.user, password=source.password),)
        return (bound,)

    def _readers(self, name: NormalizedName, index_url: str | None, *, revalidate: bool = False) -> list[_Reader]:
        """Return readers of the find-links places and of the first index that has the project.

        An index that refuses or fails ends the search: to go on to the next would let a stranger's package of
        the same name answer for a private one.
        """
        places = [] if index_url else self.settings.find_links
        readers = [self._listing(place) for place in places]
        readers = [reader for reader in readers if reader.lists(name)]
        for source in self._sources(index_url):
            reader = self._open(source, _page_url(source, name), revalidate=revalidate)
            if reader is not None:
                return [*readers, reader]
        return readers

    def _listing(self, place: Source) -> _Reader:
        """Return the reader of a find-links place, which is opened once in a run."""
        with self._lock:
            known = self._listings.get(place)
            if not isinstance(known, _Reader):
                known = self._open(place, place.url, revalidate=False, listing=True)
                if known is None:
                    empty = Entry(url=place.url, form="absent")
                    known = _Reader(self, place, place.url, empty, b"", "file")
                self._listings[place] = known
            return known

    def _open(self, source: Source, url: str, *, revalidate: bool, listing: bool = False) -> _Reader | None:
        """Return a reader of the page, or `None` where the index says that there is none."""
        if url.startswith("file:"):
            return self._open_file(source, url, listing=listing)
        entry = self._store.load(url, source.user)
        if self.settings.offline:
            if entry is None:
                raise IndexUnreachable(f"offline, and the cache has no page {url}")
            reader = _Reader(self, source, url, entry, None, "cache")
        elif entry is not None and entry.fresh and not revalidate:
            reader = _Reader(self, source, url, entry, None, "cache")
            self.traffic.add(saved=entry.length)
        else:
            reader = self.fetch(source, url, entry)
        return None if reader.entry.form == "absent" else reader

    def _open_file(self, source: Source, url: str, *, listing: bool) -> _Reader | None:
        path = Path(url2pathname(urlsplit(url).path))
        try:
            if path.is_dir():
                if listing and not (path / "index.html").is_file():
                    links = "".join(
                        f'<a href="{child.absolute().as_uri()}">{child.name}</a>\n'
                        for child in sorted(path.iterdir())
                        if child.is_file() and child.suffix in (".whl", ".gz", ".zip")
                    )
                    body = f"<!doctype html><html><body>{links}</body></html>".encode()
                    return _Reader(self, source, url, Entry(url=url, form="html"), body, "file")
                path, url = path / "index.html", url.rstrip("/") + "/index.html"
            if not path.exists():
                return None
            body = path.read_bytes()
        except OSError as error:
            raise IndexUnreachable(f"cannot read {path}: {error.strerror or error}") from error
        return _Reader(self, source, url, Entry(url=url, form="html"), body, "file")

    def fetch(self, source: Source, url: str, entry: Entry | None) -> _Reader:
        """Get a page, conditionally where the cache holds it, and keep it; raise `IndexUnreachable`."""
        host = urlsplit(url).netloc
        if host in self._unconnected:
            raise self._unconnected[host]
        from ftaudit.index.net import Unconnected

        headers = {"Accept": str(_accept())}
        if entry is not None and entry.etag:
            headers["If-None-Match"] = entry.etag
        if entry is not None and entry.last_modified:
            headers["If-Modified-Since"] = entry.last_modified
        try:
            answer = self.session().get_page(url, headers)
        except Unconnected as error:
            self._unconnected[host] = error
            raise
        if answer.status == 304 and entry is not None:
            entry = self._store.save(url, source.user, _confirmed(entry, answer))
            self.traffic.add(saved=entry.length)
            return _Reader(self, source, url, entry, None, "index")
        return self._keep(source, url, answer)

    def _keep(self, source: Source, url: str, answer: Answer) -> _Reader:
        if answer.status in (404, 410):
            entry = _confirmed(Entry(url=answer.url, form="absent"), answer)
        elif answer.status in _DENIED:
            raise IndexUnreachable(
                f"{url}: access denied ({answer.status})",
                hint="give credentials in the index URL, in netrc or through keyring",
            )
        elif answer.status != 200:
            raise IndexUnreachable(f"{url}: the index answered {answer.status}")
        else:
            kind, _, parameters = answer.headers.get("Content-Type", "text/html").partition(";")
            form = _form(kind.strip().lower(), url)
            charset = parameters.partition("charset=")[2].strip(" \"';").lower() or None
            entry = Entry(
                url=answer.url,
                form=form,
                charset=charset,
                etag=answer.headers.get("ETag"),
                last_modified=answer.headers.get("Last-Modified"),
            )
            entry = _confirmed(entry, answer)
        reader = _Reader(self, source, url, entry, answer.body, "index")
        if entry.form != "absent":
            reader.page()  # A page that is none is not kept.
        if "no-store" in answer.headers.get("Cache-Control", "").lower():
            self._store.drop(url, source.user)
            reader.kept = False
        else:
            reader.entry = self._store.save(url, source.user, entry, answer.body)
        return reader

    def load_body(self, source: Source, url: str, entry: Entry) -> bytes:
        """Return a cached body, getting it anew where the cache lost it; raise `IndexUnreachable`."""
        body = self._store.load_body(url, source.user, entry)
        if body is None:
            self._store.drop(url, source.user)
            raise IndexUnreachable(f"the cache has lost the page {url}", hint="run again without --offline")
        return body

    def keep_answers(self, source: Source, url: str, entry: Entry) -> None:
        """Write the answers read out of a page beside it, for the next run."""
        self._store.save(url, source.user, entry)


class _Reader:
    """One opened page: its cache entry, and its body once that is needed."""

    def __init__(self, index: Index, source: Source, url: str, entry: Entry, body: bytes | None, origin: str) -> None:
        self._index = index
        self._source = source
        self._url = url
        self._body = body
        self._page: Page | None = None
        self._all: dict[NormalizedName, Found] = {}
        self.entry = entry
        self.origin = origin
        self.kept = origin != "file"
        self._new = False

    @property
    def age(self) -> float | None:
        """Seconds since the index confirmed the page, where the cache answered."""
        return max(0.0, self.entry.age) if self.origin == "cache" else None

    @property
    def skipped(self) -> int:
        return 0 if self._page is None else self._page.skipped

    def page(self) -> Page:
        if self._page is None:
            if self._body is None:
                self._body = self._load()
            entry = self.entry
            self._page = Page(self._body, url=entry.url, form=entry.form, charset=entry.charset)
        return self._page

    def _load(self) -> bytes:
        try:
            return self._index.load_body(self._source, self._url, self.entry)
        except IndexUnreachable:
            if self._index.settings.offline:
                raise
        again = self._index.fetch(self._source, self._url, None)
        if again.entry.form == "absent" or again._body is None:
            raise IndexUnreachable(f"the page {self._url} is gone")
        self.entry, self.origin, self.kept = again.entry, again.origin, again.kept
        return again._body

    def files(self, name: NormalizedName, version: Version) -> tuple[DistributionFile, ...]:
        """Return the files of one version, from the answers kept in the cache or from the page."""
        if self.entry.form == "absent":
            return ()
        key = _key(name, version)
        known = self.entry.answers.get(key)
        if known is None:
            known = tuple(file for _, file in self.page().files(name, version))
            self.entry = replace(self.entry, answers={**self.entry.answers, key: known})
            self._new = True
        return known

    def all_files(self, name: NormalizedName) -> Found:
        """Return every file of the project that the page lists."""
        if self.entry.form == "absent":
            return []
        if name not in self._all:
            self._all[name] = self.page().files(name)
        return self._all[name]

    def lists(self, name: NormalizedName) -> bool:
        return bool(self.all_files(name))

    def keep(self) -> None:
        if self._new and self.kept:
            self._index.keep_answers(self._source, self._url, self.entry)
            self._new = False


def _release(files: tuple[DistributionFile, ...], readers: list[_Reader]) -> ReleaseFiles:
    reader = readers[-1]
    return ReleaseFiles(
        status=Status.DONE,
        origin=reader.origin,
        files=files,
        page=reader.entry.url,
        age=reader.age,
        warnings=_warnings(readers),
    )


def _warnings(readers: list[_Reader]) -> tuple[str, ...]:
    """Say what was passed over, and how old an answer is that the index was not asked to confirm."""
    said = []
    for reader in readers:
        if reader.skipped:
            said.append(f"{reader.skipped} links of {reader.entry.url} are no files of this project")
        if reader.origin == "cache" and not reader.entry.fresh:
            said.append(f"offline: the page is {_span(reader.entry.age)} old")
    return tuple(said)


def _span(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} seconds"


def _accept() -> object:
    """Both forms, JSON first, plain HTML last."""
    return pypi_simple_constant("ACCEPT_JSON_PREFERRED")


def _form(content_type: str, url: str) -> str:
    if content_type.endswith("+json") or content_type == "application/json":
        return "json"
    if content_type.endswith("+html") or content_type in ("text/html", "application/xhtml+xml"):
        return "html"
    raise IndexUnreachable(f"{url}: the index answered with {content_type[:60]!r}, which is no page of the Simple API")


def _confirmed(entry: Entry, answer: Answer) -> Entry:
    """Return the entry as just confirmed, with how long it holds (RFC 9111, 4.2; 600 s where nothing is said)."""
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


def _page_url(source: Source, name: NormalizedName) -> str:
    return f"{source.url}{name}/"


def _key(name: NormalizedName, version: Version) -> str:
    return f"{name} {version}"


def _in_parallel(work: Callable[[T], R], items: list[T], workers: int) -> Iterator[R]:
    """Yield the results of `work` as they come, from daemon threads.

    Daemons, because Ctrl-C must not wait for a server that does not answer; `concurrent.futures` joins its threads.
    """
    todo: queue.SimpleQueue[T] = queue.SimpleQueue()
    done: queue.SimpleQueue[R | BaseException] = queue.SimpleQueue()
    for item in items:
        todo.put(item)

    def run() -> None:
        while True:
            try:
                item = todo.get_nowait()
            except queue.Empty:
                return
            try:
                done.put(work(item))
            except BaseException as error:
                done.put(error)

    for _ in range(min(workers, len(items))):
        threading.Thread(target=run, name="ftaudit-index", daemon=True).start()
    for _ in items:
        result = done.get()
        if isinstance(result, BaseException):
            raise result
        yield result
