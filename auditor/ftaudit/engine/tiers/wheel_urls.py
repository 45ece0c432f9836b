"""Finds the URLs of wheels that an input only names, on the index, and checks them against the input's hashes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ftaudit.engine.rows import INSTALLED_KINDS
from ftaudit.index.client import Index
from ftaudit.index.release import Query
from ftaudit.model import DistributionFile, Gap, GapKind, IndexFacts, Pin
from ftaudit.model.sentences import gap_of_many
from ftaudit.progress import ProgressListener
from ftaudit.target import Platform


def find_places(
    found: Mapping[tuple[Pin, Platform], IndexFacts], *, index: Index, progress: ProgressListener
) -> dict[tuple[Pin, Platform], IndexFacts]:
    """Return the facts with the URL of each chosen wheel that has none, or with why it is not known.

    The lock files of Poetry and PDM have only file names and hashes, which are enough to choose a wheel. The index is
    queried only if there is compiled code to read, and then also for the pure-Python packages that an import needs. A
    file of that name with another hash is not used.
    """
    asked = {
        key: Query(name=key[0].name, version=key[0].version, index_url=key[0].index_url)
        for key, facts in found.items()
        if facts.wheel is not None and facts.wheel.url is None and key[0].version is not None
    }
    if not any(found[key].kind in INSTALLED_KINDS for key in asked):
        return dict(found)
    queries = set(asked.values())
    progress.stage("places of wheels", len(queries))
    releases = index.find_releases(queries, on_done=lambda query, _: progress.done(query.name))
    placed = dict(found)
    for key, query in asked.items():
        wheel, release = found[key].wheel, releases[query]
        if wheel is not None:
            placed[key] = _placed(found[key], wheel, release.files, release.reason)
    return placed


def _placed(
    facts: IndexFacts, wheel: DistributionFile, files: tuple[DistributionFile, ...], reason: Gap | None
) -> IndexFacts:
    there = next((file for file in files if file.filename == wheel.filename and file.url is not None), None)
    if there is None:
        why = "the index does not list it, or no longer lists it" if reason is None else gap_of_many(reason)
        return replace(facts, no_place=Gap(kind=GapKind.NOT_LISTED, subject=wheel.filename, detail=why))
    theirs = dict(there.hashes)
    if any(theirs.get(name, digest) != digest for name, digest in wheel.hashes):
        return replace(facts, no_place=Gap(kind=GapKind.OTHER_HASH, subject=wheel.filename))
    yanked = (
        () if there.yanked is None else (f"{wheel.filename} was yanked{': ' if there.yanked else ''}{there.yanked}",)
    )
    # If the index names no such hash, the file is not verified yet: `hashes.py` reads its bytes.
    vouched = any(name in theirs for name, _ in wheel.hashes)
    file = replace(there, hashes=tuple({**theirs, **(dict(wheel.hashes) if vouched else {})}.items()))
    return replace(facts, wheel=file, warnings=(*facts.warnings, *yanked))
