"""The cache folder as a whole: its content, the limits on its growth, and how it is emptied.

Only files that ftaudit itself writes are removed: files of known names below known folders, so that any folder that
is not our cache loses nothing. Failures are not errors: another process may be at work in the same folder.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ftaudit.folders import remove_tree, size_of

DAY: Final = 86400.0
MARKER: Final = ".tidied"
"""Its modification time says when the folder was last tidied."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CachePart:
    """One kind of cached data."""

    name: str
    what: str
    patterns: tuple[str, ...]
    """Globs below the cache folder. What they match is removed; a folder as a whole."""
    days: float | None = None
    """After so many days unwritten it goes; `None` leaves that to the room that writes it."""
    most: int | None = None
    """Bytes, beyond which the oldest goes."""
    costly: bool = False
    """It takes minutes to rebuild: emptied only if it is named."""


PARTS: Final = (
    CachePart(
        name="index",
        what="pages of package indexes",
        patterns=("index/pages/[0-9a-f][0-9a-f]/*.page", "index/pages/[0-9a-f][0-9a-f]/*.json"),
        days=60,
        most=1 << 30,
    ),
    CachePart(
        name="binary",
        what="facts that were read from wheels",
        patterns=("binary/*/[0-9a-f][0-9a-f]/*.json",),
        days=60,
        most=256 << 20,
    ),
    CachePart(
        name="reach",
        what="Python files and module names from wheels, and reach results",
        patterns=("reach/*/[0-9a-f][0-9a-f]/*.zip", "reach/*/[0-9a-f][0-9a-f]/*.json"),
        days=60,
        most=1 << 30,
    ),
    CachePart(
        name="wheels",
        what="complete wheels",
        patterns=("wheels/*.whl", "wheels/*.part"),
        days=30,
        most=1 << 30,
    ),
    CachePart(
        name="sdists",
        what="source distributions",
        patterns=("sdists/*.tar.gz", "sdists/*.zip", "sdists/*.tar.bz2", "sdists/*.tar.xz"),
        days=30,
        most=1 << 30,
    ),
    CachePart(name="leads", what="facts about later versions", patterns=("later.json", "leads.json", "surveys.json")),
    CachePart(name="scan", what="results of scans", patterns=("scan/results-*.sqlite3",)),
    CachePart(name="fleet", what="results of fleet runs", patterns=("fleet/answers-*.sqlite3",)),
    CachePart(
        name="environments", what="wheels that are installed for imports", patterns=("environments/" + "[0-9a-f]" * 32,)
    ),
    CachePart(name="facts", what="facts stores that were imported", patterns=("facts/*.ftfacts",), costly=True),
    CachePart(
        name="python", what="interpreters that ftaudit built", patterns=("python/[0-9]*.[0-9]*.[0-9]*t",), costly=True
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How much there is of one part."""

    part: CachePart
    items: int
    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Item:
    path: Path
    bytes: int
    written: float


def measure(cache: Path) -> tuple[Size, ...]:
    """Return how much there is of each part."""
    sizes = []
    for part in PARTS:
        found = list(_items(cache, part))
        sizes.append(Size(part=part, items=len(found), bytes=sum(item.bytes for item in found)))
    return tuple(sizes)


def clean(cache: Path, parts: Iterable[CachePart]) -> int:
    """Empty the parts; return how many bytes were freed."""
    return sum(_remove(item) for part in parts for item in _items(cache, part))


def tidy(cache: Path, *, now: float | None = None) -> int:
    """Remove what is too old or too much, at most once a day; return how many bytes were freed."""
    now = time.time() if now is None else now
    marker = cache / MARKER
    with contextlib.suppress(OSError):
        if not cache.is_dir() or abs(now - marker.stat().st_mtime) < DAY:
            return 0
    try:
        marker.touch()
        os.utime(marker, (now, now))
    except OSError:
        return 0
    freed = 0
    for part in PARTS:
        if part.days is None and part.most is None:
            continue
        kept = 0
        for item in sorted(_items(cache, part), key=lambda item: item.written, reverse=True):
            kept += item.bytes
            old = part.days is not None and now - item.written > part.days * DAY
            if old or (part.most is not None and kept > part.most):
                freed += _remove(item)
    return freed


def _items(cache: Path, part: CachePart) -> Iterator[_Item]:
    for pattern in part.patterns:
        for path in cache.glob(pattern):
            with contextlib.suppress(OSError):
                status = path.lstat()
                size = status.st_size if not path.is_dir() or path.is_symlink() else size_of(path)
                yield _Item(path=path, bytes=size, written=status.st_mtime)


def _remove(item: _Item) -> int:
    """Remove a file, or a folder that no process holds; return the number of freed bytes."""
    with contextlib.suppress(OSError):
        if item.path.is_symlink() or not item.path.is_dir():
            item.path.unlink()
            return item.bytes
        with _held(item.path):
            return item.bytes if remove_tree(item.path) else 0
    return 0


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold the lock of an environment, as the sandbox does; raise `OSError` if another process does."""
    lock = folder.with_name(f"{folder.name}.lock")
    if os.name != "posix" or not lock.exists():
        yield
        return
    import fcntl

    with lock.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
