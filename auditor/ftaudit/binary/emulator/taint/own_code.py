"""The instructions of one function: its own jumps are followed, its calls are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ftaudit.binary.emulator.taint.instruction_effects import Decoder, InstructionEffect, InstructionKind
from ftaudit.binary.image.mapped import Image

_MOST: Final = 20_000
CALLS: Final = frozenset({"call", "bl", "blr"})
_ENDS: Final = frozenset({"ret", "jmp", "b", "retaa", "retab", "ud2", "brk", "udf", "hlt"})


def is_fixed(effect: InstructionEffect) -> bool:
    """Return whether an indirect jump or call goes through a pointer at a fixed place."""
    return bool(effect.loads) and all(place.relative for place in effect.loads)


def is_stub(effect: Callable[[int], InstructionEffect | None], address: int) -> bool:
    """Return whether one of the linker's stubs is at an address, which leads to an imported function."""
    known = effect(address)
    if known is not None and known.name in ("endbr64", "bti", "hint"):
        address += known.length
        known = effect(address)
    if known is None or known.name != "adrp":
        return known is not None and known.kind is InstructionKind.INDIRECT and is_fixed(known)
    names = [after.name if (after := effect(address + 4 * number)) is not None else "" for number in (1, 2, 3)]
    return names[:2] == ["ldr", "br"] or names == ["ldr", "add", "br"]


def effect_in(image: Image, decoder: Decoder, address: int) -> InstructionEffect | None:
    """Return the effect of the instruction at an address of an image's code, or `None` without an instruction."""
    if not image.in_code(address):
        return None
    start = address - image.base
    return decoder.effect_at(bytes(image.memory[start : start + 16]), address)


@dataclass(kw_only=True, slots=True)
class OwnCode:
    """A function's instructions, each with those that may follow it."""

    image: Image
    start: int
    decoder: Decoder
    ends: frozenset[int] = frozenset()
    """The return addresses of calls that do not return."""
    most: int = _MOST
    """Instructions that are examined."""
    following: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """The addresses that may come after that of an instruction, in the function."""
    returns: set[int] = field(default_factory=set)
    """The return addresses of its calls."""
    complete: bool = True
    """Whether every jump of the function could be followed: it has no table of jumps."""

    def __post_init__(self) -> None:
        waiting = [self.start]
        while waiting:
            address = waiting.pop()
            if address in self.following:
                continue
            effect = self.effect(address)
            if effect is None or len(self.following) >= self.most:
                self.complete = False
                continue
            after = address + effect.length
            follows: tuple[int, ...] = ()
            if effect.name in CALLS:
                self.returns.add(after)
                follows = () if after in self.ends else (after,)
            elif effect.kind is InstructionKind.INDIRECT:
                self.complete &= is_fixed(effect) or self._is_stub(address, effect)
            else:
                follows = () if effect.name in _ENDS else (after,)
                if effect.target is not None:
                    follows = (*follows, address + effect.target)
            self.following[address] = follows
            waiting += follows

    def effect(self, address: int) -> InstructionEffect | None:
        """Return the effect of the instruction at an address, or `None` without an instruction."""
        return effect_in(self.image, self.decoder, address)

    def _is_stub(self, address: int, effect: InstructionEffect) -> bool:
        """Return whether `br` ends one of the linker's stubs."""
        return effect.name == "br" and any(is_stub(self.effect, address - back) for back in (8, 12))

    def reached_from(self, address: int) -> frozenset[int]:
        """Return the addresses that may be executed once one is, itself included, in the same call of the function."""
        seen: set[int] = set()
        waiting = [address]
        while waiting:
            place = waiting.pop()
            if place in seen or place not in self.following:
                continue
            seen.add(place)
            waiting += self.following[place]
        return frozenset(seen)

    def leading_to(self, address: int) -> frozenset[int]:
        """Return the addresses after which one may be executed, itself included."""
        before: dict[int, list[int]] = {}
        for place, follows in self.following.items():
            for after in follows:
                before.setdefault(after, []).append(place)
        seen: set[int] = set()
        waiting = [address]
        while waiting:
            place = waiting.pop()
            if place in seen:
                continue
            seen.add(place)
            waiting += before.get(place, ())
        return frozenset(seen)
