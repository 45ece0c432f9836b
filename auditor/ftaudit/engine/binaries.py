"""The binary tier: what the extension modules of each chosen wheel declare."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from ftaudit.binary.inspect import InspectSettings, WheelRequest, inspect_wheels
from ftaudit.engine.collect import NO_WHEEL, NOTHING_COMPILED, Key
from ftaudit.engine.rows import INSTALLED_KINDS
from ftaudit.index.client import Index
from ftaudit.model import BinaryFacts, IndexFacts, Status, WheelKind
from ftaudit.progress import Progress
from ftaudit.settings import Settings
from ftaudit.target import Target

NO_PLACE: Final = "nothing says where the wheel can be had"


def find_binary_facts(
    indexed: dict[Key, IndexFacts], *, target: Target, settings: Settings, index: Index, progress: Progress
) -> dict[Key, BinaryFacts]:
    """Read every extension module of the chosen wheels."""
    facts: dict[Key, BinaryFacts] = {}
    requests: dict[Key, WheelRequest] = {}
    for key, found in indexed.items():
        reason = _why_not(found)
        if reason is None and found.wheel is not None:
            requests[key] = WheelRequest(file=found.wheel, target=target)
        else:
            facts[key] = BinaryFacts(status=Status.SKIPPED, reason=reason)
    if not requests:
        return facts
    progress.stage("binaries", len(set(requests.values())))
    read = read_wheels(requests.values(), settings=settings, index=index, progress=progress)
    return facts | {key: read[request] for key, request in requests.items()}


def read_wheels(
    requests: Iterable[WheelRequest], *, settings: Settings, index: Index, progress: Progress, record: bool = False
) -> dict[WheelRequest, BinaryFacts]:
    """Read each wheel, and count what that cost and saved of the network."""
    with _folder(settings) as folder:
        read = inspect_wheels(
            requests,
            settings=InspectSettings(
                cache_dir=folder,
                session=None if settings.offline else index.session,
                use_cache=not settings.no_cache,
                workers=settings.jobs,
                record=record,
            ),
            on_done=lambda request, _: progress.done(request.file.filename),
        )
    for wheel in read.values():
        if wheel.status is Status.DONE:
            index.traffic.add(received=wheel.bytes_read, saved=max(0, wheel.bytes_total - wheel.bytes_read))
    return read


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
