"""Null checks that are inverted: on the path of a null pointer, the pointer is null in every register."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final

from ftaudit.binary.image.mapped import AARCH64

_SMALLEST: Final = 1 << 16
"""The lowest value of a pointer here: a smaller one is a number or a status."""
_X86: Final = ("RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", *(f"R{number}" for number in range(8, 16)))


def forget_pointer(engine: Any, machine: str, compared: Sequence[bytes], branch: bytes, *, taken: bool) -> None:
    """Set the registers that hold a checked pointer to 0, if the path that the branch takes now is that of null.

    `compared` are the instructions before the branch, the last one first, up to the one that sets the flags.
    """
    number = _null_in_arm(compared, branch, taken) if machine == AARCH64 else _null_in_x86(compared, branch, taken)
    if number is None:
        return
    registers = _registers(machine)
    value = int(engine.reg_read(registers[number])) if number < len(registers) else 0
    if value < _SMALLEST:
        return
    for register in registers:
        if int(engine.reg_read(register)) == value:
            engine.reg_write(register, 0)


def _null_in_x86(compared: Sequence[bytes], branch: bytes, taken: bool) -> int | None:
    """Return the number of the register that `test r, r` finds to be null."""
    code = branch.lstrip(b"\x3e\x2e\xf2\xf3")
    condition = code[1] if code[:1] == b"\x0f" else code[0]
    if condition & 0x0E != 4 or (condition & 1 == 0) is not taken:
        return None
    test = compared[-1] if compared else b""
    if len(test) != 3 or test[0] & 0xFA != 0x48 or test[1] != 0x85 or test[2] >> 6 != 3:
        return None
    first = test[2] >> 3 & 7 | (test[0] & 4) << 1
    second = test[2] & 7 | (test[0] & 1) << 3
    return first if first == second else None


def _null_in_arm(compared: Sequence[bytes], branch: bytes, taken: bool) -> int | None:
    """Return the number of the register that `cbz`, `cbnz`, or `cmp x, #0` before `b.eq` or `b.ne`, finds to be null."""
    word = int.from_bytes(branch[-4:], "little")
    if word & 0xFE00_0000 == 0xB400_0000:
        return word & 31 if (word >> 24 & 1 == 0) is taken else None
    if word & 0xFF00_001E != 0x5400_0000 or (word & 1 == 0) is not taken:
        return None
    compare = int.from_bytes(compared[-1][-4:], "little") if compared else 0
    return compare >> 5 & 31 if compare & 0xFFFF_FC1F == 0xF100_001F else None


@functools.cache
def _registers(machine: str) -> tuple[int, ...]:
    """Return Unicorn's numbers of the general registers, in the order of their encoding."""
    if machine == AARCH64:
        from unicorn import arm64_const

        return tuple(getattr(arm64_const, f"UC_ARM64_REG_X{number}") for number in range(31))
    from unicorn import x86_const

    return tuple(getattr(x86_const, f"UC_X86_REG_{name}") for name in _X86)
