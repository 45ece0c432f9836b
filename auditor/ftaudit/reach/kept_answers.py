"""Answers of earlier runs: each counts only while everything that the run read is unchanged."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ftaudit.model.plain import from_plain, to_plain
from ftaudit.model.reachability import OpenKind, ReachAnswer
from ftaudit.reach.folder_tree import FolderTree
from ftaudit.whole_files import write_whole

_UNSTABLE: Final = frozenset({OpenKind.UNREAD, OpenKind.BINARY})
"""What may be readable in the next run."""


@functools.lru_cache(maxsize=1)
def answer_version() -> str:
    """Return a key for the code that decides an answer, so that stale answers are never used."""
    room = Path(__file__).parent
    package = room.parent
    files = [
        *sorted(room.glob("*.py")),
        package / "model" / "reachability.py",
        package / "python_text.py",
        package / "source" / "python" / "parse.py",
        *sorted((package / "cpython").glob("*.py")),
    ]
    digest = hashlib.sha256(sys.version.encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:24]


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerKey:
    """Everything that decides an answer, except the content of files in folders."""

    question: tuple[str, ...]
    """The target, the platform, and the start points."""
    wheels: tuple[tuple[str, str], ...]
    """The name and the digest of each wheel, in search order."""
    unread: tuple[str, ...]
    """Packages without files."""
    folders: Sequence[FolderTree]

    @property
    def digest(self) -> str:
        """A name for the answer."""
        digest = hashlib.sha256(json.dumps((answer_version(), self.question, self.wheels, self.unread)).encode())
        for tree in self.folders:
            about = (str(tree.root.absolute()), tree.name, tree.prefix, tree.own, sorted(tree.paths()))
            digest.update(json.dumps(about).encode())
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptAnswers:
    """The answers in the cache."""

    folder: Path

    def find(self, key: AnswerKey) -> ReachAnswer | None:
        """Return the answer if no file that its run read has changed since."""
        try:
            kept = json.loads(self._place(key).read_bytes())
            for tree, marks in zip(key.folders, kept["reads"], strict=True):
                if any(tree.mark(path) != mark for path, mark in marks.items()):
                    return None
            answer = from_plain(ReachAnswer, kept["answer"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return replace(answer, bytes_read=0) if isinstance(answer, ReachAnswer) else None

    def keep(self, key: AnswerKey, answer: ReachAnswer) -> None:
        """Store the answer, unless something in it could not be read this time."""
        if any(site.kind in _UNSTABLE and site.file for site in answer.open_sites):
            return
        if any(tree.problems for tree in key.folders):
            return
        kept = {"reads": [tree.reads for tree in key.folders], "answer": to_plain(answer)}
        place = self._place(key)
        with contextlib.suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            write_whole(place, json.dumps(kept).encode())

    def _place(self, key: AnswerKey) -> Path:
        name = key.digest
        return self.folder / "reach" / f"answers-{answer_version()}" / name[:2] / f"{name}.json"
