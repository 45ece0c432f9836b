"""How `std::string` objects lie in memory: libstdc++'s of both ABIs and libc++'s of both layouts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ftaudit.binary.emulator.emulated_process import Process
from ftaudit.binary.image.mapped import AARCH64
from ftaudit.binary.stubs.libc import counted


@dataclass(frozen=True, kw_only=True, slots=True)
class StringLayout:
    """One implementation of `std::string`: how its members are mangled, and how its objects are laid out."""

    prefixes: tuple[str, ...]
    """Of the mangled names of members, those of `const` ones included."""
    itself: str
    """How parameters of the type itself are mangled: a reference to it follows `RK` or `O`."""
    allocator: str
    read: Callable[[Process, int], bytes]
    clear: Callable[[Process, int], None]
    """Make an empty string of memory that holds none."""
    write: Callable[[Process, int, bytes], None]


# libstdc++ since GCC 5: pointer, length, and 16 bytes of short text or capacity.


def _read_gnu(process: Process, this: int) -> bytes:
    machine = process.machine
    return machine.read(machine.read_word(this), counted(machine.read_word(this + 8)))


def _clear_gnu(process: Process, this: int) -> None:
    process.machine.write(this, (this + 16).to_bytes(8, "little") + bytes(16))


def _write_gnu(process: Process, this: int, content: bytes) -> None:
    machine = process.machine
    start = machine.read_word(this)
    room = 15 if start == this + 16 else machine.read_word(this + 16)
    if len(content) > room:
        room = max(len(content), min(2 * room, 2 * len(content)))
        start = process.allocate(room + 1)
        machine.write_word(this + 16, room)
        machine.write_word(this, start)
    machine.write(start, content + b"\0")
    machine.write_word(this + 8, len(content))


# libstdc++ of old: a pointer to the text, before which stand length, capacity and a reference count.


def _read_shared(process: Process, this: int) -> bytes:
    machine = process.machine
    start = machine.read_word(this)
    return machine.read(start, counted(machine.read_word(start - 24)))


def _clear_shared(process: Process, this: int) -> None:
    _write_shared(process, this, b"")


def _write_shared(process: Process, this: int, content: bytes) -> None:
    process.machine.write_word(this, new_shared(process, len(content), content) + 24)


def new_shared(process: Process, room: int, content: bytes = b"") -> int:
    """Return the address of a new `std::string::_Rep` of libstdc++'s old ABI; the text is 24 bytes after it."""
    start = process.allocate(24 + counted(room) + 1)
    head = len(content).to_bytes(8, "little") + room.to_bytes(8, "little") + bytes(8)
    process.machine.write(start, head + content + b"\0")
    return start


# libc++: 24 bytes of short text with its length, or capacity, length and pointer; Apple's AArch64 turns that round.


def _is_alternate(process: Process) -> bool:
    return process.format == "macho" and process.machine.name == AARCH64


def _read_llvm(process: Process, this: int) -> bytes:
    raw = process.machine.read(this, 24)
    first, size, last = (int.from_bytes(raw[start : start + 8], "little") for start in (0, 8, 16))
    if _is_alternate(process):
        return process.machine.read(first, counted(size)) if raw[23] & 0x80 else raw[: min(raw[23], 23)]
    return process.machine.read(last, counted(size)) if raw[0] & 1 else raw[1 : 1 + (raw[0] >> 1)]


def _clear_llvm(process: Process, this: int) -> None:
    process.machine.write(this, bytes(24))


def _write_llvm(process: Process, this: int, content: bytes) -> None:
    size, alternate = len(content), _is_alternate(process)
    if size <= 22:
        text = content.ljust(23, b"\0")
        raw = text + bytes((size,)) if alternate else bytes((size << 1,)) + text
    else:
        start = process.allocate(size + 1)
        process.machine.write(start, content)
        words = (start, size, size + 1 | 1 << 63) if alternate else (size + 1 | 1, size, start)
        raw = b"".join(word.to_bytes(8, "little") for word in words)
    process.machine.write(this, raw)


_OF_CHARACTERS = "basic_stringIcSt11char_traitsIcESaIcEE"
GNU = StringLayout(
    prefixes=(f"_ZNSt7__cxx1112{_OF_CHARACTERS}", f"_ZNKSt7__cxx1112{_OF_CHARACTERS}"),
    itself="S4_",
    allocator="RKS3_",
    read=_read_gnu,
    clear=_clear_gnu,
    write=_write_gnu,
)
SHARED = StringLayout(
    prefixes=("_ZNSs", "_ZNKSs"),
    itself="Ss",
    allocator="RKSaIcE",
    read=_read_shared,
    clear=_clear_shared,
    write=_write_shared,
)
LLVM = StringLayout(
    prefixes=(
        "_ZNSt3__112basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEE",
        "_ZNKSt3__112basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEE",
    ),
    itself="S5_",
    allocator="RKS4_",
    read=_read_llvm,
    clear=_clear_llvm,
    write=_write_llvm,
)
LIBRARIES = (GNU, SHARED, LLVM)
