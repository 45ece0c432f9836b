"""The AVX instructions that rearrange the lanes of vectors: inserts and extracts, shuffles, blends and shifts."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ftaudit.binary.emulator.avx.decoding import Instruction

_BLOCK = 16
"""Bytes of a half of a wide vector: most instructions treat the two alike and apart."""


def lanes(value: int, width: int, size: int) -> list[int]:
    """Return the lanes of `width` bits of a vector of `size` bytes, the lowest first."""
    mask = (1 << width) - 1
    return [value >> shift & mask for shift in range(0, 8 * size, width)]


def joined(parts: Iterable[int], width: int) -> int:
    """Return the vector with these lanes, each cut to `width` bits."""
    mask = (1 << width) - 1
    return sum((lane & mask) << width * number for number, lane in enumerate(parts))


def rearrange(i: Instruction) -> bool:
    """Execute one of these instructions; return whether it is one."""
    rule = _RULES.get((i.map, i.opcode, i.prefix))
    if rule is None:
        return False
    rule(i)
    return True


def _by_blocks(width: int, pick: Callable[[list[int], list[int], int], list[int]]) -> Callable[[Instruction], None]:
    """Return a rule that computes each half from the same half of the two operands and the immediate byte."""

    def rule(i: Instruction) -> None:
        each = 8 * _BLOCK // width
        x, y = lanes(i.first(), width, i.size), lanes(i.source(i.size), width, i.size)
        made: list[int] = []
        for start in range(0, len(x), each):
            made += pick(x[start : start + each], y[start : start + each], i.immediate)
        i.put(joined(made, width))

    return rule


def _of_one(width: int, pick: Callable[[list[int], int], list[int]]) -> Callable[[Instruction], None]:
    """Return such a rule for one operand."""
    return _by_blocks(width, lambda _x, y, immediate: pick(y, immediate))


def _unpack(width: int, *, high: bool) -> Callable[[Instruction], None]:
    def pick(x: list[int], y: list[int], _immediate: int) -> list[int]:
        half = slice(len(x) // 2, None) if high else slice(len(x) // 2)
        return [lane for pair in zip(x[half], y[half], strict=True) for lane in pair]

    return _by_blocks(width, pick)


def _chosen(values: list[int], immediate: int) -> list[int]:
    return [values[immediate >> 2 * number & 3] for number in range(4)]


def _insert(width: int) -> Callable[[Instruction], None]:
    def rule(i: Instruction) -> None:
        register = i.processor.read_register(i.rm)
        value = (i.source(width // 8) if i.address is not None else register) & ((1 << width) - 1)
        parts = lanes(i.first(), width, _BLOCK)
        parts[i.immediate % len(parts)] = value
        i.put(joined(parts, width))

    return rule


def _extract(width: int) -> Callable[[Instruction], None]:
    def rule(i: Instruction) -> None:
        parts = lanes(i.processor.read_vector(i.register), width, _BLOCK)
        value = parts[i.immediate % len(parts)]
        if i.address is None:
            i.processor.write_register(i.rm, value)
        else:
            i.processor.store(i.address, value, width // 8)

    return rule


def _extract_to_register(i: Instruction) -> None:
    i.processor.write_register(i.register, lanes(i.processor.read_vector(i.rm), 16, _BLOCK)[i.immediate & 7])


def _insert_float(i: Instruction) -> None:
    """VINSERTPS: the byte names the source's lane, the place, and lanes to be cleared."""
    memory = i.address is not None
    value = i.source(4) if memory else lanes(i.source(_BLOCK), 32, _BLOCK)[i.immediate >> 6]
    parts = lanes(i.first(), 32, _BLOCK)
    parts[i.immediate >> 4 & 3] = value
    i.put(joined([0 if i.immediate >> number & 1 else lane for number, lane in enumerate(parts)], 32))


def _permute_halves(i: Instruction) -> None:
    """VPERM2F128 and VPERM2I128: each half is one of the four that the operands have, or nothing."""
    halves = lanes(i.first(), 128, 32) + lanes(i.source(32), 128, 32)
    picks = (i.immediate & 15, i.immediate >> 4)
    i.put(joined([0 if pick & 8 else halves[pick & 3] for pick in picks], 128))


def _permute_quarters(i: Instruction) -> None:
    i.put(joined(_chosen(lanes(i.source(32), 64, 32), i.immediate), 64))


def _blend(width: int, bits: int) -> Callable[[Instruction], None]:
    """Return a rule that takes a lane of the second operand for each bit that is set in the immediate byte."""

    def rule(i: Instruction) -> None:
        x, y = lanes(i.first(), width, i.size), lanes(i.source(i.size), width, i.size)
        pairs = enumerate(zip(x, y, strict=True))
        i.put(joined([pair[i.immediate >> number % bits & 1] for number, pair in pairs], width))

    return rule


def _align(x: list[int], y: list[int], immediate: int) -> list[int]:
    return (y + x + [0] * 16)[min(immediate, 32) :][:16] if immediate < 32 else [0] * 16


def _shuffle_bytes(x: list[int], y: list[int], _immediate: int) -> list[int]:
    return [0 if place & 0x80 else x[place & 15] for place in y]


