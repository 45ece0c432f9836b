"""The end of a deflated member, inflated without what comes before it.

A deflate stream can be entered at any of its blocks (RFC 1951): their headers are self-delimiting, and what a block
copies from the 32 KiB before it is all that is missing. Where a block begins is found by trying: a header that is none
is refused by its code lengths, and a stream entered at the wrong bit does not arrive at the last block's end with the
last byte. Which bytes came from the missing 32 KiB is told by inflating twice, with zeros and with ones in their place.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

WINDOW: Final = 32 << 10
_CHUNK: Final = 4096
_SEARCHED: Final = 96 << 10
"""Bytes in which a block must begin; zlib's blocks are shorter."""
_MOST: Final = 256 << 20
"""Bytes that a tail may inflate to."""


def _either(values: Iterator[int]) -> bytes:
    return b"[" + b"".join(re.escape(bytes((value,))) for value in values) + b"]"


# A block that is not the last one, with codes of its own, at most 286 of literals and lengths and 30 of distances.
_HEADER: Final = re.compile(
    b"(?="
    + _either(value for value in range(256) if value & 7 == 4 and value >> 3 <= 29)
    + _either(value for value in range(256) if value & 31 <= 29)
    + b")",
    re.DOTALL,
)
_SPACE: Final = tuple(
    sum(128 >> length for shift in (0, 3, 6, 9) if (length := lengths >> shift & 7)) for lengths in range(4096)
)
"""How much of the code space (128) four code lengths of three bits take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tail:
    """The last bytes of a member."""

    data: bytes
    other: bytes
    """The same but for the bytes that come from what was not read."""


NO_TAIL: Final = Tail(data=b"", other=b"")


def inflate_tail(raw: bytes) -> Tail | None:
    """Inflate the end of a deflate stream; return `None` where no block begins in what was given."""
    number = int.from_bytes(raw, "little")
    shifted = [raw, *((number >> bits).to_bytes(len(raw), "little") for bits in range(1, 8))]
    for start in range(0, min(len(raw), _SEARCHED), _CHUNK):
        found = sorted(
            8 * match.start() + bits
            for bits, stream in enumerate(shifted)
            for match in _HEADER.finditer(stream, start, start + _CHUNK)
            if _is_complete(stream, match.start())
        )
        for position in found:
            stream = memoryview(shifted[position & 7])[position >> 3 :]
            zeros = _inflated(stream, b"\0" * WINDOW)
            if zeros is not None:
                ones = _inflated(stream, b"\xff" * WINDOW)
                return None if ones is None else Tail(data=zeros, other=ones)
    return None


def _is_complete(stream: bytes, start: int) -> bool:
    """Tell whether the lengths of the header's first code fill its space, as zlib's always do."""
    bits = int.from_bytes(stream[start : start + 10], "little")
    count = (bits >> 13 & 15) + 4
    lengths = bits >> 17 & (1 << 3 * count) - 1
    space = _SPACE
    return (
        space[lengths & 4095]
        + space[lengths >> 12 & 4095]
        + space[lengths >> 24 & 4095]
        + space[lengths >> 36 & 4095]
        + space[lengths >> 48]
        == 128
    )


def _inflated(stream: memoryview, window: bytes) -> bytes | None:
    """Return what a stream inflates to, or `None` unless its last block ends with its last byte."""
    engine = zlib.decompressobj(-zlib.MAX_WBITS, zdict=window)
    try:
        data = engine.decompress(stream, _MOST)
    except zlib.error:
        return None
    # Shifting leaves at most one byte of padding.
    return data if engine.eof and engine.unused_data in (b"", b"\0") else None
