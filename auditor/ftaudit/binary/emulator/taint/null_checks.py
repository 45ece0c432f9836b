"""Null checks that are inverted: on the path of a null pointer, the pointer is null in every register."""

from __future__ import annotations

import functools
from typing import Any, Final

from ftaudit.binary.image.mapped import AARCH64

_SMALLEST: Final = 1 << 16
"""The lowest value of a pointer here: a smaller one is a number or a status."""
_X86: Final = ("RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", *(f"R{number}" for number in range(8, 16)))


def forget_pointer(
    engine: Any, machine: str, compare: bytes, compared: int | None, branch: bytes, *, taken: bool
) -> None:
    """Set the places that hold a checked pointer to 0, if the path that the branch takes now is that of null.

    `compare` is the instruction that set the flags for the branch, and `compared` the address of the word in memory
    that it compared. Other words in memory that hold the pointer keep it.
    """
    registers = _registers(machine)
    if machine != AARCH64 and compared is not None:
        if (
            not _takes_zero(branch, taken)
            or compare[:2] != b"\x48\x83"
            or compare[-1:] != b"\0"
            or compare[2] & 0x38 != 0x38
        ):
            return
        value = int.from_bytes(engine.mem_read(compared, 8), "little")
        if value >= _SMALLEST:
            engine.mem_write(compared, bytes(8))
    else:
        number = (_null_in_arm if machine == AARCH64 else _null_in_x86)(compare, branch, taken)
        value = int(engine.reg_read(registers[number])) if number is not None and number < len(registers) else 0
    for register in registers if value >= _SMALLEST else ():
        if int(engine.reg_read(register)) == value:
            engine.reg_write(register, 0)


def _takes_zero(branch: bytes, taken: bool) -> bool:
    """Return whether `je` or `jne` of x86-64 goes where the comparison is with zero, and equal."""
    code = branch.lstrip(b"\x3e\x2e\xf2\xf3")
    condition = code[1] if code[:1] == b"\x0f" else code[0]
    return condition & 0x0E == 4 and (condition & 1 == 0) is taken


def _null_in_x86(test: bytes, branch: bytes, taken: bool) -> int | None:
    """Return the number of the register that `test r, r` finds to be null."""
    if not _takes_zero(branch, taken):
        return None
    if len(test) != 3 or test[0] & 0xFA != 0x48 or test[1] != 0x85 or test[2] >> 6 != 3:
        return None
    first = test[2] >> 3 & 7 | (test[0] & 4) << 1
    second = test[2] & 7 | (test[0] & 1) << 3
    return first if first == second else None


def _null_in_arm(compare: bytes, branch: bytes, taken: bool) -> int | None:
    """Return the number of the register that `cbz`, `cbnz`, or `cmp x, #0` with `b.eq` or `b.ne`, finds to be null."""
    word = int.from_bytes(branch[-4:], "little")
    if word & 0xFE00_0000 == 0xB400_0000:
        return word & 31 if (word >> 24 & 1 == 0) is taken else None
    if word & 0xFF00_001E != 0x5400_0000 or (word & 1 == 0) is not taken:
        return None
    before = int.from_bytes(compare[-4:], "little")
    return before >> 5 & 31 if before & 0xFFFF_FC1F == 0xF100_001F else None


@functools.cache
def _registers(machine: str) -> tuple[int, ...]:
    """Return Unicorn's numbers of the general registers, in the order of their encoding."""
    if machine == AARCH64:
        from unicorn import arm64_const

        return tuple(getattr(arm64_const, f"UC_ARM64_REG_X{number}") for number in range(31))
    from unicorn import x86_const

    return tuple(getattr(x86_const, f"UC_X86_REG_{name}") for name in _X86)
