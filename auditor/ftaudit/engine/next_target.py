"""Looks ahead: whether the wheels of a report's packages work for the next release of CPython, only by their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from packaging.utils import NormalizedName
from packaging.version import Version

from ftaudit.engine.session import AuditSession
from ftaudit.index.choose import choose_wheel
from ftaudit.index.release import Query
from ftaudit.model import DistributionFile, Gap, GapKind, IndexFacts, Package, Pin, Status, WheelKind
from ftaudit.model.outlook import NextWheel, Outlook
from ftaudit.target import Platform, Target, newest_target

_FROM_PAGES: Final = frozenset({"index", "cache"})
"""Origins of files whose project page was read in this run, so that later releases need no request."""


def find_outlook(
    rows: Sequence[Package], session: AuditSession, proposed: Mapping[NormalizedName, Version] | None = None
) -> Outlook:
    """Return what the next release installs of each package, at the version in `proposed` if it has one.

    Read only file names, from pages that the run has already read: download nothing.
    """
    target = newest_target()
    changes = proposed or {}
    queries = {
        name: Query(name=name, version=version, index_url=_index_url(rows, name)) for name, version in changes.items()
    }
    releases = session.index.find_releases(queries.values()) if queries else {}
    new = {name: releases[query].files for name, query in queries.items() if releases[query].status is Status.DONE}
    platforms = {platform.name: platform for platform in session.platforms}
    found = []
    for row in rows:
        pin, platform = row.facts.pin, platforms[row.facts.platform]
        if pin.name in new:
            moved = replace(pin, version=changes[pin.name])
            found.append(_next_wheel(moved, new[pin.name], "index", platform, target, session))
        else:
            found.append(_of_row(row, platform, target, session))
    after = f"{target.version[0]}.{target.version[1] + 1}"
    return Outlook(target=target.name, after=after, packages=tuple(dict.fromkeys(found)))


def _index_url(rows: Sequence[Package], name: NormalizedName) -> str | None:
    return next((row.facts.pin.index_url for row in rows if row.facts.pin.name == name), None)


def _of_row(row: Package, platform: Platform, target: Target, session: AuditSession) -> NextWheel:
    pin, index = row.facts.pin, row.facts.index
    unknown = NextWheel(name=pin.name, version=pin.version, platform=platform.name, kind=None, gap=index.reason)
    if index.status is not Status.DONE:
        return unknown
    if index.kind is WheelKind.PURE and not index.compiled:
        wheel = None if index.wheel is None else index.wheel.filename
        return replace(unknown, kind=WheelKind.PURE, wheel=wheel, gap=None)
    if index.built_from_source:
        return replace(unknown, kind=WheelKind.PURE, gap=None)
    if pin.on_disk is not None:
        return replace(unknown, gap=Gap(kind=GapKind.INSTALLED), compiled=True)
    return _next_wheel(pin, index.wheels, index.origin, platform, target, session)


def _next_wheel(
    pin: Pin,
    files: Sequence[DistributionFile],
    origin: str | None,
    platform: Platform,
    target: Target,
    session: AuditSession,
) -> NextWheel:
    chosen = _choose(pin, files, target, platform)
    later = None
    if origin in _FROM_PAGES and (chosen.kind is WheelKind.NONE or (chosen.kind is WheelKind.PURE and chosen.compiled)):
        later = next(_later(pin, chosen.kind, target, platform, session), None)
    return NextWheel(
        name=pin.name,
        version=pin.version,
        platform=platform.name,
        kind=chosen.kind,
        wheel=None if chosen.wheel is None else chosen.wheel.filename,
        compiled=chosen.compiled,
        later=later,
    )


def _choose(pin: Pin, files: Sequence[DistributionFile], target: Target, platform: Platform) -> IndexFacts:
    alone = replace(pin, files=tuple(files), allowed_hashes=frozenset(), source_tree=None, problem=None)
    return choose_wheel(alone, None, target, platform)


def _later(pin: Pin, kind: WheelKind, target: Target, platform: Platform, session: AuditSession) -> Iterator[Version]:
    """Yield the later final releases with a wheel that is an improvement, the nearest first."""
    project = session.index.find_project(pin.name, index_url=pin.index_url, after=pin.version)
    for version, files in sorted(project.versions.items()):
        kept = [file for file in files if file.yanked is None]
        if version.is_prerelease or (pin.version is not None and version <= pin.version) or not kept:
            continue
        better = _choose(replace(pin, version=version), kept, target, platform).kind
        if better not in (WheelKind.NONE, kind):
            yield version
