"""Places in a hook from which it returns null, whatever the state: paths that lead there need no run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ftaudit.binary.emulator.taint.instruction_effects import Decoder, InstructionEffect, InstructionKind
from ftaudit.binary.emulator.taint.own_code import CALLS, OwnCode, effect_in, is_fixed, is_stub
from ftaudit.binary.image.mapped import Image

_LONGEST: Final = 400
"""Instructions after one place that are examined."""
_CATCHES: Final = frozenset(
    {"__gxx_personality_v0", "__CxxFrameHandler3", "__CxxFrameHandler4", "__C_specific_handler"}
)
_PRESERVED: Final = ("bx", "bp", "r12", "r13", "r14", "r15", *(f"x{number}" for number in range(19, 29)))
"""Registers that calls leave alone, on x86-64 and on AArch64."""
_UNKNOWN: Final = frozenset({InstructionKind.SOURCE, InstructionKind.SYSTEM})


@dataclass(kw_only=True, slots=True)
class DeadEnds:
    """The answers for one hook, each found once."""

    image: Image
    hook: int
    """The address of the hook."""
    decoder: Decoder
    result: int
    """The family of the register in which functions return integers."""
    _hook_code: frozenset[int] | None = None
    _known: dict[int, bool] = field(default_factory=dict)

    def leads_to_null(self, branch: int, start: int) -> bool:
        """Return whether a branch is one of the hook's own, and the path that begins at `start` returns null."""
        if self._hook_code is None:
            own = OwnCode(image=self.image, start=self.hook, decoder=self.decoder)
            self._hook_code = frozenset() if _CATCHES & self.image.imports else frozenset(own.following)
        if branch not in self._hook_code:
            return False
        known = self._known.get(start)
        if known is None:
            known = self._known[start] = self._returns_null(start)
        return known

    def _returns_null(self, start: int) -> bool:
        """Return whether each path from an address returns null.

        That is so if the register of the result is zero at each return: an instruction clears it, or it receives the
        value of one that was cleared. Only calls of imported functions may be on the way.
        """
        preserved = frozenset(map(self.decoder.family, _PRESERVED))
        waiting: list[tuple[int, frozenset[int]]] = [(start, frozenset())]
        seen = set()
        while waiting:
            address, zero = waiting.pop()
            if (address, zero) in seen:
                continue
            seen.add((address, zero))
            effect = self._effect(address)
            if effect is None or len(seen) > _LONGEST or effect.kind in _UNKNOWN:
                return False
            if effect.name == "ret":
                if self.result not in zero:
                    return False
                continue
            if effect.name in CALLS:
                if not self._is_import(address, effect):
                    return False
                zero &= preserved
            elif effect.kind is InstructionKind.INDIRECT:
                return False
            else:
                zero = _zero_after(effect, zero)
            if effect.target is not None and effect.name not in CALLS:
                waiting.append((address + effect.target, zero))
            if effect.name not in ("jmp", "b"):
                waiting.append((address + effect.length, zero))
        return True

    def _effect(self, address: int) -> InstructionEffect | None:
        return effect_in(self.image, self.decoder, address)

    def _is_import(self, address: int, call: InstructionEffect) -> bool:
        """Return whether a call leads to an imported function: through a fixed pointer, or a stub of the linker."""
        if call.target is None:
            return is_fixed(call)
        return is_stub(self._effect, address + call.target)


def _zero_after(effect: InstructionEffect, zero: frozenset[int]) -> frozenset[int]:
    """Return the families of the registers that are zero after an instruction, by those before it."""
    written = frozenset(effect.writes)
    copies = effect.name == "mov" and not effect.loads and len(effect.reads) == 1 and effect.reads[0] in zero
    return zero | written if copies or effect.kind is InstructionKind.CLEAR else zero - written
