"""Queries the indexes for the files of releases: in parallel, through the page cache, with every failure as a value."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

from packaging.utils import NormalizedName
from packaging.version import Version

from ftaudit.errors import FtauditError, NoConnection, NotCached
from ftaudit.index.index_settings import IndexSettings, IndexSource, parse_source
from ftaudit.index.page import Found
from ftaudit.index.pages import PageReader, Pages, answer_key
from ftaudit.index.release import ProjectFiles, Query, ReleaseFiles
from ftaudit.index.store import PageStore, StoredPage
from ftaudit.index.traffic import Traffic
from ftaudit.model import DistributionFile, Gap, GapKind, Status
from ftaudit.urls import redact

if TYPE_CHECKING:
    from ftaudit.index.net import Session

DAY: Final = 86400.0
"""Seconds for which a cached page counts where the time for the network is limited."""
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectPages:
    """The pages of a project, on the configured indexes or on one."""

    name: NormalizedName
    index_url: str | None = None


class Index:
    """All configured indexes. Usable from many threads; no HTTP library is imported before it is needed."""

    def __init__(self, settings: IndexSettings) -> None:
        self.settings = settings
        seconds = settings.network_seconds
        self.online_until = None if seconds is None else time.monotonic() + seconds
        """The value of `time.monotonic()` after which no request is started; `None` sets no limit."""
        self.traffic = Traffic()
        self._store = PageStore(settings.cache, least_max_age=0.0 if seconds is None else DAY)
        self._lock = threading.RLock()
        self._session: Session | None = None
        self._pages = Pages(self._store, self.traffic, self.session, offline=settings.offline)
        self._listings: dict[IndexSource, PageReader] = {}
        self._consulted: dict[NormalizedName, dict[str | None, set[str | None]]] = {}

    def session(self) -> Session:
        """Return the configured `requests.Session`, made on first use; safe to `get` from many threads."""
        with self._lock:
            if self._session is None:
                from ftaudit.index.net import Session

                self._session = Session(self.settings, self.traffic, online_until=self.online_until)
            return self._session

    def prepare(self) -> None:
        """Load the page parsers before the first page arrives, if no answers are cached."""
        if not self.settings.offline and self._store.is_empty:
            import pypi_simple  # noqa: F401
            import selectolax.lexbor  # noqa: F401

            self.session()

    def close(self) -> None:
        """Close the persistent connections."""
        with self._lock:
            if self._session is not None:
                self._session.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """Return notes on indexes whose pages came from the cache because the connection failed."""
        return tuple(f"{why}; pages come from the cache, as with --offline" for why in self._pages.fallen_back)

    def find_releases(
        self,
        queries: Iterable[Query],
        *,
        on_done: Callable[[Query, ReleaseFiles], None] = lambda query, release: None,
    ) -> dict[Query, ReleaseFiles]:
        """Look up every release; call `on_done` for each in this thread, as it finishes.

        Answers in the cache come first, the rest from `settings.workers` threads. Never raises for one package: a
        failure is a `ReleaseFiles` with status `failed` and its reason.
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
            try:
                known = self._from_cache(group)
            except FtauditError:
                known = None  # A find-links place failed; `_look_up` reports it.
            if known is None:
                waiting.append(group)
            else:
                take(known)
        arriving = _in_parallel(self._look_up, waiting, self.settings)
        if waiting and not self.settings.offline:
            import pypi_simple  # noqa: F401 - loads while the first pages are under way
        for answers in arriving:
            take(answers)
        given_up = Gap(kind=GapKind.NO_ANSWER, detail=f"{self.settings.patience:.0f}")
        unanswered = [query for group in waiting for query in group if query not in results]
        for query in unanswered:
            self.doubt(query.name, index_url=query.index_url)
        take({query: ReleaseFiles(status=Status.FAILED, reason=given_up) for query in unanswered})
        return results

    def find_project(
        self, name: NormalizedName, *, index_url: str | None = None, after: Version | None = None
    ) -> ProjectFiles:
        """Return the versions of a project with their files, newest first; a failure is a value.

        With `after`, return only later ones, which saves much parsing for projects with thousands of files.
        """
        try:
            readers = [reader for reader in self._consult(name, index_url) if reader.exists]
            found: Found = []
            times: dict[str, datetime] = {}
            for reader in readers:
                files, received = reader.project_files(name) if after is None else reader.later_files(name, after)
                found += files
                times.update(received)
                reader.keep()
            self._rest(readers)
        except Exception as error:
            self.doubt(name, index_url=index_url)
            return ProjectFiles(status=Status.FAILED, reason=_gap(error))
        if not readers:
            return ProjectFiles(status=Status.FAILED, reason=self._nowhere(name, index_url))
        versions: dict[Version, dict[str, DistributionFile]] = {}
        for version, file in found:
            versions.setdefault(version, {}).setdefault(file.filename, file)
        return ProjectFiles(
            status=Status.DONE,
            origin=readers[-1].origin,
            versions={v: tuple(versions[v].values()) for v in sorted(versions, reverse=True)},
            released={
                version: min(times[name] for name in files if name in times)
                for version, files in versions.items()
                if any(name in times for name in files)
            },
            page=readers[-1].entry.url,
            age=readers[-1].age,
            warnings=_warnings(readers),
        )

    def fingerprint(self, name: NormalizedName, *, index_url: str | None = None) -> str | None:
        """Return a key that changes whenever the project's pages change, or `None` if they are not available.

        The caller can store results derived from `find_project` under this key; a fresh cache answers without parsing.
        """
        try:
            return _identity(reader.entry for reader in self._consult(name, index_url))
        except FtauditError:
            return None

    def fingerprints(self, pages: Iterable[ProjectPages]) -> dict[ProjectPages, str | None]:
        """Return the fingerprints of the pages of many projects, to compare them with those of `consulted`.

        They are asked for in parallel. Pages that fail, or of which nothing is heard, have none.
        """
        wanted = list(dict.fromkeys(pages))
        found: dict[ProjectPages, str | None] = dict.fromkeys(wanted)

        def ask(page: ProjectPages) -> tuple[ProjectPages, str | None]:
            try:
                return page, _identity(reader.entry for reader in self._open(page.name, page.index_url))
            except Exception:  # Whoever needs the page reports it.
                return page, None

        found.update(_in_parallel(ask, wanted, self.settings))
        return found

    def consulted(self, name: NormalizedName) -> dict[ProjectPages, str] | None:
        """Return the pages of a project that answers have depended on so far, with their fingerprints.

        `None` means that some were not available, not understood, or changed meanwhile.
        """
        with self._lock:
            seen = {url: set(prints) for url, prints in self._consulted.get(name, {}).items()}
        if any(len(prints) != 1 or None in prints for prints in seen.values()):
            return None
        return {
            ProjectPages(name=name, index_url=url): digest
            for url, prints in seen.items()
            for digest in prints
            if digest is not None
        }

    def doubt(self, name: NormalizedName, *, index_url: str | None = None) -> None:
        """Note that an answer about a project depends on more than the content of its pages."""
        self._note(name, index_url, None)

    def _note(self, name: NormalizedName, index_url: str | None, told: str | None) -> None:
        with self._lock:
            self._consulted.setdefault(name, {}).setdefault(index_url, set()).add(told)

    def _from_cache(self, group: list[Query]) -> dict[Query, ReleaseFiles] | None:
        """Return the answers if the small cache files have all of them and are fresh, otherwise `None`."""
        name = group[0].name
        local = all(place.url.startswith("file:") for place in self.settings.find_links)
        if not local or any(self._listing(place).lists(name) for place in self.settings.find_links):
            return None
        entries = []
        for source in self._sources(group[0].index_url):
            url = _page_url(source, name)
            entry = None if url.startswith("file:") else self._store.load(url, source.user)
            if entry is None or not (self._store.is_fresh(entry) or self.settings.offline):
                return None
            entries.append(entry)
            if entry.form == "absent":
                continue  # As `Reader.exists` says, without one.
            answers = {query: entry.answers.get(answer_key(name, query.version), ()) for query in group}
            if not all(answers.values()):
                return None
            self.traffic.add(saved=entry.length)
            self._note(name, group[0].index_url, _identity(entries))
            reader = PageReader(self._pages, source, url, entry, None, "cache")
            return {query: _release(files, [reader]) for query, files in answers.items()}
        return None

    def _look_up(self, group: list[Query]) -> dict[Query, ReleaseFiles]:
        name, index_url = group[0].name, group[0].index_url
        try:
            readers = self._consult(name, index_url)
            answers = self._answers(group, readers)
            kept = any(reader.origin == "cache" for reader in readers) and not self.settings.offline
            if kept and not all(answers.values()):  # A file that was missing before may exist now.
                readers = self._consult(name, index_url, revalidate=True)
                answers = self._answers(group, readers)
            readers = [reader for reader in readers if reader.exists]
            if not readers:
                reason = self._nowhere(name, index_url)
                return {query: ReleaseFiles(status=Status.FAILED, reason=reason) for query in group}
            found = {
                query: _release(files, readers) if files else self._missing(query, readers)
                for query, files in answers.items()
            }
            self._rest(readers)
        except Exception as error:
            self.doubt(name, index_url=index_url)
            return {query: ReleaseFiles(status=Status.FAILED, reason=_gap(error)) for query in group}
        return found

    def _answers(self, group: list[Query], readers: list[PageReader]) -> dict[Query, tuple[DistributionFile, ...]]:
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

    def _missing(self, query: Query, readers: list[PageReader]) -> ReleaseFiles:
        versions = [version for reader in readers for version, _ in reader.all_files(query.name)]
        final = [version for version in versions if not version.is_prerelease] or versions
        newest = f"newest: {max(final)}" if final else "the index lists no files of the project"
        return ReleaseFiles(
            status=Status.FAILED,
            reason=Gap(kind=GapKind.NO_RELEASE, subject=str(query.version), detail=newest),
            origin=readers[-1].origin,
            page=readers[-1].entry.url,
            age=readers[-1].age,
            warnings=_warnings(readers),
        )

    def _nowhere(self, name: NormalizedName, index_url: str | None) -> Gap:
        hosts = [urlsplit(source.url).netloc or source.url for source in self._sources(index_url)]
        where = " or ".join(dict.fromkeys(hosts)) or "any place that may be asked (--no-index)"
        return Gap(kind=GapKind.NO_PROJECT, subject=str(name), detail=where)

    def _sources(self, index_url: str | None) -> tuple[IndexSource, ...]:
        """Return the indexes to query; an index from a lock file gets the credentials that are configured for the same
        host.
        """
        if index_url is None:
            return self.settings.sources
        bound = parse_source(index_url)
        host = urlsplit(bound.url).netloc
        for source in self.settings.sources:
            if bound.user is None and urlsplit(source.url).netloc == host:
                return (replace(bound, user=source.user, password=source.password),)
        return (bound,)

    def _consult(self, name: NormalizedName, index_url: str | None, *, revalidate: bool = False) -> list[PageReader]:
        """Return readers as `_open` does, and note what an answer depends on."""
        try:
            readers = self._open(name, index_url, revalidate=revalidate)
        except FtauditError:
            self.doubt(name, index_url=index_url)
            raise
        self._note(name, index_url, _identity(reader.entry for reader in readers))
        return readers

    def _open(self, name: NormalizedName, index_url: str | None, *, revalidate: bool = False) -> list[PageReader]:
        """Return readers of the find-links places, and of the indexes up to the first that has the project.

        An index that refuses or fails ends the search: if the search went on to the next index, a third-party package
        of the same name could replace a private one.
        """
        places = [] if index_url else self.settings.find_links
        readers = [reader for reader in map(self._listing, places) if reader.lists(name)]
        for source in self._sources(index_url):
            readers.append(self._pages.open(source, _page_url(source, name), revalidate=revalidate))
            if readers[-1].exists:
                break
        return readers

    def _rest(self, readers: Iterable[PageReader]) -> None:
        """Drop pages until they are needed again; pages of find-links places are needed for each project."""
        listings = list(self._listings.values())
        for reader in readers:
            if reader not in listings:
                reader.rest()

    def _listing(self, place: IndexSource) -> PageReader:
        """Return the reader of a find-links place, which is opened once per run."""
        with self._lock:
            if place not in self._listings:
                self._listings[place] = self._pages.open_listing(place)
            return self._listings[place]


