"""Begins in the background what will be asked for later, while the index still answers for other packages."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass

from ftaudit.engine.tiers.binaries import request_for
from ftaudit.engine.tiers.collect import Key
from ftaudit.engine.tiers.reader import Reader
from ftaudit.engine.upgrades.later import is_listed
from ftaudit.engine.upgrades.surveyor import Surveyor, fate_of
from ftaudit.engine.upgrades.surveys import Question
from ftaudit.index.client import Index
from ftaudit.model import BinaryFacts, IndexFacts, Status, WheelKind
from ftaudit.model.plans import Fate
from ftaudit.target import Target


@dataclass(frozen=True, kw_only=True, slots=True)
class Ahead:
    """Has wheels read as soon as they are known, and later releases surveyed of what is sure to block.

    Nothing here judges: what turns out not to be asked for was read in vain, and no more.
    """

    target: Target
    index: Index
    reader: Reader
    surveyor: Surveyor

    def prepare(self) -> None:
        """Load and start what a first run needs, while uv waits for the network."""
        self.reader.prepare()
        self.index.prepare()

    def hear(self, key: Key, found: IndexFacts) -> None:
        """Begin what a package's files call for."""
        request = request_for(found, self.target)
        if found.status is Status.DONE and found.kind is WheelKind.NONE:
            self._survey(key)
        if request is None:
            return
        reading = self.reader.ask(request)
        if not request.rebuild:
            reading.add_done_callback(lambda read: self._look(key, read))

    def _look(self, key: Key, read: Future[BinaryFacts]) -> None:
        if not read.cancelled() and read.exception() is None and fate_of(read.result())[0] is Fate.REENABLES_GIL:
            self._survey(key)

    def _survey(self, key: Key) -> None:
        if is_listed(key[0]):
            self.surveyor.begin(Question(pin=key[0], platform=key[1]))