def _extend(narrow: int, wide: int, *, signed: bool) -> Callable[[Instruction], None]:
    def rule(i: Instruction) -> None:
        count = 8 * i.size // wide
        parts = lanes(i.source(count * narrow // 8), narrow, count * narrow // 8)
        top = 1 << narrow - 1
        i.put(joined([(lane ^ top) - top if signed else lane for lane in parts], wide))

    return rule


def _shift(width: int) -> Callable[[Instruction], None]:
    """Return the rule of shifts by the immediate byte; a register field encodes the kind of shift."""

    def rule(i: Instruction) -> None:
        parts, count = lanes(i.processor.read_vector(i.rm), width, i.size), i.immediate
        match i.register & 7:
            case 2:
                made = [lane >> count if count < width else 0 for lane in parts]
            case 4:
                top = 1 << width - 1
                made = [((lane ^ top) - top) >> min(count, width - 1) for lane in parts]
            case 6:
                made = [lane << count if count < width else 0 for lane in parts]
            case _:
                # Of whole halves, by bytes: 3 to the right, 7 to the left.
                bits = 8 * min(count, _BLOCK)
                halves = lanes(i.processor.read_vector(i.rm), 128, i.size)
                shifted = [half >> bits if i.register & 7 == 3 else half << bits for half in halves]
                made, made_width = shifted, 128
                i.processor.write_vector(i.other, joined(made, made_width))
                return
        i.processor.write_vector(i.other, joined(made, width))

    return rule


def _greater(width: int) -> Callable[[Instruction], None]:
    top = 1 << width - 1

    def pick(x: list[int], y: list[int], _immediate: int) -> list[int]:
        return [-((m ^ top) > (n ^ top)) for m, n in zip(x, y, strict=True)]

    return _by_blocks(width, pick)


def _move_low(width: int) -> Callable[[Instruction], None]:
    """Return the rule of VMOVSS and VMOVSD between registers: the low lane of one, the rest of another."""

    def rule(i: Instruction) -> None:
        low = i.processor.read_vector(i.rm if i.opcode == 0x10 else i.register) & ((1 << width) - 1)
        value = i.processor.read_vector(i.other) & ((1 << 128) - 1) >> width << width | low
        i.processor.write_vector(i.register if i.opcode == 0x10 else i.rm, value)

    return rule


_RULES: dict[tuple[int, int, int], Callable[[Instruction], None]] = {
    (1, 0x10, 2): _move_low(32),
    (1, 0x11, 2): _move_low(32),
    (1, 0x10, 3): _move_low(64),
    (1, 0x11, 3): _move_low(64),
    (1, 0x12, 2): _of_one(32, lambda y, _: [y[0], y[0], y[2], y[2]]),
    (1, 0x12, 3): _of_one(64, lambda y, _: [y[0], y[0]]),
    (1, 0x16, 2): _of_one(32, lambda y, _: [y[1], y[1], y[3], y[3]]),
    (1, 0x14, 0): _unpack(32, high=False),
    (1, 0x15, 0): _unpack(32, high=True),
    (1, 0x60, 1): _unpack(8, high=False),
    (1, 0x61, 1): _unpack(16, high=False),
    (1, 0x62, 1): _unpack(32, high=False),
    (1, 0x68, 1): _unpack(8, high=True),
    (1, 0x69, 1): _unpack(16, high=True),
    (1, 0x6A, 1): _unpack(32, high=True),
    (1, 0x64, 1): _greater(8),
    (1, 0x65, 1): _greater(16),
    (1, 0x66, 1): _greater(32),
    (1, 0x70, 2): _of_one(16, lambda y, immediate: y[:4] + _chosen(y[4:], immediate)),
    (1, 0x70, 3): _of_one(16, lambda y, immediate: _chosen(y[:4], immediate) + y[4:]),
    (1, 0x71, 1): _shift(16),
    (1, 0x72, 1): _shift(32),
    (1, 0x73, 1): _shift(64),
    (1, 0xC4, 1): _insert(16),
    (1, 0xC5, 1): _extract_to_register,
    (1, 0xC6, 0): _by_blocks(32, lambda x, y, k: _chosen(x, k)[:2] + _chosen(y, k)[2:]),
    (2, 0x00, 1): _by_blocks(8, _shuffle_bytes),
    (2, 0x37, 1): _greater(64),
    **{(2, 0x20 + number, 1): _extend(*pair, signed=True) for number, pair in enumerate(
        ((8, 16), (8, 32), (8, 64), (16, 32), (16, 64), (32, 64))
    )},
    **{(2, 0x30 + number, 1): _extend(*pair, signed=False) for number, pair in enumerate(
        ((8, 16), (8, 32), (8, 64), (16, 32), (16, 64), (32, 64))
    )},
    (3, 0x00, 1): _permute_quarters,
    (3, 0x01, 1): _permute_quarters,
    (3, 0x02, 1): _blend(32, 8),
    (3, 0x04, 1): _of_one(32, _chosen),
    (3, 0x06, 1): _permute_halves,
    (3, 0x0C, 1): _blend(32, 8),
    (3, 0x0D, 1): _blend(64, 4),
    (3, 0x0E, 1): _blend(16, 8),
    (3, 0x0F, 1): _by_blocks(8, _align),
    (3, 0x14, 1): _extract(8),
    (3, 0x15, 1): _extract(16),
    (3, 0x17, 1): _extract(32),
    (3, 0x20, 1): _insert(8),
    (3, 0x21, 1): _insert_float,
    (3, 0x46, 1): _permute_halves,
}  # fmt: skip
