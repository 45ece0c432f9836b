"""How many places in an image's code call an imported function."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.binary.image.mapped import X86_64, Image

_LARGEST = 128 << 20


def call_sites(image: Image, symbol: str) -> int | None:
    """Return how many places of the code call the symbol, or take its address; `None` where that is not looked for.

    Of ELF images for x86-64: calls and jumps, through the procedure linkage table and past it.
    """
    if image.format != "elf" or image.machine != X86_64 or not image.code:
        return None
    slots = {bind.address for bind in image.binds if bind.symbol == symbol}
    if not slots or sum(end - start for start, end in image.code) > _LARGEST:
        return None
    found, stubs = 0, set()
    for start, end in image.code:
        code = bytes(image.memory[start - image.base : end - image.base])
        for place, opcode, modifier in _references(code, start, slots):
            if opcode == 0xFF and modifier == 0x25:
                stubs |= {place, place - 1, place - 4, place - 5}
            else:
                found += 1 if opcode == 0xFF else 2
    for start, end in image.code:
        code = bytes(image.memory[start - image.base : end - image.base])
        found += sum(target in stubs for target in _targets(code, start))
    return found


_REFERENCE = re.compile(rb"[\xff\x8b\x3b\x8d](?=[\x05\x0d\x15\x1d\x25\x2d\x35\x3d])")
_CALL = re.compile(rb"[\xe8\xe9]|\x0f[\x80-\x8f]")


def _references(code: bytes, start: int, slots: set[int]) -> Iterator[tuple[int, int, int]]:
    """Yield address, opcode and second byte of each instruction that names one of the slots."""
    for match in _REFERENCE.finditer(code):
        place = match.start()
        target = start + place + 6 + int.from_bytes(code[place + 2 : place + 6], "little", signed=True)
        if target in slots:
            yield start + place, code[place], code[place + 1]


def _targets(code: bytes, start: int) -> Iterator[int]:
    """Yield where the calls and jumps of the code go, with what only looks like one."""
    for match in re.finditer(_CALL, code):
        end = match.end() + 4
        yield start + end + int.from_bytes(code[end - 4 : end], "little", signed=True)


def references(image: Image, start: int, end: int) -> int | None:
    """Return how many instructions name an address in a range; `None` where that is not looked for, as above."""
    if image.format != "elf" or image.machine != X86_64 or not image.code:
        return None
    found = 0
    for first, last in image.code:
        code = bytes(image.memory[first - image.base : last - image.base])
        for match in _OPERAND.finditer(code):
            after = match.end() + 4
            target = first + after + int.from_bytes(code[after - 4 : after], "little", signed=True)
            # An immediate operand of up to four bytes may follow.
            found += any(start <= target + more < end for more in (0, 1, 2, 4))
    return found


_OPERAND = re.compile(rb"[\x05\x0d\x15\x1d\x25\x2d\x35\x3d]")
