"""Conditional branches of the emulated code: which way each went, and images in which one goes the other way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ftaudit.binary.image.mapped import AARCH64, Image

Block = tuple[int, int]
"""Address and size of a stretch of code that ran from its beginning to its end."""


def candidates(image: Image, blocks: Sequence[Block]) -> Iterator[tuple[int, bytes]]:
    """Yield patches that each invert one branch of a run, the last branch first, each branch once.

    A patch is an address and the code to put there. `blocks` are those of the run, in order.
    """
    seen = set()
    for (address, size), (following, _) in zip(reversed(blocks[:-1]), reversed(blocks[1:]), strict=True):
        end = address + size
        if end in seen or not image.base <= address < end <= image.end:
            continue
        seen.add(end)
        code = bytes(image.memory[address - image.base : end - image.base])
        turned = _turn_arm(code, end, following) if image.machine == AARCH64 else _turn_x86(code, end, following)
        if turned is not None:
            yield end - len(turned), turned


def patched(image: Image, patches: Sequence[tuple[int, bytes]]) -> Image:
    """Return the image with the patches in it."""
    memory = bytearray(image.memory)
    for address, code in patches:
        memory[address - image.base : address - image.base + len(code)] = code
    return replace(image, memory=memory)


def _turn_x86(code: bytes, end: int, following: int) -> bytes | None:
    """Return the replacement of the `Jcc` at the end of the code: nothing if it was taken, a jump if it was not.

    For bytes that only look like one, the run continues neither after it nor at its target.
    """
    if len(code) >= 2 and code[-2] & 0xF0 == 0x70:
        target = end + int.from_bytes(code[-1:], "little", signed=True)
        if following == target != end:
            return b"\x90\x90"
        if following == end:
            return b"\xeb" + code[-1:]
    if len(code) >= 6 and code[-6] == 0x0F and code[-5] & 0xF0 == 0x80:
        target = end + int.from_bytes(code[-4:], "little", signed=True)
        if following == target != end:
            return b"\x90" * 6
        if following == end:
            return b"\x90\xe9" + code[-4:]
    return None


def _turn_arm(code: bytes, end: int, following: int) -> bytes | None:
    """Return the replacement of the `B.cond`, `CBZ`, `CBNZ`, `TBZ` or `TBNZ` at the end of the code, as above."""
    if len(code) < 4:
        return None
    word = int.from_bytes(code[-4:], "little")
    if word & 0xFF00_0010 == 0x5400_0000 or word & 0x7E00_0000 == 0x3400_0000:
        offset, bits = word >> 5 & 0x7_FFFF, 19
    elif word & 0x7E00_0000 == 0x3600_0000:
        offset, bits = word >> 5 & 0x3FFF, 14
    else:
        return None
    offset -= (offset >> bits - 1) << bits
    if following == end - 4 + 4 * offset != end:
        return b"\x1f\x20\x03\xd5"
    if following == end:
        return (0x1400_0000 | offset & 0x3FF_FFFF).to_bytes(4, "little")
    return None
