"""Reads from outside whether the GIL of a running interpreter is on, so that no code in the process can hide it.

CPython describes its own memory for debuggers: the section `.PyRuntime` begins with `_Py_DebugOffsets`
(`Include/internal/pycore_debug_offsets.h`, 3.14 and later), which locate `PyInterpreterState._gil.enabled`. That is 0
while the GIL is off, a small count while it is on for an init hook, and `INT_MAX` once it is on permanently.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

COOKIE: Final = b"xdebugpy"
SECTION: Final = b".PyRuntime"
PERMANENT: Final = 2**31 - 1
"""The value of `enabled` once the GIL is on permanently."""
_HEADS: Final = struct.Struct("<8s" + "Q" * 18)
"""Cookie, version, whether free-threaded, three offsets of the runtime's state, fourteen of an interpreter's state."""
_SECTIONS: Final = 4096
"""More sections than any interpreter has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Witness:
    """One interpreter process, and where in its memory the state of the GIL is."""

    pid: int
    address: int

    def gil_is_on(self) -> bool | None:
        """Return whether the GIL is on permanently; `None` if the memory cannot be read (any more)."""
        try:
            with _memory(self.pid) as memory:
                (enabled,) = struct.unpack("<i", os.pread(memory.fileno(), 4, self.address))
        except (OSError, struct.error, OverflowError):
            return None
        return bool(enabled == PERMANENT)


def find_witness(pid: int) -> Witness | None:
    """Return the witness of a process, or `None` if it is not a free-threaded CPython whose memory we may read.

    That is the case on systems without `/proc`, and for versions before 3.14.
    """
    try:
        for path, start in _images(pid):
            address = _section_address(path, start)
            if address is not None:
                return _located(pid, address)
    except (OSError, ValueError, struct.error, OverflowError):
        pass
    return None


def _memory(pid: int) -> BinaryIO:
    return Path(f"/proc/{pid}/mem").open("rb", buffering=0)


def _images(pid: int) -> list[tuple[Path, int]]:
    """Return each mapped file that may be CPython, by its path, with the address of its first byte."""
    found: dict[Path, int] = {}
    for line in Path(f"/proc/{pid}/maps").read_text("utf-8", "replace").splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[2].strip("0") == "" and "python" in fields[5].rpartition("/")[2]:
            # The root of the process may be another than ours; the executable is the same file.
            found.setdefault(Path(f"/proc/{pid}/root{fields[5]}"), int(fields[0].partition("-")[0], 16))
    return list(found.items())


def _section_address(path: Path, start: int) -> int | None:
    """Return where the runtime's section of a 64-bit ELF file is in memory, or `None` if it has none."""
    with path.open("rb") as file:
        head = file.read(64)
        if head[:6] != b"\x7fELF\x02\x01":
            return None
        program, sections = struct.unpack_from("<QQ", head, 32)
        program_size, programs, section_size, count, names = struct.unpack_from("<HHHHH", head, 54)
        if count > _SECTIONS or section_size < 64 or program_size < 56:
            return None
        file.seek(program)
        loaded = [
            struct.unpack_from("<IIQQ", file.read(program_size)) for _ in range(programs)
        ]  # type, flags, offset, address
        base = min((row[3] - row[2] for row in loaded if row[0] == 1 and row[2] == 0), default=0)
        file.seek(sections)
        table = [struct.unpack_from("<IIQQQQ", file.read(section_size)) for _ in range(count)]
        _, _, _, _, offset, size = table[names]
        file.seek(offset)
        text = file.read(size)
        for name, _, _, address, _, _ in table:
            if text[name : text.find(b"\0", name)] == SECTION:
                return int(start + address - base)
    return None


def _located(pid: int, runtime: int) -> Witness | None:
    with _memory(pid) as memory:
        heads = _HEADS.unpack(os.pread(memory.fileno(), _HEADS.size, runtime))
        cookie, free_threaded, interpreters_head = heads[0], heads[2], heads[5]
        gil, enabled = heads[16], heads[17]
        if cookie != COOKIE or not free_threaded:
            return None
        (interpreter,) = struct.unpack("<Q", os.pread(memory.fileno(), 8, runtime + interpreters_head))
    return Witness(pid=pid, address=interpreter + gil + enabled) if interpreter else None
