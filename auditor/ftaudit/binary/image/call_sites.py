"""Where an image's code calls an imported function, and which places name an address."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from ftaudit.binary.image.mapped import AARCH64, X86_64, Image

_CHUNK = 1 << 16
_OPERANDS = b"\x05\x0d\x15\x1d\x25\x2d\x35\x3d"
"""The second byte of instructions with an operand relative to the program counter."""
_LOAD = 0x8B
"""The opcode of `mov` from memory to a register."""
_STUB_X86, _STUB_ARM = b"\x41\x53\xff\x25", 0xA9BF_47F0
"""`push r11; jmp […]` and `stp x16, x17, [sp, #-16]!`: what follows the address of dyld's word in stub helpers."""
_TAKE_ADDRESS = 0x8D
"""The opcode of `lea`."""
_IMMEDIATES = {
    0x88: (0, 0), 0x89: (0, 0), 0x8B: (0, 0), 0x8D: (0, 0), 0x80: (1, 1), 0x83: (1, 1), 0xC6: (1, 1), 0xC0: (0, 1),
    0xC1: (0, 1),
}  # fmt: skip
"""The fewest and the most bytes of an operand that may follow the address, by opcode."""
_IMMEDIATE = 4
"""Bytes of an operand that may follow the address after other opcodes."""
_MOST_APART = 8
"""Instructions between the load of a function's address and its call."""
_REACH = 4096
"""Instructions after that of a page's address in which it is used."""


@dataclass(kw_only=True, slots=True)
class Branches:
    """The direct calls, jumps and conditional branches of an AArch64 image, found once."""

    image: Image
    _known: list[tuple[int, int, bool]] | None = None

    def all(self) -> list[tuple[int, int, bool]]:
        """Return the address and the target of each, and whether it is a call."""
        if self._known is None:
            self._known = list(_arm_targets(self.image))
        return self._known


def call_sites(image: Image, symbol: str, branches: Branches | None = None) -> frozenset[int] | None:
    """Return the return addresses of the calls of an imported function; `None` if it may be called otherwise.

    Calls and jumps count, through the linker's stubs and past them. A function whose address the code takes, or that
    a table of the data holds, may be called from anywhere.
    """
    slots = {bind.address: bind.is_call for bind in image.binds if bind.symbol == symbol}
    if not slots or not image.code or any(start <= slot < end for slot in slots for start, end in image.code):
        return None
    sites: set[int] = set()
    stubs: set[int] = set()
    for slot, is_call in slots.items():
        found = _x86_uses(image, slot) if image.machine == X86_64 else _arm_uses(image, slot, is_call=is_call)
        if found is None or not (found[0] or found[1]):
            return None
        sites |= found[0]
        stubs |= found[1]
    if stubs:
        if image.machine == X86_64:
            sites |= _x86_jumps(image, stubs)
        else:
            every = (branches or Branches(image=image)).all()
            sites |= {source + 4 for source, target, _ in every if target in stubs}
    return frozenset(sites)


def jumps_into(image: Image, places: frozenset[int], inside: frozenset[int], branches: Branches) -> bool:
    """Return whether code outside `inside` may jump or branch to one of the places, which begin instructions."""
    if image.machine == AARCH64:
        return any(source not in inside for source, target, _ in branches.all() if target in places)
    for code, start in _stretches(image):
        for place in _near(code, start, min(places), max(places) + 1):
            if start + place + 4 + _offset(code, place) not in places or not _is_jump(code, place):
                continue
            if not {start + place - back for back in (1, 2, 3)} & inside:
                return True
        for place in places:
            for offset in range(-128, 128):
                at = place - 2 - offset - start
                if not 0 <= at < len(code) - 1 or code[at + 1] != offset & 0xFF:
                    continue
                if (
                    (code[at] == 0xEB or code[at] & 0xF0 == 0x70)
                    and start + at not in inside
                    and not any(start + at - back in inside for back in range(1, 15))
                ):
                    return True
    return False


