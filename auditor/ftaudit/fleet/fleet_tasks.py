"""The tasks of a fleet: plain data in, plain data out. A worker needs nothing but ftaudit to run them.

A task may be run twice: its answer depends only on what it says, and on the index.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
import traceback
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from ftaudit import lockfiles
from ftaudit.engine.inputs import what_they_say
from ftaudit.engine.judged_pins import JudgedPins, judge_pins
from ftaudit.engine.selected_pins import SelectedPins, select_pins
from ftaudit.engine.session import AuditSession, open_sessions, open_sessions_for_pins
from ftaudit.errors import FtauditError
from ftaudit.fleet.earlier_answers import EarlierAnswer, EarlierAnswers, open_answers
from ftaudit.fleet.executors import Share
from ftaudit.fleet.fleet_questions import Question, question_of, row_of_question
from ftaudit.fleet.fleet_rows import rows_of_package
from ftaudit.fleet.projects import find_inputs_below
from ftaudit.index.client import ProjectPages
from ftaudit.index.index_settings import IndexOptions
from ftaudit.index.release import preferred_versions
from ftaudit.lockfiles import Requirements
from ftaudit.model import Gap, GapKind, Pin, Status
from ftaudit.model.sentences import gap_phrase
from ftaudit.rule import PackageRule
from ftaudit.settings import Settings
from ftaudit.target import Platform

_ANSWERS_OF_A_SESSION: Final = 1000
"""After so many questions a worker opens its files and connections again: what it remembers of them takes memory."""

_MOST_NAMES: Final = 10
"""Inputs that one note names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadTask:
    """Read one project."""

    project: str
    path: str
    settings: Settings
    targets: tuple[str, ...]

    @property
    def key(self) -> str:
        """The key of the task."""
        return self.project


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeTask:
    """Judge questions that may share pages of an index."""

    questions: tuple[Question, ...]
    settings: Settings
    targets: tuple[str, ...]
    platforms: tuple[Platform, ...]
    newest: int = 0
    """For a survey: each question is about so many of the newest releases of its package."""
    since: datetime | None = None
    """Only about releases since then, or the newest one if there are none; in UTC."""

    @property
    def key(self) -> str:
        """The key of the task on a cluster: a digest of the keys of its questions."""
        told = " ".join(question.key for question in self.questions)
        return f"ftaudit-{hashlib.sha256(told.encode()).hexdigest()[:32]}"


def read_project(task: ReadTask, share: Share | None = None) -> dict[str, Any]:
    """Return what a project pins for each target, with the questions; a project that cannot be read has a `problem`."""
    try:
        settings = task.settings if share is None else share.of(task.settings)
        with open_sessions((task.path,), settings, task.targets) as sessions:
            read = sessions[0].read[0]
            selected = {session.target.name: select_pins(session) for session in sessions}
            apart = _left_out(Path(task.path), read, selected.values())
            found = {session.target.name: _pins(session, selected[session.target.name], apart) for session in sessions}
    except FtauditError as error:
        if not Path(task.path).exists():
            return {"problem": f"{error.problem} (correct its path in the manifest, or remove the line)"}
        problem = f"{error.problem}{f' ({error.hint})' if error.hint else ''}"
        below = find_inputs_below(Path(task.path)).paths if _lacks_input(Path(task.path)) else ()
        return {"problem": f"{problem}; specify the inputs in its subfolders: {_named(below)}" if below else problem}
    except (OSError, RuntimeError, ValueError) as error:  # Its path, or one in it, is too long, forbidden, or a loop.
        why = error.strerror if isinstance(error, OSError) else error
        return {"problem": f"it cannot be read: {why}"}
    questions = {}
    for _, asked in found.values():
        questions.update({question.key: question for question in asked})
    return {
        "problem": None,
        "input": str(read.path),
        "targets": {target: told for target, (told, _) in found.items()},
        "questions": [row_of_question(question) for question in _unsent(questions)],
    }


def _lacks_input(path: Path) -> bool:
    """Return whether it is a folder without an input of its own."""
    try:
        return path.is_dir() and lockfiles.seek_input(path) is None
    except FtauditError:
        return True


