"""The known facts about the later releases of a package, and their storage on disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ftaudit.model import Gap, Pin
from ftaudit.model.plain import from_plain, to_plain
from ftaudit.model.plans import Candidate, Fate
from ftaudit.model.reasons import TierFailed
from ftaudit.target import Platform
from ftaudit.whole_files import write_whole

MOST_KEPT: Final = 500
"""Surveys on disk."""
HOPEFUL: Final = frozenset({Fate.GOOD, Fate.UNDETERMINED})


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """The later releases of one package on one platform."""

    releases: tuple[Candidate, ...] = ()
    """Every release after the pinned one, oldest first."""
    problem: Gap | None = None
    """Why the releases are unknown."""

    @property
    def first(self) -> Candidate | None:
        """The nearest good release; without one, the nearest that is not known to enable the GIL."""
        return self.first_good or next((release for release in self.releases if release.fate in HOPEFUL), None)

    @property
    def newest(self) -> Candidate | None:
        """The newest good release; without one, the newest that is not known to enable the GIL."""
        hopeful = (release for release in reversed(self.releases) if release.fate in HOPEFUL)
        return self.newest_good or next(hopeful, None)

    @property
    def first_good(self) -> Candidate | None:
        """The nearest release that is known to leave the GIL disabled."""
        return next((release for release in self.releases if release.fate is Fate.GOOD), None)

    @property
    def newest_good(self) -> Candidate | None:
        """The newest such release."""
        return next((release for release in reversed(self.releases) if release.fate is Fate.GOOD), None)

    @property
    def fallback(self) -> Candidate | None:
        """The nearest release that falls back to pure Python."""
        return next((release for release in self.releases if release.fate is Fate.FALLBACK), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class SurveyQuestion:
    """The question to the index: which releases of the pin's package come after it, for one platform."""

    pin: Pin
    platform: Platform


class Memo:
    """Surveys by the key of their source data, stored on disk: parsing the pages of ten projects takes a second."""

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / "later.json"
        self._known: dict[str, Any] = {}
        self._used: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            read = json.loads(self._path.read_text("utf-8")) if self._path else {}
            if isinstance(read, dict):
                self._known = read

    def recall(self, key: str | None) -> Survey | None:
        """Return the survey under a key, if a readable one exists."""
        digest = _digest(key)
        if digest is None or digest not in self._known:
            return None
        try:
            survey = Survey(releases=from_plain(tuple[Candidate, ...], self._known[digest]))
        except (TypeError, ValueError):
            return None
        self._used[digest] = self._known[digest]
        return survey

    def learn(self, key: str | None, survey: Survey) -> None:
        """Store a survey, unless reading some wheel failed: that may succeed next time."""
        digest = _digest(key)
        failed = any(isinstance(reason, TierFailed) for release in survey.releases for reason in release.why)
        if digest is not None and not failed:
            self._used[digest] = to_plain(survey.releases)

    def keep(self) -> None:
        """Write the surveys, the newest last, and drop the oldest if there are many; a disk failure is not an error."""
        used = dict(self._used)  # Other threads may still add entries.
        if self._path is None or used.keys() <= self._known.keys():
            return
        every = {**{key: lead for key, lead in self._known.items() if key not in used}, **used}
        newest = dict(list(every.items())[-MOST_KEPT:])
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, json.dumps(newest).encode())


def _digest(key: str | None) -> str | None:
    return None if key is None else hashlib.sha256(key.encode()).hexdigest()
