"""Runs of a fleet: read the projects, judge what they ask, write the data set. Each step resumes."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidName, canonicalize_name

from ftaudit.__about__ import __version__
from ftaudit.binary.facts_cache import analysis_version
from ftaudit.engine.reproduce import present_time
from ftaudit.engine.session import open_sessions_for_pins
from ftaudit.errors import FtauditError, InputError, UsageError
from ftaudit.fleet.dataset import require_pyarrow
from ftaudit.fleet.executors import Executor, LocalWorkers
from ftaudit.fleet.fleet_questions import Question, question_of
from ftaudit.fleet.fleet_rows import TableRow, row_of_the_dead
from ftaudit.fleet.fleet_tasks import JudgeTask, ReadTask, judge_task, read_project
from ftaudit.fleet.journal import Journal
from ftaudit.fleet.project_rows import write_data_set
from ftaudit.fleet.projects import FoundProject, find_projects
from ftaudit.fleet.run_folder import check_folder
from ftaudit.fleet.schema import Mode, RunInfo
from ftaudit.index.index_settings import IndexOptions
from ftaudit.model import Pin
from ftaudit.progress import ProgressListener
from ftaudit.rule import PackageRule
from ftaudit.settings import Settings
from ftaudit.target import Platform, host_platform, parse_platform
from ftaudit.workers import Died, TaskEnding

MOST_IN_TASK: Final = 24
"""Questions of one task: its pages are fetched together, and a lost worker loses no more."""
DEATHS: Final = 3
"""How many workers a task may end before it gets a row that says so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetRun:
    """What to run, and where."""

    output: Path
    settings: Settings
    targets: tuple[str, ...]
    executor: Executor
    workers: int
    """Local processes, which also read the projects."""
    progress: ProgressListener

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """The platforms, as this machine understands their names: workers elsewhere take them as they are."""
        return tuple(map(parse_platform, self.settings.platforms)) or (host_platform(),)


def check_fleet(paths: Sequence[Path], manifests: Sequence[Path], run: FleetRun) -> RunInfo:
    """Judge what every project pins, each distinct question once, and write the data set.

    Raise `FtauditError` for a problem that the user must fix; finished work is kept.
    """
    told = {"paths": [str(path) for path in paths], "manifests": [str(path) for path in manifests]}
    found = find_projects(paths, manifests)
    with _open(run, Mode.CHECK, told) as journal:
        journal.add_projects(found.projects)
        journal.add_answers({}, notes=found.notes)
        _read(journal, run)
        _judge(journal, run, newest=0)
        return _finish(journal, run, Mode.CHECK)


def survey_fleet(names: Sequence[str], run: FleetRun, *, newest: int, since: datetime | None = None) -> RunInfo:
    """Judge the newest releases of packages by their names, or those `since` a time in UTC, and write the data set.

    A package without a release since then has its newest one. Errors as in `check_fleet`.
    """
    for name in names:
        _check_name(name)
    wanted = sorted({canonicalize_name(name) for name in names})
    if not wanted:
        raise InputError("no package name given", hint="specify packages, or a file of names with --names")
    with _open(run, Mode.SURVEY, {"names": wanted, "newest": newest, "since": str(since)}) as journal:
        platforms = [platform.name for platform in run.platforms]
        journal.add_questions(
            question_of(Pin(name=name, version=None), target, platforms, IndexOptions())
            for name in wanted
            for target in run.targets
        )
        _judge(journal, run, newest=newest, since=since)
        return _finish(journal, run, Mode.SURVEY)


def _check_name(name: str) -> None:
    """Raise `UsageError` for what is not a name of a package: no index is asked about it."""
    try:
        canonicalize_name(name, validate=True)
    except InvalidName as error:
        hint = "use letters, digits, `-`, `_` and `.`"
        with contextlib.suppress(InvalidRequirement):
            known = Requirement(name)
            hint = f"specify only the package, {known.name}; for a version, use an input of `ftaudit fleet check`"
        raise UsageError(f"{name!r} is not the name of a package", hint=hint) from error


def _open(run: FleetRun, mode: Mode, told: dict[str, Any]) -> Journal:
    require_pyarrow()
    check_folder(run.output)
    _check_options(run)
    run.executor.check()
    settings = run.settings
    asked = {
        "mode": mode.value,
        "targets": list(run.targets),
        "platforms": [platform.name for platform in run.platforms],
        "extras": [*settings.extras, settings.all_extras, *settings.groups, settings.no_deps],
        "rules": [*settings.select, "-", *settings.ignore, *map(str, settings.rules)],
        "index": [settings.index_url, *settings.extra_index_urls, *settings.find_links, settings.offline],
        "facts": [str(path) for path in settings.facts],
        "ftaudit": __version__,
        "analysis": analysis_version(),
    }
    journal = Journal(run.output, told={**asked, **told})
    if journal.recall("started") is None:
        journal.remember("started", present_time().isoformat(timespec="seconds"))
    journal.remember("process", str(os.getpid()))
    return journal


def _check_options(run: FleetRun) -> None:
    """Raise `FtauditError` for options that no task can use: a folder with a run of them would refuse better ones."""
    if not isinstance(run.executor, LocalWorkers):
        return  # Workers elsewhere have rules and stores of their own.
    with open_sessions_for_pins(run.settings, run.targets, run.platforms) as (session, *_):
        session.rules(PackageRule)
        session.reader.open_stores()


def _begin(journal: Journal, stage: str) -> None:
    """Note which stage a run is in, since when, and how much was done before."""
    counts = journal.counts()
    journal.remember("stage", stage)
    journal.remember("since", datetime.now(timezone.utc).isoformat(timespec="seconds"))
    journal.remember("before", str(counts.projects_read + counts.questions_judged))


