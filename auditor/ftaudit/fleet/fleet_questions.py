"""Questions: each is judged once, however many projects ask it. They are plain data, and have a key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

from packaging.utils import canonicalize_name
from packaging.version import Version

from ftaudit.index.index_settings import IndexOptions
from ftaudit.model import DistributionFile, GapKind, Pin
from ftaudit.model.pins import OnDisk


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One pin, without what is about one project, on the platforms on which it is installed."""

    key: str
    """The digest of everything else; 32 hexadecimal digits."""
    pin: Pin
    target: str
    platforms: tuple[str, ...]
    index: IndexOptions
    """The index options of the inputs that have this pin."""

    @property
    def group(self) -> str:
        """What the questions that need the same pages of an index have in common."""
        return f"{self.pin.name} {_digest(repr(self.index)) if self.index != IndexOptions() else ''}".strip()

    @property
    def is_local(self) -> bool:
        """Whether only this machine can answer: it is about a file or folder here."""
        pin = self.pin
        here = any((file.url or "").startswith("file:") for file in pin.files or ())
        places = (self.index.index_url or "", *self.index.extra_index_urls, *self.index.find_links)
        return (
            here
            or pin.source_tree is not None
            or pin.on_disk is not None
            or any(place and not place.startswith(("http://", "https://")) for place in places)
        )


QuestionRow: TypeAlias = "tuple[str, str, bool, str]"
"""A question as plain data: the key, the group, whether it is local, and the rest as JSON."""


def question_of(pin: Pin, target: str, platforms: Iterable[str], index: IndexOptions) -> Question:
    """Return the question about a pin: without its places, and without what requires it."""
    bare = replace(pin, required_by=((str(pin.name),),), source=None, also=())
    where = tuple(sorted(platforms))
    key = _digest(_render(bare, target, where, index))
    return Question(key=key, pin=bare, target=target, platforms=where, index=index)


def row_of_question(question: Question) -> QuestionRow:
    """Return the question as plain data."""
    body = _render(question.pin, question.target, question.platforms, question.index)
    return question.key, question.group, question.is_local, body


def parse_question(key: str, body: str) -> Question:
    """Return the question from its key and its body in a `QuestionRow`."""
    told = json.loads(body)
    index: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in told["index"].items()
    }
    return Question(
        key=key,
        pin=_pin(told["pin"]),
        target=told["target"],
        platforms=tuple(told["platforms"]),
        index=IndexOptions(**index),
    )


def _render(pin: Pin, target: str, platforms: Sequence[str], index: IndexOptions) -> str:
    told = {
        "pin": _plain_pin(pin),
        "target": target,
        "platforms": platforms,
        "index": {slot: value for slot in IndexOptions.__slots__ if (value := getattr(index, slot)) not in (None, ())},
    }
    return json.dumps(told, separators=(",", ":"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _plain_pin(pin: Pin) -> dict[str, Any]:
    """Return a pin without what is about one project; defaults are left out."""
    told = {
        "name": str(pin.name),
        "version": None if pin.version is None else str(pin.version),
        "extras": list(pin.extras),
        "files": None if pin.files is None else [file.as_list() for file in pin.files],
        "allowed_hashes": sorted(pin.allowed_hashes),
        "index_url": pin.index_url,
        "problem": pin.problem,
        "obstacle": None if pin.obstacle is None else pin.obstacle.value,
        "source_tree": pin.source_tree,
        "yanked": pin.yanked,
        "on_disk": None if pin.on_disk is None else asdict(pin.on_disk),
        "no_binary": pin.no_binary,
        "only_binary": pin.only_binary,
    }
    return {name: value for name, value in told.items() if value not in (None, [], False)} | (
        {"files": []} if pin.files == () else {}
    )


def _pin(told: dict[str, Any]) -> Pin:
    version, obstacle, on_disk, files = (told.get(key) for key in ("version", "obstacle", "on_disk", "files"))
    name = canonicalize_name(told["name"])
    return Pin(
        name=name,
        version=None if version is None else Version(version),
        extras=tuple(told.get("extras", ())),
        required_by=((str(name),),),
        files=None if files is None else tuple(map(DistributionFile.from_list, files)),
        allowed_hashes=frozenset(told.get("allowed_hashes", ())),
        index_url=told.get("index_url"),
        problem=told.get("problem"),
        obstacle=None if obstacle is None else GapKind(obstacle),
        source_tree=told.get("source_tree"),
        yanked=told.get("yanked"),
        on_disk=None if on_disk is None else OnDisk(**{key: _tuple(value) for key, value in on_disk.items()}),
        no_binary=told.get("no_binary", False),
        only_binary=told.get("only_binary", False),
    )


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