def is_entered(image: Image, places: frozenset[int], branches: Branches) -> bool:
    """Return whether something calls one of the places, or names its address: then a function may begin there."""
    low, high = min(places), max(places) + 1
    if image.machine == AARCH64:
        if any(target in places and is_call for _, target, is_call in branches.all()) or _arm_names(image, places):
            return True
    else:
        for code, start in _stretches(image):
            for place in _near(code, start, low, high):
                if start + place + 4 + _offset(code, place) in places and (
                    code[place - 1] == 0xE8 or (code[place - 2] == 0x8D and code[place - 1] in _OPERANDS)
                ):
                    return True
    last = image.base
    for start, end in (*sorted(image.code), (image.end, image.end)):
        words = bytes(image.memory[last - image.base : max(start, last) - image.base])
        if any(low <= word < high and word in places for (word,) in struct.iter_unpack("<Q", words[: len(words) & ~7])):
            return True
        last = max(last, end + 7 & ~7)
    return False


def is_written_only_by(
    image: Image,
    place: tuple[int, int],
    own: Set[int],
    *,
    except_in: Sequence[tuple[int, int]] = (),
    margins: tuple[int, int] = (0, 0),
) -> bool:
    """Return whether no code but the instructions at `own` names an address in a range to write there or pass it on.

    No word of the data may either, except words in the ranges `except_in` and pointers that only the code at `own`
    loads. `margins` are bytes before and after the range: no code may take an address in either of them, and no word
    may name one in the second.
    """
    start, end = place
    low, high = start - margins[0], end + margins[1]
    if not image.code or not _is_named_only_by(image, place, (low, high), own, loads=False):
        return False
    for address, word in _words_near(image, start, high):
        if start <= word < high and not any(first <= address < last for first, last in except_in):
            pointer = address, address + 8
            if not _is_named_only_by(image, pointer, pointer, own, loads=True, once=True):
                return False
            if any(address <= other < address + 8 for _, other in _words_near(image, *pointer)):
                return False
    return True


def _is_named_only_by(
    image: Image,
    place: tuple[int, int],
    around: tuple[int, int],
    own: Set[int],
    *,
    loads: bool,
    once: bool = False,
) -> bool:
    """Return whether only instructions at `own` name an address in a range, or take one around it: at least `once`."""
    (start, end), (low, high) = place, around
    names = (_x86_namings if image.machine == X86_64 else _arm_namings)(image, low, high, loads=loads)
    for sites, (first, last), passes_on in names:
        if low <= first < high if passes_on else first < end and start <= last:
            if own.isdisjoint(sites):
                return False
            once = False
    return not once


_Naming = tuple[tuple[int, ...], tuple[int, int], bool]
"""Where an instruction may begin, the first and last address that it may name, and whether it passes that on."""


def _x86_namings(image: Image, low: int, high: int, *, loads: bool) -> Iterator[_Naming]:
    """Yield the instructions that name an address near a range, those that only load from there if `loads`."""
    for code, first in _stretches(image):
        for at in _near(code, first, low, high):
            opcode, named = code[at - 2], first + at + 4 + _offset(code, at)
            if code[at - 1] not in _OPERANDS or (opcode == _LOAD and not loads):
                continue
            fewest, most = _IMMEDIATES.get(opcode, (0, _IMMEDIATE))
            passes_on = opcode == _TAKE_ADDRESS
            if not passes_on or not _is_of_start_up(code, at):
                yield tuple(first + at - back for back in (2, 3, 4, 5)), (named + fewest, named + most), passes_on


def _is_of_start_up(code: bytes, at: int) -> bool:
    """Return whether a `lea` is in the linker's code: one of two in gcc's `register_tm_clones`, or in Apple's stubs."""
    named = at + _offset(code, at)
    if code[at - 1] == 0x1D and code.startswith(_STUB_X86, at + 4):
        return True
    return any(
        code[other - 2] == _TAKE_ADDRESS and code[other - 3] == 0x48 and other + _offset(code, other) == named
        for other in (at - 7, at + 7)
        if 3 <= other <= len(code) - 4
    )


def _words_near(image: Image, low: int, high: int) -> Iterator[tuple[int, int]]:
    """Yield the address and the value of each word of an image that is in a range, except `__dso_handle`.

    That is a pointer to itself.
    """
    memory = image.memory
    for upper in range(low >> 8, (high - 1 >> 8) + 1):
        wanted = upper.to_bytes(7, "little")
        found = memory.find(wanted)
        while found > 0:
            address, value = image.base + found - 1, upper << 8 | memory[found - 1]
            if address != value:
                yield address, value
            found = memory.find(wanted, found + 1)