def _identity(entries: Iterable[StoredPage]) -> str | None:
    return "|".join(entry.identity for entry in entries) or None


def _gap(error: Exception) -> Gap:
    """Return the meaning of a failure; for an error in ftaudit, name it."""
    match error:
        case NotCached():
            return Gap(kind=GapKind.OFFLINE, detail=error.what, subject=error.about)
        case NoConnection():
            return Gap(kind=GapKind.UNCONNECTED, detail=error.what, subject=error.about)
        case FtauditError():
            return Gap(kind=GapKind.FAILED, detail=error.what, subject=error.about)
        case _:
            text = f"{type(error).__name__}: {redact(str(error))[:200]}"
            return Gap(kind=GapKind.FAILED, detail=f"ftaudit failed to read the index's answer: {text}")


def _release(files: tuple[DistributionFile, ...], readers: list[PageReader]) -> ReleaseFiles:
    reader = readers[-1]
    return ReleaseFiles(
        status=Status.DONE,
        origin=reader.origin,
        files=files,
        page=reader.entry.url,
        age=reader.age,
        warnings=_warnings(readers),
    )


def _warnings(readers: list[PageReader]) -> tuple[str, ...]:
    """Return warnings about skipped files, and about the age of an answer that the index did not confirm."""
    warnings = []
    for reader in readers:
        if reader.skipped:
            warnings.append(f"links skipped on {reader.entry.url}: {reader.skipped}")
        if reader.is_stale:
            warnings.append(f"offline: the cached page is {_span(reader.entry.age)} old")
    return tuple(warnings)


def _span(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} seconds"


def _page_url(source: IndexSource, name: NormalizedName) -> str:
    return f"{source.url}{name}/"


def _in_parallel(work: Callable[[T], R], items: list[T], settings: IndexSettings) -> Iterator[R]:
    """Start `work` on the items in daemon threads, and return an iterator over the results as they arrive.

    Daemon threads are needed because neither Ctrl-C nor the exit may wait for a slow server, and `concurrent.futures`
    joins its threads. The iterator ends early if no result arrives for `settings.patience`.
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

    def results() -> Iterator[R]:
        for _ in items:
            try:
                result = done.get(timeout=settings.patience)
            except queue.Empty:
                return
            if isinstance(result, BaseException):
                raise result
            yield result

    for _ in range(min(settings.workers, len(items))):
        threading.Thread(target=run, name="ftaudit-index", daemon=True).start()
    return results()