def _left_out(folder: Path, read: Requirements, selected: Iterable[SelectedPins]) -> tuple[str, ...]:
    """Return notes on the inputs in subfolders of a project that were not read with its own input."""
    if not folder.is_dir() or folder.resolve() not in read.path.resolve().parents:
        return ()
    pins = [pin for each in selected for pin, _ in each.keys]
    files = {Path(pin.source.path).resolve() for pin in pins if pin.source is not None} | {read.path.resolve()}
    local = [pin.source_tree for pin in pins]
    local += () if read.lock is None else (package.source_tree for package in read.lock.packages)
    trees = {Path(tree).resolve() for tree in local if tree is not None} - {folder.resolve()}
    below = find_inputs_below(folder)
    left = [path for path in below.paths if path.resolve() not in files and path.resolve().parent not in trees]
    notes = []
    if left:
        notes.append(f"these inputs in its subfolders were not read: {_named(left)}; to audit them, specify them too")
    if not below.is_whole:
        notes.append("it has too many subfolders to look for inputs in all of them; to audit one, specify it too")
    return tuple(notes)


def _named(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - _MOST_NAMES} more" if len(paths) > _MOST_NAMES else ""
    return ", ".join(map(str, paths[:_MOST_NAMES])) + more


_sent: Final[set[str]] = set()
"""The questions that this process has sent: the projects of a fleet ask the same ones, which are long."""


def _unsent(questions: dict[str, Question]) -> list[Question]:
    new = [question for key, question in questions.items() if key not in _sent]
    _sent.update(question.key for question in new)
    return new


def _pins(
    session: AuditSession, selected: SelectedPins, notes: tuple[str, ...]
) -> tuple[dict[str, Any], list[Question]]:
    """Return the pins of a session as plain data, with further notes, and their questions."""
    index = what_they_say(session.read[0])
    platforms: dict[tuple[object, ...], list[str]] = {}
    for pin, platform in selected.keys:
        platforms.setdefault((pin.name, pin.version, pin.problem, pin.source_tree), []).append(platform.name)
    pins, questions = [], []
    for pin, platform in selected.keys:
        same = (pin.name, pin.version, pin.problem, pin.source_tree)
        question = question_of(pin, session.target.name, platforms[same], index)
        questions.append(question)
        pins.append(
            [
                platform.name,
                str(pin.name),
                None if pin.version is None else str(pin.version),
                question.key,
                [list(chain) for chain in pin.required_by],
                None if pin.source is None else pin.source.path,
                None if pin.source is None else pin.source.line,
            ]
        )
    said = {"notes": [*selected.notes, *notes], "incomplete": list(selected.incomplete)}
    return {"pins": pins, **said}, questions


def judge_task(task: JudgeTask, share: Share | None = None) -> dict[str, Any]:
    """Return the rows of each question by its key, and notes.

    `error` is a sentence if the run as a whole cannot go on: a facts store is damaged or wrong.
    """
    try:
        return _answers(task if share is None else replace(task, settings=share.of(task.settings)))
    except FtauditError as error:
        return {"error": error.problem, "hint": error.hint}
    except Exception as error:  # Our bug: the other tasks go on, and a worker elsewhere tells the same.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return {"raised": f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}"}


def _answers(task: JudgeTask) -> dict[str, Any]:
    answers: dict[str, Sequence[Any]] = {}
    by_index: dict[IndexOptions, list[Question]] = {}
    for question in task.questions:
        by_index.setdefault(question.index, []).append(question)
    notes: dict[str, None] = {}
    kept = 0
    for index, questions in by_index.items():
        opened = _sessions(task, index)
        for session, known in zip(opened.sessions, opened.kept, strict=True):
            asked = [question for question in questions if question.target == session.target.name]
            lasting = [question.key for question in asked if known is not None and not question.is_local]
            found = {} if known is None else known.find(lasting)
            judged = _judge(session, task, [question for question in asked if question.key not in found])
            answers |= found
            answers |= {key: answer.rows for key, answer in judged.items()}
            kept += len(found)
            told = [session.rules(PackageRule)[1], session.index.notes, session.reader.store_notes]
            if known is not None:
                new = ((key, judged[key]) for key in lasting if key in judged)
                known.keep(
                    {
                        key: EarlierAnswer(rows=each.rows, pages=each.pages)
                        for key, each in new
                        if each.pages is not None
                    }
                )
                told.append(known.notes)
            notes |= dict.fromkeys(itertools.chain(*told, *(answer.failures for answer in judged.values())))
        opened.answered += len(questions)
    return {"answers": answers, "notes": list(notes), "kept": kept}


