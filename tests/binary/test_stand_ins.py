"""The C library's stand-ins compute the same results from text as glibc, on seeded random input."""

from __future__ import annotations

import ctypes
import itertools
import platform
import random
import sys
from collections.abc import Iterator

import pytest

from ftaudit.binary.stubs import libc_text
from ftaudit.binary.stubs.cpp.cpp_containers import fnv_hash, murmur_hash

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="compared with glibc")
ROUNDS = 3000
MASK = (1 << 64) - 1


def libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def words(chance: random.Random, letters: str, longest: int = 12) -> Iterator[bytes]:
    for _ in range(ROUNDS):
        yield "".join(chance.choice(letters) for _ in range(chance.randrange(longest))).encode()


@pytest.mark.parametrize(("name", "signed"), [("strtol", True), ("strtoul", False)])
def test_numbers_are_parsed_as_glibc_parses_them(name: str, signed: bool) -> None:
    chance, function = random.Random(15), getattr(libc(), name)
    function.restype = ctypes.c_ulong
    function.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_char_p), ctypes.c_int]
    for content in words(chance, "0123456789abcdefzXx+- \t", 24):
        base = chance.choice([0, 0, 2, 8, 10, 10, 16, 16, 36, 1, 37, -3])
        buffer = ctypes.create_string_buffer(content)
        end = ctypes.c_char_p()
        ctypes.set_errno(0)
        value = function(ctypes.cast(buffer, ctypes.c_char_p), ctypes.byref(end), base)
        parsed = libc_text.parse_integer(content, base, signed=signed)
        assert parsed.value == value & MASK, (content, base)
        assert parsed.out_of_range is (ctypes.get_errno() == libc_text.ERANGE), (content, base)
        if parsed.end is not None:
            assert parsed.end == len(content) - len(end.value or b""), (content, base)


@pytest.mark.parametrize(("name", "inside"), [("strspn", True), ("strcspn", False)])
def test_spans_are_as_long_as_glibc_says(name: str, inside: bool) -> None:
    chance, function = random.Random(16), getattr(libc(), name)
    for content, among in itertools.pairwise(words(chance, "abc", 8)):
        assert libc_text.spanned(content, among, inside=inside) == function(content, among)


def test_strings_compare_as_glibc_compares_them() -> None:
    chance, function = random.Random(17), libc().strcmp
    for left, right in itertools.pairwise(words(chance, "ab\xe9", 6)):
        ours, theirs = libc_text.differ(left, right), function(left, right)
        assert (ours > 0, ours < 0) == (theirs > 0, theirs < 0), (left, right)


def test_characters_are_of_the_classes_that_glibc_puts_them_in() -> None:
    location = libc().__ctype_b_loc
    location.restype = ctypes.POINTER(ctypes.POINTER(ctypes.c_ushort))
    table = ctypes.cast(location()[0], ctypes.c_void_p).value or 0
    for code in range(128):
        assert libc_text.classes(code) == ctypes.c_ushort.from_address(table + 2 * code).value, code


def test_formats_print_what_glibc_prints() -> None:
    chance, function = random.Random(18), libc().snprintf
    for _ in range(ROUNDS):
        flags = "".join(chance.sample("-+ #0", chance.randrange(4)))
        width = chance.choice(["", "3", "12", "*"])
        precision = chance.choice(["", ".", ".0", ".2", ".9", ".*"])
        length = chance.choice(["", "h", "hh", "l", "ll", "z"])
        kind = chance.choice("diouxXc") if chance.random() < 0.8 else "s"
        pattern = f"<%{flags}{width}{precision}{'' if kind in 'cs' else length}{kind}>%%".encode()
        arguments: list[int | bytes] = [chance.randrange(-9, 9) for mark in (width, precision) if "*" in mark]
        value = chance.choice([0, 1, -1, 7, 255, 300, -40000, 1 << 31, 1 << 40, -(1 << 63)])
        string = b"text of a string"
        arguments.append(string if kind == "s" else chance.randrange(33, 126) if kind == "c" else value)
        buffer = ctypes.create_string_buffer(256)
        native = [ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments]
        function(buffer, ctypes.c_size_t(256), pattern, *native)
        given = iter([1 if isinstance(a, bytes) else a & MASK for a in arguments])
        made = libc_text.printed(pattern, lambda: next(given), lambda _address, limit: string[:limit])  # noqa: B023
        assert made.known
        assert bytes(made.text) == buffer.value, (pattern, arguments)


@pytest.mark.parametrize("name", ["_ZSt11_Hash_bytesPKvmm", "_ZSt15_Fnv_hash_bytesPKvmm"])
def test_bytes_are_hashed_as_libstdcpp_hashes_them(name: str) -> None:
    try:
        function = getattr(ctypes.CDLL("libstdc++.so.6"), name)
    except (OSError, AttributeError):
        pytest.skip("libstdc++ is missing")
    function.restype = ctypes.c_uint64
    function.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t]
    chance, signed = random.Random(19), platform.machine() in ("x86_64", "AMD64")
    for _ in range(ROUNDS):
        content, seed = chance.randbytes(chance.randrange(40)), chance.getrandbits(64)
        ours = murmur_hash(content, seed) if "Fnv" not in name else fnv_hash(content, seed, signed=signed)
        assert ours == function(content, len(content), seed), (content, seed)
