"""The binary tier: what the extension modules of each chosen wheel declare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from ftaudit.binary.inspection import WheelRequest
from ftaudit.engine.rows import INSTALLED_KINDS
from ftaudit.engine.tiers.collect import Key
from ftaudit.engine.tiers.reader import SharedWheelReader
from ftaudit.model import BinaryFacts, Gap, GapKind, IndexFacts, Status, WheelKind
from ftaudit.model.sentences import gap_phrase
from ftaudit.progress import ProgressListener
from ftaudit.target import Target

_NO_WHEEL: Final = Gap(kind=GapKind.NO_WHEEL)
_NOTHING_COMPILED: Final = Gap(kind=GapKind.NOTHING_COMPILED)
_NOT_OPENED: Final = Gap(kind=GapKind.NOT_OPENED)
REBUILD: Final = 2 << 20
"""Byte limit for modules fetched from a wheel of the GIL-enabled build; `ftaudit wheel` also reads larger ones."""


def request_for(found: IndexFacts, target: Target) -> WheelRequest | None:
    """Return what to read for a package, or `None` if there is nothing to read.

    Without a wheel, return the small modules of the wheel that the GIL-enabled build installs: they show what a
    rebuild would declare.
    """
    reason = _why_not(found)
    if reason is None and found.wheel is not None:
        return WheelRequest(file=found.wheel, target=target)
    if reason == _NO_WHEEL and found.gil_wheel is not None and found.gil_wheel.url is not None:
        return WheelRequest(file=found.gil_wheel, target=target, rebuild=True, most=REBUILD)
    return None


def find_binary_facts(
    indexed: Mapping[Key, IndexFacts], *, target: Target, reader: SharedWheelReader, progress: ProgressListener
) -> dict[Key, BinaryFacts]:
    """Read every extension module of the chosen wheels."""
    requests = {key: request for key, found in indexed.items() if (request := request_for(found, target)) is not None}
    read = read_wheels(requests.values(), reader=reader, progress=progress, stage="binaries")
    facts: dict[Key, BinaryFacts] = {}
    for key, found in indexed.items():
        request = requests.get(key)
        if request is None:
            facts[key] = BinaryFacts(status=Status.SKIPPED, reason=_why_not(found))
        else:
            facts[key] = settle(found, request, read[request])
    return facts


def settle(found: IndexFacts, request: WheelRequest, read: BinaryFacts) -> BinaryFacts:
    """Return the content of a wheel as facts about its package."""
    if request.rebuild:
        return _rebuilt(read)
    return _of_pure(read) if found.kind is WheelKind.PURE else read


def _of_pure(read: BinaryFacts) -> BinaryFacts:
    """Return the facts of a wheel without compiled code by its tags; if it cannot be fetched, only those count."""
    if read.status is Status.FAILED and not read.refused:
        return BinaryFacts(status=Status.SKIPPED, reason=_NOT_OPENED, bytes_read=read.bytes_read)
    if read.status is Status.DONE and not (read.modules or read.problems):
        return BinaryFacts(
            status=Status.SKIPPED,
            reason=_NOTHING_COMPILED,
            bytes_read=read.bytes_read,
            startup=read.startup,
            store=read.store,
        )
    return read


def _rebuilt(read: BinaryFacts) -> BinaryFacts:
    """Return the facts of a package without a wheel: its other build's declarations say nothing about the package."""
    if read.status is Status.DONE:
        return BinaryFacts(status=Status.SKIPPED, reason=_NO_WHEEL, modules=read.modules, store=read.store)
    told = "" if read.reason is None else gap_phrase(read.reason)
    return BinaryFacts(status=Status.SKIPPED, reason=Gap(kind=GapKind.REBUILD_NOT_READ, detail=told))


def read_wheels(
    requests: Iterable[WheelRequest], *, reader: SharedWheelReader, progress: ProgressListener, stage: str
) -> dict[WheelRequest, BinaryFacts]:
    """Read each wheel."""
    futures = {request: reader.ask(request) for request in requests}
    if futures:
        progress.stage(stage, len(futures))
    read: dict[WheelRequest, BinaryFacts] = {}
    for request, future in futures.items():
        read[request] = future.result()
        progress.done(request.file.filename)
    return read


def _why_not(found: IndexFacts) -> Gap | None:
    """Return why a wheel is missing, or `None` if it can be read."""
    if found.kind is WheelKind.PURE:
        # Its tags say that it contains no compiled code; the wheel itself is read if possible.
        return None if found.wheel is not None and found.wheel.url is not None else _NOTHING_COMPILED
    if found.kind not in INSTALLED_KINDS or found.wheel is None:
        return _NO_WHEEL
    return (found.no_place or Gap(kind=GapKind.NO_PLACE)) if found.wheel.url is None else None
