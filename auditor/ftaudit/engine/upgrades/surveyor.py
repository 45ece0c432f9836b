"""Looks at the later releases of packages in the background: which files they have, and what their wheels declare."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from ftaudit.binary.inspection import WheelRequest
from ftaudit.engine.tiers.reader import Reader
from ftaudit.engine.upgrades.later_releases import Listed, list_later
from ftaudit.engine.upgrades.surveys import HOPEFUL, Memo, Question, Survey
from ftaudit.index.client import Index
from ftaudit.model import BinaryFacts, DistributionFile, GilDeclaration, Status
from ftaudit.model.plans import Candidate, Fate
from ftaudit.progress import Progress
from ftaudit.settings import Settings
from ftaudit.target import Target

WORKERS: Final = 8
MOST_LOOKED_INTO: Final = 8
"""Wheels in a row, from the nearest release on, that are read to find the first good one."""
TURNS_ON: Final = "the GIL on (read from the binaries)"
EARLY: Final = "a pre-release: "
"""How the reason of a pre-release begins whose wheel was read."""

Looked: TypeAlias = tuple[Fate, str]
"""What the modules of a wheel declare, all taken together, and a phrase that says so."""
Look: TypeAlias = Callable[[Sequence[DistributionFile]], Mapping[str, Looked]]
"""Has wheels read side by side, and returns what they declare by their file names."""


class Surveyor:
    """Surveys each package once, however often it is asked for. A context manager, to be left before its reader.

    The nearest and the newest release with a wheel are read, and those between until one is good. Where the newest
    turns the GIL on, only a `thorough` survey goes on to look for an earlier one that does not.
    """

    def __init__(self, *, target: Target, index: Index, reader: Reader, settings: Settings) -> None:
        self._target = target
        self._index = index
        self._reader = reader
        self._memo = Memo(None if settings.no_cache else settings.cache)
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="survey")
        self._begun: dict[tuple[Question, bool], Future[Survey]] = {}
        self._closed = False

    def __enter__(self) -> Surveyor:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closed = True
        # What waits for a wheel is told by the reader, which ends next.
        self._pool.shutdown(wait=False, cancel_futures=True)

    def begin(self, question: Question, *, thorough: bool = False) -> Future[Survey]:
        """Return the survey of a package, when it is there. Usable from many threads."""
        with self._lock:
            if (question, thorough) in self._begun:
                return self._begun[question, thorough]
            if self._closed:
                survey: Future[Survey] = Future()
                survey.cancel()
                return survey
            survey = self._begun[question, thorough] = self._pool.submit(self._survey, question, thorough)
            return survey

    def survey(
        self, questions: Sequence[Question], *, progress: Progress, thorough: bool = False
    ) -> dict[Question, Survey]:
        """Return the surveys of all these packages, and keep them for the next run."""
        if not questions:
            return {}
        progress.stage("later versions", len(questions))
        begun = {question: self.begin(question, thorough=thorough) for question in questions}
        surveys: dict[Question, Survey] = {}
        for question, future in begun.items():
            surveys[question] = future.result()
            progress.done(question.pin.name)
        self._memo.keep()
        return surveys

    def _survey(self, question: Question, thorough: bool) -> Survey:
        pin = question.pin
        page = self._index.fingerprint(pin.name, index_url=pin.index_url)
        key = None if page is None else _key(question, self._target, page, thorough=thorough)
        if (known := self._memo.recall(key)) is not None:
            return known
        if thorough and page is not None:
            quick = self._memo.recall(_key(question, self._target, page, thorough=False))
            if quick is not None and quick.first is not None:
                return quick  # It ended with a good release, as a thorough one would have.
        project = self._index.find_project(pin.name, index_url=pin.index_url, after=pin.version)
        if project.status is not Status.DONE:
            return Survey(problem=project.reason or "the index gave no answer")
        survey = Survey(releases=_walk(list_later(question, project, self._target), self._look, thorough=thorough))
        self._memo.learn(key, survey)
        return survey

    def _look(self, wheels: Sequence[DistributionFile]) -> Mapping[str, Looked]:
        requests = {wheel.filename: WheelRequest(file=wheel, target=self._target) for wheel in wheels}
        # One wheel's answer leads to the next question: they must not queue behind those of the whole stack.
        asked = {name: self._reader.ask(request, soon=True) for name, request in requests.items()}
        return {name: fate_of(future.result()) for name, future in asked.items()}


def _key(question: Question, target: Target, page: str, *, thorough: bool) -> str:
    pin, platform = question.pin, question.platform
    return f"8 {pin.name} {pin.version} {target.name} {platform.tags} {thorough} {page}"


def fate_of(facts: BinaryFacts) -> Looked:
    """Return what a wheel's modules do to the GIL, all taken together, by their binaries alone."""
    declared = [module.binary.declaration for module in facts.modules if module.binary is not None]
    total = len(declared)
    guilty = sum(one in (GilDeclaration.USED, GilDeclaration.UNDECLARED) for one in declared)
    unclear = sum(one is GilDeclaration.UNDETERMINED for one in declared)
    if guilty:
        told = f"{guilty} of {total} extension modules turn" if total > 1 else "its extension module turns"
        return Fate.REENABLES_GIL, f"{told} {TURNS_ON}"
    if facts.status is not Status.DONE:
        return Fate.UNDETERMINED, f"its wheel could not be read: {facts.reason}"
    if unclear:
        return (
            Fate.UNDETERMINED,
            f"{total - unclear} of {total} extension modules leave the GIL off, {unclear} could not be determined from "
            "the binaries",
        )
    if not total:
        return Fate.GOOD, "compiled code, but no extension module: nothing in it can turn the GIL on"
    told = f"all {total} extension modules leave" if total > 1 else "its extension module leaves"
    return Fate.GOOD, f"{told} the GIL off (read from the binaries)"


