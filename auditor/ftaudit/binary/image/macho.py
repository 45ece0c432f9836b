"""Load Mach-O bundles, thin and universal: segments, rebases, bindings, constructors and thread-local variables."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from ftaudit.binary.image.lief_library import load_lief
from ftaudit.binary.image.mapped import AARCH64, X86_64, Bind, Image, ImageWords, ThreadLocals, malformed
from ftaudit.errors import ImageError

if TYPE_CHECKING:
    import lief

BASE = 0x2_0000_0000
_CPU_TYPES = {0x0100_0007: X86_64, 0x0100_000C: AARCH64, 7: "i386", 12: "arm", 18: "ppc", 0x0100_0012: "ppc64"}
_WRITE = 2
"""`VM_PROT_WRITE` (mach/vm_prot.h)."""
_READ_ONLY = 0x10
"""`SG_READ_ONLY` (mach-o/loader.h): the segment is protected once it is relocated."""
_INSTRUCTIONS = 0x8000_0400
"""`S_ATTR_PURE_INSTRUCTIONS` and `S_ATTR_SOME_INSTRUCTIONS` of a section (mach-o/loader.h)."""
_ARM64E = 2
"""`CPU_SUBTYPE_ARM64E` (mach/machine.h): signed pointers, which extension modules cannot use."""

MAGICS = (
    b"\xcf\xfa\xed\xfe",
    b"\xce\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
    b"\xca\xfe\xba\xbf",
    b"\xfe\xed\xfa\xce",
    b"\xfe\xed\xfa\xcf",
)


def load(data: bytes, *, limit: int, base: int = BASE, every_export: bool = False) -> tuple[Image, ...]:
    """Map and relocate every slice of a Mach-O file; those of other machines come back without memory.

    Init hooks are listed among its exports, or with `every_export` whatever it exports. Raise `ImageError` for what
    is not such a file or needs more than `limit` bytes.
    """
    images = []
    for content in _slices(data):
        if len(content) < 32 or content[:4] not in MAGICS[:2]:
            raise ImageError("a Mach-O header is truncated or big-endian")
        number, subtype = struct.unpack_from("<iI", content, 4)
        machine = _CPU_TYPES.get(number, f"Mach-O machine {number}")
        if machine not in (X86_64, AARCH64) or subtype & 0xFF_FFFF == _ARM64E:
            images.append(Image(format="macho", machine=machine if machine != AARCH64 else "arm64e"))
            continue
        with malformed("Mach-O"):
            images.append(_load_slice(content, machine, limit, base, every_export))
    return tuple(images)


def _slices(data: bytes) -> list[bytes]:
    """Cut a universal file into its slices (`fat_header`, mach-o/fat.h, big-endian); a thin file is its own."""
    if data[:4] not in (b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf"):
        return [data]
    entry = ">iIQQII" if data[3] == 0xBF else ">iIIII"
    try:
        (count,) = struct.unpack_from(">I", data, 4)
        if not 0 < count <= 16:
            raise ImageError(f"a universal file of {count} slices")
        slices = []
        for index in range(count):
            _, _, offset, size, *_ = struct.unpack_from(entry, data, 8 + index * struct.calcsize(entry))
            if offset + size > len(data):
                raise ImageError("a slice of this universal file is truncated")
            slices.append(data[offset : offset + size])
    except struct.error as error:
        raise ImageError("the header of this universal file is truncated") from error
    return slices


def _load_slice(data: bytes, machine: str, limit: int, base: int, every_export: bool) -> Image:
    lief = load_lief()
    # The FatBinary owns its slices: it must outlive every use of a slice.
    holder = lief.MachO.parse(data, lief.MachO.ParserConfig.deep)
    binary = holder.at(0) if holder is not None and holder.size else None
    if binary is None:
        raise ImageError("LIEF cannot parse this Mach-O file")
    segments = [s for s in binary.segments if s.name != "__PAGEZERO" and s.virtual_size]
    if not segments:
        raise ImageError("this Mach-O file has no segments")
    start = min(s.virtual_address for s in segments)
    size = max(s.virtual_address + s.virtual_size for s in segments) - start
    if not 0 < size <= limit:
        raise ImageError(f"the Mach-O segments span {size} bytes")
    memory = bytearray(size + 0xFFF & ~0xFFF)
    for segment in segments:
        content = data[segment.file_offset : segment.file_offset + min(segment.file_size, segment.virtual_size)]
        offset = segment.virtual_address - start
        memory[offset : offset + len(content)] = content
    slide = base - start
    words = ImageWords(memory, base)
    _rebase(binary, words, slide)
    binds = _bindings(binary, words, slide)
    initializers: list[int] = []
    template_start = template_end = content_end = 0
    for section in binary.sections:
        where = section.virtual_address - start
        chunk = bytes(memory[where : where + section.size])
        if section.type == lief.MachO.Section.TYPE.MOD_INIT_FUNC_POINTERS:
            initializers += [p for (p,) in struct.iter_unpack("<Q", chunk[: len(chunk) - len(chunk) % 8]) if p]
        elif section.type == lief.MachO.Section.TYPE.INIT_FUNC_OFFSETS:
            initializers += [base + o for (o,) in struct.iter_unpack("<I", chunk[: len(chunk) - len(chunk) % 4])]
        elif section.type in _thread_sections(lief):
            template_start = template_start or section.virtual_address
            template_end = max(template_end, section.virtual_address + section.size)
            if section.type == lief.MachO.Section.TYPE.THREAD_LOCAL_REGULAR:
                content_end = max(content_end, section.virtual_address + section.size)
    tls = ThreadLocals()
    if 0 < template_end - template_start <= 1 << 20:
        template = bytes(memory[template_start - start : max(content_end, template_start) - start])
        tls = ThreadLocals(template=template, size=template_end - template_start, alignment=64)
    return Image(
        format="macho",
        machine=machine,
        base=base,
        memory=memory,
        exports=_exports(binary, slide, every_export),
        binds=binds,
        initializers=tuple(a for a in initializers if words.holds(a, 1)),
        tls=tls,
        imports=frozenset(bind.symbol for bind in binds),
        weak_imports=_weak_imports(binary),
        libraries=tuple(str(library.name) for library in binary.libraries),
        code=tuple(
            (section.virtual_address + slide, section.virtual_address + slide + section.size)
            for section in binary.sections
            if section.size and int(section.flags) & _INSTRUCTIONS
        ),
        data=tuple(
            (segment.virtual_address + slide, segment.virtual_address + slide + segment.virtual_size)
            for segment in segments
            if int(segment.init_protection) & _WRITE and not int(segment.flags) & _READ_ONLY
        ),
    )


def _thread_sections(lief: Any) -> tuple[Any, ...]:
    kinds = lief.MachO.Section.TYPE
    return kinds.THREAD_LOCAL_REGULAR, kinds.THREAD_LOCAL_ZEROFILL


def _rebase(binary: lief.MachO.Binary, words: ImageWords, slide: int) -> None:
    """Add the slide to every pointer into the image.

    A chained fixup's word holds the link to the next one: LIEF gives its target next to it.
    """
    for relocation in binary.relocations:
        target = getattr(relocation, "target", None)
        address = relocation.address + slide
        if words.holds(address):
            words.write(address, (words.read(address) if target is None else int(target)) + slide)


def _bindings(binary: lief.MachO.Binary, words: ImageWords, slide: int) -> tuple[Bind, ...]:
    """Return the imported pointers. The image's own weak definition (C++'s inline functions) binds to itself."""
    binds = []
    own: dict[str, int] = {}
    for binding in binary.bindings:
        symbol = binding.symbol
        if symbol is None:
            continue
        name = str(symbol.name)
        address = binding.address + slide
        value = own.get(name)
        if value is None:
            value = own[name] = int(symbol.value) if _is_defined(symbol) else 0
        if value:
            words.write(address, value + slide + binding.addend)
        else:
            binds.append(Bind(address=address, symbol=name.removeprefix("_"), addend=binding.addend))
    return tuple(binds)


def _weak_imports(binary: lief.MachO.Binary) -> frozenset[str]:
    """Return the names of the imported symbols that may be missing."""
    weak = (binding.symbol for binding in binary.bindings if binding.weak_import)
    return frozenset(str(symbol.name).removeprefix("_") for symbol in weak if symbol is not None)


def _is_defined(symbol: lief.MachO.Symbol) -> bool:
    # N_SECT of mach-o/nlist.h: the symbol is in a section of this image.
    return int(symbol.raw_type) & 0x0E == 0x0E and int(symbol.value) != 0


def _exports(binary: lief.MachO.Binary, slide: int, every: bool) -> dict[str, int]:
    found = {}
    for symbol in binary.exported_symbols:
        name = str(symbol.name).removeprefix("_")
        if symbol.value and (every or name.startswith(("PyInit", "PyModExport"))):
            found[name] = int(symbol.value) + slide
    return found
