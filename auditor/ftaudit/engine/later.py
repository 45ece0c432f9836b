"""For what blocks: which later version has a wheel that the target installs, going by the index alone."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

from packaging.version import Version

from ftaudit.index.choose import judge as choose
from ftaudit.index.client import Index
from ftaudit.index.release import ProjectFiles, ReleaseFiles
from ftaudit.model import BLOCKING, PackageFacts, Pin, Status, Verdict, WheelKind
from ftaudit.progress import Progress
from ftaudit.target import Platform, Target

WORKERS: Final = 8
MOST_KEPT: Final = 2000
"""Leads on disk."""


def find_later(
    judged: Sequence[tuple[PackageFacts, Verdict, tuple[str, ...]]],
    *,
    target: Target,
    platforms: Sequence[Platform],
    index: Index,
    cache: Path | None,
    progress: Progress,
) -> dict[tuple[str, str], str]:
    """Map (name, platform) of what blocks to what the index says of later versions.

    A lead, not a verdict: the wheel exists, and what it declares is not looked at. An index that does not
    answer gives no lead.
    """
    by_name = {platform.name: platform for platform in platforms}
    blocked = [facts for facts, verdict, _ in judged if verdict in BLOCKING and _is_listed(facts.pin)]
    if not blocked:
        return {}
    progress.stage("later versions", len(blocked))
    memo = _Memo(cache)

    def find(facts: PackageFacts) -> str | None:
        platform = by_name[facts.platform]
        pin = facts.pin
        page = index.fingerprint(pin.name, index_url=pin.index_url)
        key = None if page is None else f"{pin.name} {pin.version} {target.name} {platform.tags} {page}"
        return memo.recall(
            key, lambda: _lead(facts, index.find_project(pin.name, index_url=pin.index_url), target, platform)
        )

    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        found = dict(zip(blocked, pool.map(find, blocked), strict=True))
    memo.keep()
    return {(str(facts.pin.name), facts.platform): lead for facts, lead in found.items() if lead is not None}


class _Memo:
    """Leads by what they were derived from, kept on disk: the pages of ten projects take a second to parse."""

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / "leads.json"
        self._known: dict[str, str | None] = {}
        self._used: dict[str, str | None] = {}
        with contextlib.suppress(OSError, ValueError):
            read = json.loads(self._path.read_text("utf-8")) if self._path else {}
            if isinstance(read, dict):
                self._known = {key: lead for key, lead in read.items() if lead is None or isinstance(lead, str)}

    def recall(self, key: str | None, find: Callable[[], str | None]) -> str | None:
        """Return the lead under a key, found anew where there is none; without a key nothing is kept."""
        if key is None:
            return find()
        digest = hashlib.sha256(key.encode()).hexdigest()
        lead = self._known[digest] if digest in self._known else find()
        self._used[digest] = lead
        return lead

    def keep(self) -> None:
        """Write the leads, the newest last and the oldest of many forgotten; a failing disk is no error."""
        if self._path is None or self._used.keys() <= self._known.keys():
            return
        every = {**{key: lead for key, lead in self._known.items() if key not in self._used}, **self._used}
        newest = dict(list(every.items())[-MOST_KEPT:])
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self._path.parent, delete=False, encoding="utf-8") as file:
                json.dump(newest, file)
            Path(file.name).replace(self._path)


def _is_listed(pin: Pin) -> bool:
    """Tell whether the package is one that an index lists, and not a file or a folder of the user's."""
    return pin.version is not None and pin.source_tree is None


def _lead(facts: PackageFacts, project: ProjectFiles, target: Target, platform: Platform) -> str | None:
    current = facts.pin.version
    if project.status is not Status.DONE or current is None:
        return None
    fitting = []
    for version in project.versions:
        if version <= current or version.is_prerelease:
            continue
        kind = _kind(facts.pin, version, project, target, platform)
        if kind is not WheelKind.NONE:
            fitting.append((version, kind))
    if not fitting:
        return None
    (newest, newest_kind), (first, first_kind) = fitting[0], fitting[-1]
    told = f"{first} is the first later version with {_described(first_kind)} for {platform.name}"
    if newest != first:
        told += f", {newest} the newest" + (f" ({_described(newest_kind)})" if newest_kind is not first_kind else "")
    return told


def _kind(pin: Pin, version: Version, project: ProjectFiles, target: Target, platform: Platform) -> WheelKind:
    files = tuple(file for file in project.versions[version] if file.yanked is None)
    asked = replace(pin, version=version, files=None, allowed_hashes=frozenset())
    release = ReleaseFiles(status=Status.DONE, origin=project.origin, files=files)
    return choose(asked, release, target, platform).kind


def _described(kind: WheelKind) -> str:
    match kind:
        case WheelKind.FREE_THREADED:
            return "a free-threaded wheel"
        case WheelKind.ABI3T:
            return "an abi3t wheel"
        case WheelKind.PURE:
            return "a pure-Python wheel"
        case WheelKind.NATIVE | WheelKind.NONE:
            return "a wheel"
