"""For what blocks: which later release has a wheel that the target installs and that leaves the GIL off."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from packaging.version import Version

from ftaudit.binary.inspect import WheelRequest
from ftaudit.engine.reader import Reader
from ftaudit.engine.surveys import HOPEFUL, Memo, Question, Survey
from ftaudit.index.choose import judge as choose
from ftaudit.index.client import Index
from ftaudit.index.release import ProjectFiles, ReleaseFiles
from ftaudit.model import (
    BLOCKING,
    BinaryFacts,
    DistributionFile,
    GilDeclaration,
    IndexFacts,
    PackageFacts,
    Pin,
    Status,
    Verdict,
    WheelKind,
)
from ftaudit.plan import Candidate, Fate
from ftaudit.progress import Progress
from ftaudit.settings import Settings
from ftaudit.target import Platform, Target

WORKERS: Final = 8
MOST_LOOKED_INTO: Final = 8
"""Wheels in a row, from the nearest release on, that are read to find the first good one."""
TURNS_ON: Final = "the GIL on (read from the binaries)"
EARLY: Final = "a pre-release: "
"""How the reason of a pre-release begins whose wheel was read."""
SLOWER: Final = "falls back to pure Python: it works, slower"
WHEEL: Final = frozenset({Fate.GOOD, Fate.UNDETERMINED, Fate.REENABLES_GIL, Fate.NOT_LOOKED_INTO})
"""The fates of releases with a compiled wheel that the target installs."""

Looked: TypeAlias = tuple[Fate, str]
"""What the modules of a wheel declare, all taken together, and a phrase that says so."""
Read: TypeAlias = Callable[[DistributionFile], "Future[BinaryFacts]"]
Walk: TypeAlias = Generator[tuple[DistributionFile, ...], Mapping[str, Looked], tuple[Candidate, ...]]
"""Asks for wheels to be read, is sent what they declare, and returns the releases."""


def find_later(
    judged: Sequence[tuple[PackageFacts, Verdict, tuple[str, ...]]],
    *,
    target: Target,
    platforms: Sequence[Platform],
    index: Index,
    reader: Reader,
    settings: Settings,
    progress: Progress,
) -> dict[tuple[str, str], str]:
    """Map (name, platform) of what blocks to what the index and the wheels' binaries say of later versions.

    A lead, not a verdict: nothing is imported, and what else pins the package is not asked. An index that does
    not answer gives no lead.
    """
    by_name = {platform.name: platform for platform in platforms}
    questions = [
        Question(pin=facts.pin, platform=by_name[facts.platform])
        for facts, verdict, _ in judged
        if verdict in BLOCKING and is_listed(facts.pin)
    ]
    surveys = survey_later(questions, target=target, index=index, reader=reader, settings=settings, progress=progress)
    leads = {(str(q.pin.name), q.platform.name): _lead(survey, q.platform) for q, survey in surveys.items()}
    return {key: lead for key, lead in leads.items() if lead is not None}


def is_listed(pin: Pin) -> bool:
    """Tell whether the package is one that an index lists, and not a file or a folder of the user's."""
    return pin.version is not None and pin.source_tree is None


def survey_later(
    questions: Sequence[Question],
    *,
    target: Target,
    index: Index,
    reader: Reader,
    settings: Settings,
    progress: Progress,
    thorough: bool = False,
) -> dict[Question, Survey]:
    """Look at the later releases of each package: which files they have, and what those that matter declare.

    The nearest and the newest release with a wheel are read, and those between until one is good. Where the newest
    turns the GIL on, only a `thorough` survey goes on to look for an earlier one that does not.
    """
    if not questions:
        return {}
    progress.stage("later versions", len(questions))
    memo = Memo(None if settings.no_cache else settings.cache)
    surveys: dict[Question, Survey] = {}
    walks: dict[Question, Walk] = {}

    def begin(question: Question) -> tuple[str | None, Survey | None, Walk | None]:
        page = index.fingerprint(question.pin.name, index_url=question.pin.index_url)
        key = None if page is None else _key(question, target, page, thorough=thorough)
        if (known := memo.recall(key)) is not None:
            return key, known, None
        if thorough and page is not None:
            quick = memo.recall(_key(question, target, page, thorough=False))
            if quick is not None and quick.first is not None:
                return key, quick, None  # It ended with a good release, as a thorough one would have.
        project = index.find_project(question.pin.name, index_url=question.pin.index_url, after=question.pin.version)
        if project.status is not Status.DONE:
            return key, Survey(problem=project.reason or "the index gave no answer"), None
        return key, None, _walk(_releases(question, project, target), thorough=thorough)

    keys: dict[Question, str | None] = {}
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        for question, (key, survey, walk) in zip(questions, pool.map(begin, questions), strict=True):
            keys[question] = key
            if survey is not None:
                surveys[question] = survey
                progress.done(question.pin.name)
            if walk is not None:
                walks[question] = walk

    def read(wheel: DistributionFile) -> Future[BinaryFacts]:
        return reader.ask(WheelRequest(file=wheel, target=target))

    for question, releases in _run(walks, read=read, progress=progress).items():
        surveys[question] = Survey(releases=releases)
        memo.learn(keys[question], surveys[question])
    memo.keep()
    return surveys


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


