"""What upstream has published for the packages of an audit: good later releases, and wheels for all platforms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from ftaudit.compare.published import LaterAnswer, Published
from ftaudit.engine.session import AuditSession
from ftaudit.engine.upgrades.later import is_listed
from ftaudit.engine.upgrades.surveys import Survey, SurveyQuestion
from ftaudit.index.choose import choose_wheel
from ftaudit.index.release import Query, ReleaseFiles, query_for
from ftaudit.model import Gap, GapKind, Package, Pin, Report, Status, Verdict, WheelKind
from ftaudit.model.plans import Fate
from ftaudit.target import PLATFORMS, Target, parse_platform

FREE_THREADED: Final = frozenset({WheelKind.FREE_THREADED, WheelKind.ABI3T})
ABSENT: Final = frozenset({GapKind.NO_PROJECT, GapKind.NO_RELEASE})
"""The answers of an index that does not have something."""
_NO_ANSWER: Final = Gap(kind=GapKind.FAILED, detail="the index did not respond")


def find_published(session: AuditSession, report: Report) -> tuple[Published, ...]:
    """Return what upstream has published for each package of the session's report that has compiled code.

    The index is asked for the files of a version even if a lock file lists them: the lock file does not know what was
    published since. Later releases are those that the audit has surveyed.
    """
    rows = [row for row in report.packages if _is_watched(row)]
    platforms = {platform.name: platform for platform in session.platforms}
    asked = [row for row in rows if row.blocks or row.verdict is Verdict.FALLBACK]
    questions = [SurveyQuestion(pin=row.facts.pin, platform=platforms[row.facts.platform]) for row in asked]
    surveys = session.surveyor.survey(questions, progress=session.progress)
    found = {(question.pin, question.platform.name): survey for question, survey in surveys.items()}
    queries = {query for row in rows if (query := _query(row.facts.pin)) is not None}
    releases = session.index.find_releases(queries) if queries else {}
    wheels = {query: _platforms(query, release, session.target) for query, release in releases.items()}
    return tuple(_published(row, found.get((row.facts.pin, row.facts.platform)), releases, wheels) for row in rows)


def why_stale(session: AuditSession) -> tuple[str, ...]:
    """Return why the answers of the index may be old: the cache gave them instead of the index."""
    offline = (
        ("--offline: the index was not queried, and the cache may be out of date",) if session.settings.offline else ()
    )
    return (*offline, *session.index.notes)


def _is_watched(row: Package) -> bool:
    """Return whether upstream is asked: an index lists the package, and it is not pure."""
    return is_listed(row.facts.pin) and row.verdict is not Verdict.PURE


def _query(pin: Pin) -> Query | None:
    """Return the question about the pinned version, or `None` for a conda package, which no Python index has."""
    if any(file.conda_package for file in pin.files or ()):
        return None
    return query_for(replace(pin, files=None, on_disk=None))


def _platforms(query: Query, release: ReleaseFiles, target: Target) -> tuple[str, ...] | None:
    """Return the named platforms with a free-threaded wheel of a release, or `None` if its files are unknown."""
    if release.status is not Status.DONE:
        return () if release.reason is not None and release.reason.kind in ABSENT else None
    pin = Pin(name=query.name, version=query.version)
    listed: Sequence[str] = PLATFORMS
    return tuple(
        name for name in listed if choose_wheel(pin, release, target, parse_platform(name)).kind in FREE_THREADED
    )


def _published(
    row: Package,
    survey: Survey | None,
    releases: Mapping[Query, ReleaseFiles],
    wheels: Mapping[Query, tuple[str, ...] | None],
) -> Published:
    query = _query(row.facts.pin)
    on = () if query is None else wheels[query]
    found = Published(
        name=row.name,
        version=row.version,
        platform=row.facts.platform,
        verdict=row.verdict,
        later=LaterAnswer.NOT_NEEDED,
        wheels=on,
        gap=None if query is None or on is not None else releases[query].reason or _NO_ANSWER,
    )
    return found if survey is None else _with_later(found, survey)


def _with_later(found: Published, survey: Survey) -> Published:
    if survey.problem is not None and survey.problem.kind not in ABSENT:
        return replace(found, later=LaterAnswer.UNKNOWN, gap=found.gap or survey.problem)
    if survey.first_good is not None:
        return replace(found, later=LaterAnswer.GOOD, fix=str(survey.first_good.version))
    # A package that falls back gains nothing from a further pure wheel.
    good = {Verdict.READY} if found.verdict is Verdict.FALLBACK else {Verdict.READY, Verdict.PURE}
    early = [one for one in survey.releases if one.fate is Fate.PRE_RELEASE and one.verdict in good]
    unread = [one for one in survey.releases if one.fate is Fate.UNDETERMINED]
    if unread:
        what = Gap(kind=GapKind.FAILED, detail=f"{unread[-1].version} could not be judged")
        return replace(found, later=LaterAnswer.UNKNOWN, gap=found.gap or what)
    return replace(found, later=LaterAnswer.NONE, early=str(early[-1].version) if early else None)