@dataclass(slots=True)
class _Judged:
    """What a question was answered."""

    rows: list[Any] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    pages: dict[ProjectPages, str] | None = field(default_factory=dict)
    """The pages that the rows depend on; `None` if another run may give other rows all the same."""

    def add(self, asked: _Asked, judged: JudgedPins) -> None:
        """Add the judgment of one release."""
        for row in judged.rows:
            self.rows += rows_of_package(asked.key, row, newest=asked.newest, released=asked.released)
        self.failures += judged.failures
        self.pages = None if self.pages is None or judged.depends_on is None else {**self.pages, **judged.depends_on}


def _judge(session: AuditSession, task: JudgeTask, questions: Sequence[Question]) -> dict[str, _Judged]:
    """Return what the questions are answered, by their keys."""
    platforms = {platform.name: platform for platform in task.platforms}
    pins = [_Asked(question=question, pin=question.pin, key=question.key) for question in questions]
    if task.newest:
        pins = [pin for question in questions for pin in _newest(question, session, task)]
    keys = [[(each.pin, platforms[name]) for name in each.question.platforms] for each in pins]
    answers = {question.key: _Judged() for question in questions}
    for each, judged in zip(pins, judge_pins(session, keys), strict=True):
        answers[each.question.key].add(each, judged)
    return answers


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """One pin to judge for a question."""

    question: Question
    pin: Pin
    key: str
    newest: bool = False
    released: datetime | None = None


def _newest(question: Question, session: AuditSession, task: JudgeTask) -> list[_Asked]:
    """Return the newest releases of the package that a question is about, or why there are none."""
    project = session.index.find_project(question.pin.name)
    if project.status is not Status.DONE or not project.versions:
        gap = project.reason or Gap(kind=GapKind.NO_RELEASE, detail="its page lists no files of it")
        pins = [replace(question.pin, problem=gap_phrase(gap), obstacle=gap.kind)]
    else:
        versions = preferred_versions(project.versions)
        recent = versions[: task.newest]
        if task.since is not None:
            released = project.released
            recent = tuple(each for each in versions if each in released and released[each] >= task.since)
        pins = [replace(question.pin, version=each) for each in recent or versions[:1]]
    return [
        _Asked(
            question=question,
            pin=pin,
            key=question_of(pin, question.target, question.platforms, question.index).key,
            newest=number == 0 and pin.version is not None,
            released=None if pin.version is None else project.released.get(pin.version),
        )
        for number, pin in enumerate(pins)
    ]


@dataclass(slots=True)
class _Opened:
    """The sessions that one thread of a worker keeps open between tasks."""

    key: tuple[object, ...]
    stack: ExitStack
    sessions: tuple[AuditSession, ...]
    kept: tuple[EarlierAnswers | None, ...]
    """For each session, the answers of earlier runs."""
    answered: int = 0


_kept: Final = threading.local()


def _sessions(task: JudgeTask, index: IndexOptions) -> _Opened:
    """Return open sessions for the task; those of the last task if they fit and are not old."""
    key = (task.settings, task.targets, task.platforms, index, task.newest, task.since)
    opened: _Opened | None = getattr(_kept, "opened", None)
    if opened is not None and (opened.key != key or opened.answered >= _ANSWERS_OF_A_SESSION):
        _kept.opened = None
        opened.stack.close()
        opened = None
    if opened is None:
        stack = ExitStack()
        settings = replace(task.settings, jobs=task.settings.jobs or 1)
        sessions = stack.enter_context(open_sessions_for_pins(settings, task.targets, task.platforms, (index,)))
        about = f"{task.newest} {task.since}"
        kept = tuple(open_answers(session, about) for session in sessions)
        opened = _kept.opened = _Opened(key=key, stack=stack, sessions=sessions, kept=kept)
    return opened