def _run(walks: Mapping[Question, Walk], *, read: Read, progress: Progress) -> dict[Question, tuple[Candidate, ...]]:
    """Let the walks go on side by side, each as soon as what it asked for is read; a wheel is read once."""
    done: dict[Question, tuple[Candidate, ...]] = {}
    reading: dict[str, Future[BinaryFacts]] = {}
    wanted: dict[Question, tuple[DistributionFile, ...]] = {}

    def advance(question: Question, answer: Mapping[str, Looked] | None) -> None:
        walk = walks[question]
        try:
            wanted[question] = next(walk) if answer is None else walk.send(answer)
        except StopIteration as end:
            wanted.pop(question, None)
            done[question] = end.value
            progress.done(question.pin.name)
            return
        for wheel in wanted[question]:
            if wheel.filename not in reading:
                reading[wheel.filename] = read(wheel)

    for question in walks:
        advance(question, None)
    while wanted:
        asked = {question: [reading[wheel.filename] for wheel in wheels] for question, wheels in wanted.items()}
        ready = [question for question, futures in asked.items() if all(future.done() for future in futures)]
        if not ready:
            left = {future for futures in asked.values() for future in futures if not future.done()}
            wait(left, return_when=FIRST_COMPLETED)
        for question in ready:
            names = [wheel.filename for wheel in wanted[question]]
            advance(question, {name: fate_of(reading[name].result()) for name in names})
    return done


@dataclass(frozen=True, kw_only=True, slots=True)
class _Release:
    """A later release, and the wheel of it that is still to be read."""

    candidate: Candidate
    wheel: DistributionFile | None = None


def _releases(question: Question, project: ProjectFiles, target: Target) -> list[_Release]:
    """Return every later release, oldest first, with what its files alone say.

    A release without compiled wheels before one that has some again is a gap, and not the end of compiled code.
    """
    current = question.pin.version
    releases: list[_Release] = []
    compiled_again = False
    for version, files in sorted(project.versions.items(), reverse=True):
        if current is None or version <= current:
            break
        release = _release(question, version, files, project.origin, target)
        if release.candidate.fate is Fate.GOOD and compiled_again:
            release = replace(release, candidate=replace(release.candidate, fate=Fate.FALLBACK, reason=SLOWER))
        compiled_again = compiled_again or release.wheel is not None
        releases.insert(0, release)
    return releases


def _release(
    question: Question, version: Version, files: Sequence[DistributionFile], origin: str | None, target: Target
) -> _Release:
    pin, platform = question.pin, question.platform
    asked = replace(pin, version=version, files=None, allowed_hashes=frozenset(), problem=None)

    def judge(files: Sequence[DistributionFile]) -> IndexFacts:
        listed = ReleaseFiles(status=Status.DONE, origin=origin, files=tuple(files))
        return choose(asked, listed, target, platform)

    chosen = judge([file for file in files if file.yanked is None])
    name = None if chosen.wheel is None else chosen.wheel.filename

    def settled(fate: Fate, reason: str) -> _Release:
        return _Release(candidate=Candidate(version=version, fate=fate, reason=reason, wheel=name))

    if version.is_prerelease and not (pin.version is not None and pin.version.is_prerelease):
        has = "with" if chosen.wheel is not None else "without"
        early = settled(Fate.PRE_RELEASE, f"a pre-release, {has} a wheel for {platform.name}")
        return replace(early, wheel=None if chosen.kind is WheelKind.PURE else chosen.wheel)
    if chosen.wheel is None:
        return settled(*_why_none(files, chosen, judge, platform))
    if chosen.kind is WheelKind.PURE:
        if chosen.compiled:
            return settled(Fate.FALLBACK, SLOWER)
        return settled(Fate.GOOD, "pure Python: no compiled code in any wheel")
    waiting = Candidate(
        version=version, fate=Fate.NOT_LOOKED_INTO, reason=f"has a wheel for {platform.name}, not read", wheel=name
    )
    return _Release(candidate=waiting, wheel=chosen.wheel)


