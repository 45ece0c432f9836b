"""The binary tier: what the extension modules of each chosen wheel declare."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from ftaudit.binary.inspect import Inspector, InspectSettings, WheelRequest
from ftaudit.engine.collect import NO_WHEEL, NOTHING_COMPILED, Key
from ftaudit.engine.rows import INSTALLED_KINDS
from ftaudit.index.client import Index
from ftaudit.model import BinaryFacts, IndexFacts, Status, WheelKind
from ftaudit.progress import Progress
from ftaudit.settings import Settings
from ftaudit.target import Target

NO_PLACE: Final = "nothing says where the wheel can be had"
REBUILD: Final = 2 << 20
"""Bytes of modules that are fetched of a wheel of the ordinary build; `ftaudit wheel` reads the larger ones too."""


def find_binary_facts(
    indexed: dict[Key, IndexFacts], *, target: Target, settings: Settings, index: Index, progress: Progress
) -> dict[Key, BinaryFacts]:
    """Read every extension module of the chosen wheels.

    Where there is none, the modules are those of the wheel that the ordinary build installs, small ones: what they
    would declare if they were rebuilt.
    """
    facts: dict[Key, BinaryFacts] = {}
    requests: dict[Key, WheelRequest] = {}
    for key, found in indexed.items():
        reason = _why_not(found)
        if reason is None and found.wheel is not None:
            requests[key] = WheelRequest(file=found.wheel, target=target)
            continue
        facts[key] = BinaryFacts(status=Status.SKIPPED, reason=reason)
        if reason == NO_WHEEL and found.gil_wheel is not None and found.gil_wheel.url is not None:
            requests[key] = WheelRequest(file=found.gil_wheel, target=target, rebuild=True, most=REBUILD)
    if not requests:
        return facts
    progress.stage("binaries", len(set(requests.values())))
    read = read_wheels(requests.values(), settings=settings, index=index, progress=progress)
    for key, request in requests.items():
        facts[key] = _rebuilt(read[request]) if request.rebuild else read[request]
    return facts


def _rebuilt(read: BinaryFacts) -> BinaryFacts:
    """Return the facts of a package without a wheel: what its other build's would declare says nothing of itself."""
    if read.status is Status.DONE:
        return BinaryFacts(status=Status.SKIPPED, reason=NO_WHEEL, modules=read.modules)
    return BinaryFacts(status=Status.SKIPPED, reason=f"{NO_WHEEL}; the ordinary build's was not read: {read.reason}")


def read_wheels(
    requests: Iterable[WheelRequest], *, settings: Settings, index: Index, progress: Progress, record: bool = False
) -> dict[WheelRequest, BinaryFacts]:
    """Read each wheel, and count what that cost and saved of the network."""
    read: dict[WheelRequest, BinaryFacts] = {}
    with open_reader(settings, index, record=record) as submit:
        futures = {request: submit(request) for request in dict.fromkeys(requests)}
        for request, future in futures.items():
            read[request] = future.result()
            progress.done(request.file.filename)
    return read


@contextlib.contextmanager
def open_reader(
    settings: Settings, index: Index, *, record: bool = False
) -> Iterator[Callable[[WheelRequest], Future[BinaryFacts]]]:
    """Give a function that has a wheel read in the background; what that cost and saved is counted at the end."""
    futures: list[Future[BinaryFacts]] = []
    with _folder(settings) as folder:
        inspection = InspectSettings(
            cache_dir=folder,
            session=None if settings.offline else index.session,
            use_cache=not settings.no_cache,
            workers=settings.jobs,
            record=record,
        )
        with Inspector(inspection) as inspector:

            def submit(request: WheelRequest) -> Future[BinaryFacts]:
                futures.append(inspector.submit(request))
                return futures[-1]

            yield submit
    for wheel in (future.result() for future in futures if future.done() and not future.cancelled()):
        if wheel.status is not Status.FAILED:
            index.traffic.add(received=wheel.bytes_read, saved=max(0, wheel.bytes_total - wheel.bytes_read))


def _why_not(found: IndexFacts) -> str | None:
    """Return why there is no wheel to read, or `None` where there is one."""
    if found.kind is WheelKind.PURE:
        return NOTHING_COMPILED
    if found.kind not in INSTALLED_KINDS or found.wheel is None:
        return NO_WHEEL
    return (found.no_place or NO_PLACE) if found.wheel.url is None else None


@contextlib.contextmanager
def _folder(settings: Settings) -> Iterator[Path]:
    """Give the cache folder, or with `--no-cache` one that is gone afterwards."""
    if not settings.no_cache:
        yield settings.cache
        return
    with tempfile.TemporaryDirectory(prefix="ftaudit-") as name:
        yield Path(name)
