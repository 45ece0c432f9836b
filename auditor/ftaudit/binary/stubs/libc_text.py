"""The C library's computations on text, exactly as in glibc with the C locale: pure functions on bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

ERANGE: Final = 34
WHITE: Final = b" \t\n\v\f\r"
_MOST_WIDE: Final = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Parsed:
    """The result of `strtol` and similar functions for a text."""

    value: int
    """As a 64-bit two's complement number without sign."""
    end: int | None
    """How many bytes were taken; `None` if the pointer to the end is unchanged."""
    out_of_range: bool = False


def parse_integer(text: bytes, base: int, *, signed: bool, binary: bool = False) -> Parsed:
    """Return the result of `strtol`, or `strtoul` if not `signed`, for a text; `binary` admits `0b` as C23 does."""
    if base < 0 or base == 1 or base > 36:
        return Parsed(value=0, end=None)
    place = len(text) - len(text.lstrip(WHITE))
    negative = text[place : place + 1] == b"-"
    if text[place : place + 1] in (b"-", b"+"):
        place += 1
    prefix = text[place : place + 2].lower()
    if base in (0, 16) and prefix == b"0x" and _digit(text, place + 2) < 16:
        place, base = place + 2, 16
    elif binary and base in (0, 2) and prefix == b"0b" and _digit(text, place + 2) < 2:
        place, base = place + 2, 2
    elif base == 0:
        base = 8 if prefix[:1] == b"0" else 10
    start, value = place, 0
    while (digit := _digit(text, place)) < base:
        value = value * base + digit
        place += 1
    if place == start:
        return Parsed(value=0, end=0)
    if signed:
        limit = 1 << 63 if negative else (1 << 63) - 1
        clamped = min(value, limit)
        return Parsed(value=(-clamped if negative else clamped) % (1 << 64), end=place, out_of_range=value > limit)
    if value >> 64:
        return Parsed(value=(1 << 64) - 1, end=place, out_of_range=True)
    return Parsed(value=(-value if negative else value) % (1 << 64), end=place)


def _digit(text: bytes, place: int) -> int:
    char = text[place : place + 1]
    return int(char, 36) if char.isalnum() and char.isascii() else 99


def spanned(text: bytes, among: bytes, *, inside: bool) -> int:
    """Return how many bytes at the beginning are among others, or are not."""
    return next((index for index, byte in enumerate(text) if (byte in among) is not inside), len(text))


def differ(left: bytes, right: bytes) -> int:
    """Return how two zero-terminated strings compare: the difference of the first bytes that differ."""
    for first, second in zip(left + b"\0", right + b"\0", strict=False):
        if first != second:
            return first - second
    return 0


def classes(code: int) -> int:
    """Return glibc's bits of a character's classes (`__ctype_b_loc`; <ctype.h> on little-endian machines)."""
    if not 0 <= code < 128:
        return 0
    upper, lower, digit = 65 <= code <= 90, 97 <= code <= 122, 48 <= code <= 57
    graph = 33 <= code <= 126
    alnum = upper or lower or digit
    return (
        0x100 * upper
        | 0x200 * lower
        | 0x400 * (upper or lower)
        | 0x800 * digit
        | 0x1000 * (code in b"0123456789abcdefABCDEF")
        | 0x2000 * (code in WHITE)
        | 0x4000 * (graph or code == 32)
        | 0x8000 * graph
        | (code in b" \t")
        | 2 * (code < 32 or code == 127)
        | 4 * (graph and not alnum)
        | 8 * alnum
    )


@dataclass(slots=True)
class Printed:
    """The result of `printf` for a format."""

    text: bytearray = field(default_factory=bytearray)
    counts: list[tuple[int, int]] = field(default_factory=list)
    """The address where `%n` stores a number, and the number."""
    known: bool = True
    """Whether all of the text is exact: it is not if it prints values that are not emulated, such as floats."""


