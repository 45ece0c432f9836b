"""Wheels become binary facts: fetched in part, their modules read by worker processes, cached by their hash."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from ftaudit.binary.facts_cache import FactsCache, render_facts
from ftaudit.binary.questions import MEMORY, SECONDS, ModuleReaders
from ftaudit.binary.reading import WheelReader
from ftaudit.errors import ArchiveError, DamagedArchive, NotFetched, StoreMismatch
from ftaudit.model import (
    BinaryFacts,
    DistributionFile,
    ExtensionModule,
    Gap,
    GapKind,
    Status,
    StoreOrigin,
)
from ftaudit.target import Target
from ftaudit.wheel import (
    ArchiveMember,
    Limits,
    WheelArchive,
    check_digest,
    file_digest,
    holds_code,
    installed_path,
    is_startup,
    local_path,
    modules_size,
    open_wheel,
    parse_pth,
    read_metadata,
)
from ftaudit.wheel.member import MemberError
from ftaudit.wheel.startup import MOST

if TYPE_CHECKING:
    import requests


@dataclass(frozen=True, kw_only=True, slots=True)
class WheelRequest:
    """One wheel to be read."""

    file: DistributionFile
    target: Target
    rebuild: bool = False
    """The wheel is for the GIL-enabled build: its modules show a rebuild's declaration, not the target's."""
    most: int | None = None
    """Bytes of modules, compressed, above which the wheel is left; `None` reads them whatever they are."""
    whole: bool = False
    """Whether all of the wheel is fetched, so that it is held against its hash: the user named that."""


RANGES: Final = "-ranges"
"""The end of a key of facts that were read in ranges, before the digest of the address."""


class StoredFacts(Protocol):
    """Facts of wheels that someone else read."""

    @property
    def origin(self) -> StoreOrigin:
        """What it is called, and who made it."""
        ...

    def find(self, sha256: str, key: str) -> BinaryFacts | None:
        """Return the facts of a wheel, or `None`; raise `InputError` if the store is damaged."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class InspectSettings:
    """How wheels are read."""

    cache_dir: Path
    session: Callable[[], requests.Session] | None = None
    """Gives the session to fetch with, when one is needed; `None` fetches nothing (`--offline`)."""
    use_cache: bool = True
    """Whether facts of earlier runs count, and new ones are stored."""
    workers: int | None = None
    """Processes that analyze; `None` is one for each core."""
    wheels: int = 8
    """Wheels read at a time."""
    connections: int = 16
    limits: Limits = field(default_factory=Limits)
    module_seconds: float = SECONDS
    """Seconds of processor time that one module may take."""
    worker_memory: int = MEMORY
    """Bytes of address space of one worker process."""
    record: bool = False
    """Whether RECORD is compared with the members: for authors, who can fix it."""
    stores: tuple[StoredFacts, ...] = ()
    """The stores to ask, in order, for what the cache does not have."""
    read_again: float = 0.0
    """The share of the stores' answers, from 0 to 1, that are compared with the wheel."""


@dataclass(slots=True)
class StoreUse:
    """What one store contributed."""

    answers: int = 0
    compared: int = 0
    """Answers that were found equal to what is read of the wheel."""
    unread: int = 0
    """Answers that were to be compared, and whose wheel could not be read."""


