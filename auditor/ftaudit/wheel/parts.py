"""Which parts of an ELF module its initialization starts from, so that the code between them need not be read.

Linkers put what the dynamic loader looks up first, the code after it and the data last; the init hook and the
constructors are only a few pages of the code. All of this is a guess on what to fetch: an unfetched part is a hole,
and an inspection that meets one asks for the whole.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from ftaudit.wheel.tail import Tail

PAGE: Final = 4096
FEW: Final = 16
"""Bytes of data that are known or not known together."""
_LOAD, _DYNAMIC = 1, 2
_EXECUTE, _WRITE = 1, 2
_STRTAB, _SYMTAB, _RELA, _RELASZ, _STRSZ, _INIT, _FINI = 5, 6, 7, 8, 10, 12, 13
_INIT_ARRAY, _INIT_ARRAYSZ = 25, 27
_MOST_CONSTRUCTORS: Final = 16
"""How many constructors' addresses are looked up: a module with more needs much of its code."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """The places of the parts of a module's file. Offsets in bytes."""

    mapped: int
    """The end of the last segment that the loader maps."""
    code: tuple[int, int]
    """The executable segment, which begins after what the loader looks up first."""
    data: int
    """The start of the data after the code."""
    dynamic: tuple[int, int]
    segments: tuple[tuple[int, int, int], ...]
    """Offset, address and size of each mapped segment."""

    def offset(self, address: int) -> int | None:
        """Return the file offset of the byte at an address."""
        for offset, start, size in self.segments:
            if start <= address < start + size:
                return address - start + offset
        return None


def find_parts(head: bytes) -> Parts | None:
    """Return the parts by the program headers, or `None` for a file that is not laid out so."""
    if len(head) < 64 or head[:6] != b"\x7fELF\2\1":
        return None
    start = int.from_bytes(head[32:40], "little")
    size, count = struct.unpack_from("<HH", head, 54)
    if size != 56 or start + size * count > len(head):
        return None
    headers = [struct.unpack_from("<IIQQQQQQ", head, start + size * index) for index in range(count)]
    loads = [header for header in headers if header[0] == _LOAD]
    code = [header for header in loads if header[1] & _EXECUTE]
    dynamic = next(((header[2], header[2] + header[5]) for header in headers if header[0] == _DYNAMIC), None)
    if len(code) != 1 or dynamic is None or not loads or loads[0] is code[0] or loads[-1] is code[0]:
        return None
    first, last = code[0][2], code[0][2] + code[0][5]
    after = [header[2] for header in loads if header[2] >= last and header[5]]
    if not after or any(first < header[2] < last for header in loads) or not last <= dynamic[0]:
        return None
    return Parts(
        mapped=max(header[2] + header[5] for header in loads),
        code=(first, last),
        data=min(after),
        dynamic=dynamic,
        segments=tuple((header[2], header[3], header[5]) for header in loads),
    )


def find_reach(image: bytes, parts: Parts, hook: bytes) -> int | None:
    """Return the end of the required code: past the init hook and the constructors; `None` if none is found.

    `image` holds everything except the code. System V ABI, "Dynamic Linking".
    """
    tags: dict[int, int] = {}
    dynamic = image[parts.dynamic[0] : parts.dynamic[1]]
    for tag, value in struct.iter_unpack("<qQ", dynamic[: len(dynamic) - len(dynamic) % 16]):
        tags.setdefault(tag, value)
    strings, symbols = parts.offset(tags.get(_STRTAB, 0)), parts.offset(tags.get(_SYMTAB, 0))
    if strings is None or symbols is None or strings <= symbols:
        return None
    name = image.find(b"\0" + hook + b"\0", strings, strings + tags.get(_STRSZ, 0)) + 1 - strings
    if name <= 0:
        return None
    table = image[symbols : symbols + (strings - symbols) // 24 * 24]
    address = next((value for index, _, _, _, value, _ in struct.iter_unpack("<IBBHQQ", table) if index == name), 0)
    addresses = [address, tags.get(_INIT, address), *_constructors(image, parts, tags)]
    offsets = [offset for one in addresses if (offset := parts.offset(one)) is not None]
    reach = [offset for offset in offsets if parts.code[0] <= offset < parts.code[1]]
    return max(reach) if address and reach else None


def _constructors(image: bytes, parts: Parts, tags: dict[int, int]) -> list[int]:
    """Return the addresses in the table of constructors, which relocations hold."""
    table, size = tags.get(_INIT_ARRAY, 0), tags.get(_INIT_ARRAYSZ, 0)
    relocations = parts.offset(tags.get(_RELA, 0))
    if not table or relocations is None or size > 8 * _MOST_CONSTRUCTORS:
        return []
    found = []
    end = relocations + tags.get(_RELASZ, 0)
    for slot in range(table, min(table + size, 1 << 64), 8):
        at = image.find(struct.pack("<QQ", slot, 8), relocations, end)
        if at >= 0:
            found.append(int.from_bytes(image[at + 16 : at + 24], "little"))
    return found


def find_holes(known: int, start: int, tail: Tail, parts: Parts) -> tuple[tuple[int, int], ...]:
    """Return the ranges of the file that are not known: of the code in whole pages, of the data in few bytes.

    What lies before `known` is; from `start` on, what both ways of inflating the tail agree on.
    """
    found: list[tuple[int, int]] = []

    def add(first: int, last: int) -> None:
        if found and found[-1][1] == first:
            found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))

    page = known // PAGE * PAGE if known < parts.mapped else parts.mapped
    while page < parts.mapped:
        at, end = page - start, min(page + PAGE, parts.mapped)
        if at < 0:
            add(page, end)
        elif tail.data[at : end - start] != tail.other[at : end - start]:
            if page < parts.data:
                add(page, end)
            else:
                for few in range(page, end, FEW):
                    if tail.data[few - start : few - start + FEW] != tail.other[few - start : few - start + FEW]:
                        add(few, min(few + FEW, end))
        page = end
    return tuple(found)
