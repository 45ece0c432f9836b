"""The AVX instructions that compute with floating-point numbers, and those that compare them or make them of ints."""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Callable

from ftaudit.binary.emulator.avx.decoding import Instruction
from ftaudit.binary.emulator.avx.lanes import joined, lanes

_FORMATS = {32: ("<I", "<f"), 64: ("<Q", "<d")}
_EXPONENT = {32: 0x7F80_0000, 64: 0x7FF0_0000_0000_0000}
_INDEFINITE = {32: 0xFFC0_0000, 64: 0xFFF8_0000_0000_0000}
"""The quiet NaN, as the processor makes it."""
_ZERO, _PARITY, _CARRY = 1 << 6, 1 << 2, 1
_STATUS = 1 << 11 | 1 << 7 | _ZERO | 1 << 4 | _PARITY | _CARRY
"""The flags that a comparison sets: overflow, sign and adjust to 0."""


def _float(bits: int, width: int) -> float:
    whole, real = _FORMATS[width]
    return float(struct.unpack(real, struct.pack(whole, bits))[0])


def _bits(value: float, width: int) -> int:
    whole, real = _FORMATS[width]
    if math.isnan(value):
        return _INDEFINITE[width]
    try:
        return int(struct.unpack(whole, struct.pack(real, value))[0])
    except OverflowError:
        return _EXPONENT[width] | (1 << width - 1 if value < 0 else 0)


def _divided(x: float, y: float) -> float:
    if y:
        return x / y
    return math.nan if not x or math.isnan(x) else math.copysign(math.inf, x) * math.copysign(1, y)


def _root(_x: float, y: float) -> float:
    return math.sqrt(y) if y >= 0 else math.nan


_ARITHMETIC: dict[int, Callable[[float, float], float]] = {
    0x51: _root,
    0x58: operator.add,
    0x59: operator.mul,
    0x5C: operator.sub,
    0x5D: lambda x, y: min(y, x),
    0x5E: _divided,
    0x5F: lambda x, y: max(y, x),
}


def compute(i: Instruction) -> bool:
    """Execute one of these instructions; return whether it is one."""
    width = 32 if i.prefix in (0, 2) else 64
    match i.opcode:
        case 0x51 | 0x58 | 0x59 | 0x5C | 0x5D | 0x5E | 0x5F:
            _arithmetic(i, width, scalar=i.prefix >= 2)
        case 0x2A if i.prefix >= 2:
            size = 64 if i.wide else 32
            raw = i.source(size // 8) if i.address is not None else i.processor.read_register(i.rm)
            raw &= (1 << size) - 1
            _put_low(i, _bits(float(raw - (raw >> size - 1 << size)), width), width)
        case 0x2C | 0x2D if i.prefix >= 2:
            _to_int(i, width, cut=i.opcode == 0x2C)
        case 0x2E | 0x2F if i.prefix < 2:
            _compare(i, 64 if i.prefix else 32)
        case 0x5A if i.prefix >= 2:
            other = 96 - width
            _put_low(i, _bits(_float(i.source(width // 8), width), other), other)
        case _:
            return False
    return True


def _arithmetic(i: Instruction, width: int, *, scalar: bool) -> None:
    rule = _ARITHMETIC[i.opcode]
    if scalar:
        value = rule(_float(i.first() & (1 << width) - 1, width), _float(i.source(width // 8), width))
        _put_low(i, _bits(value, width), width)
        return
    x, y = lanes(i.first(), width, i.size), lanes(i.source(i.size), width, i.size)
    i.put(joined([_bits(rule(_float(m, width), _float(n, width)), width) for m, n in zip(x, y, strict=True)], width))


def _put_low(i: Instruction, bits: int, width: int) -> None:
    """Put the result of an instruction for one number: the bits above it are the first operand's."""
    i.put((i.first() & (1 << 128) - 1) >> width << width | bits)


def _to_int(i: Instruction, width: int, *, cut: bool) -> None:
    """Round to the nearest int, to the even one of two, or towards zero."""
    size = 64 if i.wide else 32
    value = _float(i.source(width // 8), width)
    whole = (math.trunc(value) if cut else round(value)) if math.isfinite(value) else 1 << size
    fits = -(1 << size - 1) <= whole < 1 << size - 1
    i.processor.write_register(i.register, (whole if fits else 1 << size - 1) & (1 << size) - 1)


def _compare(i: Instruction, width: int) -> None:
    left = _float(i.processor.read_vector(i.register) & (1 << width) - 1, width)
    right = _float(i.source(width // 8), width)
    if math.isnan(left) or math.isnan(right):
        told = _ZERO | _PARITY | _CARRY
    else:
        told = _ZERO if left == right else _CARRY if left < right else 0
    i.processor.write_flags(i.processor.read_flags() & ~_STATUS | told)