def _why_none(
    files: Sequence[DistributionFile],
    chosen: IndexFacts,
    judge: Callable[[Sequence[DistributionFile]], IndexFacts],
    platform: Platform,
) -> tuple[Fate, str]:
    """Say why there is no wheel to install: yanked, kept from this Python, or never made."""
    yanked = [file for file in files if file.yanked is not None]
    if yanked and (taken := judge(files).wheel) is not None:
        why = f": {taken.yanked}" if taken.yanked else ""
        return Fate.YANKED, f"its wheel for {platform.name} was yanked{why}"
    excluded = next((reason for reason in chosen.excluded if "requires Python" in reason), None)
    if excluded is not None:
        return Fate.REQUIRES_PYTHON, excluded.partition(": ")[2]
    if yanked and len(yanked) == len(files):
        return Fate.YANKED, "yanked"
    elsewhere = f" (there is one for {', '.join(chosen.other_platforms[:3])})" if chosen.other_platforms else ""
    return Fate.NO_WHEEL, f"no wheel for {platform.name}{elsewhere}"


@dataclass(slots=True)
class _Read:
    """The releases while their wheels are read."""

    releases: list[_Release]
    known: dict[str, Looked] = field(default_factory=dict)

    def fate(self, release: _Release) -> Fate:
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


def _walk(releases: list[_Release], *, thorough: bool) -> Walk:
    """Read what is needed to name the first good release; without one, the newest pre-release."""
    read = _Read(releases)
    yield from _walk_finals(read, thorough=thorough)
    found = read.result()
    early = [one.wheel for one in releases if one.candidate.fate is Fate.PRE_RELEASE and one.wheel is not None]
    if early and not any(release.fate in HOPEFUL for release in found):
        read.known |= yield (early[-1],)
        found = read.result()
    return found


def _walk_finals(read: _Read, *, thorough: bool) -> Generator[tuple[DistributionFile, ...], Mapping[str, Looked], None]:
    """Read the newest wheel, and from the nearest on until one is good; beyond a long bad stretch, bisect."""
    compiled = [release for release in read.releases if release.candidate.fate is Fate.NOT_LOOKED_INTO]
    waiting = [release.wheel for release in compiled if release.wheel is not None]
    if not waiting:
        return
    read.known |= yield tuple({wheel.filename: wheel for wheel in (waiting[0], waiting[-1])}.values())
    hopeless = read.fate(compiled[-1]) is Fate.REENABLES_GIL
    if hopeless and not thorough and read.fate(compiled[0]) is Fate.REENABLES_GIL:
        return
    for at, wheel in enumerate(waiting[:MOST_LOOKED_INTO]):
        if wheel.filename not in read.known:
            read.known |= yield (wheel,)
        if read.fate(compiled[at]) in HOPEFUL:
            return
    if hopeless or len(waiting) <= MOST_LOOKED_INTO:
        return
    bad, good = MOST_LOOKED_INTO - 1, len(waiting) - 1
    while good - bad > 1:
        middle = (bad + good) // 2
        read.known |= yield (waiting[middle],)
        if read.fate(compiled[middle]) in HOPEFUL:
            good = middle
        else:
            bad = middle


def _lead(survey: Survey, platform: Platform) -> str | None:
    """Say which later release is the first that is no worse than it should be."""
    if survey.problem is not None:
        return f"later versions could not be looked up: {survey.problem}"
    first, newest, fallback = survey.first, survey.newest, survey.fallback
    if first is None or newest is None:
        return _without_good(survey, platform)
    sure = "leaves the GIL off" if first.fate is Fate.GOOD else "does not turn the GIL on, as far as it could be read"
    told = f"{first.version} is the first later version whose wheel for {platform.name} {sure}"
    if newest.version != first.version:
        told += f", {newest.version} the newest"
    if fallback is not None and fallback.version < first.version:
        told += f" ({fallback.version} falls back to pure Python)"
    return f"{told}; `ftaudit plan` says what else has to change"


def _without_good(survey: Survey, platform: Platform) -> str | None:
    """Say what there is where no final release leaves the GIL off; `None` where there is nothing at all."""
    fallback, told = survey.fallback, []
    worst = next((one for one in reversed(survey.releases) if one.fate in WHEEL), None)
    if worst is not None:
        told.append(f"{worst.version}, the newest with a wheel for {platform.name}, turns the GIL on too")
    if fallback is not None:
        told.append(f"{fallback.version} is the first with a pure-Python wheel: it works, slower")
    early = next((one for one in reversed(survey.releases) if one.fate is Fate.PRE_RELEASE), None)
    if early is not None and early.reason.startswith(EARLY) and not early.reason.endswith(TURNS_ON):
        told.append(f"{early.version} is {early.reason}; allow it by name to try it")
    if len(told) == 1 and worst is not None:
        told.append("ask upstream, and name the modules above")
    return "; ".join(told) or None
