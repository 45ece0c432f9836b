"""The end of a deflated member, inflated without what comes before it.

A deflate stream can be entered at any of its blocks (RFC 1951): their headers are self-delimiting, and what a block
copies from the 32 KiB before it is all that is missing. Trial finds where a block begins: an invalid header
is rejected by its code lengths, and a stream entered at the wrong bit does not reach the last block's end with the
last byte. Inflating twice, with zeros and with ones in their place, shows which bytes came from the missing 32 KiB.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

WINDOW: Final = 32 << 10
_CHUNK: Final = 4096
_SEARCHED: Final = 96 << 10
"""Bytes in which a block must begin; zlib's blocks are shorter."""
_HEADER: Final = 10
"""Bytes that hold the checked fields of a block's header."""
_PROBE: Final = 2048
"""Bytes that are inflated first, to see whether a block begins."""
_CODE_LENGTHS: Final = 19
"""Code lengths of the code for code lengths, of which a header has at least four (RFC 1951, 3.2.7)."""
_MOST: Final = 256 << 20
"""Bytes that a tail may inflate to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tail:
    """The last bytes of a member."""

    data: bytes
    other: bytes
    """The same except for the bytes that come from data that was not read."""


NO_TAIL: Final = Tail(data=b"", other=b"")


def inflate_tail(raw: bytes) -> Tail | None:
    """Inflate the end of a deflate stream; return `None` if no block begins in what was given."""
    for start in range(0, min(len(raw), _SEARCHED), _CHUNK):
        begins = _find_headers(raw[start : start + _CHUNK + _HEADER])
        while begins:
            lowest = begins & -begins
            begins ^= lowest
            place, bit = divmod(lowest.bit_length() - 1, 8)
            place += start
            if not _begins(_shifted(raw[place : place + _PROBE], bit)):
                continue
            stream = _shifted(raw[place:], bit)
            zeros = _inflated(stream, b"\0" * WINDOW)
            if zeros is not None:
                ones = _inflated(stream, b"\xff" * WINDOW)
                return None if ones is None else Tail(data=zeros, other=ones)
    return None


def _shifted(raw: bytes, bit: int) -> bytes:
    """Return the stream from a bit of its first byte on."""
    return (int.from_bytes(raw, "little") >> bit).to_bytes(len(raw), "little") if bit else raw


def _find_headers(raw: bytes) -> int:
    """Return a number that has a bit set where a block can begin in the first `_CHUNK` bytes.

    That is a block with its own codes, not the last one, of at most 286 literals and lengths and 30 distances, of
    which the lengths of the code for code lengths fill the code space, as zlib's always do. All positions are looked
    at together: each number here holds one bit of every position.
    """
    bits = int.from_bytes(raw, "little")
    count = 8 * min(len(raw), _CHUNK)
    every = (1 << count) - 1

    def field(first: int, width: int) -> list[int]:
        return [bits >> first + place & every for place in range(width)]

    final, low, high = field(0, 3)
    literals, distances = field(4, 4), field(9, 4)
    found = every & ~final & ~low & high
    found &= ~(literals[0] & literals[1] & literals[2] & literals[3])
    found &= ~(distances[0] & distances[1] & distances[2] & distances[3])
    given = _at_least(field(13, 4), every)
    space, over = [0] * 8, 0
    for number in range(_CODE_LENGTHS):
        low, middle, high = field(17 + 3 * number, 3)
        used = found if number < 4 else found & given[number - 4]
        neither, first = used & ~(middle | high), used & middle & ~high
        second, both = used & high & ~middle, used & middle & high
        # A code of length n takes 2 ** (7 - n) of a space of 2 ** 7.
        taken = (both & low, both & ~low, second & low, second & ~low, first & low, first & ~low, neither & low, 0)
        carry = 0
        for place, share in enumerate(taken):
            added = share | carry
            carry = space[place] & added
            space[place] ^= added
        over |= carry
    less = space[0] | space[1] | space[2] | space[3] | space[4] | space[5] | space[6]
    return found & space[7] & ~less & ~over


def _at_least(number: list[int], every: int) -> list[int]:
    """Return of a four-bit number, one bit of every position each, where it is at least 1, at least 2, … 15."""
    found, least = [], 0
    for value in range(15, 0, -1):
        same = every
        for place, bit in enumerate(number):
            same &= bit if value >> place & 1 else ~bit
        least |= same
        found.append(least)
    return found[::-1]


def _begins(stream: bytes) -> bool:
    """Return whether the first bytes of a stream can be inflated: most invalid blocks fail there."""
    try:
        zlib.decompressobj(-zlib.MAX_WBITS, zdict=b"\0" * WINDOW).decompress(stream, _MOST)
    except zlib.error:
        return False
    return True


def _inflated(stream: bytes, window: bytes) -> bytes | None:
    """Return what a stream inflates to, or `None` unless its last block ends with its last byte."""
    engine = zlib.decompressobj(-zlib.MAX_WBITS, zdict=window)
    try:
        data = engine.decompress(stream, _MOST)
    except zlib.error:
        return None
    # Shifting leaves at most one byte of padding.
    return data if engine.eof and engine.unused_data in (b"", b"\0") else None