def _read(journal: Journal, run: FleetRun) -> None:
    """Read the projects, on this machine."""
    _begin(journal, "reading")
    projects = {each.project: each for each in journal.unread_projects()}
    if not projects:
        return
    run.progress.stage("projects", len(projects))
    tasks: deque[ReadTask] = deque(_read_task(each, run) for each in projects.values())
    deaths: dict[str, int] = {}
    with LocalWorkers(run.workers) as workers:
        for task, outcome in workers.run(read_project, _Waiting(tasks)):
            if isinstance(outcome, Died):
                deaths[task.project] = deaths.get(task.project, 0) + 1
                if deaths[task.project] < DEATHS and not outcome.is_lasting:
                    tasks.append(task)
                    continue
                outcome = {"problem": f"reading it {outcome}"}
            journal.add_read(task.project, outcome)
            run.progress.done(task.project)


def _read_task(project: FoundProject, run: FleetRun) -> ReadTask:
    return ReadTask(project=project.project, path=project.path, settings=run.settings, targets=run.targets)


class _Waiting(Iterator[Any]):
    """The tasks that wait; more can come after it was empty."""

    def __init__(self, tasks: deque[Any]) -> None:
        self._tasks = tasks

    def __next__(self) -> Any:
        if not self._tasks:
            raise StopIteration
        return self._tasks.popleft()


@dataclass(slots=True)
class _Judging(Iterator[JudgeTask]):
    """The tasks of judging: groups of questions, then questions alone whose task ended a worker."""

    journal: Journal
    run: FleetRun
    newest: int
    since: datetime | None
    parts: deque[tuple[str, ...]]
    size: int = 1
    again: deque[Question] = field(default_factory=deque)

    def __next__(self) -> JudgeTask:
        if not self.parts:
            if not self.again:
                raise StopIteration
            return self._task((self.again.popleft(),))
        keys: list[str] = []
        while self.parts and len(keys) < self.size:
            keys += self.parts.popleft()
        return self._task(self.journal.questions(keys))

    def _task(self, questions: tuple[Question, ...]) -> JudgeTask:
        run = self.run
        return JudgeTask(
            questions=questions,
            settings=run.settings,
            targets=run.targets,
            platforms=run.platforms,
            newest=self.newest,
            since=self.since,
        )


def _judge(journal: Journal, run: FleetRun, *, newest: int, since: datetime | None = None) -> None:
    """Judge the questions without an answer: those about files of this machine here, the others by the executor."""
    _begin(journal, "judging")
    parts = journal.open_parts()
    if not parts:
        return
    run.progress.stage("packages", sum(len(keys) for _, _, keys in parts))
    elsewhere = not isinstance(run.executor, LocalWorkers)
    local = [keys for _, is_local, keys in parts if is_local and elsewhere]
    others = [keys for _, is_local, keys in parts if not (is_local and elsewhere)]
    if local:
        with LocalWorkers(run.workers) as workers:
            _ask(run, workers, _Judging(journal, run, newest, since, deque(local)))
    if others:
        with run.executor:
            _ask(run, run.executor, _Judging(journal, run, newest, since, deque(others)))
    if journal.open_parts():
        raise FtauditError("the workers left packages without an answer", hint="repeat the command: it resumes")


def _ask(run: FleetRun, executor: Executor, tasks: _Judging) -> None:
    journal = tasks.journal
    tasks.size = max(1, min(MOST_IN_TASK, sum(map(len, tasks.parts)) // (4 * run.workers)))
    deaths: dict[str, int] = {}
    for task, outcome in executor.run(judge_task, tasks):
        if not isinstance(outcome, Died) and "raised" in outcome:
            outcome = Died(how=TaskEnding.RAISED, detail=str(outcome["raised"]))
        if isinstance(outcome, Died):
            for question in task.questions:
                deaths[question.key] = deaths.get(question.key, 0) + executor.deaths
            first = task.questions[0]
            if len(task.questions) == 1 and (outcome.is_lasting or deaths[first.key] >= DEATHS):
                why = f"failed: {outcome.detail}" if outcome.is_lasting else f"ended its worker {DEATHS} times"
                _bury(journal, first, f"judging it {why}")
                run.progress.done(first.pin.name)
            else:
                tasks.again.extend(task.questions)
            continue
        if "error" in outcome:
            raise FtauditError(str(outcome["error"]), hint=outcome.get("hint"))
        targets = {question.key: question.target for question in task.questions}
        answers: dict[str, tuple[str, Sequence[TableRow]]] = {
            key: (targets[key], [(name, row) for name, row in rows]) for key, rows in outcome["answers"].items()
        }
        journal.add_answers(answers, notes=outcome["notes"], kept=outcome["kept"])
        for question in task.questions:
            run.progress.done(question.pin.name)


def _bury(journal: Journal, question: Question, why: str) -> None:
    """Give a question that has no answer its rows."""
    version = None if question.pin.version is None else str(question.pin.version)
    rows = [
        row_of_the_dead(question.key, platform, str(question.pin.name), version, why) for platform in question.platforms
    ]
    journal.add_answers({question.key: (question.target, rows)})


def _finish(journal: Journal, run: FleetRun, mode: Mode) -> RunInfo:
    """Write the data set from the journal, and remove the journal."""
    _begin(journal, "writing")
    run.progress.stage("writing", None)
    info = RunInfo(
        mode=mode,
        ftaudit=__version__,
        analysis=analysis_version(),
        targets=run.targets,
        platforms=tuple(platform.name for platform in run.platforms),
        started=journal.recall("started") or "",
        ended=present_time().isoformat(timespec="seconds"),
        kept=journal.kept(),
        notes=journal.notes(),
    )
    info = write_data_set(journal, run.output, info)
    journal.remove()
    return info
