"""The frames in which the child reports: four bytes of length, the run's nonce, JSON; anything else is not a report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

FRAME_BYTES: Final = 1 << 20
"""The maximum length of a report."""


class ProtocolViolation(Exception):
    """The data did not come from our child."""


class OutputSplitter:
    """Splits the process's output into the output of each import, at the marks that the child sets between them.

    Reports and output come on two pipes, so that only a mark within the output shows the owner of each part. Of each
    part the first `limit` bytes are kept.
    """

    def __init__(self, mark: str, limit: int) -> None:
        self._mark, self._limit = mark.encode("ascii"), limit
        self._kept, self._tail = b"", b""
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Take bytes as they arrive."""
        self._tail += data
        while (at := self._tail.find(self._mark)) >= 0:
            self._parts.append((self._kept + self._tail[:at])[: self._limit])
            self._kept, self._tail = b"", self._tail[at + len(self._mark) :]
        # A mark may still be under way in the last bytes.
        surplus = len(self._tail) - len(self._mark)
        if surplus > self._limit:
            self._kept = (self._kept + self._tail[:surplus])[: self._limit]
            self._tail = self._tail[surplus:]

    def part(self, number: int) -> bytes:
        """Return the part before the mark of that number, counted from 0; of the last, unmarked one what there is."""
        if number < len(self._parts):
            return self._parts[number]
        return (self._kept + self._tail)[: self._limit] if number == len(self._parts) else b""


class FrameReader:
    """Takes bytes as they arrive and yields whole messages.

    The nonce is new for each process and reaches the child on a pipe, so that a module which merely writes
    to every descriptor that it finds is noticed. One that searches the child's memory for it cannot be stopped by
    any means within one process; it can then lie only about its own distribution.
    """

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce.encode("ascii")
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Yield the messages that are complete now; raise `ProtocolViolation` at the first byte that is wrong."""
        self._buffer += data
        while len(self._buffer) >= 4:
            length = int.from_bytes(self._buffer[:4], "big")
            if length > FRAME_BYTES:
                raise ProtocolViolation("a message has an impossible length")
            if len(self._buffer) < 4 + length:
                return
            payload, self._buffer = self._buffer[4 : 4 + length], self._buffer[4 + length :]
            if not payload.startswith(self._nonce):
                raise ProtocolViolation("a message is not from the process that ftaudit started")
            try:
                message = json.loads(payload[len(self._nonce) :])
            except (ValueError, RecursionError) as error:
                raise ProtocolViolation("a message is not JSON") from error
            if not isinstance(message, dict):
                raise ProtocolViolation("a message is not a JSON object")
            yield message
