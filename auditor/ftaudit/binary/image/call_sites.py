"""How many places in an image's code call an imported function, or name an address."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.binary.image.mapped import X86_64, Image

_CHUNK = 1 << 16
_OPERANDS = b"\x05\x0d\x15\x1d\x25\x2d\x35\x3d"
"""The second byte of instructions with an operand relative to the program counter."""
_IMMEDIATE = 4
"""Bytes of an operand that may follow such an address."""


def call_sites(image: Image, symbol: str) -> int | None:
    """Return how many places of the code call the symbol, or take its address; `None` if the search is not supported.

    Of ELF images for x86-64: calls and jumps, through the procedure linkage table and past it.
    """
    slots = {bind.address for bind in image.binds if bind.symbol == symbol}
    if not _is_read(image) or not slots:
        return None
    found, stubs = 0, set()
    for code, start in _stretches(image):
        for slot in slots:
            for place in _near(code, start, slot, slot + 1):
                opcode, modifier = code[place - 2], code[place - 1]
                if modifier not in _OPERANDS or start + place + 4 + _offset(code, place) != slot:
                    continue
                if opcode == 0xFF and modifier == 0x25:
                    stubs |= {start + place - back for back in (2, 3, 6, 7)}
                else:
                    found += 1 if opcode == 0xFF else 2
    for code, start in _stretches(image):
        for stub in stubs:
            for place in _near(code, start, stub, stub + 1):
                is_call = code[place - 1] in (0xE8, 0xE9) or (
                    code[place - 2] == 0x0F and code[place - 1] & 0xF0 == 0x80
                )
                found += is_call and start + place + 4 + _offset(code, place) == stub
    return found


def references(image: Image, start: int, end: int) -> int | None:
    """Return how many instructions name an address in a range; `None` if the search is not supported, as above."""
    if not _is_read(image):
        return None
    return sum(
        code[place - 1] in _OPERANDS for code, first in _stretches(image) for place in _near(code, first, start, end)
    )


def _is_read(image: Image) -> bool:
    return image.format == "elf" and image.machine == X86_64 and bool(image.code)


def _stretches(image: Image) -> Iterator[tuple[bytes, int]]:
    for start, end in image.code:
        yield bytes(image.memory[start - image.base : end - image.base]), start


def _offset(code: bytes, place: int) -> int:
    return int.from_bytes(code[place : place + 4], "little", signed=True)


def _near(code: bytes, start: int, low: int, high: int) -> Iterator[int]:
    """Yield the places where four bytes of the code lead into a range, relative to the end of an instruction.

    The upper half of such an offset is one of a few numbers in a whole chunk; the search is for those.
    """
    for chunk in range(0, len(code), _CHUNK):
        last = min(chunk + _CHUNK, len(code))
        least, most = low - _IMMEDIATE - 8 - (start + last), high - (start + chunk)
        for upper in range(least >> 16, (most >> 16) + 1):
            if not -0x8000 <= upper < 0x8000:
                continue
            wanted = (upper & 0xFFFF).to_bytes(2, "little")
            found = code.find(wanted, chunk + 2, last + 3)
            while found >= 0:
                place = found - 2
                target = start + place + 4 + _offset(code, place)
                if place >= 2 and low - _IMMEDIATE <= target < high:
                    yield place
                found = code.find(wanted, found + 1, last + 3)
