"""The strings of Cython modules: separate, in a table, packed with zlib and with LZSS."""

from __future__ import annotations

import random
import zlib

import pytest

from ftaudit.reach.binary_names import names_in
from ftaudit.reach.cython_tables import MOST_TABLE, unpack_lzss

TEXT = (
    b"\n    Return the sum of what is given.\n" * 4
    + b"pkg.utils"
    + b"abcdefghijklmnop" * 40
    + b"__import__levelnames" * 20
)
KNOWN = frozenset({"pkg.utils", "pkg.other", "pkg.fast", "pkg"})


def pack_lzss(text: bytes) -> bytes:
    """Pack a text greedily: references of two bytes, and three bytes for what is far."""
    packed, at = bytearray(), 0
    while at < len(text):
        flags, group = 0, bytearray()
        for bit in range(8):
            if at >= len(text):
                flags |= 1 << bit
                group.append(0)
                continue
            length = next((n for n in range(60, 2, -1) if len(text) - at >= n and text[at : at + n] in text[:at]), 0)
            if not length:
                flags |= 1 << bit
                group.append(text[at])
                at += 1
                continue
            back = at - text[:at].rfind(text[at : at + length]) - length
            if back < 128:
                group += bytes((back, length - 3))
            elif back < 640 and length < 35:
                far = back - 128
                group += bytes((0x80 | far & 0x7F, far >> 2 & 0x60 | length - 3))
            else:
                far = back - 128
                group += bytes((0x80 | far & 0x7F, 0x80 | far >> 7, length - 3))
            at += length
        packed.append(flags)
        packed += group
    return bytes(packed)


def image(version: str, table: bytes) -> bytes:
    noise = random.Random(3).randbytes(3000)
    head = f"\0cython_runtime\0_cython_{version}.generator\0".encode()
    return b"\x7fELF" + noise + head + table + b"\0" * 200 + noise


def test_what_is_packed_is_unpacked() -> None:
    packed = pack_lzss(TEXT)
    assert len(packed) < len(TEXT) // 2
    assert unpack_lzss(b"ab" + packed, 2)[0].startswith(TEXT)


@pytest.mark.parametrize(
    ("version", "table"),
    [
        ("3_1_4", b"\0pkg.utils\0"),
        ("3_2_0", zlib.compress(TEXT, 9)),
        ("3_2_0", b"a few stringspkg.utilsthat zlib does not make smaller"),
        ("3_3_0", pack_lzss(TEXT)),
        ("3_3_1", b"a few stringspkg.utilsthat nothing makes smaller"),
    ],
)
def test_the_modules_that_a_cython_module_imports_are_named_in_its_strings(version: str, table: bytes) -> None:
    assert names_in(image(version, table), KNOWN, "pkg.fast") == ["pkg.utils"]


def test_a_name_inside_a_longer_string_of_an_old_module_does_not_count() -> None:
    assert names_in(image("3_1_4", b"\0see pkg.utils for more\0"), KNOWN, "pkg.fast") == []


@pytest.mark.parametrize("packed", [b"", b"\xff", b"\xff" * 50, b"\x00\x7f\xff", b"\x07abc" + b"\x00\xff" * 5000])
def test_hostile_data_is_unpacked_within_limits(packed: bytes) -> None:
    text, after = unpack_lzss(packed, 0)
    assert len(text) <= MOST_TABLE + 258 and after <= len(packed) + 3
