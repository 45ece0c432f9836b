"""One machine's image of an extension module, mapped and relocated, whatever the file format was."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from ftaudit.errors import ImageError

HOOK_PREFIXES = ("PyInit_", "PyInitU_", "PyModExport_", "PyModExportU_")
"""The symbols that CPython looks up in an extension module (PEP 489, PEP 793)."""

X86_64 = "x86_64"
AARCH64 = "aarch64"
DEFAULT_COOKIE = 0x2B99_2DDF_A232
"""PE: the security cookie before the loader sets it (`DEFAULT_SECURITY_COOKIE` in Microsoft's gs_support.c)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bind:
    """A pointer in the image that the loader fills with the address of an imported symbol."""

    address: int
    symbol: str
    """As C spells it: without Mach-O's leading underscore."""
    addend: int = 0
    is_weak: bool = False
    """It may be undefined: then the pointer is null."""
    is_call: bool = False
    """It is only ever called (ELF's JUMP_SLOT)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ThreadLocals:
    """The template of the image's thread-local variables."""

    template: bytes = b""
    size: int = 0
    alignment: int = 16
    index_address: int | None = None
    """PE: where the loader writes the image's TLS index."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TlsFixup:
    """A word that depends on the thread-local storage, and is filled when that has a place."""

    address: int
    kind: str
    """`module`, `module-offset`, `thread-offset` or `descriptor`."""
    offset: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """The memory that a loader sets up before it runs any code, except the imported symbols."""

    format: str
    """`elf`, `macho` or `pe`."""
    machine: str
    """`x86_64`, `aarch64` or another machine's name, for which `memory` is empty and the exports have no address."""
    base: int = 0
    memory: bytes | bytearray = b""
    """From `base` on, relocated to it."""
    exports: Mapping[str, int] = field(default_factory=dict)
    """Absolute addresses of the exported hooks and whatever else the format lists cheaply."""
    binds: tuple[Bind, ...] = ()
    call_slots: tuple[int, ...] = ()
    """The addresses of pointers that only calls go through, with those to functions of its own (ELF's JUMP_SLOT)."""
    resolvers: tuple[tuple[int, int], ...] = ()
    """Pairs of a pointer's address and of the resolver that computes it (ELF's IRELATIVE)."""
    initializers: tuple[int, ...] = ()
    """Static constructors, in order."""
    entry: int | None = None
    """PE: `DllMain`'s wrapper, which runs the C runtime's initializers."""
    cookie: int | None = None
    """PE: the address of the security cookie, a number that the loader chooses."""
    tls: ThreadLocals = ThreadLocals()
    tls_fixups: tuple[TlsFixup, ...] = ()
    imports: frozenset[str] = frozenset()
    weak_imports: frozenset[str] = frozenset()
    """Those that may be missing: the loader then leaves the pointer null."""
    libraries: tuple[str, ...] = ()
    absent: tuple[tuple[int, int], ...] = ()
    """Ranges of addresses, in whole pages, whose content in the file is not available."""
    doubtful: tuple[tuple[int, int], ...] = ()
    """Ranges of addresses of data that is not available, in order."""

    code: tuple[tuple[int, int], ...] = ()
    """Ranges of addresses that hold code; empty if the loader does not read them for the format."""

    data: tuple[tuple[int, int], ...] = ()
    """Ranges of addresses that stay writable after loading; empty if the loader does not read them for the format.

    The call slots are not among them: only the loader writes these.
    """

    def in_code(self, address: int) -> bool:
        """Return whether an address is that of code, or may be."""
        if not self.code:
            return False
        return any(start <= address < end for start, end in self.code)

    @property
    def end(self) -> int:
        """The first address after the image."""
        return self.base + len(self.memory)

    def hooks(self) -> dict[str, int]:
        """Return the exported `PyInit_…` and `PyModExport_…` functions, by name."""
        return {name: address for name, address in self.exports.items() if name.startswith(HOOK_PREFIXES)}


@contextmanager
def malformed(what: str) -> Iterator[None]:
    """Turn any exception that an invalid table causes in our code or LIEF's into an `ImageError`.

    LIEF's accessors raise any exception of their C++ code, even `SystemError` for an unknown enumerator.
    """
    try:
        yield
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(f"the tables of this {what} file are malformed: {type(error).__name__}: {error}") from error


class ImageWords:
    """The image's memory while its loader fixes it up: 64-bit little-endian words at absolute addresses."""

    def __init__(self, memory: bytearray, base: int) -> None:
        self.memory = memory
        self.base = base

    def holds(self, address: int, size: int = 8) -> bool:
        """Return whether `size` bytes at the address lie in the image."""
        return self.base <= address and address + size <= self.base + len(self.memory)

    def read(self, address: int) -> int:
        """Return the word at the address."""
        return int(struct.unpack_from("<Q", self.memory, address - self.base)[0])

    def write(self, address: int, value: int) -> None:
        """Write the word, or nothing if the address is outside the image (an invalid relocation)."""
        if self.holds(address):
            struct.pack_into("<Q", self.memory, address - self.base, value & 0xFFFF_FFFF_FFFF_FFFF)
