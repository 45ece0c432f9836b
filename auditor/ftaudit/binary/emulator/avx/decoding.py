"""One AVX instruction, decoded, and the processor that it works on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_M64 = (1 << 64) - 1
IMMEDIATE = frozenset((1, opcode) for opcode in (0x70, 0x71, 0x72, 0x73, 0xC2, 0xC4, 0xC5, 0xC6))
"""Instructions of the first opcode map that end in an immediate byte; those of the third all do."""


@dataclass(frozen=True, slots=True)
class Processor:
    """How to reach registers, by their number in the instruction set, and memory."""

    read_register: Callable[[int], int]
    write_register: Callable[[int, int], None]
    read_vector: Callable[[int], int]
    write_vector: Callable[[int, int], None]
    load: Callable[[int, int], int]
    store: Callable[[int, int, int], None]
    read_flags: Callable[[], int]
    write_flags: Callable[[int], None]


class Instruction:
    """One instruction with a VEX prefix, decoded (Intel SDM volume 2, 2.3)."""

    def __init__(self, processor: Processor, code: bytes, address: int) -> None:
        self.processor = processor
        if code[0] == 0xC5:
            first, second, position, self.map = code[1], code[1], 2, 1
            x = b = 0
            self.wide = False
        else:
            first, second, position, self.map = code[1], code[2], 3, code[1] & 31
            x, b = ~first >> 6 & 1, ~first >> 5 & 1
            self.wide = bool(second & 0x80)
        self.size = 32 if second & 4 else 16
        self.prefix = second & 3
        self.other = ~(second >> 3) & 15
        self.opcode = code[position]
        position += 1
        self.register = self.rm = 0
        address_in_memory: int | None = None
        relative = False
        if (self.map, self.opcode) != (1, 0x77):
            modrm = code[position]
            self.register = modrm >> 3 & 7 | (~first >> 7 & 1) << 3
            relative = modrm & 0xC7 == 5
            position, address_in_memory = self._operand(code, position + 1, modrm, x, b)
        has_immediate = self.map == 3 or (self.map, self.opcode) in IMMEDIATE
        self.immediate = code[position] if has_immediate else 0
        self.end = address + position + has_immediate
        if address_in_memory is not None:
            address_in_memory = address_in_memory + (self.end if relative else 0) & _M64
        self.address = address_in_memory

    def _operand(self, code: bytes, position: int, modrm: int, x: int, b: int) -> tuple[int, int | None]:
        """Decode what follows ModRM; return the position after it and the address, `None` for a register."""
        mode, low = modrm >> 6, modrm & 7
        if mode == 3:
            self.rm = low | b << 3
            return position, None
        read = self.processor.read_register
        total = 0
        if low == 4:
            sib = code[position]
            position += 1
            index = sib >> 3 & 7 | x << 3
            total += read(index) << (sib >> 6) if index != 4 else 0
            low = sib & 7
        no_base = mode == 0 and low == 5
        if not no_base:
            total += read(low | b << 3)
        width = 4 if no_base or mode == 2 else mode
        total += int.from_bytes(code[position : position + width], "little", signed=True)
        return position + width, total

    def source(self, size: int) -> int:
        """Return the operand in register or memory, `size` bytes of it."""
        if self.address is not None:
            return self.processor.load(self.address, size)
        return self.processor.read_vector(self.rm) & ((1 << 8 * size) - 1)

    def first(self) -> int:
        """Return the operand that the prefix names."""
        return self.processor.read_vector(self.other) & ((1 << 8 * self.size) - 1)

    def put(self, value: int) -> None:
        """Write the result; the bits above it are cleared."""
        self.processor.write_vector(self.register, value)
