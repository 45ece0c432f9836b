"""Checks chosen wheels against the hashes that an input allows, if the index names no hash to compare with.

pip downloads such a file and checks its bytes. This class does the same: a wheel without a verified hash is never
judged.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from ftaudit.errors import ArchiveError
from ftaudit.folders import temporary_folder
from ftaudit.index.choose import choose_wheel
from ftaudit.index.client import Index
from ftaudit.index.release import ReleaseFiles
from ftaudit.model import DistributionFile, Gap, GapKind, IndexFacts, Pin, Status
from ftaudit.progress import ProgressListener
from ftaudit.target import Platform, Target
from ftaudit.wheel import fetch_whole, local_path

_CHUNK: Final = 1 << 20


def check_hashes(
    found: Mapping[tuple[Pin, Platform], IndexFacts],
    *,
    target: Target,
    index: Index,
    progress: ProgressListener,
) -> dict[tuple[Pin, Platform], IndexFacts]:
    """Return the facts after a check of each unverified wheel's bytes against the allowed hashes.

    A wheel with other bytes is excluded, and the choice is made again without it. If its bytes cannot be fetched, the
    facts have failed: the package is unknown, not ready.
    """
    asked = [key for key, facts in found.items() if facts.wheel is not None and _is_unvouched(facts.wheel, key[0])]
    if not asked:
        return dict(found)
    progress.stage("hashes", len(asked))
    checked = dict(found)
    with contextlib.ExitStack() as stack:
        cache = index.settings.cache
        folder = cache.parent / "wheels" if cache is not None else stack.enter_context(temporary_folder())
        for pin, platform in asked:
            index.doubt(pin.name)  # The bytes decide, and the page has no digest of them.
            checked[pin, platform] = _checked(pin, platform, found[pin, platform], target, index, folder)
            progress.done(pin.name)
    return checked


def _is_unvouched(file: DistributionFile, pin: Pin) -> bool:
    """Return whether the input allows only certain hashes, and no hash of the file can be compared with them."""
    algorithms = _algorithms(_allowed(file, pin))
    return bool(algorithms) and not any(name in algorithms for name, _ in file.hashes)


def _allowed(file: DistributionFile, pin: Pin) -> frozenset[str]:
    """Return the hashes that the input allows for a file, as `algorithm:digest`: from the pin and from its entry."""
    own = (hash_ for named in pin.files or () if named.filename == file.filename for hash_ in named.hashes)
    return pin.allowed_hashes | {f"{name}:{digest}" for name, digest in own}


def _algorithms(allowed: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted({hash_.partition(":")[0] for hash_ in allowed}))


def _checked(pin: Pin, platform: Platform, facts: IndexFacts, target: Target, index: Index, folder: Path) -> IndexFacts:
    while facts.wheel is not None and _is_unvouched(facts.wheel, pin):
        allowed = _allowed(facts.wheel, pin)
        try:
            digests = _digests(facts.wheel, _algorithms(allowed), index, folder)
            vouched = replace(facts.wheel, hashes=(*facts.wheel.hashes, *digests))
        except ArchiveError as error:
            reason = Gap(kind=GapKind.HASH_UNCHECKED, detail=error.problem)
            return IndexFacts(status=Status.FAILED, reason=reason, origin=facts.origin, wheels=facts.wheels)
        wheels = tuple(vouched if file.filename == vouched.filename else file for file in facts.wheels)
        files = wheels if facts.sdist is None else (*wheels, facts.sdist)
        release = ReleaseFiles(status=Status.DONE, origin=facts.origin, files=files)
        held = replace(pin, allowed_hashes=allowed, files=None if pin.files is None else files)
        again = choose_wheel(held, release, target, platform)
        facts = replace(again, origin=facts.origin, warnings=tuple(dict.fromkeys((*facts.warnings, *again.warnings))))
    return facts


def _digests(
    file: DistributionFile, algorithms: tuple[str, ...], index: Index, folder: Path
) -> Iterator[tuple[str, str]]:
    """Yield the digests of a file's bytes for each algorithm; raise `ArchiveError`."""
    if file.url is None:
        raise ArchiveError("its location is not known", about=file.filename)
    path = local_path(file.url)
    if path is None:
        session = None if index.settings.offline else index.session()
        path = fetch_whole(file.url, session=session, cache_dir=folder)
    for name in algorithms:
        try:
            digest = hashlib.new(name)
        except ValueError as error:
            raise ArchiveError(f"{name} is not a known hash", about=file.filename) from error
        try:
            with path.open("rb") as stream:
                while chunk := stream.read(_CHUNK):
                    digest.update(chunk)
        except OSError as error:
            raise ArchiveError(f"{error.strerror or error}", about=file.filename) from error
        yield name, digest.hexdigest()
