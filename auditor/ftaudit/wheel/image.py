"""How much of an extension module's file the loader maps: what follows (symbols for debuggers) need not be read."""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import Final

MAGICS: Final = {
    b"\x7fELF": "elf",
    b"MZ": "pe",
    b"\xcf\xfa\xed\xfe": "macho",
    b"\xce\xfa\xed\xfe": "macho",
    b"\xca\xfe\xba\xbe": "macho",
    b"\xca\xfe\xba\xbf": "macho",
}
"""First bytes of the formats: ELF, PE, Mach-O of 64 and 32 bits, universal Mach-O of both kinds."""

_SYMBOLS: Final = b"\x0a\0\0\0"
"""`MH_DSYM` of `<mach-o/loader.h>`, as a little-endian header has it."""
_PT_LOAD: Final = 1
_ELF64: Final = struct.Struct("<4x B B 10x H H I Q Q Q I H H H H H H")
_PROGRAM_HEADER: Final = struct.Struct("<I I Q Q Q Q Q Q")
_SECTION_TABLE: Final = 40
"""Offset of `e_shoff` in an ELF64 header; `e_shentsize`, `e_shnum` and `e_shstrndx` are at 58."""


def image_format(head: bytes) -> str | None:
    """Return `elf`, `macho` or `pe` by the first bytes of a file, or `None`.

    A Mach-O file with only debugging symbols (dsymutil's `MODULE.so.dSYM`) is not an image: no loader takes it.
    """
    found = next((name for magic, name in MAGICS.items() if head.startswith(magic)), None)
    is_symbols = found == "macho" and head[:1] in b"\xcf\xce" and head[12:16] == _SYMBOLS
    return None if is_symbols else found


def mentions_hook(path: Path) -> bool:
    """Return whether the name of an init hook is in a file, as in an image that exports one; raise `OSError`."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as image:
            return image.find(b"PyInit") >= 0 or image.find(b"PyModExport") >= 0


def mapped_size(head: bytes) -> int | None:
    """Return where the last segment that the loader maps ends in the file; `None` if `head` does not show it.

    Only little-endian 64-bit ELF files are split: in Mach-O the symbols are the last segment, and PE files
    keep their debugging symbols elsewhere. System V ABI, "Program Header".
    """
    if image_format(head) != "elf" or len(head) < _ELF64.size:
        return None
    (bits, order, _type, _machine, _version, _entry, offset, _sections, _flags, _size, entry, count, *_) = (
        _ELF64.unpack_from(head)
    )
    if (bits, order) != (2, 1) or entry != _PROGRAM_HEADER.size or offset + entry * count > len(head):
        return None
    end: int = offset + entry * count
    for index in range(count):
        kind, _flags, start, _address, _physical, size, _memory, _align = _PROGRAM_HEADER.unpack_from(
            head, offset + index * entry
        )
        if kind == _PT_LOAD:
            end = max(end, start + size)
    return end


def mapped_part(image: bytes) -> bytes:
    """Return what the loader maps of an image, so that how much of the file was read makes no difference.

    If something is cut off, the section header table (which the loader does not use) goes with it, and the
    header says that there is none.
    """
    end = mapped_size(image)
    if end is None or end >= len(image):
        return image
    header = bytearray(image[: _ELF64.size])
    header[_SECTION_TABLE : _SECTION_TABLE + 8] = bytes(8)
    header[58:64] = bytes(6)
    return b"".join((header, memoryview(image)[_ELF64.size : end]))
