"""Load PE images (`.pyd`): sections, import tables, base relocations, the entry point and thread-local storage."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ftaudit.binary.image.lief_library import load_lief
from ftaudit.binary.image.mapped import (
    AARCH64,
    DEFAULT_COOKIE,
    HOOK_PREFIXES,
    X86_64,
    Bind,
    Image,
    ImageWords,
    ThreadLocals,
    malformed,
)
from ftaudit.errors import ImageError

if TYPE_CHECKING:
    import lief

BASE = 0x1_8000_0000
"""The linker's own default for 64-bit DLLs: most images need no relocation there."""
_MACHINES = {0x8664: X86_64, 0xAA64: AARCH64, 0x14C: "i686", 0x1C4: "armv7", 0x200: "ia64", 0xA641: "arm64ec"}
_DYNAMIC_BASE_64 = 10
_EXECUTED, _WRITTEN = 0x2000_0000, 0x8000_0000
"""`IMAGE_SCN_MEM_EXECUTE` and `IMAGE_SCN_MEM_WRITE` (winnt.h)."""
_COOKIE_AT = 88


def machine_of(data: bytes) -> str:
    """Return the machine of a PE file by its file header, or raise `ImageError` if it is cut off."""
    try:
        (offset,) = struct.unpack_from("<I", data, 0x3C)
        if data[offset : offset + 4] != b"PE\0\0":
            raise ImageError("this MZ file is not a PE image")
        number = struct.unpack_from("<H", data, offset + 4)[0]
    except struct.error as error:
        raise ImageError("the PE header is truncated") from error
    return _MACHINES.get(number, f"PE machine {number:#x}")


def load(data: bytes, *, limit: int, base: int = BASE, every_export: bool = False) -> Image:
    """Map and relocate a PE DLL of x86-64 or AArch64; other machines come back with their names alone.

    Init hooks are listed among its exports, or with `every_export` whatever it exports. Raise `ImageError` for what
    is not such a file or needs more than `limit` bytes.
    """
    machine = machine_of(data)
    if machine not in (X86_64, AARCH64):
        return _named(data, machine)
    with malformed("PE"):
        return _load(data, machine, limit, base, every_export)


def _parse(data: bytes) -> Any:
    lief = load_lief()
    config = lief.PE.ParserConfig()
    config.parse_exceptions = config.parse_rsrc = config.parse_signature = config.parse_arm64x_binary = False
    config.parse_imports = config.parse_exports = True
    # Each relocation is an object: only an image with another base than ours needs them.
    config.parse_reloc = False
    binary = lief.PE.parse(data, config)
    if binary is None:
        raise ImageError("LIEF cannot parse this PE file")
    return binary


def _named(data: bytes, machine: str) -> Image:
    """Return an image without memory: its hooks, the symbols that it takes, and the libraries that it needs.

    Hooks have no address. If the tables cannot be read, no name is known either.
    """
    try:
        with malformed("PE"):
            binary = _parse(data)
            export = binary.get_export()
            exported = [str(item.name) for item in export.entries if item.address] if export is not None else []
            return Image(
                format="pe",
                machine=machine,
                exports=dict.fromkeys((name for name in exported if name.startswith(HOOK_PREFIXES)), 0),
                imports=frozenset(
                    str(entry.name) for each in binary.imports for entry in each.entries if not entry.is_ordinal
                ),
                libraries=tuple(str(each.name) for each in (*binary.imports, *binary.delay_imports)),
            )
    except ImageError:
        return Image(format="pe", machine=machine)


def _load(data: bytes, machine: str, limit: int, base: int, every_export: bool) -> Image:
    binary = _parse(data)
    size = binary.optional_header.sizeof_image
    if not 0 < size <= limit:
        raise ImageError(f"the PE image spans {size} bytes")
    memory = bytearray(size + 0xFFF & ~0xFFF)
    headers = data[: min(binary.optional_header.sizeof_headers, len(memory))]
    memory[: len(headers)] = headers
    for section in binary.sections:
        start = section.virtual_address
        content = data[section.pointerto_raw_data : section.pointerto_raw_data + section.sizeof_raw_data]
        content = content[: max(0, min(section.virtual_size or len(content), len(memory) - start))]
        if start < len(memory):
            memory[start : start + len(content)] = content
    return _image(binary, machine, memory, base, every_export)


