"""The journal of a run: what was read and judged so far, so that the same command resumes.

It is a SQLite database in the folder of the run, and is removed when the data set is complete. Rows have keys, so that
they are the same in whatever order the answers come.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ftaudit.errors import FtauditError, InputError, UsageError
from ftaudit.fleet.fleet_questions import Question, QuestionRow, parse_question, row_of_question
from ftaudit.fleet.fleet_rows import TableRow, row_key
from ftaudit.fleet.plain_names import escape
from ftaudit.fleet.projects import FoundProject
from ftaudit.fleet.run_folder import JOURNAL, FolderLock
from ftaudit.fleet.schema import PACKAGES, TABLES, DataTable

_FORMAT: Final = "4"
_DAMAGED: Final = (zlib.error, ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What a body that ftaudit did not write raises."""
_MALFORMED: Final = 1
"""SQLite's result code for a statement that the tables do not fit."""
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS projects (project TEXT PRIMARY KEY, name TEXT, owner TEXT, path TEXT, body BLOB);
CREATE TABLE IF NOT EXISTS questions (key TEXT PRIMARY KEY, part TEXT, is_local INTEGER, done INTEGER, body BLOB,
    answers INTEGER DEFAULT 0);
CREATE INDEX IF NOT EXISTS by_part ON questions (done, part, key);
CREATE TABLE IF NOT EXISTS rows (name TEXT, target TEXT, key TEXT, body TEXT, PRIMARY KEY (name, target, key))
    WITHOUT ROWID;
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """How far a run is."""

    projects: int
    projects_read: int
    questions: int
    questions_judged: int


