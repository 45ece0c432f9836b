"""Caches the facts of a wheel without expiry: by the wheel's SHA-256 and by the analysis."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from ftaudit.__about__ import __version__
from ftaudit.model import (
    BinaryFacts,
    ExtensionModule,
    Gap,
    ModuleBinary,
    Status,
)
from ftaudit.model.plain import from_plain, to_plain
from ftaudit.whole_files import write_whole

READ_BY: Final = ("wheel", "cpython")
"""The other folders whose code and data decide what is read of a wheel."""
_TEXTS: Final = tuple[str, ...]
_DIGEST: Final = frozenset("0123456789abcdef")


@functools.lru_cache(maxsize=1)
def analysis_version() -> str:
    """Return the identity of the analysis: ftaudit's version, and the digest of the code that reads and emulates.

    No constant needs to be raised when that code changes, so no stale answer survives a change of it.
    """
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for room in (here, *(here.parent / name for name in READ_BY)):
        for path in sorted((*room.rglob("*.py"), *room.rglob("*.txt"))):
            digest.update(path.relative_to(room).as_posix().encode() + b"\0" + path.read_bytes())
    return f"{__version__}-{digest.hexdigest()[:16]}"


class FactsCache:
    """Facts of wheels as JSON files in a folder, one per wheel and target. Unreadable files count as missing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "binary" / analysis_version()

    @property
    def is_empty(self) -> bool:
        """Whether no facts of this analysis were ever stored."""
        return not self._folder.is_dir()

    def read(self, sha256: str, key: str) -> BinaryFacts | None:
        """Return the facts of the wheel with this digest, or `None`."""
        try:
            return parse_facts(json.loads(self._path(sha256, key).read_bytes()))
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    def write(self, sha256: str, key: str, facts: BinaryFacts) -> None:
        """Store the facts, whole or not at all; a cache that cannot be written is not a failure."""
        path = self._path(sha256, key)
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, render_facts(facts))

    def entries(self) -> Iterator[tuple[str, str, bytes]]:
        """Yield everything that is stored: the digest of a wheel, the key, and the facts as JSON; sorted."""
        for path in sorted(self._folder.glob("[0-9a-f][0-9a-f]/*.json")):
            sha256, _, key = path.stem.partition("-")
            facts = self.read(sha256, key) if _is_digest(sha256) else None
            if facts is not None:
                yield sha256, key, render_facts(facts)

    def _path(self, sha256: str, key: str) -> Path:
        digest = sha256.lower()
        if not _is_digest(digest):
            raise ValueError(f"no SHA-256 digest: {sha256!r}")
        return self._folder / digest[:2] / f"{digest}-{key}.json"


def _is_digest(text: str) -> bool:
    return len(text) == 64 and _DIGEST.issuperset(text)


def render_facts(facts: BinaryFacts) -> bytes:
    """Return the facts as JSON, without what is about one run: the bytes that were read, and who answered."""
    return json.dumps(_as_dict(facts), separators=(",", ":")).encode()


def _as_dict(facts: BinaryFacts) -> dict[str, Any]:
    return {
        "status": facts.status.value,
        "reason": to_plain(facts.reason),
        "total": facts.bytes_total,
        "classifiers": facts.classifiers,
        "problems": facts.problems,
        "refused": facts.refused,
        "startup": facts.startup,
        "modules": [
            {
                "name": module.name,
                "path": module.path,
                "binary": module.binary and asdict(module.binary),
                "would_declare": module.would_declare and asdict(module.would_declare),
            }
            for module in facts.modules
        ],
    }


def parse_facts(kept: dict[str, Any]) -> BinaryFacts:
    """Return the facts from their plain form; raise `ValueError`, `TypeError`, `KeyError` or `AttributeError`."""
    return BinaryFacts(
        status=Status(kept["status"]),
        reason=None if kept["reason"] is None else from_plain(Gap, kept["reason"]),
        bytes_total=_size(kept["total"]),
        classifiers=from_plain(_TEXTS, kept["classifiers"]),
        problems=from_plain(_TEXTS, kept["problems"]),
        refused=from_plain(_TEXTS, kept["refused"]),
        startup=from_plain(_TEXTS, kept["startup"]),
        modules=tuple(
            ExtensionModule(
                name=from_plain(str, module["name"]),
                path=from_plain(str, module["path"]),
                binary=parse_binary(module["binary"]),
                would_declare=parse_binary(module["would_declare"]),
            )
            for module in _list(kept["modules"])
        ),
    )


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("not a list")  # noqa: TRY004 - it is the file's fault.
    return value


def _size(value: Any) -> int:
    size = from_plain(int, value)
    if size < 0:
        raise ValueError("a negative size")
    return int(size)


def parse_binary(kept: dict[str, Any] | None) -> ModuleBinary | None:
    """Return the facts about a module from their plain form; raise `ValueError` for any other form."""
    found: ModuleBinary | None = from_plain(ModuleBinary | None, kept, named=False)
    return found
