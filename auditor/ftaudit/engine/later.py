"""For what blocks: which later version has a wheel that the target installs, going by the index alone."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from packaging.version import Version

from ftaudit.index.choose import judge as choose
from ftaudit.index.client import Index
from ftaudit.index.release import ProjectFiles, ReleaseFiles
from ftaudit.model import BLOCKING, PackageFacts, Pin, Status, Verdict, WheelKind
from ftaudit.progress import Progress
from ftaudit.target import Platform, Target

WORKERS: Final = 8


def find_later(
    judged: Sequence[tuple[PackageFacts, Verdict, tuple[str, ...]]],
    *,
    target: Target,
    platforms: Sequence[Platform],
    index: Index,
    progress: Progress,
) -> dict[tuple[str, str], str]:
    """Map (name, platform) of what blocks to what the index says of later versions.

    A lead, not a verdict: the wheel exists, and what it declares is not looked at. An index that does not
    answer gives no lead.
    """
    by_name = {platform.name: platform for platform in platforms}
    blocked = [facts for facts, verdict, _ in judged if verdict in BLOCKING and _is_listed(facts.pin)]
    names = list(dict.fromkeys((facts.pin.name, facts.pin.index_url) for facts in blocked))
    if not names:
        return {}
    progress.stage("later versions", len(names))
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        projects = dict(
            zip(names, pool.map(lambda name: index.find_project(name[0], index_url=name[1]), names), strict=True)
        )
    leads = {}
    for facts in blocked:
        project = projects[facts.pin.name, facts.pin.index_url]
        lead = _lead(facts, project, target, by_name[facts.platform])
        if lead is not None:
            leads[str(facts.pin.name), facts.platform] = lead
    return leads


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
