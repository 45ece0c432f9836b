"""Whether a conditional branch would be taken, by the processor's flags and registers."""

from __future__ import annotations

from typing import Any

from ftaudit.binary.image.mapped import AARCH64

_CARRY, _PARITY, _ZERO, _SIGN, _OVERFLOW = 0, 2, 6, 7, 11


def holds(engine: Any, machine: str, code: bytes, name: str) -> bool:
    """Return whether the branch that is about to be executed would be taken."""
    return _arm(engine, int.from_bytes(code[-4:], "little")) if machine == AARCH64 else _x86(engine, code, name)


def _x86(engine: Any, code: bytes, name: str) -> bool:
    from unicorn import x86_const

    if name in ("jrcxz", "jecxz"):
        count = int(engine.reg_read(x86_const.UC_X86_REG_RCX))
        return (count if name == "jrcxz" else count & 0xFFFF_FFFF) == 0
    if name.startswith("loop"):
        return int(engine.reg_read(x86_const.UC_X86_REG_RCX)) != 1
    place = next((index for index, byte in enumerate(code) if byte & 0xF0 == 0x70 or byte == 0x0F), 0)
    number = code[place + 1] & 15 if code[place] == 0x0F else code[place] & 15
    flags = int(engine.reg_read(x86_const.UC_X86_REG_EFLAGS))

    def bit(position: int) -> bool:
        return bool(flags >> position & 1)

    less = bit(_SIGN) != bit(_OVERFLOW)
    met = (
        bit(_OVERFLOW), bit(_CARRY), bit(_ZERO), bit(_CARRY) or bit(_ZERO), bit(_SIGN), bit(_PARITY), less,
        less or bit(_ZERO),
    )[number >> 1]  # fmt: skip
    return met != bool(number & 1)


def _arm(engine: Any, word: int) -> bool:
    from unicorn import arm64_const

    def register(number: int) -> int:
        return 0 if number == 31 else int(engine.reg_read(getattr(arm64_const, f"UC_ARM64_REG_X{number}")))

    if word & 0xFF00_0010 == 0x5400_0000:
        flags = int(engine.reg_read(arm64_const.UC_ARM64_REG_NZCV)) >> 28
        negative, zero, carry, overflow = (bool(flags >> position & 1) for position in (3, 2, 1, 0))
        number = word & 15
        met = (
            zero, carry, negative, overflow, carry and not zero, negative == overflow,
            not zero and negative == overflow, True,
        )[number >> 1]  # fmt: skip
        return met != bool(number & 1) or number >> 1 == 7
    value = register(word & 31)
    if word & 0x7E00_0000 == 0x3400_0000:
        value = value if word >> 31 else value & 0xFFFF_FFFF
        return (value == 0) != bool(word >> 24 & 1)
    position = (word >> 31) << 5 | word >> 19 & 31
    return not (value >> position & 1) if not word >> 24 & 1 else bool(value >> position & 1)