def _image(binary: lief.PE.Binary, machine: str, memory: bytearray, base: int, every_export: bool) -> Image:
    lief = load_lief()
    words = ImageWords(memory, base)
    preferred = binary.optional_header.imagebase
    if preferred != base:
        directory = binary.data_directory(lief.PE.DataDirectory.TYPES.BASE_RELOCATION_TABLE)
        table = bytes(memory[directory.rva : directory.rva + directory.size]) if directory else b""
        for rva in _relocations(table):
            address = base + rva
            if words.holds(address):
                words.write(address, words.read(address) + base - preferred)
    binds, libraries = [], []
    for library in binary.imports:
        libraries.append(str(library.name))
        for entry in library.entries:
            name = f"{library.name!s}#{entry.ordinal}" if entry.is_ordinal else str(entry.name)
            binds.append(Bind(address=base + entry.iat_address, symbol=name))
    libraries += [str(delayed.name) for delayed in binary.delay_imports]
    binds += _delayed(binary, base)
    export = binary.get_export()
    exports = {}
    if export is not None:
        for item in export.entries:
            name = str(item.name)
            if item.address and (every_export or name.startswith(("PyInit", "PyModExport"))):
                exports[name] = base + item.address
    return Image(
        format="pe",
        machine=machine,
        base=base,
        cookie=_security_cookie(binary, words),
        memory=memory,
        exports=exports,
        binds=tuple(binds),
        initializers=(),
        entry=base + binary.optional_header.addressof_entrypoint
        if binary.optional_header.addressof_entrypoint
        else None,
        tls=_thread_locals(binary, preferred, memory, base),
        imports=frozenset(bind.symbol for bind in binds),
        libraries=tuple(libraries),
        code=_sections(binary, base, len(memory), _EXECUTED),
        data=_sections(binary, base, len(memory), _WRITTEN),
    )


def _sections(binary: lief.PE.Binary, base: int, size: int, right: int) -> tuple[tuple[int, int], ...]:
    """Return the places of the sections whose memory has a right."""
    places = (
        (section.virtual_address, section.virtual_address + max(section.virtual_size, section.sizeof_raw_data))
        for section in binary.sections
        if int(section.characteristics) & right
    )
    return tuple((base + start, base + min(end, size)) for start, end in places if start < size)


def _security_cookie(binary: lief.PE.Binary, words: ImageWords) -> int | None:
    """Return the address of the security cookie, if the loader sets it: if it has the value that the linker gives it.

    It is at `SecurityCookie` of `IMAGE_LOAD_CONFIG_DIRECTORY64` (winnt.h).
    """
    directory = binary.data_directory(load_lief().PE.DataDirectory.TYPES.LOAD_CONFIG_TABLE)
    place = words.base + directory.rva + _COOKIE_AT if directory is not None and directory.rva else 0
    if not words.holds(place):
        return None
    cookie = words.read(place)
    return cookie if words.holds(cookie) and words.read(cookie) == DEFAULT_COOKIE else None


def _delayed(binary: lief.PE.Binary, base: int) -> Iterator[Bind]:
    """Yield the imports that the linker's helper would resolve on first call: bound here before they are needed."""
    for library in binary.delay_imports:
        for index, entry in enumerate(library.entries):
            name = f"{library.name!s}#{entry.ordinal}" if entry.is_ordinal else str(entry.name)
            yield Bind(address=base + library.iat + 8 * index, symbol=name, is_call=True)


def _relocations(table: bytes) -> Iterator[int]:
    """Yield the addresses of a base relocation table's 64-bit entries (`IMAGE_REL_BASED_DIR64`), block by block."""
    position = 0
    while position + 8 <= len(table):
        page, size = struct.unpack_from("<II", table, position)
        if size < 8:
            return
        block = table[position + 8 : position + size]
        for (entry,) in struct.iter_unpack("<H", block[: len(block) - len(block) % 2]):
            if entry >> 12 == _DYNAMIC_BASE_64:
                yield page + (entry & 0xFFF)
        position += size


def _thread_locals(binary: lief.PE.Binary, preferred: int, memory: bytearray, base: int) -> ThreadLocals:
    tls = binary.tls
    if tls is None or not tls.addressof_index:
        return ThreadLocals()
    start, end = tls.addressof_raw_data
    template = bytes(memory[start - preferred : end - preferred])
    if not 0 <= end - start <= 1 << 20:
        template = b""
    return ThreadLocals(
        template=template,
        size=len(template) + min(tls.sizeof_zero_fill, 1 << 20),
        alignment=64,
        index_address=tls.addressof_index - preferred + base,
    )