class Inspector:
    """Reads wheels in the background. A context manager; leaving it ends every process and thread of it.

    Nothing is started for a wheel whose facts are cached.
    """

    def __init__(self, settings: InspectSettings, readers: ModuleReaders | None = None) -> None:
        """`readers` are processes that the caller ends; without them, the inspector makes its own if it needs them."""
        self._settings = settings
        self._readers = readers
        self._cache = FactsCache(settings.cache_dir)
        self._lock = threading.Lock()
        self._work: _Pools | None = None
        self.used: dict[StoreOrigin, StoreUse] = {store.origin: StoreUse() for store in settings.stores}
        """What each store contributed so far."""
        self.unsettled: set[str] = set()
        """The file names of wheels about which another run may say something else, although the index names the same
        file: it was not read, or not within the limits; it is on this machine or has no digest; a store answered.
        """

    def __enter__(self) -> Inspector:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            work, self._work = self._work, None
        if work is not None:
            work.close()

    def prepare(self) -> None:
        """Start the workers before the first wheel comes, if no facts are cached."""
        if (self._cache.is_empty or not self._settings.use_cache) and not self._settings.stores:
            self._started().readers.start()

    def submit(self, request: WheelRequest, *, soon: bool = False) -> Future[BinaryFacts]:
        """Return the facts of a wheel, at once if they are cached or stored. A failure is also a fact.

        Raise `InputError` for a damaged store; the future raises `StoreMismatch`.

        One that is wanted `soon` does not wait until those before it have been read.
        """
        done: Future[BinaryFacts] = Future()
        location = request.file.url
        if request.file.sha256 is None or not request.file.is_remote:
            self.unsettled.add(request.file.filename)
        if location is None:
            done.set_result(_failed(Gap(kind=GapKind.NO_PLACE)))
            return done
        try:
            sha256 = self._digest(request, location)
        except ArchiveError as error:
            self.unsettled.add(request.file.filename)
            done.set_result(_failed(_gap(error)))
            return done
        known = self._recall(request, sha256)
        if known is not None:
            done.set_result(known)
            return done
        stored = self._ask_stores(request, sha256)
        if stored is not None and random.random() >= self._settings.read_again:  # noqa: S311 - a sample, not a secret.
            done.set_result(stored[1])
            return done
        work = self._started()
        work.readers.start()
        threads = work.soon if soon else work.wheels
        if stored is not None and sha256 is not None:
            return threads.submit(self._read_again, work, request, location, sha256, *stored)
        return threads.submit(self._inspect, work, request, location, sha256)

    def _started(self) -> _Pools:
        with self._lock:
            if self._work is None:
                self._work = _Pools(self._settings, self._readers)
            return self._work

    def _digest(self, request: WheelRequest, location: str) -> str | None:
        """Return the wheel's digest: of a local file its own, which must be the expected one; else the expected."""
        path = local_path(location)
        if path is None:
            return request.file.sha256
        found = file_digest(path)
        check_digest(path.name, found, request.file.sha256)
        return found

    def _recall(self, request: WheelRequest, sha256: str | None) -> BinaryFacts | None:
        if sha256 is None or not self._settings.use_cache or request.whole:
            return None
        key = facts_key(request, record=self._settings.record)
        return self._cache.read(sha256, key) or self._cache.read(sha256, key + _of_server(request.file.url or ""))

    def _ask_stores(self, request: WheelRequest, sha256: str | None) -> tuple[StoreOrigin, BinaryFacts] | None:
        """Return the first store that has an answer, and the answer."""
        if sha256 is None or request.whole:
            return None
        key = facts_key(request, record=self._settings.record)
        for store in self._settings.stores:
            found = store.find(sha256, key) or store.find(sha256, key + _of_server(request.file.url or ""))
            if found is not None:
                self.unsettled.add(request.file.filename)
                with self._lock:
                    self.used[store.origin].answers += 1
                return store.origin, replace(found, store=store.origin)
        return None

    def _read_again(
        self, work: _Pools, request: WheelRequest, location: str, sha256: str, origin: StoreOrigin, stored: BinaryFacts
    ) -> BinaryFacts:
        """Return a store's answer after it was compared with the wheel; raise `StoreMismatch` if they differ.

        The answer is not cached, so that another run draws another sample.
        """
        try:
            facts, certain, _ = _read_wheel(work, request, location, sha256, self._settings)
        except ArchiveError:
            certain = False
        if not certain:
            with self._lock:
                self.used[origin].unread += 1
            return stored
        if render_facts(facts) != render_facts(stored):
            raise StoreMismatch(
                f"the facts store {origin.name} is wrong about {request.file.filename}",
                hint="stop using this store, and report the error to its maker",
            )
        with self._lock:
            self.used[origin].compared += 1
        return replace(stored, bytes_read=facts.bytes_read)

    def _inspect(self, work: _Pools, request: WheelRequest, location: str, sha256: str | None) -> BinaryFacts:
        """Read one wheel, in its own thread."""
        try:
            facts, certain, whole = _read_wheel(work, request, location, sha256, self._settings)
        except DamagedArchive as error:
            self.unsettled.add(request.file.filename)
            # What came over a network may be a proxy's page in the wheel's place.
            at_hand = local_path(location) is not None
            return replace(_failed(_gap(error)), refused=(error.problem,) if at_hand else ())
        except ArchiveError as error:
            self.unsettled.add(request.file.filename)
            return _failed(_gap(error))
        if not certain:
            self.unsettled.add(request.file.filename)
        if certain and sha256 is not None and self._settings.use_cache:
            self._cache.write(
                sha256,
                facts_key(request, record=self._settings.record) + ("" if whole else _of_server(location)),
                facts,
            )
        return facts


def inspect_wheels(
    requests: Iterable[WheelRequest],
    *,
    settings: InspectSettings,
    on_done: Callable[[WheelRequest, BinaryFacts], None] = lambda request, facts: None,
) -> dict[WheelRequest, BinaryFacts]:
    """Return the facts of every wheel; `on_done` is called for each in this thread, in the order of the requests."""
    results: dict[WheelRequest, BinaryFacts] = {}
    with Inspector(settings) as inspector:
        futures = {request: inspector.submit(request) for request in requests}
        for request, future in futures.items():
            results[request] = future.result()
            on_done(request, results[request])
    return results