class Journal:
    """The journal of one run. A context manager; only one process at a time may open it to write."""

    def __init__(self, folder: Path, *, told: dict[str, Any]) -> None:
        """Open or make the journal of a run that is described by `told`.

        Raise `UsageError` if another process writes to the folder, or if the folder has another run or other files.
        """
        self.folder = folder
        self._lock = FolderLock(folder)
        self._data = sqlite3.connect(folder / JOURNAL, isolation_level=None, check_same_thread=False)
        try:
            with self._telling():
                self._begin(json.dumps(told, sort_keys=True))
        except BaseException:
            self.close()
            raise

    def _begin(self, told: str) -> None:
        self._data.execute("PRAGMA journal_mode = WAL")
        self._data.execute("PRAGMA synchronous = NORMAL")
        self._data.executescript(_TABLES)
        before = self.recall("told")
        if before is not None and (before != told or self.recall("format") != _FORMAT):
            raise UsageError(
                f"{self.folder} has a run with different inputs or options, or of a different version of ftaudit",
                hint="run the same command again to resume it, or specify another folder with --output",
            )
        self.remember("told", told)
        self.remember("format", _FORMAT)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, _: object, error: BaseException | None, trace: object) -> None:
        self.close()
        if isinstance(error, sqlite3.Error):
            raise self._problem(error) from error

    def close(self) -> None:
        """Close the journal, and let another process write to the folder."""
        self._data.close()
        self._lock.release()

    def remove(self) -> None:
        """Close and remove the journal: the data set is complete."""
        self._data.close()
        for name in (JOURNAL, f"{JOURNAL}-wal", f"{JOURNAL}-shm"):
            with contextlib.suppress(OSError):
                (self.folder / name).unlink(missing_ok=True)
        self._lock.remove()

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Turn a failure of the disk into an error that says what to do; what was written stays."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._problem(error) from error

    def _problem(self, error: sqlite3.Error) -> FtauditError:
        path = self.folder / JOURNAL
        # Python 3.10 does not say the code.
        malformed = getattr(error, "sqlite_errorcode", None) == _MALFORMED
        if isinstance(error, sqlite3.OperationalError) and not malformed:
            hint = "free some space on the disk, then run the same command to resume"
            return FtauditError(f"cannot write to {path}: {error}", hint=hint)
        return self._damage(error)

    def _damage(self, why: object) -> FtauditError:
        hint = "remove it to start again, or specify another folder with --output"
        return FtauditError(f"{self.folder / JOURNAL} is damaged: {why}", hint=hint)

    @contextlib.contextmanager
    def _at_once(self) -> Iterator[None]:
        """Write everything of the block, or nothing."""
        with self._telling():
            self._data.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._data.in_transaction:  # A full disk has already ended it.
                    self._data.execute("ROLLBACK")
                raise
            self._data.execute("COMMIT")

    def remember(self, name: str, value: str) -> None:
        """Store a fact about the run."""
        with self._telling():
            self._data.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def recall(self, name: str) -> str | None:
        """Return a fact about the run."""
        found = self._data.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def add_projects(self, projects: Iterable[FoundProject]) -> None:
        """Add projects to read; those that are known stay as they are."""
        rows = ((each.project, each.name, each.owner, os.fsencode(each.path)) for each in projects)
        with self._at_once():
            self._data.executemany("INSERT OR IGNORE INTO projects VALUES (?, ?, ?, ?, NULL)", rows)

    def unread_projects(self) -> list[FoundProject]:
        """Return the projects that were not read so far."""
        found = self._data.execute(
            "SELECT project, name, owner, path FROM projects WHERE body IS NULL ORDER BY project"
        )
        return [
            FoundProject(project=project, name=name, owner=owner, path=os.fsdecode(path))
            for project, name, owner, path in found
        ]

    def add_read(self, project: str, read: dict[str, Any]) -> None:
        """Store what a project pins, and the questions that are new."""
        body = {name: value for name, value in read.items() if name != "questions"}
        with self._at_once():
            self._add_questions(read.get("questions", ()))
            data = zlib.compress(json.dumps(body).encode(), 1)
            self._data.execute("UPDATE projects SET body = ? WHERE project = ?", (data, project))

    def read_projects(self) -> Iterator[tuple[FoundProject, dict[str, Any]]]:
        """Yield each project with what it pins, in order."""
        for project, name, owner, path, body in self._data.execute("SELECT * FROM projects ORDER BY project"):
            try:
                read = json.loads(zlib.decompress(body))
            except _DAMAGED as error:
                raise self._damage(error) from error
            yield FoundProject(project=project, name=name, owner=owner, path=os.fsdecode(path)), read

    def add_questions(self, questions: Iterable[Question]) -> None:
        """Add questions; those that are known stay as they are."""
        with self._at_once():
            self._add_questions(map(row_of_question, questions))

    def _add_questions(self, rows: Iterable[QuestionRow]) -> None:
        stored = ((key, group, is_local, zlib.compress(body.encode(), 1)) for key, group, is_local, body in rows)
        self._data.executemany("INSERT OR IGNORE INTO questions VALUES (?, ?, ?, 0, ?, 0)", stored)

    def open_parts(self) -> list[tuple[str, bool, tuple[str, ...]]]:
        """Return the questions without an answer, by group: its name, whether it is local, and the keys."""
        parts: dict[tuple[str, bool], list[str]] = {}
        found = self._data.execute("SELECT part, is_local, key FROM questions WHERE done = 0 ORDER BY part, key")
        for part, is_local, key in found:
            parts.setdefault((part, bool(is_local)), []).append(key)
        return [(part, is_local, tuple(keys)) for (part, is_local), keys in parts.items()]

    def questions(self, keys: Sequence[str]) -> tuple[Question, ...]:
        """Return questions by their keys."""
        found = []
        for key in keys:
            (body,) = self._data.execute("SELECT body FROM questions WHERE key = ?", (key,)).fetchone()
            try:
                found.append(parse_question(key, zlib.decompress(body).decode()))
            except _DAMAGED as error:
                raise self._damage(error) from error
        return tuple(found)

    def add_answers(
        self,
        answers: Mapping[str, tuple[str, Sequence[TableRow]]],
        *,
        notes: Iterable[str] = (),
        kept: int = 0,
    ) -> None:
        """Store the answers to questions, by key the target and the rows.

        With them, notes, and how many of the answers are of earlier runs.
        """
        tables = {table.name: table for table in TABLES}
        with self._at_once():
            for key, (target, rows) in answers.items():
                self._data.executemany(
                    # Two questions can read one wheel: whatever comes first, the same row stays.
                    "INSERT INTO rows VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET body = min(body, excluded.body)",
                    (
                        (name, target, escape(row_key(tables[name], row)), json.dumps(row, sort_keys=True))
                        for name, row in rows
                    ),
                )
                judged = len({row_key(PACKAGES, row) for name, row in rows if name == PACKAGES.name})
                self._data.execute("UPDATE questions SET done = 1, answers = ? WHERE key = ?", (judged, key))
            self._data.executemany(
                "INSERT OR IGNORE INTO facts VALUES (?, '')", ((f"note {escape(each)}",) for each in notes)
            )
            self._data.execute("INSERT OR REPLACE INTO facts VALUES ('kept', ?)", (str(self.kept() + kept),))

    def rows(self, table: DataTable, target: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of a table for a target, in the order of the table's key."""
        asked = "SELECT body FROM rows WHERE name = ? AND target = ? ORDER BY key"
        for (body,) in self._data.execute(asked, (table.name, target)):
            try:
                yield json.loads(body)
            except _DAMAGED as error:
                raise self._damage(error) from error

    def check_answers(self) -> None:
        """Raise `FtauditError` if rows of the answers are missing."""
        with self._telling():
            (written,) = self._data.execute("SELECT count(*) FROM rows WHERE name = ?", (PACKAGES.name,)).fetchone()
            (answered,) = self._data.execute("SELECT coalesce(sum(answers), 0) FROM questions").fetchone()
        if written != answered:
            raise self._damage(f"it has {written} answers, and {answered} were written")

    def kept(self) -> int:
        """Return how many questions were answered by earlier runs."""
        return self._number(self.recall("kept") or 0)

    def _number(self, value: object) -> int:
        try:
            return int(str(value))
        except ValueError as error:
            raise self._damage(error) from error

    def notes(self) -> tuple[str, ...]:
        """Return the notes on the run, each once."""
        found = self._data.execute("SELECT name FROM facts WHERE name LIKE 'note %' ORDER BY name")
        return tuple(name.partition(" ")[2] for (name,) in found)

    def counts(self) -> Counts:
        """Return how far the run is."""
        return _counts(self._data)


def _counts(data: sqlite3.Connection) -> Counts:
    projects, unread = data.execute("SELECT count(*), count(*) - count(body) FROM projects").fetchone()
    questions, judged = data.execute("SELECT count(*), coalesce(sum(done), 0) FROM questions").fetchone()
    return Counts(projects=projects, projects_read=projects - unread, questions=questions, questions_judged=judged)


def read_progress(folder: Path) -> tuple[Counts, dict[str, str]]:
    """Return how far an unfinished run is, and the facts about it; raise `InputError` without one."""
    path = folder / JOURNAL
    if not path.is_file():
        raise InputError(f"{folder} has no run", hint="specify the folder of `ftaudit fleet check` or `fleet survey`")
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)) as data:
            return _counts(data), dict(data.execute("SELECT name, value FROM facts"))
    except sqlite3.Error as error:
        raise InputError(f"{path} cannot be read: {error}") from error