def printed(pattern: bytes, argument: Callable[[], int], string: Callable[[int, int], bytes]) -> Printed:
    """Return what a format prints; `argument` gives the next word, `string` at most so many bytes of a string."""
    made = Printed()
    place = 0
    while place < len(pattern):
        following = pattern.find(b"%", place)
        if following < 0:
            made.text += pattern[place:]
            break
        made.text += pattern[place:following]
        place = _convert(pattern, following + 1, made, argument, string)
    return made


def _convert(
    pattern: bytes, place: int, made: Printed, argument: Callable[[], int], string: Callable[[int, int], bytes]
) -> int:
    flags = bytearray()
    while place < len(pattern) and pattern[place] in b"-+ #0'I":
        flags.append(pattern[place])
        place += 1
    width, place = _number(pattern, place, argument)
    if width is not None and width < 0:
        flags += b"-"
        width = -width
    precision = None
    if pattern[place : place + 1] == b".":
        precision, place = _number(pattern, place + 1, argument)
        precision = 0 if precision is None else precision if precision >= 0 else None
    start = place
    while place < len(pattern) and pattern[place] in b"hlqjztL":
        place += 1
    length, kind = pattern[start:place], pattern[place : place + 1]
    place += 1
    if b"'" in flags or b"I" in flags or (width or 0) > _MOST_WIDE or (precision or 0) > _MOST_WIDE:
        made.known = False
    width = min(width or 0, _MOST_WIDE)
    if kind == b"%":
        made.text += b"%"
    elif kind and kind in b"diouxX":
        made.text += _integer(argument(), kind, length, bytes(flags), width, precision)
    elif kind == b"c" and b"l" not in length:
        made.text += _padded(bytes((argument() & 0xFF,)), bytes(flags), width)
    elif kind == b"s" and b"l" not in length:
        made.text += _padded(_string(argument(), precision, string), bytes(flags), width)
    elif kind == b"p":
        value = argument()
        shown = _padded(b"(nil)", bytes(flags), width) if not value else None
        made.known = made.known and not value
        made.text += shown or _integer(value, b"x", b"l", bytes(flags) + b"#", width, precision)
    elif kind == b"n":
        made.counts.append((argument(), len(made.text)))
        made.known = made.known and not length
    else:
        made.known = False
        if kind and kind in b"fFeEgGaAcsS" and kind not in b"fFeEgGaA":
            argument()
    return place


def _number(pattern: bytes, place: int, argument: Callable[[], int]) -> tuple[int | None, int]:
    if pattern[place : place + 1] == b"*":
        value = argument() & 0xFFFF_FFFF
        return value - (1 << 32) if value >> 31 else value, place + 1
    start = place
    while pattern[place : place + 1].isdigit():
        place += 1
    return (int(pattern[start:place]) if place > start else None), place


def _string(value: int, precision: int | None, string: Callable[[int, int], bytes]) -> bytes:
    if not value:
        return b"(null)" if precision is None or precision >= 6 else b""
    limit = 1 << 16 if precision is None else precision
    return string(value, limit)[:limit]


def _padded(content: bytes, flags: bytes, width: int) -> bytes:
    return content.ljust(width) if b"-" in flags else content.rjust(width)


_BITS = {b"hh": 8, b"h": 16, b"": 32}


def _integer(value: int, kind: bytes, length: bytes, flags: bytes, width: int, precision: int | None) -> bytes:
    bits = _BITS.get(length, 64)
    value &= (1 << bits) - 1
    sign = b""
    if kind in b"di":
        if value >> bits - 1:
            value = (1 << bits) - value
            sign = b"-"
        else:
            sign = b"+" if b"+" in flags else b" " if b" " in flags else b""
    shown = format(value, {b"x": "x", b"X": "X", b"o": "o"}.get(kind, "d")).encode()
    if precision is not None:
        shown = shown.rjust(precision, b"0") if value or precision else b""
    if b"#" in flags:
        if kind == b"o" and not shown.startswith(b"0"):
            shown = b"0" + shown
        elif kind in b"xX" and value:
            sign += b"0" + kind
    if b"0" in flags and b"-" not in flags and precision is None:
        shown = shown.rjust(width - len(sign), b"0")
    return _padded(sign + shown, flags, width)
