"""The frames in which the child reports: four bytes of length, the run's nonce, JSON; anything else is no report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

FRAME_BYTES: Final = 1 << 20
"""No honest report is longer."""


class ProtocolViolation(Exception):
    """What arrived is not what our child sends."""


class FrameReader:
    """Takes bytes as they arrive and gives whole messages.

    The nonce is drawn anew for each process and reaches the child on a pipe, so that a module which merely writes
    to every descriptor that it finds is noticed. One that searches the child's memory for it cannot be stopped by
    any means within one process; it can then lie about its own distribution and about no other.
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
                raise ProtocolViolation("a report of impossible length")
            if len(self._buffer) < 4 + length:
                return
            payload, self._buffer = self._buffer[4 : 4 + length], self._buffer[4 + length :]
            if not payload.startswith(self._nonce):
                raise ProtocolViolation("a report that is not our child's")
            try:
                message = json.loads(payload[len(self._nonce) :])
            except (ValueError, RecursionError) as error:
                raise ProtocolViolation("a report that is no JSON") from error
            if not isinstance(message, dict):
                raise ProtocolViolation("a report that is no object")
            yield message
