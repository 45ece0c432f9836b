"""Starts later work in the background while the index still answers for other packages."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass

from ftaudit.binary.inspection import WheelRequest
from ftaudit.engine.rows import facts_of
from ftaudit.engine.tiers.binary_tier import request_for, settle
from ftaudit.engine.tiers.collect import Key
from ftaudit.engine.tiers.reader import SharedWheelReader
from ftaudit.engine.upgrades.later import is_listed
from ftaudit.engine.upgrades.later_releases import NOT_IMPORTED
from ftaudit.engine.upgrades.surveyor import Surveyor
from ftaudit.engine.upgrades.surveys import SurveyQuestion
from ftaudit.index.client import Index
from ftaudit.judge.table import judge
from ftaudit.model import BLOCKING, BinaryFacts, IndexFacts, Status, WheelKind
from ftaudit.target import Target


@dataclass(frozen=True, kw_only=True, slots=True)
class Ahead:
    """Starts reading each wheel once it is known, and surveys later releases of certain blockers.

    Nothing here judges. If a result is not needed in the end, only the time to read it is lost.
    """

    target: Target
    index: Index
    reader: SharedWheelReader
    surveyor: Surveyor

    def prepare(self) -> None:
        """Load and start what a first run needs while uv waits for the network."""
        self.reader.prepare()
        self.index.prepare()

    def hear(self, key: Key, found: IndexFacts) -> None:
        """Start the work that a package's files require."""
        request = request_for(found, self.target)
        if found.status is Status.DONE and found.kind is WheelKind.NONE:
            self._survey(key)
        if request is None:
            return
        reading = self.reader.ask(request)
        if not request.rebuild:
            reading.add_done_callback(lambda read: self._look(key, found, request, read))

    def _look(self, key: Key, found: IndexFacts, request: WheelRequest, read: Future[BinaryFacts]) -> None:
        if read.cancelled() or read.exception() is not None:
            return
        pin, platform = key
        facts = facts_of(
            pin,
            target=self.target,
            platform=platform.name,
            index=found,
            binary=settle(found, request, read.result()),
            runtime=NOT_IMPORTED,
        )
        if judge(facts)[0] in BLOCKING:
            self._survey(key)

    def _survey(self, key: Key) -> None:
        if is_listed(key[0]):
            self.surveyor.begin(SurveyQuestion(pin=key[0], platform=key[1]))
