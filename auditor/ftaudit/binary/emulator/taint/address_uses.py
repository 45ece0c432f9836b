"""Instructions that make something of an address that is not an address: its bits, or its order among others.

Where objects are differs from run to run, so that is as unknown as an answer of the machine. A pointer that is only
passed on, followed, moved within its object, or compared for equality is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

_NAMES = """
shr sar shl sal rol ror rcl rcr shld shrd shrx sarx shlx rorx bt bts btr btc bswap popcnt lzcnt tzcnt bsf bsr mul mulx
imul div idiv not crc32 pext pdep bextr andn xor and test
"""
_X86_BITS: Final = frozenset(_NAMES.split())
_NAMES = """
lsr asr lsl ror ubfx sbfx ubfiz sbfiz bfi bfxil extr rev rev16 rev32 clz rbit cls mul madd msub mneg umulh smulh umull
smull udiv sdiv mvn eor eon and ands tst bic bics orn tbz tbnz
"""
_ARM_BITS: Final = frozenset(_NAMES.split())
_MASKS: Final = frozenset({"and", "test", "ands", "tst"})
_NAMES = """
mov movzx movsx movsxd cmp sub subs cmn uxtb uxth uxtw sxtb sxth sxtw ldr ldrb ldrh ldrsb ldrsh ldrsw ldur ldurb ldurh
cbz cbnz
"""
_PARTS: Final = frozenset(_NAMES.split())
"""Instructions that see the bits of an address if they see less than all of it."""
_MOVES: Final = _PARTS - {"cmp", "sub", "subs", "cmn", "cbz", "cbnz"}
_ORDERS: Final = frozenset({"cmp", "sub", "subs", "ccmp"})
_MIXES: Final = frozenset({"mul", "mulx", "imul", "div", "madd", "umulh", "udiv"})
_IMPLICIT: Final = frozenset({"mul", "imul", "div", "idiv"})
"""On x86-64, those with one operand have another in `rax`."""
SEERS: Final = _X86_BITS | _ARM_BITS | _PARTS | _ORDERS
"""The names of all these instructions."""
WORD: Final = 8
SMALL: Final = 1 << 16
"""The lowest value that may be a pointer; values near the highest are errors."""
ALIGNED: Final = 15
"""The bits of each address that are the same on every machine."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One value of which an instruction sees bits: a register, by Unicorn's number of the whole, memory, a constant."""

    number: int
    family: int
    place: Any
    """A `MemoryOperand`, or `None`."""
    value: int
    size: int
    """Bytes that the instruction sees."""
    shift: int = 0
    """Bits of the register below those."""


@dataclass(frozen=True, slots=True)
class AddressUse:
    """The values of which an instruction sees bits, if it can make something of an address."""

    values: tuple[Seen, ...]
    orders: bool
    """It compares or subtracts whole values."""
    compares: bool
    """It leaves nothing but flags."""
    mask: int | None = None
    """The bits of the address that it sees, if it sees only those of a constant."""
    masks: bool = False
    """It sees only bits that are set in its other operand."""
    keeps: bool = False
    """It keeps those bits where they are."""
    moves: bool = False
    """It moves a part."""
    mixes: bool = False
    """It is how a hash or a generator of random numbers begins: it multiplies, divides, or keeps the lower half."""

    @property
    def sees_known_bits(self) -> bool:
        """Whether it sees only bits that are the same on every machine, whatever it compares or keeps."""
        if self.mask is not None:
            # Of a part of memory, it is only known later which part of an address it is.
            return not self.mask & ~ALIGNED and all(seen.place is None or seen.size == WORD for seen in self.values)
        return self.orders and any(
            seen.family < 0 and seen.place is None and not SMALL <= seen.value < (1 << 64) - SMALL
            for seen in self.values
        )


def address_use(decoder: Any, instruction: Any, name: str) -> AddressUse | None:
    """Return what an instruction may make of an address, or `None` if that is still an address, or nothing."""
    operands, names = instruction.operands, decoder.names
    memory, register, immediate = (
        (names.ARM64_OP_MEM, names.ARM64_OP_REG, names.ARM64_OP_IMM)
        if decoder.arm
        else (names.X86_OP_MEM, names.X86_OP_REG, names.X86_OP_IMM)
    )
    bits = name in (_ARM_BITS if decoder.arm else _X86_BITS)
    if not operands or not (bits or name in _PARTS):
        return None
    if decoder.arm:
        whole = name in ("cmp", "cmn", "tst", "ccmp")
        if name in ("madd", "msub"):
            operands = operands[:3]  # The added value may be an address, and the sum is one.
        sources = operands[:1] if name in ("cbz", "cbnz", "tbz", "tbnz") else operands if whole else operands[1:]
    else:
        sources = operands[1:] if name in ("mov", "movzx", "movsx", "movsxd") else operands
    found: list[Seen] = []
    for operand in sources:
        if operand.type == register:
            size = decoder.register_size(operand)
            if size:
                shift = 8 if not decoder.arm and operand.reg in decoder.high_bytes else 0
                found.append(Seen(decoder.whole_register(operand.reg), decoder.of(operand.reg), None, 0, size, shift))
        elif operand.type == memory:
            place = decoder.place(operand, instruction)
            found.append(Seen(0, -1, place, 0, place.size))
        elif operand.type == immediate:
            found.append(Seen(0, -1, None, operand.imm & 0xFFFF_FFFF_FFFF_FFFF, WORD))
    if name in _IMPLICIT and len(operands) == 1 and not decoder.arm:
        found.append(Seen(decoder.whole_family("ax"), decoder.family("ax"), None, 0, found[0].size if found else WORD))
    stack = decoder.family("sp")
    given = [seen for seen in found if seen.family >= 0 or seen.place is not None]
    if not given or (name in ("xor", "eor") and any(seen.family == stack for seen in given)):
        return None  # Code for Windows does so with its security cookie.
    if name == "test" and len(given) == 2 and given[0] == given[1] and given[0].size == WORD:
        return None
    if not bits and all(seen.size == WORD for seen in given):
        compares = name in ("cmp", "ccmp")
        orders = name in _ORDERS and len(found) == 2 and (compares or len(given) == 2)
        return AddressUse(tuple(found), orders=True, compares=compares) if orders else None
    mask = None
    if name in ("tbz", "tbnz", "bt") and operands[1].type == immediate:
        mask = 1 << (operands[1].imm & 63)
    elif name in _MASKS and operands[-1].type == immediate:
        mask = (operands[-1].imm & (1 << 8 * given[0].size) - 1) << given[0].shift
    keeps = name in ("and", "ands") and given[0].size == WORD
    masks = name in _MASKS and mask is None
    mixes = name in _MIXES or (name == "mov" and given[0].place is None)
    return AddressUse(
        tuple(given),
        orders=False,
        compares=False,
        mask=mask,
        masks=masks,
        keeps=keeps,
        moves=name in _MOVES,
        mixes=mixes,
    )
