"""The strings of a Cython module: C strings up to Cython 3.1, and one table without terminators later.

The table is packed with zlib in Cython 3.2 and with an LZSS variant in 3.3, unless packing does not make it smaller
(`Cython/Utility/StringTools.c`).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Final

MOST_TABLE: Final = 8 << 20
"""Size limit of an unpacked table of strings."""
MOST_TABLES: Final = 64
LEAST_TABLE: Final = 64
"""Bytes of a table; shorter ones are other data."""
LEAST_LZSS: Final = 500
"""The same for a table without a mark at its beginning; Cython packs only what becomes smaller."""
MOST_PLACES: Final = 1 << 18
"""Places in an image where a table may begin."""
LEAST_CHARACTER: Final = 9
"""The first byte that text has: a tabulator."""
MOST_CONTROLS: Final = 64
"""Control characters after which unpacked data is no longer text."""
_VERSION: Final = re.compile(rb"_cython_(\d+)_(\d+)")
_ZLIB: Final = re.compile(rb"\x78[\x9c\xda]")
_BEGINNINGS: Final = {
    literals: bytes(each for each in range(256) if each & ((2 << literals) - 1) == (1 << literals) - 1)
    for literals in range(3, 8)
} | {8: b"\xff"}
"""The first flags of a table, by the bytes of text that begin it as they are: it has nothing to refer back to."""


def _group(literals: int, flags: bytes) -> bytes:
    """Return a pattern for what follows the first flags of a table.

    Behind the bytes of text is, unless the group ends, a reference to within them: at most so far back, and so long.
    """
    rest = rb"" if literals == 8 else rb"[\x00-" + re.escape(bytes([literals - 3])) + rb"]{2}"
    return rb"(?<=[" + re.escape(flags) + rb"])[\s\S]{3}[\t-\xff]{%d}" % (literals - 3) + rest


_LZSS: Final = re.compile(
    rb"[" + re.escape(b"".join(_BEGINNINGS.values())) + rb"](?=[\t\n\r\x20-\x7e\xc2-\xf4]{3})"
    rb"(?=" + rb"|".join(_group(literals, flags) for literals, flags in _BEGINNINGS.items()) + rb")"
)


def cython_version(image: bytes) -> tuple[int, int] | None:
    """Return the version of Cython that made an image, `(0, 0)` if only that is unknown; `None` for other images."""
    if b"cython_runtime" not in image:
        return None
    match = _VERSION.search(image)
    return (0, 0) if match is None else (int(match[1]), int(match[2]))


def cython_tables(image: bytes, version: tuple[int, int]) -> Iterator[bytes]:
    """Yield the tables of strings in an image; the whole image if they must be in it, and are not packed."""
    count = 0
    for table in (*_zlib_tables(image), *(_lzss_tables(image) if version >= (3, 3) else ())):
        count += 1
        yield table
        if count >= MOST_TABLES:
            return
    if not count and version >= (3, 2):
        yield image


def _zlib_tables(image: bytes) -> Iterator[bytes]:
    with memoryview(image) as view:
        for match in _ZLIB.finditer(image):
            engine = zlib.decompressobj()
            try:
                data = engine.decompress(view[match.start() : match.start() + MOST_TABLE], MOST_TABLE)
            except zlib.error:
                continue
            if engine.eof and len(data) > LEAST_TABLE:
                yield data


def _lzss_tables(image: bytes) -> Iterator[bytes]:
    end = places = 0
    for match in _LZSS.finditer(image):
        if match.start() < end:
            continue
        places += 1
        if places > MOST_PLACES:
            return
        data, after = unpack_lzss(image, match.start())
        if len(data) > LEAST_LZSS and min(data[:LEAST_TABLE]) >= LEAST_CHARACTER:
            end = after
            yield data


def unpack_lzss(packed: bytes, start: int) -> tuple[bytes, int]:
    """Return the text that is packed from `start` on, and the place after it.

    The length is not stored: the text ends at a reference to before its beginning, or where it is no longer text. A
    group has a byte of flags, the lowest first: 1 is a byte of text, 0 a reference of two or three bytes.
    """
    text, at, controls = bytearray(), start, 0
    try:
        while len(text) < MOST_TABLE:
            flags = packed[at]
            at += 1
            for _ in range(8):
                if flags & 1:
                    byte = packed[at]
                    at += 1
                    controls += byte < LEAST_CHARACTER
                    if controls > MOST_CONTROLS:
                        return bytes(text), at
                    text.append(byte)
                else:
                    back, length, size = _reference(packed, at)
                    at += size
                    begin = len(text) - back - length
                    if begin < 0:
                        return bytes(text), at
                    text += text[begin : begin + length]
                flags >>= 1
    except IndexError:
        pass
    return bytes(text), at


def _reference(packed: bytes, at: int) -> tuple[int, int, int]:
    """Return the distance from the end of an earlier text, its length, and the bytes that the reference takes."""
    low, high = packed[at], packed[at + 1]
    if not low & 0x80:
        return low, high + 3, 2
    if not high & 0x80:
        return 0x80 + ((high << 2 & 0x180) | (low & 0x7F)), (high & 0x1F) + 3, 2
    return 0x80 + ((high & 0x7F) << 7 | low & 0x7F), packed[at + 2] + 3, 3
