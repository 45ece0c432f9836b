"""The AVX instructions with which compilers clear, copy and gather data: Unicorn's x86-64 has none of them.

It takes a VEX prefix for the SSE instruction of the same opcode, without the third operand and the upper half. So a
module that was compiled only for such processors is followed instruction by instruction.
"""

from __future__ import annotations

from ftaudit.binary.emulator.avx.decoding import Instruction, Processor
from ftaudit.binary.emulator.avx.float_lanes import compute
from ftaudit.binary.emulator.avx.lanes import joined, lanes, rearrange

_M64 = (1 << 64) - 1
_M128 = (1 << 128) - 1
VEX = (0xC4, 0xC5)

__all__ = ["VEX", "Processor", "Unsupported", "execute"]


class Unsupported(Exception):
    """An AVX instruction that is not among those below."""


def execute(processor: Processor, code: bytes, address: int) -> int | None:
    """Execute the instruction at the address and return where the next one is.

    `None` is for those with a VEX prefix that Unicorn supports itself (BMI). Raise `Unsupported` for any other.
    """
    i = Instruction(processor, code, address)
    if (i.map, i.opcode) in _BMI:
        return None
    known = (_move(i) or compute(i)) if i.map == 1 else _extended(i)
    if not (known or rearrange(i) or (i.map == 1 and _combine(i))):
        raise Unsupported(f"VEX map {i.map} opcode {i.opcode:#x}")
    return i.end


_BMI = {(2, 0xF2), (2, 0xF3), (2, 0xF5), (2, 0xF6), (2, 0xF7), (3, 0xF0)}


def _move(i: Instruction) -> bool:
    """Execute loads, stores and moves between register files."""
    p, memory = i.processor, i.address
    match i.opcode, i.prefix:
        case (0x10 | 0x28, 0 | 1) | (0x6F, 1 | 2) | (0xF0, 3):
            i.put(i.source(i.size))
        case (0x11 | 0x29 | 0x2B, 0 | 1) | (0x7F, 1 | 2) | (0xE7, 1):
            value = p.read_vector(i.register) & ((1 << 8 * i.size) - 1)
            if memory is None:
                p.write_vector(i.rm, value)
            else:
                p.store(memory, value, i.size)
        case (0x10, 2 | 3) if memory is not None:
            i.put(i.source(4 if i.prefix == 2 else 8))
        case (0x11, 2 | 3) if memory is not None:
            size = 4 if i.prefix == 2 else 8
            p.store(memory, p.read_vector(i.register) & ((1 << 8 * size) - 1), size)
        case (0x6E, 1):
            size = 8 if i.wide else 4
            i.put(i.source(size) if memory is not None else p.read_register(i.rm) & ((1 << 8 * size) - 1))
        case (0x7E, 2):
            i.put(i.source(8))
        case (0x7E | 0xD6, 1):
            size = 8 if i.wide or i.opcode == 0xD6 else 4
            value = p.read_vector(i.register) & ((1 << 8 * size) - 1)
            if memory is not None:
                p.store(memory, value, size)
            elif i.opcode == 0x7E:
                p.write_register(i.rm, value)
            else:
                p.write_vector(i.rm, value)
        case (0x16, 0 | 1):
            i.put(i.first() & _M64 | i.source(8) << 64)
        case (0x12, 0 | 1):
            low = i.source(8) if memory is not None else p.read_vector(i.rm) >> 64 & _M64
            i.put(i.first() >> 64 << 64 & _M128 | low)
        case (0x13 | 0x17, 0 | 1) if memory is not None:
            p.store(memory, p.read_vector(i.register) >> (64 if i.opcode == 0x17 else 0) & _M64, 8)
        case (0x77, _):
            for number in range(16):
                p.write_vector(number, p.read_vector(number) & _M128 if i.size == 16 else 0)
        case _:
            return False
    return True


