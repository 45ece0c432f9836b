"""Answers of earlier runs: each counts only while everything that it depends on is unchanged.

The key of an answer has what is known before it is judged: the question, the settings, the rules, and ftaudit itself.
With the answer are the pages of the index that were consulted, with their fingerprints: the pages name each wheel by
its digest, and the analysis that read the wheels is part of ftaudit. What another run may answer otherwise is never
kept: a failure, an exceeded limit, a file of this machine or without a digest, or an answer of a facts store.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ftaudit.cache.result_file import ResultFile
from ftaudit.engine.session import AuditSession
from ftaudit.fleet.worker_identity import code_digest
from ftaudit.index.client import ProjectPages
from ftaudit.registry import rules_identity
from ftaudit.settings import Settings

_WITHOUT_EFFECT: Final = frozenset({"cache_dir", "jobs", "connections", "rate", "target", "platforms"})
"""Settings that change no answer, and those that each question has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlierAnswer:
    """What a question was answered."""

    rows: Sequence[Any]
    """Pairs of the name of a table and a row of it."""
    pages: Mapping[ProjectPages, str]
    """The pages that it depends on, with their fingerprints."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlierAnswers:
    """The answers in the cache for the questions of one session."""

    session: AuditSession
    file: ResultFile
    base: str
    """A digest of everything but the question."""

    def find(self, questions: Iterable[str]) -> dict[str, Sequence[Any]]:
        """Return the rows of the questions that are still answered, by their keys; the index confirms the pages."""
        keys = {self._digest(key): key for key in questions}
        kept = {keys[key]: _parse(value) for key, value in self.file.load(keys).items()}
        now = self.session.index.fingerprints(page for answer in kept.values() for page in answer.pages)
        return {
            key: answer.rows
            for key, answer in kept.items()
            if all(now[page] == told for page, told in answer.pages.items())
        }

    def keep(self, answers: Mapping[str, EarlierAnswer]) -> None:
        """Store the answers to questions, by their keys."""
        self.file.store({self._digest(key): _plain(answer) for key, answer in answers.items()})

    @property
    def notes(self) -> tuple[str, ...]:
        """Return a note if the cache had something else than what was written."""
        damaged = "answers of earlier runs were damaged in the cache, and these packages were judged again"
        return (damaged,) if self.file.damaged else ()

    def _digest(self, key: str) -> bytes:
        return hashlib.sha256(f"{self.base} {key}".encode()).digest()


def open_answers(session: AuditSession, about: str) -> EarlierAnswers | None:
    """Return the kept answers for a session; `None` if nothing is kept (`--no-cache`).

    `about` has the options of the run that are neither settings nor part of a question.
    """
    if session.settings.no_cache:
        return None
    places = session.index.settings
    told = [
        ftaudit_identity(),
        rules_identity(session.settings.rules),
        *(
            f"{field.name} {getattr(session.settings, field.name)!r}"
            for field in fields(Settings)
            if _counts(field.name)
        ),
        *(f"index {place.url} {place.user}" for place in places.sources),
        *(f"links {place.url} {place.user}" for place in places.find_links),
        session.target.name,
        *map(repr, session.platforms),
        about,
    ]
    return EarlierAnswers(
        session=session,
        file=ResultFile(session.settings.cache / "fleet" / "answers-1.sqlite3"),
        base=hashlib.sha256(json.dumps(told).encode()).hexdigest(),
    )


def _counts(setting: str) -> bool:
    return setting not in _WITHOUT_EFFECT


@functools.lru_cache(maxsize=1)
def ftaudit_identity() -> str:
    """Return a digest of everything that judges: the code and data of ftaudit, and the versions of what it uses."""
    digest = hashlib.sha256(f"{sys.version} {code_digest()}".encode())
    try:
        needed = requires("ftaudit") or []
    except PackageNotFoundError:
        needed = []
    for name in sorted({Requirement(each).name for each in needed}):
        try:
            digest.update(f"{name} {version(name)}\0".encode())
        except PackageNotFoundError:
            digest.update(f"{name} is missing\0".encode())
    return digest.hexdigest()


def _plain(answer: EarlierAnswer) -> Any:
    return [[[page.name, page.index_url, told] for page, told in answer.pages.items()], answer.rows]


def _parse(value: Any) -> EarlierAnswer:
    """Return the answer that `_plain` wrote, which its digest vouches for."""
    pages, rows = value
    return EarlierAnswer(
        rows=rows,
        pages={ProjectPages(name=canonicalize_name(name), index_url=url): told for name, url, told in pages},
    )
