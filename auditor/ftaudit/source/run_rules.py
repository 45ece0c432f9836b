"""Run rules over files that are in memory: one file and language, or a whole tree; a failure is a row, never an end."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath

from ftaudit.model import Finding
from ftaudit.rule import Language, SourceRule
from ftaudit.source.base import (
    ROOM_OF,
    BuildRule,
    CommentRule,
    IdleComment,
    ParseError,
    Project,
    Reader,
    Role,
    Room,
    SourceFile,
    Survey,
    TreeContext,
    Unit,
    rooms_of,
    stateful_rooms,
)
from ftaudit.source.languages import languages_of, reader_of
from ftaudit.source.shared_state import Access
from ftaudit.source.silence import find_idle, find_ignores, markers_of, silence
from ftaudit.target import Target


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """A file that could not be checked, or a rule that failed on one, and why."""

    path: str
    reason: str
    line: int | None = None
    read_anyway: bool = False
    """The file was checked all the same; the reason says what is odd about it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleResults:
    """The findings of the rules for one file, or for the tree."""

    findings: tuple[Finding, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    summary: Survey | None = None
    """The file's effects on shared state, if a rule asks; see `Reader.summarize`."""


def needed_rooms(rules: Iterable[SourceRule]) -> frozenset[Room]:
    """Return the rooms that must be surveyed for the rules: theirs, and those whose contexts these need.

    A `BuildRule` may use every context, so it needs them all.
    """
    rules = list(rules)
    rooms = set(rooms_of(rules))
    if any(isinstance(rule, BuildRule) for rule in rules):
        rooms |= {Room.BUILD, Room.C, Room.CYTHON, Room.RUST}
    for room in tuple(rooms):
        rooms |= reader_of(room).needs
    return frozenset(rooms)


def survey_file(source: SourceFile) -> tuple[Survey | None, tuple[Skipped, ...]]:
    """Return the first pass's survey of one file, with a row if that failed."""
    try:
        return reader_of(ROOM_OF[source.language]).survey(source), ()
    except ParseError as error:
        return None, (Skipped(path=source.path, line=error.line, reason=error.reason),)
    except Exception as error:
        return None, (_failure("the first look", source.path, error),)


def gather(surveys: Mapping[Room, Mapping[str, Survey]], paths: Iterable[str]) -> tuple[TreeContext, RuleResults]:
    """Make the tree's context from all surveys; a room whose reader fails is left out, with a row."""
    rooms: dict[Room, object] = {}
    skipped: list[Skipped] = []
    for room in sorted(surveys):
        context, rows = _gather_room(room, surveys[room])
        skipped += rows
        if context is not None:
            rooms[room] = context
            skipped += (Skipped(path=p, line=line, reason=reason) for p, line, reason in reader_of(room).gaps(context))
    return TreeContext(paths=tuple(sorted(paths)), rooms=rooms), RuleResults(skipped=tuple(skipped))


def _gather_room(room: Room, surveys: Mapping[str, Survey]) -> tuple[object | None, tuple[Skipped, ...]]:
    try:
        return reader_of(room).gather(dict(sorted(surveys.items()))), ()
    except Exception as error:
        return None, (_failure(f"gathering what the {room} files say", ".", error),)


def check_file(
    source: SourceFile,
    context: TreeContext,
    rules: Sequence[SourceRule],
    *,
    thorough: bool = False,
    only_state: bool = False,
) -> tuple[RuleResults, Unit | None]:
    """Run the rules of the file's language over it; return their findings, and the unit if one was made.

    `thorough` skips the cheap first test: findings of pedantic severity do not need the text that it searches for.
    `only_state` runs no rule and makes only the summary of shared state, for files that are context.
    """
    wanted: Sequence[SourceRule] = _applicable(tuple(rules), source.language, source.role is Role.GENERATED)
    room = ROOM_OF[source.language]
    reader = reader_of(room)
    try:
        stateful = (
            room in _stateful(tuple(rules)) and source.role is not Role.GENERATED and reader.has_state(source, context)
        )
        if only_state:
            wanted = ()
        elif not thorough:
            wanted = reader.select(source, wanted)
        if not wanted and not stateful and (only_state or not thorough):
            return RuleResults(), None
        unit = reader.parse(source, context)
    except ParseError as error:
        return RuleResults(skipped=(Skipped(path=source.path, line=error.line, reason=error.reason),)), None
    except Exception as error:
        return RuleResults(skipped=(_failure("reading the file", source.path, error),)), None
    checked = _run_all(((rule, partial(rule.check, unit)) for rule in wanted), source.path)  # type: ignore[attr-defined]
    return (_with_summary(checked, reader, unit) if stateful else checked), unit


def _with_summary(checked: RuleResults, reader: Reader, unit: Unit) -> RuleResults:
    try:
        return replace(checked, summary=reader.summarize(unit))
    except Exception as error:
        failure = _failure("summarizing what the file does to shared state", unit.path, error)
        return replace(checked, skipped=(*checked.skipped, failure))


def compose(
    summaries: Mapping[Room, Mapping[str, Survey]], context: TreeContext
) -> tuple[dict[Room, tuple[Access, ...]], tuple[Skipped, ...]]:
    """Return the accesses to shared state, room by room; a room whose reader fails is left out, with a row."""
    accesses: dict[Room, tuple[Access, ...]] = {}
    skipped: list[Skipped] = []
    for room in sorted(summaries):
        try:
            accesses[room] = reader_of(room).compose(dict(sorted(summaries[room].items())), context)
        except Exception as error:
            skipped.append(_failure(f"composing what the {room} files do to shared state", ".", error))
    return accesses, tuple(skipped)


def check_project(project: Project, rules: Iterable[SourceRule]) -> RuleResults:
    """Run the rules that check the tree as a whole; they see the findings of the other rules."""
    whole = [(rule, partial(rule.check, project)) for rule in rules if isinstance(rule, BuildRule)]
    return _run_all(whole, ".")


def check_comments(comments: Sequence[IdleComment], rules: Iterable[SourceRule]) -> RuleResults:
    """Run the rules that check the comments that silence findings."""
    return _run_all([(rule, partial(rule.check, comments)) for rule in rules if isinstance(rule, CommentRule)], ".")


def _run_all(checks: Iterable[tuple[SourceRule, Callable[[], Iterable[Finding]]]], path: str) -> RuleResults:
    findings: list[Finding] = []
    skipped: list[Skipped] = []
    for rule, check in checks:
        found, rows = _run(rule, check, path)
        findings += found
        skipped += rows
    return RuleResults(findings=tuple(dict.fromkeys(findings)), skipped=tuple(skipped))


def _run(
    rule: SourceRule, check: Callable[[], Iterable[Finding]], path: str
) -> tuple[tuple[Finding, ...], tuple[Skipped, ...]]:
    try:
        return tuple(check()), ()
    except Exception as error:
        return (), (_failure(f"rule {rule.info.name}", path, error),)


def check_texts(files: Mapping[str, str], rules: Sequence[SourceRule], target: Target) -> RuleResults:
    """Run rules over a small tree held in memory, without cache and processes.

    Silencing comments count only if one of the rules checks them.
    """
    sources = [
        SourceFile(path=path, language=language, text=text, target=target)
        for path, text in files.items()
        for language in languages_of(PurePosixPath(path), text.encode())
    ]
    surveyed = needed_rooms(rules)
    surveys: dict[Room, dict[str, Survey]] = {}
    skipped: list[Skipped] = []
    for source in sources:
        room = ROOM_OF[source.language]
        if room in surveyed:
            survey, rows = survey_file(source)
            skipped += rows
            if survey is not None:
                surveys.setdefault(room, {})[source.path] = survey
    context, gathered = gather(surveys, files)
    findings: list[Finding] = []
    skipped += gathered.skipped
    rooms = rooms_of(rules)
    summaries: dict[Room, dict[str, Survey]] = {}
    for source in sources:
        room = ROOM_OF[source.language]
        if room in rooms and source.language is not Language.BUILD:
            checked, _ = check_file(source, context, rules, thorough=True)
            findings += checked.findings
            skipped += checked.skipped
            if checked.summary is not None:
                summaries.setdefault(room, {})[source.path] = checked.summary
    accesses, rows = compose(summaries, context)
    roles = dict.fromkeys(files, Role.OWN)
    project = Project(context=context, target=target, findings=tuple(findings), roles=roles, accesses=accesses)
    whole = check_project(project, rules)
    findings += whole.findings
    skipped += (*rows, *whole.skipped)
    if any(isinstance(rule, CommentRule) for rule in rules):
        ignores = {source.path: find_ignores(source.text, source.language) for source in sources}
        infos = [rule.info for rule in rules]
        findings, _ = silence(findings, ignores, markers_of(infos))
        told = check_comments(find_idle(ignores, infos, infos), rules)
        findings += told.findings
        skipped += told.skipped
    return RuleResults(findings=tuple(findings), skipped=tuple(skipped))


@lru_cache(maxsize=64)
def _stateful(rules: tuple[SourceRule, ...]) -> frozenset[Room]:
    return stateful_rooms(rules)


@lru_cache(maxsize=64)
def _applicable(rules: tuple[SourceRule, ...], language: Language, generated: bool) -> tuple[SourceRule, ...]:
    """Return the rules that check files of a language, generated ones or others; cached because every file asks."""
    return tuple(
        rule
        for rule in rules
        if not isinstance(rule, (BuildRule, CommentRule))
        and language in rule.languages
        and (not generated or getattr(rule, "generated", False))
    )


def _failure(what: str, path: str, error: BaseException) -> Skipped:
    """Return a row that says that our code or a rule pack's code raised, with the place in that code."""
    place = ""
    frames = traceback.extract_tb(error.__traceback__)
    if frames:
        last = frames[-1]
        place = f" at {Path(last.filename).name}:{last.lineno}"
    text = str(error).split("\n", 1)[0][:200]
    return Skipped(path=path, reason=f"{what} failed{place}: {type(error).__name__}{': ' + text if text else ''}")
