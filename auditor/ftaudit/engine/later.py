"""For what blocks: which later version has a wheel that the target installs and that leaves the GIL off."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

from packaging.version import Version

from ftaudit.binary.inspect import WheelRequest
from ftaudit.engine.binaries import read_wheels
from ftaudit.index.choose import judge as choose
from ftaudit.index.client import Index
from ftaudit.index.release import ProjectFiles, ReleaseFiles
from ftaudit.model import (
    BLOCKING,
    DistributionFile,
    GilDeclaration,
    PackageFacts,
    Pin,
    Status,
    Verdict,
    WheelKind,
)
from ftaudit.progress import Progress, Silent
from ftaudit.settings import Settings
from ftaudit.target import Platform, Target

WORKERS: Final = 8
MOST_LOOKED_INTO: Final = 8
"""Versions whose wheels are read to find the first good one."""
Look: TypeAlias = Callable[[DistributionFile], "bool | None"]
MOST_KEPT: Final = 2000
"""Leads on disk."""


def find_later(
    judged: Sequence[tuple[PackageFacts, Verdict, tuple[str, ...]]],
    *,
    target: Target,
    platforms: Sequence[Platform],
    index: Index,
    settings: Settings,
    progress: Progress,
) -> dict[tuple[str, str], str]:
    """Map (name, platform) of what blocks to what the index and the wheels' binaries say of later versions.

    A lead, not a verdict: nothing is imported, and what else pins the package is not asked. An index that does
    not answer gives no lead.
    """
    by_name = {platform.name: platform for platform in platforms}
    blocked = [facts for facts, verdict, _ in judged if verdict in BLOCKING and _is_listed(facts.pin)]
    if not blocked:
        return {}
    progress.stage("later versions", len(blocked))
    memo = _Memo(None if settings.no_cache else settings.cache)
    look = looker(target, settings, index)

    def find(facts: PackageFacts) -> str | None:
        platform = by_name[facts.platform]
        pin = facts.pin
        page = index.fingerprint(pin.name, index_url=pin.index_url)
        key = None if page is None else f"3 {pin.name} {pin.version} {target.name} {platform.tags} {page}"

        def search() -> str | None:
            project = index.find_project(pin.name, index_url=pin.index_url)
            return _lead(facts, _fits(facts, project, target, platform), platform, look)

        return memo.recall(key, search)

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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fit:
    """A later version with a wheel that the target installs."""

    version: Version
    kind: WheelKind
    wheel: DistributionFile


def _lead(facts: PackageFacts, fits: Sequence[_Fit], platform: Platform, look: Look) -> str | None:
    """Say which of the fitting versions, oldest first, is the first that is no worse than it should be."""
    compiled = [fit for fit in fits if fit.kind is not WheelKind.PURE]
    pure = [fit for fit in fits if fit.kind is WheelKind.PURE]
    slower = f"{pure[0].version} is the first with a pure-Python wheel: it works, slower" if pure else None
    if not compiled:
        return slower
    newest = compiled[-1]
    if look(newest.wheel) is False:
        worse = f"{newest.version}, the newest with a wheel for {platform.name}, turns the GIL on too"
        return f"{worse}; {slower or 'ask upstream, and name the modules above'}"
    fate = {fit.version: look(fit.wheel) for fit in compiled[:1]}
    for fit in compiled[1:MOST_LOOKED_INTO]:
        if any(known is not False for known in fate.values()):
            break
        fate[fit.version] = look(fit.wheel)
    first = next((fit for fit in compiled if fate.get(fit.version) is not False), newest)
    sure = "leaves the GIL off" if fate.get(first.version) else "does not turn the GIL on, as far as it could be read"
    told = f"{first.version} is the first later version whose wheel for {platform.name} {sure}"
    if newest.version != first.version:
        told += f", {newest.version} the newest"
    if pure and pure[0].version < first.version:
        told += f" ({pure[0].version} falls back to pure Python)"
    return f"{told}; check it with `ftaudit check`"


def _fits(facts: PackageFacts, project: ProjectFiles, target: Target, platform: Platform) -> list[_Fit]:
    """Return the later final versions that have such a wheel, oldest first; yanked files do not count."""
    current = facts.pin.version
    if project.status is not Status.DONE or current is None:
        return []
    found = []
    for version, files in sorted(project.versions.items()):
        if version <= current or version.is_prerelease:
            continue
        asked = replace(facts.pin, version=version, files=None, allowed_hashes=frozenset())
        kept = tuple(file for file in files if file.yanked is None)
        chosen = choose(asked, ReleaseFiles(status=Status.DONE, origin=project.origin, files=kept), target, platform)
        if chosen.wheel is not None:
            found.append(_Fit(version=version, kind=chosen.kind, wheel=chosen.wheel))
    return found


def looker(target: Target, settings: Settings, index: Index) -> Look:
    """Return a function that reads what a wheel's modules declare: `True` when all leave the GIL off."""
    lock = threading.Lock()

    def look(wheel: DistributionFile) -> bool | None:
        request = WheelRequest(file=wheel, target=target)
        with lock:
            facts = read_wheels([request], settings=settings, index=index, progress=Silent())[request]
        declared = {module.binary.declaration for module in facts.modules if module.binary is not None}
        if declared & {GilDeclaration.USED, GilDeclaration.UNDECLARED}:
            return False
        if facts.status is not Status.DONE or GilDeclaration.UNDETERMINED in declared:
            return None
        return True

    return look