def is_worth_a_try(release: Candidate) -> bool:
    """Tell whether a release is a pre-release whose wheel was read, and is not known to turn the GIL on."""
    early = release.fate is Fate.PRE_RELEASE and release.reason.startswith(EARLY)
    return early and not release.reason.endswith(TURNS_ON)


@dataclass(slots=True)
class _Read:
    """The releases while their wheels are read."""

    releases: list[Listed]
    known: dict[str, Looked] = field(default_factory=dict)

    def fate(self, release: Listed) -> Fate:
        name = release.candidate.wheel or ""
        return self.known[name][0] if name in self.known else release.candidate.fate

    def result(self) -> tuple[Candidate, ...]:
        found = []
        for release in self.releases:
            looked = self.known.get(release.candidate.wheel or "") if release.wheel else None
            fate, reason = looked or (release.candidate.fate, release.candidate.reason)
            if looked and release.candidate.fate is Fate.PRE_RELEASE:
                fate, reason = Fate.PRE_RELEASE, f"{EARLY}{reason}"
            found.append(replace(release.candidate, fate=fate, reason=reason))
        return tuple(found)


def _walk(releases: list[Listed], look: Look, *, thorough: bool) -> tuple[Candidate, ...]:
    """Read what is needed to name the first good release; without one, the newest pre-release."""
    read = _Read(releases)
    _walk_finals(read, look, thorough=thorough)
    found = read.result()
    early = [one.wheel for one in releases if one.candidate.fate is Fate.PRE_RELEASE and one.wheel is not None]
    if early and not any(release.fate in HOPEFUL for release in found):
        read.known |= look(early[-1:])
        found = read.result()
    return found


def _walk_finals(read: _Read, look: Look, *, thorough: bool) -> None:
    """Read the newest wheel, and from the nearest on until one is good; beyond a long bad stretch, bisect."""
    compiled = [release for release in read.releases if release.candidate.fate is Fate.NOT_LOOKED_INTO]
    waiting = [release.wheel for release in compiled if release.wheel is not None]
    if not waiting:
        return
    read.known |= look((waiting[0], waiting[-1]))
    hopeless = read.fate(compiled[-1]) is Fate.REENABLES_GIL
    if hopeless and not thorough and read.fate(compiled[0]) is Fate.REENABLES_GIL:
        return
    for at, wheel in enumerate(waiting[:MOST_LOOKED_INTO]):
        if wheel.filename not in read.known:
            read.known |= look((wheel,))
        if read.fate(compiled[at]) in HOPEFUL:
            return
    if hopeless or len(waiting) <= MOST_LOOKED_INTO:
        return
    bad, good = MOST_LOOKED_INTO - 1, len(waiting) - 1
    while good - bad > 1:
        middle = (bad + good) // 2
        read.known |= look((waiting[middle],))
        if read.fate(compiled[middle]) in HOPEFUL:
            good = middle
        else:
            bad = middle
