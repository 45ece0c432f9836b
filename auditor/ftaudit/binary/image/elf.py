"""Load ELF shared objects: segments, relocations, symbols, constructors and thread-local storage."""

from __future__ import annotations

import bisect
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ftaudit.binary.image.lief_library import load_lief
from ftaudit.binary.image.mapped import (
    AARCH64,
    HOOK_PREFIXES,
    X86_64,
    Bind,
    Image,
    ImageWords,
    ThreadLocals,
    TlsFixup,
    malformed,
)
from ftaudit.errors import ImageError

BASE = 0x7F3A_4000_0000
"""The address where a loader may put it: a module that reads its own address finds a plausible one."""
_MACHINES = {
    3: "i686",
    20: "ppc",
    21: "ppc64le",
    22: "s390x",
    40: "armv7l",
    62: X86_64,
    183: AARCH64,
    243: "riscv64",
    258: "loongarch64",
}

# Relocation types of the System V psABI supplements for x86-64 and AArch64.
_KINDS = {
    X86_64: {
        1: "absolute", 6: "data", 7: "call", 8: "relative", 37: "resolver",
        16: "tls-module", 17: "tls-module-offset", 18: "tls-thread-offset", 36: "tls-descriptor",
    },
    AARCH64: {
        257: "absolute", 1025: "data", 1026: "call", 1027: "relative", 1032: "resolver",
        1028: "tls-module", 1029: "tls-module-offset", 1030: "tls-thread-offset", 1031: "tls-descriptor",
    },
}  # fmt: skip

_DT_PLTRELSZ, _DT_STRTAB, _DT_SYMTAB, _DT_RELA, _DT_RELASZ, _DT_STRSZ, _DT_INIT = 2, 5, 6, 7, 8, 10, 12
_DT_REL, _DT_JMPREL, _DT_INIT_ARRAY, _DT_INIT_ARRAYSZ, _DT_RELRSZ, _DT_RELR = 17, 23, 25, 27, 35, 36
_DT_NEEDED = 1
_STB_WEAK = 2
"""The binding of a symbol that may be missing (System V gABI)."""
_PT_LOAD, _PT_DYNAMIC, _PT_TLS, _PT_GNU_RELRO, _ET_DYN, _PF_X, _PF_W = 1, 2, 7, 0x6474_E552, 3, 1, 2


Holes = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Symbol:
    name: str
    value: int
    defined: bool
    is_tls: bool
    is_weak: bool


def machine_of(data: bytes) -> str:
    """Return the machine of an ELF file by its header (`e_machine`), or raise `ImageError` if it is cut."""
    if len(data) < 64:
        raise ImageError("the ELF header is truncated")
    order = ">" if data[5] == 2 else "<"
    number = struct.unpack_from(order + "H", data, 18)[0]
    name = _MACHINES.get(number, f"ELF machine {number}")
    if number == 21 and order == ">":
        return "ppc64"
    return name if data[4] == 2 or name in ("i686", "armv7l") else f"{name} (32-bit)"


def load(data: bytes, *, limit: int, base: int = BASE, every_export: bool = False, holes: Holes = ()) -> Image:
    """Map and relocate an ELF shared object of x86-64 or AArch64; other machines come back with their names alone.

    Init hooks are listed among its exports, or with `every_export` whatever it defines. Raise `ImageError` for what
    is not such a file or needs more than `limit` bytes. `holes` are ranges of the file that are not available.
    """
    machine = machine_of(data)
    if machine not in _KINDS:
        return _named(data, machine)
    with malformed("ELF"):
        image = _load(data, machine, limit, base, every_export)
        image = replace(
            image,
            data=tuple(_without(_writable(data, base), image.call_slots)),
            code=tuple(
                (base + segment.address, base + segment.address + segment.size)
                for segment in _program_headers(data)
                if segment.kind == _PT_LOAD and segment.flags & _PF_X
            ),
        )
        if not holes:
            return image
        return replace(
            image,
            absent=tuple(
                (start & ~0xFFF, end + 0xFFF & ~0xFFF) for start, end in _absent(data, holes, base, code=True)
            ),
            doubtful=tuple(sorted(_absent(data, holes, base, code=False))),
        )