class _Pools:
    """The threads and processes of one inspector."""

    def __init__(self, settings: InspectSettings, readers: ModuleReaders | None) -> None:
        self.session = settings.session() if settings.session is not None else None
        self.wheels = ThreadPoolExecutor(settings.wheels, thread_name_prefix="wheel")
        self.soon = ThreadPoolExecutor(settings.wheels, thread_name_prefix="wheel-soon")
        self.fetchers = ThreadPoolExecutor(settings.connections, thread_name_prefix="fetch")
        self.readers = readers or ModuleReaders(
            workers=settings.workers, seconds=settings.module_seconds, memory=settings.worker_memory
        )

    def close(self) -> None:
        self.readers.close()
        for threads in (self.wheels, self.soon, self.fetchers):
            threads.shutdown(wait=True, cancel_futures=True)


def _read_wheel(
    work: _Pools, request: WheelRequest, location: str, sha256: str | None, settings: InspectSettings
) -> tuple[BinaryFacts, bool, bool]:
    """Return a wheel's facts, whether another day gives the same, and whether all of it was held against its hash."""
    with open_wheel(
        location,
        session=work.session,
        cache_dir=settings.cache_dir / "wheels",
        limits=settings.limits,
        sha256=sha256,
        whole=request.whole,
    ) as archive:
        if request.most is not None and (size := modules_size(archive.members)) > request.most:
            large = f"its modules are {size / (1 << 20):.1f} MiB"
            told = Gap(kind=GapKind.TOO_LARGE, detail=large, subject=request.file.filename)
            skipped = BinaryFacts(status=Status.SKIPPED, reason=told, bytes_read=archive.bytes_read)
            return skipped, True, archive.is_whole
        metadata = read_metadata(archive, request.file.filename, record=settings.record)
        reader = WheelReader(
            work.readers, work.fetchers, archive, request.target, stable_abi=_claims_stable_abi(request.file.filename)
        )
        modules = tuple(
            ExtensionModule(
                name=module.name,
                path=module.path,
                binary=None if request.rebuild else binary,
                would_declare=binary if request.rebuild else None,
            )
            for module, binary in reader.read()
        )
        facts = BinaryFacts(
            status=Status.DONE,
            modules=modules,
            bytes_read=archive.bytes_read,
            bytes_total=archive.size,
            classifiers=metadata.classifiers,
            problems=(*archive.problems, *metadata.problems, *reader.problems),
            refused=metadata.refused,
            startup=tuple(_startup_files(archive)),
        )
        return facts, reader.certain, archive.is_whole


def _startup_files(archive: WheelArchive) -> Iterator[str]:
    """Yield the files that an interpreter runs when it starts in an environment with the wheel."""
    for member in archive.members:
        path = installed_path(member.name)
        if not is_startup(path):
            continue
        if not path.endswith(".pth") or member.size > MOST or holds_code(parse_pth(_content(archive, member))):
            yield path


def _content(archive: WheelArchive, member: ArchiveMember) -> bytes:
    """Return a member; data that cannot be inflated is not text, and counts as code."""
    try:
        return archive.read(member)
    except MemberError:
        return b"\xff"


def facts_key(request: WheelRequest, *, record: bool = False) -> str:
    """Return what facts are stored under, in addition to the digest of the wheel."""
    return "-".join(
        part
        for part in (
            request.target.name,
            request.rebuild and "rebuild",
            record and "record",
            # The report on a wheel also depends on its file name, which may differ the next time.
            hashlib.sha256(request.file.filename.encode()).hexdigest()[:16],
            request.most is not None and f"most{request.most}",
        )
        if part
    )


def _of_server(location: str) -> str:
    """Return what marks facts that were read in ranges: under another address other bytes may have the same hash."""
    parts = urlsplit(location)
    server = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return f"{RANGES}{hashlib.sha256(server.encode()).hexdigest()[:16]}"


def _claims_stable_abi(filename: str) -> bool:
    """Return whether a wheel's tags name a stable ABI."""
    try:
        return any(tag.abi in ("abi3", "abi3t") for tag in parse_wheel_filename(filename)[3])
    except InvalidWheelFilename:
        return False


def _failed(reason: Gap) -> BinaryFacts:
    return BinaryFacts(status=Status.FAILED, reason=reason)


def _gap(error: ArchiveError) -> Gap:
    kind = GapKind.OFFLINE if isinstance(error, NotFetched) else GapKind.FAILED
    return Gap(kind=kind, detail=error.what, subject=error.about)
