"""Reads each wheel in the background once it is known: one reader serves a whole command."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace

from packaging.utils import canonicalize_name

from ftaudit.binary.inspection import Inspector, InspectSettings, StoreUse, WheelRequest
from ftaudit.binary.questions import ModuleReaders
from ftaudit.engine.setup import cache_folder
from ftaudit.facts.facts_store import FactsStore
from ftaudit.facts.known_stores import open_stores
from ftaudit.index.client import Index
from ftaudit.model import BinaryFacts, Status, StoreOrigin
from ftaudit.model.sentences import stored_facts, stored_files
from ftaudit.settings import Settings


class SharedWheelReader:
    """Reads each wheel once, however often it is requested. A context manager that stops unfinished reads.

    The network traffic of a wheel is counted after it is read. Nothing starts before the first wheel without cached
    facts.
    """

    def __init__(self, settings: Settings, index: Index, *, record: bool = False) -> None:
        """`record` checks RECORD against the members of each wheel."""
        self._settings = settings
        self._index = index
        self._record = record
        self._stack = ExitStack()
        self._read: dict[WheelRequest, Future[BinaryFacts]] = {}
        self._readers: ModuleReaders | None = None
        self._inspector: Inspector | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._stores: tuple[FactsStore, ...] = ()
        self._stores_open = False
        self.store_notes: tuple[str, ...] = ()
        """Why facts stores are not used."""
        self._reached: dict[StoreOrigin, set[str]] = {}
        """The wheels of which each store had what `--reach` reads."""

    def __enter__(self) -> SharedWheelReader:
        # Now, because this process still has one thread.
        self._readers = self._stack.enter_context(ModuleReaders(workers=self._settings.jobs))
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closed = True
        self._stack.close()
        for store in self._stores:
            store.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """Return which facts stores answered, for how many wheels, and which stores are not used."""
        used = {} if self._inspector is None else self._inspector.used
        told = tuple(stored_answers(origin, use) for origin, use in used.items() if use.answers)
        reached = tuple(stored_files(origin, len(wheels)) for origin, wheels in self._reached.items())
        return (*told, *reached, *self.store_notes)

    @property
    def unsettled(self) -> frozenset[str]:
        """Return the names of the projects with a wheel of which another run may read something else."""
        found = () if self._inspector is None else tuple(self._inspector.unsettled)
        return frozenset(canonicalize_name(filename.partition("-")[0]) for filename in found)

    def prepare(self) -> None:
        """Start the workers that read wheels, unless facts of wheels are cached."""
        with self._lock:
            if not self._closed:
                self._open().prepare()

    def ask(self, request: WheelRequest, *, soon: bool = False) -> Future[BinaryFacts]:
        """Return the facts of a wheel after it is read; with `soon`, before others. Usable from many threads."""
        with self._lock:
            if request in self._read:
                return self._read[request]
            future: Future[BinaryFacts] = Future()
            if self._closed:
                future.cancel()
                return future
            future = self._read[request] = self._open().submit(request, soon=soon)
        future.add_done_callback(self._count)
        return future

    def open_stores(self) -> None:
        """Open the facts stores, unless they are open; raise `InputError` for one that cannot be used."""
        if not self._stores_open:
            cache = None if self._settings.no_cache else self._settings.cache
            self._stores, self.store_notes = open_stores(self._settings.facts, cache)
            self._stores_open = True

    def find_reach(self, analysis: str, name: str) -> tuple[StoreOrigin, bytes] | None:
        """Return a file that `--reach` with this analysis reads from the first store that has it.

        Raise `InputError` for a damaged store.
        """
        with self._lock:
            self.open_stores()
        for store in self._stores:
            data = store.find_reach(analysis, name)
            if data is not None:
                self._reached.setdefault(store.origin, set()).add(name.partition("-")[0])
                return store.origin, data
        return None

    def _open(self) -> Inspector:
        if self._inspector is None:
            self.open_stores()
            settings = InspectSettings(
                cache_dir=self._stack.enter_context(cache_folder(self._settings)),
                session=None if self._settings.offline else self._index.session,
                use_cache=not self._settings.no_cache,
                record=self._record,
                stores=self._stores,
                read_again=0.0 if self._settings.offline else self._settings.read_again / 100,
            )
            if self._settings.connections is not None:
                share = max(1, self._settings.connections // 4)
                settings = replace(settings, wheels=share, connections=share)
            self._inspector = self._stack.enter_context(Inspector(settings, self._readers))
        return self._inspector

    def _count(self, future: Future[BinaryFacts]) -> None:
        if future.cancelled() or future.exception() is not None:
            return
        facts = future.result()
        if facts.status is not Status.FAILED:
            self._index.traffic.add(received=facts.bytes_read, saved=max(0, facts.bytes_total - facts.bytes_read))


def stored_answers(origin: StoreOrigin, use: StoreUse) -> str:
    """Return a sentence about what a store contributed, who made it, and what was compared with wheels."""
    compared = f"; {use.compared} of them compared with the wheel, and equal" if use.compared else ""
    unread = f"; {use.unread} could not be compared, because the wheel could not be read" if use.unread else ""
    return f"{stored_facts(origin, use.answers)}{compared}{unread}"