def _combine(i: Instruction) -> bool:
    """Execute instructions that combine two vectors, and the few that read one."""
    if i.opcode == 0xD7 and i.prefix == 1:
        bits = joined([lane >> 7 for lane in lanes(i.source(i.size), 8, i.size)], 1)
        i.processor.write_register(i.register, bits)
        return True
    if i.opcode == 0x70 and i.prefix == 1:
        words = lanes(i.source(i.size), 32, i.size)
        order = [i.immediate >> 2 * number & 3 for number in range(4)]
        i.put(joined([words[start + k] for start in range(0, len(words), 4) for k in order], 32))
        return True
    a, b, full = i.first(), i.source(i.size), (1 << 8 * i.size) - 1
    width = {0xFC: 8, 0xFD: 16, 0xFE: 32, 0xD4: 64, 0xFA: 32, 0xFB: 64, 0x74: 8, 0x75: 16, 0x76: 32}.get(i.opcode, 64)
    x, y = lanes(a, width, i.size), lanes(b, width, i.size)
    match i.opcode:
        case 0x57 | 0xEF:
            i.put(a ^ b)
        case 0x54 | 0xDB:
            i.put(a & b)
        case 0x55 | 0xDF:
            i.put(~a & b & full)
        case 0x56 | 0xEB:
            i.put(a | b)
        case 0xFC | 0xFD | 0xFE | 0xD4 if i.prefix == 1:
            i.put(joined([m + n for m, n in zip(x, y, strict=True)], width))
        case 0xFA | 0xFB if i.prefix == 1:
            i.put(joined([m - n for m, n in zip(x, y, strict=True)], width))
        case 0x74 | 0x75 | 0x76 if i.prefix == 1:
            i.put(joined([-(m == n) for m, n in zip(x, y, strict=True)], width))
        case 0x14 | 0x6C if i.prefix == 1:
            i.put(joined([half[k] for k in range(0, len(x), 2) for half in (x, y)], 64))
        case 0x15 | 0x6D if i.prefix == 1:
            i.put(joined([half[k] for k in range(1, len(x), 2) for half in (x, y)], 64))
        case 0xC6 if i.prefix == 1:
            picks = [(half[k - k % 2 + (i.immediate >> k & 1)]) for k, half in enumerate([x, y] * (len(x) // 2))]
            i.put(joined(picks, 64))
        case _:
            return False
    return True


def _extended(i: Instruction) -> bool:
    """Execute the instructions of the second and third opcode map."""
    p = i.processor
    half = 128 * (i.immediate & 1)
    match i.map, i.opcode:
        case (2, 0x18 | 0x58):
            i.put(joined([i.source(4)] * (i.size // 4), 32))
        case (2, 0x19 | 0x59):
            i.put(joined([i.source(8)] * (i.size // 8), 64))
        case (2, 0x1A | 0x5A):
            i.put(i.source(16) * (1 | 1 << 128))
        case (2, 0x78):
            i.put(joined([i.source(1)] * i.size, 8))
        case (3, 0x18 | 0x38):
            i.put(i.first() & ~(_M128 << half) | i.source(16) << half)
        case (3, 0x19 | 0x39):
            value = p.read_vector(i.register) >> half & _M128
            if i.address is None:
                p.write_vector(i.rm, value)
            else:
                p.store(i.address, value, 16)
        case (3, 0x22):
            size = 64 if i.wide else 32
            value = i.source(size // 8) if i.address is not None else p.read_register(i.rm) & ((1 << size) - 1)
            at = size * (i.immediate & (1 if i.wide else 3))
            i.put(i.first() & _M128 & ~((1 << size) - 1 << at) | value << at)
        case (3, 0x16):
            size = 64 if i.wide else 32
            at = size * (i.immediate & (1 if i.wide else 3))
            value = p.read_vector(i.register) >> at & ((1 << size) - 1)
            if i.address is None:
                p.write_register(i.rm, value)
            else:
                p.store(i.address, value, size // 8)
        case _:
            return False
    return True
