"""Makes a facts store from the cache, and compares a store with wheels."""

from __future__ import annotations

import errno
import getpass
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path

from ftaudit.binary.facts_cache import FactsCache, render_facts
from ftaudit.binary.inspection import RANGES, InspectSettings, WheelRequest, facts_key, inspect_wheels
from ftaudit.errors import InputError, StoreMismatch, UsageError
from ftaudit.facts.facts_store import FactsStore, Provenance, write_store
from ftaudit.folders import temporary_folder
from ftaudit.model import BinaryFacts, DistributionFile
from ftaudit.reach import wheel_files
from ftaudit.target import TARGETS, parse_target
from ftaudit.whole_files import digest_of


def export_facts(cache: Path, output: Path, *, by: str | None = None, reach: bool = False) -> tuple[Provenance, int]:
    """Write what the cache has learned of wheels, with this analysis, to a store; return its size in bytes too.

    With `reach`, also what `--reach` has read of wheels.

    Raise `UsageError` if there is nothing to write, or the file cannot be written.
    """
    answers: dict[str, dict[str, bytes]] = {}
    for sha256, key, facts in FactsCache(cache).entries():
        answers.setdefault(sha256, {})[key] = facts
    if not answers:
        raise UsageError(
            f"the cache {cache} has no facts about wheels from this version of ftaudit",
            hint="run `ftaudit check` or `ftaudit fleet check` first",
        )
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    try:
        return write_store(
            output,
            answers,
            by=by or _login(),
            created=created,
            reach_analysis=wheel_files.analysis_version(),
            reach=wheel_files.kept_files(cache) if reach else None,
        )
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "make room on the disk, then repeat the command" if is_full else "specify a file in a folder that exists"
        raise UsageError(f"cannot write {output}: {error.strerror}", hint=hint) from error


def compare_with_wheels(store: FactsStore, places: Iterable[Path]) -> tuple[int, int]:
    """Read wheels and compare them with a store; return the number of answers compared, and of unknown wheels.

    Raise `StoreMismatch` for a wrong answer, and `InputError` for a path that is not a wheel or a folder of wheels.
    """
    wheels = {digest_of(path): path for path in _wheels(places)}
    asked: dict[WheelRequest, list[BinaryFacts]] = {}
    found = set()
    for sha256, key, facts in store.check():
        if sha256 not in wheels:
            continue
        found.add(sha256)
        file = DistributionFile(filename=wheels[sha256].name, url=wheels[sha256].resolve().as_uri())
        for target in map(parse_target, TARGETS):
            request = WheelRequest(file=file, target=target)
            if key == facts_key(request) or key.startswith(f"{facts_key(request)}{RANGES}"):
                asked.setdefault(request, []).append(facts)
    reached = 0
    with temporary_folder() as folder:
        read = inspect_wheels(asked, settings=InspectSettings(cache_dir=folder, use_cache=False))
        for path, data in _reach_files(store, wheels):
            file = DistributionFile(filename=path.name, url=path.resolve().as_uri())
            if not wheel_files.is_content_of(data, file, folder):
                raise _wrong(store, path.name)
            found.add(digest_of(path))
            reached += 1
    for request, answers in asked.items():
        if any(render_facts(each) != render_facts(read[request]) for each in answers):
            raise _wrong(store, f"{request.file.filename} for {request.target.name}")
    return sum(map(len, asked.values())) + reached, len(wheels) - len(found)


def _wrong(store: FactsStore, what: str) -> StoreMismatch:
    return StoreMismatch(
        f"the facts store {store.name} is wrong about {what}",
        hint="stop using this store, and report the error to its maker",
    )


def _reach_files(store: FactsStore, wheels: Mapping[str, Path]) -> Iterator[tuple[Path, bytes]]:
    """Yield the Python files that a store has of wheels, which are given by their digests."""
    analysis = wheel_files.analysis_version()
    for name in () if store.reach is None else sorted(store.reach.files):
        path = wheels.get(name.partition("-")[0])
        data = None if path is None or not name.endswith(".zip") else store.find_reach(analysis, name)
        if path is not None and data is not None:
            yield path, data


def _wheels(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_dir():
            yield from sorted(place.glob("*.whl"))
        elif place.is_file():
            yield place
        else:
            raise InputError(f"{place} does not exist", hint="specify a wheel, or a folder of wheels")


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
