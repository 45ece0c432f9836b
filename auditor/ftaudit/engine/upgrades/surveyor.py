"""Surveys the later releases of packages in the background: which files they have, and what their wheels declare."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ftaudit.binary.inspection import WheelRequest
from ftaudit.engine.tiers.reader import SharedWheelReader
from ftaudit.engine.upgrades.later_releases import ListedRelease, list_later
from ftaudit.engine.upgrades.surveys import HOPEFUL, Memo, Survey, SurveyQuestion
from ftaudit.index.client import Index
from ftaudit.model import BinaryFacts, DistributionFile, Gap, GapKind, Status
from ftaudit.model.plans import Candidate, Fate
from ftaudit.progress import ProgressListener
from ftaudit.settings import Settings
from ftaudit.target import Target

WORKERS: Final = 8
MOST_LOOKED_INTO: Final = 8
"""Consecutive wheels, from the nearest release, that are read to find the first good one."""
BAD: Final = frozenset({Fate.REENABLES_GIL, Fate.BROKEN})
"""The fate of a release after its wheel is read, for wheels that cannot become good."""

Look: TypeAlias = Callable[[Sequence[DistributionFile]], Mapping[str, BinaryFacts]]
"""Reads wheels in parallel, and returns their content by file name."""


class Surveyor:
    """Surveys each package once, however often it is requested. A context manager; exit it before its reader.

    The nearest and the newest release with a wheel are read, and those between them until one is good.
    """

    def __init__(
        self, *, target: Target, index: Index, reader: SharedWheelReader, settings: Settings, keep: bool = True
    ) -> None:
        """`keep` stores the surveys for the next run."""
        self._target = target
        self._index = index
        self._reader = reader
        self._memo = Memo(settings.cache if keep and not settings.no_cache else None)
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="survey")
        self._begun: dict[SurveyQuestion, Future[Survey]] = {}
        self._closed = False

    def __enter__(self) -> Surveyor:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closed = True
        # The reader reports what waits for a wheel; it ends next.
        self._pool.shutdown(wait=False, cancel_futures=True)

    def begin(self, question: SurveyQuestion) -> Future[Survey]:
        """Return the survey of a package after it is done. Usable from many threads."""
        with self._lock:
            if question in self._begun:
                return self._begun[question]
            if self._closed:
                survey: Future[Survey] = Future()
                survey.cancel()
                return survey
            survey = self._begun[question] = self._pool.submit(self._survey, question)
            return survey

    def survey(
        self, questions: Sequence[SurveyQuestion], *, progress: ProgressListener
    ) -> dict[SurveyQuestion, Survey]:
        """Return the surveys of all these packages, and store them for the next run."""
        if not questions:
            return {}
        progress.stage("later versions", len(questions))
        begun = {question: self.begin(question) for question in questions}
        surveys: dict[SurveyQuestion, Survey] = {}
        for question, future in begun.items():
            surveys[question] = future.result()
            progress.done(question.pin.name)
        self._memo.keep()
        return surveys

    def _survey(self, question: SurveyQuestion) -> Survey:
        pin = question.pin
        page = self._index.fingerprint(pin.name, index_url=pin.index_url)
        key = None if page is None else _key(question, self._target, page)
        if (known := self._memo.recall(key)) is not None:
            return known
        project = self._index.find_project(pin.name, index_url=pin.index_url, after=pin.version)
        if project.status is not Status.DONE:
            return Survey(problem=project.reason or Gap(kind=GapKind.FAILED, detail="the index did not respond"))
        survey = Survey(releases=_walk(list_later(question, project, self._target), self._look))
        self._memo.learn(key, survey)
        return survey

    def _look(self, wheels: Sequence[DistributionFile]) -> Mapping[str, BinaryFacts]:
        requests = {wheel.filename: WheelRequest(file=wheel, target=self._target) for wheel in wheels}
        # One wheel's answer determines the next request: they must not queue behind those of the whole stack.
        asked = {name: self._reader.ask(request, soon=True) for name, request in requests.items()}
        return {name: future.result() for name, future in asked.items()}


def _key(question: SurveyQuestion, target: Target, page: str) -> str:
    pin, platform = question.pin, question.platform
    return f"10 {pin.name} {pin.version} {target.name} {platform.tags} {page}"


@dataclass(slots=True)
class _ReleaseWalk:
    """The releases while their wheels are read."""

    releases: list[ListedRelease]
    known: dict[str, Candidate] = field(default_factory=dict)

    def read(self, look: Look, releases: Sequence[ListedRelease]) -> None:
        """Read and judge the wheels of releases."""
        wheels = {release.wheel.filename: release for release in releases if release.wheel is not None}
        found = look([release.wheel for release in wheels.values() if release.wheel is not None])
        self.known |= {name: wheels[name].read(binary) for name, binary in found.items()}

    def fate(self, release: ListedRelease) -> Fate:
        return self.candidate(release).fate

    def candidate(self, release: ListedRelease) -> Candidate:
        return self.known.get(release.wheel.filename, release.candidate) if release.wheel else release.candidate

    def result(self) -> tuple[Candidate, ...]:
        return tuple(map(self.candidate, self.releases))


def _walk(releases: list[ListedRelease], look: Look) -> tuple[Candidate, ...]:
    """Read enough to name the first good release, or else the newest pre-release."""
    walk = _ReleaseWalk(releases)
    _walk_finals(walk, look)
    early = [one for one in releases if one.candidate.fate is Fate.PRE_RELEASE and one.wheel is not None]
    if early and not any(release.fate is Fate.GOOD for release in walk.result()):
        walk.read(look, early[-1:])
    return walk.result()


def _walk_finals(walk: _ReleaseWalk, look: Look) -> None:
    """Read the newest wheel, and from the nearest one on until one is good; after a long bad stretch, bisect."""
    compiled = [release for release in walk.releases if release.candidate.fate is Fate.NOT_LOOKED_INTO]
    if not compiled:
        return
    walk.read(look, (compiled[0], compiled[-1]))
    hopeless = walk.fate(compiled[-1]) in BAD
    if hopeless and walk.fate(compiled[0]) in BAD:
        # A good release between two bad ones is rare: these are read in parallel.
        walk.read(look, compiled[1:MOST_LOOKED_INTO])
    for release in compiled[:MOST_LOOKED_INTO]:
        if walk.fate(release) is Fate.NOT_LOOKED_INTO:
            walk.read(look, (release,))
        if walk.fate(release) is Fate.GOOD:
            return
    if hopeless or len(compiled) <= MOST_LOOKED_INTO:
        return
    bad, good = MOST_LOOKED_INTO - 1, len(compiled) - 1
    while good - bad > 1:
        middle = (bad + good) // 2
        walk.read(look, (compiled[middle],))
        if walk.fate(compiled[middle]) in HOPEFUL:
            good = middle
        else:
            bad = middle