def _named(data: bytes, machine: str) -> Image:
    """Return an image without memory: its hooks, the symbols that it takes, and the libraries that it needs.

    Hooks have no address. If the tables cannot be read, no name is known either.
    """
    lief = load_lief()
    config = lief.ELF.ParserConfig()
    config.parse_relocations = config.parse_symtab_symbols = config.parse_notes = config.parse_overlay = False
    try:
        with malformed("ELF"):
            binary = lief.ELF.parse(data, config)
            symbols = [(str(symbol.name), symbol) for symbol in binary.dynamic_symbols]
            taken = {name: symbol.binding for name, symbol in symbols if name and not symbol.shndx}
            hooks = [name for name, symbol in symbols if symbol.shndx and name.startswith(HOOK_PREFIXES)]
            return Image(
                format="elf",
                machine=machine,
                exports=dict.fromkeys(hooks, 0),
                imports=frozenset(taken),
                weak_imports=frozenset(n for n, binding in taken.items() if binding == lief.ELF.Symbol.BINDING.WEAK),
                libraries=tuple(map(str, binary.libraries)),
            )
    except ImageError:
        return Image(format="elf", machine=machine)


def file_offset(image: Image, address: int) -> int | None:
    """Return the file offset of the byte at an address, by the headers of a whole image."""
    with malformed("ELF"):
        for segment in _program_headers(bytes(image.memory[:4096])):
            start = image.base + segment.address
            if segment.kind == _PT_LOAD and start <= address < start + segment.file_size:
                return address - start + segment.offset
    return None


def _writable(data: bytes, base: int) -> Iterator[tuple[int, int]]:
    """Yield the addresses that stay writable: the writable segments, without the part protected after relocation."""
    segments = _program_headers(data)
    kept = [(s.address, s.address + s.size) for s in segments if s.kind == _PT_GNU_RELRO]
    for segment in segments:
        if segment.kind != _PT_LOAD or not segment.flags & _PF_W:
            continue
        start, end = segment.address, segment.address + segment.size
        for first, last in kept:
            if first <= start < last:
                start = min(last, end)
        if start < end:
            yield base + start, base + end


