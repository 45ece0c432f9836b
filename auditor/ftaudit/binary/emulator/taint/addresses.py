"""What code makes of addresses: a label for each value that is not an address any more, and for their order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ftaudit.binary.emulator.taint.address_uses import ALIGNED, SMALL, WORD, AddressUse, Seen
from ftaudit.binary.emulator.taint.constructor_state import Joins
from ftaudit.binary.emulator.taint.instruction_effects import Decoder, InstructionEffect, MemoryOperand
from ftaudit.binary.emulator.taint.own_code import CALLS

ADDRESS: Final = "the address of an object"
"""The name of the unknown."""
_ORDER: Final = "the order of two addresses"
_PAGE: Final = 0xFFF
"""Bits of an image's addresses that are the same on every machine."""
_WHOLE: Final = (1 << 64) - 1
FRAME: Final = 1 << 16
"""Bytes above the stack pointer that count as the stack: a write to a function's own array is in them."""
_LONGEST_INSTRUCTION: Final = 16
_LOOK_BACK: Final = 400
"""Instructions among which the last one is that wrote a register."""


class Followed(Protocol):
    """The run that is followed, as `flow.Flow` has it."""

    engine: Any
    decoder: Decoder
    stack: int
    trace: list[int]
    joins: Joins
    code: Sequence[tuple[int, int]]
    data: Sequence[tuple[int, int]]

    @property
    def read_register(self) -> Callable[[int], int]:
        """Reads a register by Unicorn's number."""

    @property
    def constructs(self) -> bool:
        """Whether a static constructor runs."""

    def label(self, name: str, *, weak: bool = False) -> int:
        """Return the bit of an unknown."""

    def address_of(self, place: MemoryOperand, address: int) -> int:
        """Return where an operand of the instruction at an address is."""


@dataclass(kw_only=True, slots=True)
class Addresses:
    """Knows addresses by their value: everything in the process is at a place of its own."""

    flow: Followed
    object_of: Callable[[int], int]
    """Returns where the object that a value is the address of begins, or 0 for another value."""
    blocks: Collection[int]
    """The addresses of memory that was allocated."""
    freed: Collection[int]
    """Those of memory that was freed."""
    landing: int
    """The address to which the hook returns."""
    results: Collection[int]
    """Families of the registers in which functions return something."""
    order: int = 0
    """The label of flags that tell the order of two addresses, if some were compared."""

    def asked(self, labels: int, effect: InstructionEffect) -> int:
        """Return the labels of what an instruction makes of flags that tell the order of two addresses.

        Two objects that exist have different addresses: only which comes first is not known.
        """
        return labels & ~self.order | (0 if effect.equal else self.flow.label(ADDRESS))

    def made(self, use: AddressUse, effect: InstructionEffect, address: int) -> int:
        """Return the label of what an instruction makes of an address that it sees bits of, or compares.

        Constructors register things in hash tables and sorted lists, by their addresses: where they are in these does
        not matter.
        """
        if self.flow.constructs and (use.mixes or use.orders):
            return 0
        seen, low = [], 0
        for each in use.values:
            value, where = self._value(each, address)
            low = 8 * (where % WORD) if where and each.size < WORD else low
            around = self.object_of(value)
            if around and each.size < WORD and not self._is_whole(each.family, where, value):
                around = 0
            seen.append((value, around))
        if not any(around for _, around in seen):
            return 0
        if use.orders:
            return self._compared(*seen[0], *seen[1], compares=use.compares)
        mask = use.mask
        if use.masks:
            mask = next((value for value, around in seen if not around), None)
        if mask is not None:
            mask <<= low
            known = ALIGNED if any(around and not self._is_in_image(around) for _, around in seen) else _PAGE
            # Code that aligns a pointer clears low bits only.
            if not mask & ~known or (use.keeps and mask | _PAGE == _WHOLE):
                return 0
        moves_low = use.moves and not low and not any(each.shift for each in use.values)
        return 0 if moves_low and self._aligns_next(address, effect) else self.flow.label(ADDRESS)

    def _value(self, seen: Seen, address: int) -> tuple[int, int]:
        """Return a value that an instruction sees, or the word that it is in, and where it is in memory."""
        flow = self.flow
        if seen.place is None:
            return (flow.read_register(seen.number) if seen.number else seen.value), 0
        where = flow.address_of(seen.place, address)
        start = where & -WORD if seen.size < WORD else where
        try:
            return int.from_bytes(flow.engine.mem_read(start, WORD), "little"), where
        except Exception:
            return 0, where

    def _compared(self, first: int, left: int, second: int, right: int, *, compares: bool) -> int:
        """Return the label of the order, or the difference, of two values; `left` and `right` are their objects."""
        if left == right:
            return 0
        if left and right:
            # Memory may be allocated again.
            again = (left in self.freed and right in self.blocks) or (right in self.freed and left in self.blocks)
            return self._label_of_order() if compares and not again else self.flow.label(ADDRESS)
        other = second if left else first
        return self._label_of_order() if compares and SMALL <= other <= _WHOLE - SMALL else 0

    def _label_of_order(self) -> int:
        self.order = self.order or self.flow.label(_ORDER)
        return self.order

    def _is_in_image(self, address: int) -> bool:
        return any(start <= address <= end for start, end in (*self.flow.code, *self.flow.data))

    def _is_whole(self, family: int, where: int, value: int) -> bool:
        """Return whether a register, or a word of the stack, was last written as a whole.

        Else it holds something small, and above it what is left of an address.
        """
        effects, stack = self.flow.joins.effects, self.flow.read_register(self.flow.stack)
        on_stack = 0 <= where - stack < FRAME
        if where and not on_stack:
            return True
        for address in self.flow.trace[-2 : -2 - _LOOK_BACK : -1]:
            effect = effects.get(address)
            if effect is None:
                continue
            if not where and (family in effect.writes or (effect.name in CALLS and family in self.results)):
                return not effect.partial
            for place in effect.stores if where else ():
                start = self.flow.address_of(place, address)
                if start <= where < start + place.size:
                    return place.size >= WORD
        # What no instruction stored is the return address, if it is one.
        return not where or value == self.landing or any(start <= value < end for start, end in self.flow.code)

    def _aligns_next(self, address: int, effect: InstructionEffect) -> bool:
        """Return whether the next instruction drops all bits that differ, of what this one moves to a register."""
        following = address + effect.length
        code = bytes(self.flow.engine.mem_read(following, _LONGEST_INSTRUCTION))
        use = after.use if (after := self.flow.decoder.effect_at(code, following)) is not None else None
        if use is None or use.mask is None or use.mask & ~ALIGNED:
            return False
        return {seen.family for seen in use.values} == set(effect.writes)
