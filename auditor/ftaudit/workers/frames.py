"""The data in the pipes: tasks as pickles, answers as JSON."""

from __future__ import annotations

import io
import json
import pickle
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

_LARGE: Final = 1 << 16
"""Bytes objects of this size are written after the pickle, not copied into it."""


_LENGTH: Final = struct.Struct("<Q")


LARGEST_ANSWER: Final = 1 << 30
"""The most bytes of an answer; a longer one is invalid."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A pickle, and the large bytes objects that are not copied into it."""

    data: bytes
    beside: tuple[bytes, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """The bytes of each part."""
        return len(self.data), *map(len, self.beside)

    def unpack(self) -> Any:
        """Return the value; raise what unpickling raises."""
        return _Unpickler(self.data, self.beside).load()


def pack(value: object) -> Packed:
    """Return the value's pickle; raise what pickling raises."""
    file = io.BytesIO()
    pickler = _Pickler(file)
    pickler.dump(value)
    return Packed(file.getvalue(), tuple(pickler.beside))


class _Pickler(pickle.Pickler):
    """Leaves large bytes objects outside the pickle."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.beside: list[bytes] = []

    def persistent_id(self, obj: Any) -> int | None:
        if type(obj) is bytes and len(obj) >= _LARGE:
            self.beside.append(obj)
            return len(self.beside) - 1
        return None


class _Unpickler(pickle.Unpickler):
    """Takes large bytes objects from outside the pickle."""

    def __init__(self, data: bytes, beside: Sequence[bytes]) -> None:
        super().__init__(io.BytesIO(data))
        self._beside = beside

    def persistent_load(self, pid: int) -> bytes:
        return self._beside[pid]


def send_tasks(stream: BinaryIO, tasks: Sequence[Packed], shared: Packed | None) -> bool:
    """Write tasks, preceded by their shared value if it is new."""
    every = (*tasks, shared) if shared is not None else tasks
    head = json.dumps({"tasks": len(tasks), "sizes": [packed.sizes for packed in every]}).encode()
    stream.write(_LENGTH.pack(len(head)) + head)
    for packed in every:
        stream.write(packed.data)
        stream.writelines(packed.beside)
    stream.flush()
    return True


def receive_tasks(stream: BinaryIO) -> tuple[Sequence[Packed], Packed | None] | None:
    """Read the tasks that `send_tasks` wrote, or return `None` if the stream ends."""
    prefix = stream.read(_LENGTH.size)
    if len(prefix) < _LENGTH.size:
        return None
    head = json.loads(stream.read(_LENGTH.unpack(prefix)[0]))
    every = [Packed(stream.read(data), tuple(map(stream.read, beside))) for data, *beside in head["sizes"]]
    count = head["tasks"]
    return every[:count], next(iter(every[count:]), None)


def send_answer(stream: BinaryIO, encoded: bytes) -> None:
    """Write one answer, which is JSON."""
    stream.write(_LENGTH.pack(len(encoded)) + encoded)
    stream.flush()


def receive_answer(stream: BinaryIO) -> dict[str, Any] | None:
    """Return the answer that `send_answer` wrote; `None` if the stream ends, an empty answer for invalid JSON."""
    prefix = stream.read(_LENGTH.size)
    if len(prefix) < _LENGTH.size:
        return None
    size = _LENGTH.unpack(prefix)[0]
    if size > LARGEST_ANSWER:
        return {}
    encoded = stream.read(size)
    if len(encoded) < size:
        return None
    try:
        answer = json.loads(encoded)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}