# x86-64


def _x86_uses(image: Image, slot: int) -> tuple[set[int], set[int]] | None:
    """Return the calls through a pointer, and the possible starts of the stubs that jump through it."""
    sites, stubs = set(), set()
    for code, start in _stretches(image):
        for place in _near(code, start, slot, slot + 1):
            opcode, modifier = code[place - 2], code[place - 1]
            if modifier not in _OPERANDS or start + place + 4 + _offset(code, place) != slot:
                continue
            if opcode == 0xFF and modifier == 0x15:
                sites.add(start + place + 4)
            elif opcode == 0xFF and modifier == 0x25:
                stubs |= {start + place - back for back in (2, 3, 6, 7)}
            elif opcode == 0x8B and code[place - 3] & 0xFB == 0x48:
                after = _x86_called(code, place + 4, (modifier >> 3 & 7) | (code[place - 3] & 4) << 1)
                if after is None:
                    return None
                sites.add(start + after)
            else:
                return None
    return sites, stubs


def _x86_called(code: bytes, place: int, register: int) -> int | None:
    """Return where the code goes on after `call register`; `None` if the register may be used otherwise."""
    if 3 <= register <= 7 or register >= 12:
        return None  # A call leaves these alone: the code may call through the register again.
    call = bytes((0x41, 0xFF, 0xD0 + register - 8)) if register >= 8 else bytes((0xFF, 0xD0 + register))
    found = code.find(call, place, place + 8 * _MOST_APART)
    return found + len(call) if found >= 0 else None


def _x86_jumps(image: Image, targets: set[int]) -> set[int]:
    """Return where the code goes on after calls of stubs, and jumps to them."""
    found = set()
    for code, start in _stretches(image):
        for place in _near(code, start, min(targets), max(targets) + 1):
            after = start + place + 4
            if after + _offset(code, place) in targets and (code[place - 1] == 0xE8 or _is_jump(code, place)):
                found.add(after)
    return found


def _is_jump(code: bytes, place: int) -> bool:
    """Return whether the offset at a place is that of `jmp`, or of a conditional one."""
    return code[place - 1] == 0xE9 or (code[place - 2] == 0x0F and code[place - 1] & 0xF0 == 0x80)


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


# AArch64


def _words(image: Image) -> Iterator[tuple[tuple[int, ...], int]]:
    for code, start in _stretches(image):
        count = len(code) // 4
        yield struct.unpack(f"<{count}I", code[: 4 * count]), start


def _arm_uses(image: Image, slot: int, *, is_call: bool) -> tuple[set[int], set[int]] | None:
    """Return the calls through a pointer, and the possible starts of the stubs that jump through it.

    `adrp` loads the address of the pointer's page, and `ldr` the pointer. A pointer that is only called (`is_call`)
    has only stubs, in which one follows the other.
    """
    sites, stubs = set(), set()
    load = 0xF940_0000 | (slot & 0xFFF) >> 3 << 10
    for words, start in _words(image):
        for index, word in enumerate(words):
            if word & 0x9F00_0000 != 0x9000_0000 or _page(word, start + 4 * index) != slot >> 12:
                continue
            page = word & 31
            for at in range(index + 1, min(index + (2 if is_call else _REACH), len(words))):
                if words[at] & 0xFFFF_FFE0 == load | page << 5:
                    use = _arm_called(words, at)
                    if use is None:
                        return None
                    if use[1]:
                        stubs |= {start + 4 * index, start + 4 * (index - 1)}
                    else:
                        sites.add(start + 4 * use[0] + 4)
                elif words[at] & 0xFFFF_FFE0 == 0x9100_0000 | (slot & 0xFFF) << 10 | page << 5 and at > index + 2:
                    return None  # The address of the pointer itself.
                if _writes(words[at], page):
                    break
    return sites, stubs


def _writes(word: int, register: int) -> bool:
    """Return whether an instruction is a computation or a load whose result is in the register."""
    group = word >> 25 & 15
    loads = group & 5 == 4 and bool(word >> 22 & 1)
    return word & 31 == register and (group in (5, 8, 9, 13) or loads)