def _without(ranges: Iterable[tuple[int, int]], words: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield the ranges without these words of 8 bytes each."""
    taken = sorted(words)
    for start, end in ranges:
        for word in taken[bisect.bisect_left(taken, start) : bisect.bisect_left(taken, end)]:
            if start < word:
                yield start, word
            start = word + 8
        if start < end:
            yield start, end


def _absent(data: bytes, holes: Holes, base: int, *, code: bool) -> Iterator[tuple[int, int]]:
    """Yield the addresses of holes in segments that hold code, or in the others."""
    for segment in _program_headers(data):
        if segment.kind != _PT_LOAD or bool(segment.flags & _PF_X) is not code:
            continue
        for start, end in holes:
            first = max(start, segment.offset)
            last = min(end, segment.offset + segment.file_size)
            if first < last:
                shift = base + segment.address - segment.offset
                yield first + shift, last + shift


def _load(data: bytes, machine: str, limit: int, base: int, every_export: bool) -> Image:
    if data[4:6] != b"\2\1" or struct.unpack_from("<H", data, 16)[0] != _ET_DYN:
        raise ImageError("this ELF file is not a 64-bit little-endian shared object")
    segments = _program_headers(data)
    size = max((s.address + s.size for s in segments if s.kind == _PT_LOAD), default=0)
    if not 0 < size <= limit:
        raise ImageError(f"the ELF segments span {size} bytes")
    memory = bytearray(size + 0xFFF & ~0xFFF)
    tls = ThreadLocals()
    for segment in segments:
        if segment.kind == _PT_LOAD:
            content = data[segment.offset : segment.offset + min(segment.file_size, segment.size)]
            memory[segment.address : segment.address + len(content)] = content
    tags: dict[int, int] = {}
    needed = []
    for segment in segments:
        if segment.kind == _PT_DYNAMIC:
            chunk = bytes(memory[segment.address : segment.address + segment.size])
            for tag, value in struct.iter_unpack("<qQ", chunk[: len(chunk) - len(chunk) % 16]):
                if tag == 0:
                    break
                if tag == _DT_NEEDED:
                    needed.append(value)
                tags.setdefault(tag, value)
        elif segment.kind == _PT_TLS and segment.size <= 1 << 20:
            template = bytes(memory[segment.address : segment.address + min(segment.file_size, segment.size)])
            alignment = min(max(segment.alignment, 16), 4096)
            tls = ThreadLocals(template=template, size=segment.size, alignment=alignment)
    return _Loader(machine, memory, tags, tls, needed, base).image(every_export)


@dataclass(frozen=True, slots=True)
class _Segment:
    """An `Elf64_Phdr` (elf.h)."""

    kind: int
    flags: int
    offset: int
    address: int
    physical: int
    file_size: int
    size: int
    alignment: int


def _program_headers(data: bytes) -> list[_Segment]:
    start = struct.unpack_from("<Q", data, 32)[0]
    size, count = struct.unpack_from("<HH", data, 54)
    if size != 56:
        raise ImageError(f"this ELF file has program headers of {size} bytes")
    return [_Segment(*struct.unpack_from("<IIQQQQQQ", data, start + 56 * index)) for index in range(count)]


class _Loader:
    """The dynamic loader's work on one object."""

    def __init__(
        self,
        machine: str,
        memory: bytearray,
        tags: dict[int, int],
        tls: ThreadLocals,
        needed: list[int],
        base: int,
    ) -> None:
        self.machine, self.memory, self.tags, self.tls, self.needed = machine, memory, tags, tls, needed
        self.base = base
        self.words = ImageWords(memory, self.base)
        start, size = tags.get(_DT_STRTAB, 0), tags.get(_DT_STRSZ, 0)
        self.strings = bytes(memory[start : start + size])
        self.binds: list[Bind] = []
        self.call_slots: list[int] = []
        self.resolvers: list[tuple[int, int]] = []
        self.tls_fixups: list[TlsFixup] = []
        self.symbols: dict[int, _Symbol] = {}

    def image(self, every_export: bool) -> Image:
        self._relocate_packed()
        for offset, info, addend in self._rela_entries():
            self._relocate(offset, info, addend)
        exports, imports, weak = self._names(every_export)
        return Image(
            format="elf",
            machine=self.machine,
            base=self.base,
            memory=self.memory,
            exports=exports,
            binds=tuple(self.binds),
            call_slots=tuple(self.call_slots),
            resolvers=tuple(self.resolvers),
            initializers=tuple(self._initializers()),
            tls=self.tls,
            tls_fixups=tuple(self.tls_fixups),
            imports=imports,
            weak_imports=weak,
            libraries=tuple(map(self._string, self.needed)),
        )

    def _rela_entries(self) -> Iterator[tuple[int, int, int]]:
        for table, length in ((_DT_RELA, _DT_RELASZ), (_DT_JMPREL, _DT_PLTRELSZ)):
            start, size = self.tags.get(table, 0), self.tags.get(length, 0)
            if start and size:
                chunk = bytes(self.memory[start : start + size - size % 24])
                yield from struct.iter_unpack("<QQq", chunk[: len(chunk) - len(chunk) % 24])

    def _relocate_packed(self) -> None:
        """Apply the compact table of relative relocations (`DT_RELR`)."""
        start, size = self.tags.get(_DT_RELR, 0), self.tags.get(_DT_RELRSZ, 0)
        if not start or not size:
            return
        chunk = bytes(self.memory[start : start + size - size % 8])
        words, where = self.words, 0
        for (entry,) in struct.iter_unpack("<Q", chunk[: len(chunk) - len(chunk) % 8]):
            if not entry & 1:
                address = self.base + entry
                if words.holds(address):
                    words.write(address, words.read(address) + self.base)
                where = address + 8
                continue
            bits, address = entry >> 1, where
            while bits:
                if bits & 1 and words.holds(address):
                    words.write(address, words.read(address) + self.base)
                bits >>= 1
                address += 8
            where += 63 * 8

    def _relocate(self, offset: int, info: int, addend: int) -> None:
        kind = _KINDS[self.machine].get(info & 0xFFFF_FFFF)
        address = self.base + offset
        if kind == "relative":
            self.words.write(address, self.base + addend)
            return
        if kind is None or not self.words.holds(address):
            return
        if kind == "resolver":
            self.resolvers.append((address, self.base + addend))
            return
        symbol = self._symbol(info >> 32)
        if kind == "call":
            self.call_slots.append(address)
        if kind.startswith("tls-"):
            self.tls_fixups.append(TlsFixup(address=address, kind=kind[4:], offset=symbol.value + addend))
        elif symbol.defined:
            self.words.write(address, self.base + symbol.value + addend)
        elif symbol.name:
            # A weak symbol that nothing defines is null; those of the C library and CPython are defined.
            if symbol.is_weak and symbol.name in _NEVER_DEFINED:
                self.words.write(address, 0)
            else:
                self.binds.append(
                    Bind(
                        address=address,
                        symbol=symbol.name,
                        addend=addend,
                        is_call=kind == "call",
                        is_weak=symbol.is_weak,
                    )
                )

    def _symbol(self, index: int) -> _Symbol:
        known = self.symbols.get(index)
        if known is None:
            start = self.tags.get(_DT_SYMTAB, 0) + 24 * index
            if index == 0 or start + 24 > len(self.memory):
                known = _Symbol("", 0, index == 0, False, False)
            else:
                name, info, _, section, value, _ = struct.unpack_from("<IBBHQQ", self.memory, start)
                known = _Symbol(self._string(name), value, section != 0, info & 15 == 6, info >> 4 == _STB_WEAK)
            self.symbols[index] = known
        return known

    def _string(self, offset: int) -> str:
        end = self.strings.find(b"\0", offset)
        return self.strings[offset:end].decode("utf-8", "replace") if end >= 0 else ""

    def _names(self, every_export: bool) -> tuple[dict[str, int], frozenset[str], frozenset[str]]:
        """Return the exports, the names of all undefined symbols, and which of these are weak.

        Only the hash tables give the number of symbols; string and symbol tables are adjacent in every
        known linker's output, but nothing says so: the walk ends where an entry's name leaves the string table.
        """
        start, count = self.tags.get(_DT_SYMTAB, 0), self._symbol_count()
        chunk = bytes(self.memory[start : start + 24 * count])
        exports: dict[str, int] = {}
        imports, weak = set(), set()
        wanted = b"" if every_export else tuple(prefix.encode() for prefix in HOOK_PREFIXES)
        for name, info, _, section, value, _ in struct.iter_unpack("<IBBHQQ", chunk[: len(chunk) - len(chunk) % 24]):
            if section == 0:
                symbol = self._string(name)
                imports.add(symbol)
                if info >> 4 == _STB_WEAK:
                    weak.add(symbol)
            elif self.strings.startswith(wanted, name):
                exports[self._string(name)] = self.base + value
        return exports, frozenset(imports - {""}), frozenset(weak)

    def _symbol_count(self) -> int:
        if table := self.tags.get(4, 0):  # DT_HASH: nbucket, nchain; there are nchain symbols
            return int(struct.unpack_from("<I", self.memory, table + 4)[0])
        table = self.tags.get(0x6FFF_FEF5, 0)  # DT_GNU_HASH
        if not table:
            return max(self.symbols, default=0) + 1
        header: tuple[int, int, int, int] = struct.unpack_from("<IIII", self.memory, table)
        buckets, first, bloom, _ = header
        start = table + 16 + 8 * bloom
        heads = struct.unpack_from(f"<{buckets}I", self.memory, start) if buckets * 4 < len(self.memory) else (0,)
        index = max(heads, default=0)
        if index < first:
            return max(first, max(self.symbols, default=0) + 1)
        chains = start + 4 * buckets
        while not struct.unpack_from("<I", self.memory, chains + 4 * (index - first))[0] & 1:
            index += 1
        return index + 1

    def _initializers(self) -> Iterator[int]:
        if init := self.tags.get(_DT_INIT, 0):
            yield self.base + init
        start, size = self.tags.get(_DT_INIT_ARRAY, 0), self.tags.get(_DT_INIT_ARRAYSZ, 0)
        if start and 0 < size <= 1 << 20:
            for (address,) in struct.iter_unpack("<Q", self.memory[start : start + size - size % 8]):
                if address not in (0, 0xFFFF_FFFF_FFFF_FFFF):
                    yield address


_NEVER_DEFINED = frozenset(
    {"__gmon_start__", "_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable", "_Jv_RegisterClasses"}
)