def _arm_called(words: tuple[int, ...], at: int) -> tuple[int, bool] | None:
    """Return the place where a loaded function is called, and whether it is jumped to; `None` if neither."""
    register = words[at] & 31
    for place in range(at + 1, min(at + 1 + _MOST_APART, len(words))):
        if words[place] == 0xD61F_0000 | register << 5:
            return place, True
        if words[place] == 0xD63F_0000 | register << 5:
            return (place, False) if register <= 18 else None
    return None


def _page(word: int, address: int) -> int:
    offset = (word >> 5 & 0x7_FFFF) << 2 | word >> 29 & 3
    return (address >> 12) + (offset - (1 << 21) if offset >> 20 else offset)


def _arm_names(image: Image, places: frozenset[int]) -> bool:
    """Return whether code computes the address of one of the places: `adrp` and `add`."""
    pages = {place >> 12 for place in places}
    for words, start in _words(image):
        for index, word in enumerate(words):
            if word & 0x9F00_0000 != 0x9000_0000 or (page := _page(word, start + 4 * index)) not in pages:
                continue
            for after in words[index + 1 : index + _MOST_APART]:
                if after & 0xFFC0_03E0 == 0x9100_0000 | (word & 31) << 5 and page << 12 | after >> 10 & 0xFFF in places:
                    return True
    return False


def _arm_namings(image: Image, low: int, high: int, *, loads: bool) -> Iterator[_Naming]:
    """Yield the same as `_x86_namings`: `adrp` names a page, and what uses its register a place in it."""
    pages = range(low >> 12, (high - 1 >> 12) + 1)
    for words, start in _words(image):
        for index in [index for index, word in enumerate(words) if word & 0x1F00_0000 == 0x1000_0000]:
            word, address = words[index], start + 4 * index
            if not word >> 31:
                named = address + _signed((word >> 5 & 0x7_FFFF) << 2 | word >> 29 & 3, 21)
                yield (address,), (named, named), True
                continue
            if (page := _page(word, address)) not in pages:
                continue
            base = word & 31
            for at in range(index + 1, min(index + _REACH, len(words))):
                use = words[at]
                if use >> 5 & 31 == base:
                    if use & 0xFFC0_0000 == 0x9100_0000 and words[at + 1 : at + 2] != (_STUB_ARM,):
                        named = (page << 12) + (use >> 10 & 0xFFF)
                        yield (start + 4 * at,), (named, named), True
                    elif (size := _arm_stored(use, loads=loads)) is not None:
                        pair = use >> 27 & 7 == 5
                        offset = _signed(use >> 15, 7) if pair else use >> 10 & 0xFFF
                        named = (page << 12) + offset * size
                        yield (start + 4 * at,), (named, named + (2 * size if pair else size) - 1), False
                if _writes(use, base) or (base <= 18 and use >> 26 == 0x25):
                    break


def _arm_stored(word: int, *, loads: bool) -> int | None:
    """Return the bytes of each register that `str` or `stp`, or a load, has at an offset; `None` for others."""
    vector = word >> 26 & 1
    if word & 0x3B00_0000 == 0x3900_0000:
        if not loads and (word >> 22 & 1 or (not vector and word >> 23 & 1)):
            return None
        return int(1 << (word >> 30 | (word >> 23 & vector) << 2))
    if word & 0x3A00_0000 == 0x2800_0000 and (loads or not word >> 22 & 1):
        return int(4 << (word >> 30) if vector else 4 << (word >> 31))
    return None


def _arm_targets(image: Image) -> Iterator[tuple[int, int, bool]]:
    """Yield the address and the target of each direct call, jump and conditional branch, and whether it is a call."""
    for words, start in _words(image):
        for index, word in enumerate(words):
            address = start + 4 * index
            if word & 0x7C00_0000 == 0x1400_0000:
                yield address, address + 4 * _signed(word, 26), bool(word >> 31)
            elif word & 0xFF00_0000 == 0x5400_0000 or word & 0x7E00_0000 == 0x3400_0000:
                yield address, address + 4 * _signed(word >> 5, 19), False
            elif word & 0x7E00_0000 == 0x3600_0000:
                yield address, address + 4 * _signed(word >> 5, 14), False


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> bits - 1 else value
