"""The reads and writes of one instruction, by Capstone: registers as families (`al` and `rax` are one), and memory."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ftaudit.binary.emulator.taint.address_uses import SEERS, AddressUse, address_use
from ftaudit.binary.image.mapped import AARCH64

LINE_SIZE = 64
"""Bytes of a line, the unit in which labeled memory is looked up first."""
FLAGS, STACK, PROGRAM, X87 = "flags", "sp", "pc", "x87"

_X86 = {
    "rax": "ax", "eax": "ax", "ax": "ax", "al": "ax", "ah": "ax", "rbx": "bx", "ebx": "bx", "bx": "bx", "bl": "bx",
    "bh": "bx", "rcx": "cx", "ecx": "cx", "cx": "cx", "cl": "cx", "ch": "cx", "rdx": "dx", "edx": "dx", "dx": "dx",
    "dl": "dx", "dh": "dx", "rsi": "si", "esi": "si", "si": "si", "sil": "si", "rdi": "di", "edi": "di", "di": "di",
    "dil": "di", "rbp": "bp", "ebp": "bp", "bp": "bp", "bpl": "bp", "rsp": STACK, "esp": STACK, "sp": STACK,
    "spl": STACK, "rip": PROGRAM, "eip": PROGRAM, "rflags": FLAGS, "eflags": FLAGS, "flags": FLAGS,
}  # fmt: skip


class InstructionKind(Enum):
    """What the taint needs to know about an instruction in addition to its reads and writes."""

    PLAIN = "plain"
    CLEAR = "clear"
    """Its result does not depend on its operands (`xor eax, eax`)."""
    BRANCH = "branch"
    """A conditional branch."""
    INDIRECT = "indirect"
    """A jump or call to a computed place."""
    SOURCE = "source"
    """It asks the processor."""
    SYSTEM = "system"
    """It calls the operating system."""


@dataclass(frozen=True, slots=True)
class MemoryOperand:
    """A memory operand: the sum of registers, by Unicorn's numbers, and a displacement."""

    base: int
    base_family: int
    index: int
    index_family: int
    scale: int
    displacement: int
    """From the next instruction's address if `relative`."""
    relative: bool
    segment: int
    size: int


@dataclass(frozen=True, slots=True)
class InstructionEffect:
    """The effect of an instruction."""

    kind: InstructionKind
    name: str
    reads: tuple[int, ...]
    """Families whose values flow into the result; those that only form addresses are in `loads`, `stores`."""
    writes: tuple[int, ...]
    loads: tuple[MemoryOperand, ...]
    stores: tuple[MemoryOperand, ...]
    target: int | None
    """The target of a direct jump, branch or call, relative to its own address."""
    repeats: bool
    """An x86 string instruction with a repetition prefix."""
    length: int
    """Bytes of the instruction."""
    use: AddressUse | None = None
    """What it may make of an address."""
    partial: bool = False
    """It changes a part of a register, and leaves the rest."""
    equal: bool = False
    """It only tests whether the compared values are equal."""
    touched: frozenset[int] = field(init=False)
    """Families that it reads, writes or forms addresses from."""
    places: tuple[MemoryOperand, ...] = field(init=False)
    """What it loads and stores."""
    simple: bool = field(init=False)
    """Whether it only moves labels, between few bytes: without a label that it touches it does nothing."""

    def __post_init__(self) -> None:
        places = self.loads + self.stores
        pointers = {family for place in places for family in (place.base_family, place.index_family)}
        asks = self.kind in (InstructionKind.SOURCE, InstructionKind.SYSTEM)
        small = not self.repeats and all(place.size <= LINE_SIZE for place in places)
        object.__setattr__(self, "touched", frozenset((*self.reads, *self.writes, *pointers)))
        object.__setattr__(self, "places", places)
        object.__setattr__(self, "simple", small and not asks)


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """One of two compared values: a register, by Unicorn's number and its family, a place in memory, or a constant."""

    number: int = 0
    family: int = -1
    place: MemoryOperand | None = None
    value: int = 0
    size: int


_SOURCES = {
    "cpuid": ("ax", "bx", "cx", "dx"), "rdtsc": ("ax", "dx"), "rdtscp": ("ax", "cx", "dx"), "xgetbv": ("ax", "dx"),
    "rdrand": (), "rdseed": (), "rdpid": (), "rdpmc": ("ax", "dx"), "sgdt": (), "sidt": (), "sldt": (), "str": (),
    "smsw": (),
}  # fmt: skip
_SYSTEM = frozenset({"syscall", "sysenter", "int", "svc", "int3", "ud2", "brk", "udf", "hlt"})
_CLEARING = frozenset({"xor", "sub", "pxor", "xorps", "xorpd", "vpxor", "vxorps", "vxorpd", "eor", "psubb", "psubd"})
_ARM_JUMPS = frozenset({"br", "blr", "cbz", "cbnz", "tbz", "tbnz"})
_EQUAL = frozenset({"sete", "setne", "cmove", "cmovne", "je", "jne", "b.eq", "b.ne"})
_KEEP_FLAGS = frozenset({"mov", "lea", "push", "pop"})
_ARM_CHOICES = frozenset({"cset", "csetm", "csel", "csinc", "csinv", "csneg", "cinc", "cinv", "cneg"})
_STRINGS = ("movs", "stos", "lods", "cmps", "scas")
_REPEATED = (0xF2, 0xF3)
_PAIRS = ("ldp", "stp", "ldxp", "ldaxp", "stxp", "stlxp", "ldnp", "stnp", "casp")
_VECTOR = re.compile(r"v\d+\.(\d*)([bhsdq])")
_LANE_BYTES = {"b": 1, "h": 2, "s": 4, "d": 8, "q": 16}
_ARM_COMPARES = frozenset({"cmp", "cmn", "tst"})
"""Capstone 5 says of these that they write their first operand, and do not read it."""
_X86_ATOMICS = {"cmpxchg": ("ax", FLAGS), "cmpxchg8b": ("ax", "dx", FLAGS), "cmpxchg16b": ("ax", "dx", FLAGS)}
_UNFOLLOWED = frozenset({"xlatb", "xlat", "enter", "iret", "iretq", "retf", "retfq"})
_IGNORED = frozenset({"nop", "endbr64", "endbr32", "hint", "prefetcht0", "prefetcht1", "prefetchnta", "bti", "prfm"})


class Decoder:
    """Decodes instructions of one machine; the same bytes are decoded once."""

    def __init__(self, machine: str) -> None:
        capstone: Any = importlib.import_module("capstone")
        self.arm = machine == AARCH64
        self._capstone = capstone
        if self.arm:
            self._engine: Any = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
            self.names: Any = importlib.import_module("capstone.arm64_const")
            constants: Any = importlib.import_module("unicorn.arm64_const")
            prefix = "UC_ARM64_REG_"
        else:
            self._engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
            self.names = importlib.import_module("capstone.x86_const")
            constants = importlib.import_module("unicorn.x86_const")
            prefix = "UC_X86_REG_"
        self._engine.detail = True
        self._constants, self._prefix = constants, prefix
        self._families: dict[str, int] = {}
        self._by_register: dict[int, int] = {}
        self._known: dict[bytes, InstructionEffect | None] = {}
        names = self.names
        self.high_bytes = () if self.arm else (names.X86_REG_AH, names.X86_REG_BH, names.X86_REG_CH, names.X86_REG_DH)
        self._equal_conditions = (self.names.ARM64_CC_EQ, self.names.ARM64_CC_NE) if self.arm else ()
        self._zeros = frozenset({self.names.ARM64_REG_XZR, self.names.ARM64_REG_WZR} if self.arm else ())

    @property
    def families(self) -> int:
        """The number of families so far."""
        return len(self._families)

    def family(self, name: str) -> int:
        """Return the number of a family by its name."""
        return self._families.setdefault(name, len(self._families))

    def effect(self, code: bytes, address: int) -> InstructionEffect | None:
        """Return the effect of the instruction that these bytes begin with, or `None` if it is unknown."""
        if code in self._known:
            return self._known[code]
        instruction = next(self._engine.disasm(code, address), None)
        effect = self._read(instruction, address) if instruction is not None else None
        self._known[code] = effect
        return effect

    def effect_at(self, code: bytes, address: int) -> InstructionEffect | None:
        """Return the effect of the first instruction of some code, or `None` if it is unknown."""
        instruction = next(self._engine.disasm(code, address, 1), None)
        return None if instruction is None else self.effect(bytes(instruction.bytes), address)

    def sees_addresses(self, code: bytes, address: int, *, reused: bool) -> bool:
        """Return whether an instruction in some code may see bits of an address, or the order of two.

        `reused` says whether two objects may have had the same address.
        """
        compares = False
        for start, length, name, _ in self._engine.disasm_lite(code, address):
            if compares and name in _KEEP_FLAGS:
                continue
            if compares and name not in _EQUAL:
                return True
            compares = False
            if name not in SEERS:
                continue
            effect = self.effect(code[start - address : start - address + length], start)
            if effect is not None and effect.use is not None and not effect.use.sees_known_bits:
                # Whether two values are equal is known, or whether the lower half of one is null.
                use = effect.use
                compares = (use.compares and not reused) or (use.masks and len(set(use.values)) == 1)
                if not compares and not (use.mixes and name == "mov"):
                    return True
        return compares

    def compared(self, code: bytes) -> tuple[Compared, ...]:
        """Return what an instruction compares for equality: two values, or nothing if it is another instruction."""
        instruction = next(self._engine.disasm(code, 0, 1), None)
        if instruction is None:
            return ()
        name, operands, names = instruction.mnemonic, instruction.operands, self.names
        memory, register, immediate = (
            (names.ARM64_OP_MEM, names.ARM64_OP_REG, names.ARM64_OP_IMM)
            if self.arm
            else (names.X86_OP_MEM, names.X86_OP_REG, names.X86_OP_IMM)
        )
        if name in ("cbz", "cbnz"):
            operands = operands[:1]
        elif name == "test" and len(operands) == 2 and operands[0].type == operands[1].type == register:
            operands = operands[:1] if operands[0].reg == operands[1].reg else ()
        elif name != "cmp" or len(operands) != 2:
            return ()
        found = []
        for operand in operands:
            if operand.type == register:
                size = (4 if self._engine.reg_name(operand.reg).startswith("w") else 8) if self.arm else operand.size
                found.append(Compared(number=self._number(operand.reg), family=self.of(operand.reg), size=size))
            elif operand.type == immediate:
                found.append(Compared(value=operand.imm & 0xFFFF_FFFF_FFFF_FFFF, size=8))
            elif operand.type == memory and not self.arm:
                found.append(Compared(place=self.place(operand, instruction), size=operand.size))
            else:
                return ()
        return (*found, Compared(value=0, size=8)) if len(found) == 1 else tuple(found)

    def of(self, register: int) -> int:
        """Return the family of a register, by Capstone's number."""
        known = self._by_register.get(register)
        if known is None:
            known = self._by_register[register] = self.family(self._family_name(self._engine.reg_name(register) or ""))
        return known

    def _family_name(self, name: str) -> str:
        if self.arm:
            if match := re.fullmatch(r"[xw](\d+)", name):
                return f"x{match[1]}"
            if match := re.fullmatch(r"[bhsdqv](\d+)", name):
                return f"v{match[1]}"
            return {"lr": "x30", "fp": "x29", "wsp": STACK, "nzcv": FLAGS, "xzr": "zero", "wzr": "zero"}.get(name, name)
        if name in _X86:
            return _X86[name]
        if match := re.fullmatch(r"(r\d+)[dwb]?", name):
            return match[1]
        if match := re.fullmatch(r"[xyz]mm(\d+)", name):
            return f"v{match[1]}"
        return X87 if name.startswith(("st", "mm", "fp")) else name

    def _read(self, instruction: Any, address: int) -> InstructionEffect | None:
        name = instruction.mnemonic.rpartition(" ")[2]
        group = self._capstone
        if name in _IGNORED:
            return InstructionEffect(InstructionKind.PLAIN, name, (), (), (), (), None, False, instruction.size)
        if name in _UNFOLLOWED:
            return None
        reads, writes = instruction.regs_access()
        operands = instruction.operands
        names = self.names
        memory_kind, register_kind = (
            (names.ARM64_OP_MEM, names.ARM64_OP_REG) if self.arm else (names.X86_OP_MEM, names.X86_OP_REG)
        )
        immediate_kind = names.ARM64_OP_IMM if self.arm else names.X86_OP_IMM
        loads: list[MemoryOperand] = []
        stores: list[MemoryOperand] = []
        addressing: set[int] = set()
        explicit: set[int] = set()
        unknown: set[int] = set()
        computes_address = name in ("lea", "adr", "adrp")
        stores_first = self.arm and name.startswith("st")
        # Capstone takes the stores of AVX for loads.
        stores_vector = not self.arm and name.startswith("v") and name not in ("verr", "verw")
        for operand in operands:
            if operand.type == memory_kind:
                for register in (operand.mem.base, operand.mem.index):
                    if register:
                        addressing.add(register)
                if computes_address:
                    explicit |= {r for r in (operand.mem.base, operand.mem.index) if r}
                    continue
                place = self.place(operand, instruction)
                access = operand.access
                if self.arm:
                    if stores_first or not access:
                        stores.append(place)
                    if not stores_first or not access:
                        loads.append(place)
                    continue
                if stores_vector and operand is operands[0]:
                    stores.append(place)
                    continue
                if access & group.CS_AC_READ or not access:
                    loads.append(place)
                if access & group.CS_AC_WRITE:
                    stores.append(place)
            elif operand.type == register_kind and (operand.access & group.CS_AC_READ or not operand.access):
                explicit.add(operand.reg)
                if self.arm and not operand.access:
                    # Capstone does not know: atomic instructions, and lists of more than two vector registers.
                    unknown.add(operand.reg)
        quiet = {self.family(STACK), self.family(PROGRAM), self.family("zero")}
        read = {self.of(r) for r in (*explicit, *(r for r in reads if r not in addressing))} - quiet
        written = {self.of(r) for r in (*writes, *unknown)} - quiet
        kind, target = InstructionKind.PLAIN, None
        groups = set(instruction.groups)
        registers = [operand for operand in operands if operand.type == register_kind]
        same = len(registers) == len(operands) and len({operand.reg for operand in registers[-2:]}) == 1
        if (name in _CLEARING and same) or _is_zero(name, operands, (register_kind, immediate_kind), self._zeros):
            kind = InstructionKind.CLEAR
        elif name in _SOURCES and not self.arm:
            kind = InstructionKind.SOURCE
            written |= {self.family(family) for family in _SOURCES[name]}
        elif name == "mrs" and "tpidr" not in instruction.op_str.lower():
            kind = InstructionKind.SOURCE
        elif name in _SYSTEM:
            kind = InstructionKind.SYSTEM
        elif groups & {group.CS_GRP_JUMP, group.CS_GRP_CALL} or name in _ARM_JUMPS or name.startswith("loop"):
            immediates = [operand.imm for operand in operands if operand.type == immediate_kind]
            if not immediates:
                kind = InstructionKind.INDIRECT
            else:
                target = immediates[-1] - address
                kind = InstructionKind.BRANCH if self._is_conditional(name) else kind
        if group.CS_GRP_CALL in groups or name in ("ret", "call", "bl", "blr"):
            written = set()
        if name == "push" and not self.arm:
            stores.append(self._stack_place(-8))
        elif name == "pop" and not self.arm:
            loads.append(self._stack_place(0))
        elif name == "leave":
            loads.append(MemoryOperand(self._constants.UC_X86_REG_RBP, self.family("bp"), 0, -1, 1, 0, False, 0, 8))
            read = set()
        elif name.startswith("pushf"):
            stores.append(self._stack_place(-8))
        elif name.startswith("popf"):
            loads.append(self._stack_place(0))
        elif self.arm:
            self._correct_arm(name, instruction, registers, (read, written), loads, stores)
        elif name in _X86_ATOMICS:
            written |= {self.family(family) for family in _X86_ATOMICS[name]}
            written |= set() if loads else {self.of(registers[0].reg)}
            stores += loads
        elif name.startswith("f") and name not in ("fnop", "fwait", "femms"):
            # The registers are a stack: each instruction moves them, or leaves what it computes among them.
            read.add(self.family(X87))
            written.add(self.family(X87))
        if kind is InstructionKind.SOURCE:
            read = set()
        repeats = not self.arm and instruction.prefix[0] in _REPEATED and name.startswith(_STRINGS)
        return InstructionEffect(
            kind,
            name,
            tuple(read),
            tuple(written),
            tuple(loads),
            tuple(stores),
            target,
            repeats,
            instruction.size,
            address_use(self, instruction, name) if kind is not InstructionKind.CLEAR else None,
            not self.arm and bool(operands) and operands[0].type == register_kind and operands[0].size < 4,
            name in _EQUAL or (self.arm and name in _ARM_CHOICES and instruction.cc in self._equal_conditions),
        )

    def _correct_arm(
        self,
        name: str,
        instruction: Any,
        registers: list[Any],
        sets: tuple[set[int], set[int]],
        loads: list[MemoryOperand],
        stores: list[MemoryOperand],
    ) -> None:
        """Correct what Capstone says of AArch64's compares, tests and changes of an address."""
        read, written = sets
        families = [self.of(operand.reg) for operand in registers]
        zero = {self.family("zero")}
        if name in _ARM_COMPARES:
            read |= set(families) - zero
            written &= {self.family(FLAGS)}
        elif name in ("cbz", "cbnz", "tbz", "tbnz"):
            read.discard(self.family(FLAGS))
        elif instruction.writeback and (loads or stores):
            # The address moves on: it does not become the loaded value.
            base = (*loads, *stores)[0].base_family
            if base not in families:
                written.discard(base)

    def _is_conditional(self, name: str) -> bool:
        if self.arm:
            return name.startswith(("b.", "cb", "tb"))
        return (name.startswith("j") and name != "jmp") or name.startswith("loop")

    def _stack_place(self, displacement: int) -> MemoryOperand:
        return MemoryOperand(self._constants.UC_X86_REG_RSP, self.family(STACK), 0, -1, 1, displacement, False, 0, 8)

    def whole_register(self, register: int) -> int:
        """Return Unicorn's number of the whole register that a register is a part of, 0 if it is not a general one."""
        return self.whole_family(self._family_name(self._engine.reg_name(register) or ""))

    def whole_family(self, name: str) -> int:
        """Return Unicorn's number of the general register of a family, 0 if it is not one."""
        if self.arm:
            name = name.upper()
        else:
            name = name.upper() if name[1:].isdigit() and name[:1] == "r" else f"R{name.upper()}"
        return int(getattr(self._constants, f"{self._prefix}{name}", 0))

    def register_size(self, operand: Any) -> int:
        """Return how many bytes of a general register an operand is, 0 if it is another register."""
        if not self.whole_register(operand.reg):
            return 0
        if not self.arm:
            return int(operand.size)
        return 4 if (self._engine.reg_name(operand.reg) or "").startswith("w") else 8

    def place(self, operand: Any, instruction: Any) -> MemoryOperand:
        """Return a memory operand."""
        base, index = operand.mem.base, operand.mem.index
        relative = not self.arm and bool(base) and self.of(base) == self.family(PROGRAM)
        segment = 0
        if not self.arm and operand.mem.segment:
            name = self._engine.reg_name(operand.mem.segment)
            segment = getattr(self._constants, f"UC_X86_REG_{name.upper()}_BASE", 0)
        scale = operand.mem.scale if not self.arm else 1 << (operand.shift.value if operand.shift.type else 0)
        size = operand.size if not self.arm else self._arm_size(instruction)
        return MemoryOperand(
            0 if relative or not base else self._number(base),
            self.of(base) if base and not relative else -1,
            self._number(index) if index else 0,
            self.of(index) if index else -1,
            scale,
            operand.mem.disp + (instruction.size if relative else 0),
            relative,
            segment,
            max(size, 1),
        )

    def _arm_size(self, instruction: Any) -> int:
        """Return how many bytes a load or store moves: the size of its registers, or the size in its name."""
        name = instruction.mnemonic
        text = instruction.op_str
        if text.startswith("{"):
            vectors = _VECTOR.findall(text)
            return sum(int(lanes or 1) * _LANE_BYTES[lane] for lanes, lane in vectors)
        if name.startswith(("stxr", "stlxr", "stxp", "stlxp")):
            text = text.partition(", ")[2]  # The first register gets the status.
        size = {"x": 8, "w": 4, "q": 16, "d": 8, "s": 4, "h": 2, "b": 1}.get(text[:1], 8)
        if name.endswith("b"):
            size = 1
        elif name.endswith("h"):
            size = 2
        elif name.endswith("sw"):
            size = 4
        return 2 * size if name.startswith(_PAIRS) else size

    def _number(self, register: int) -> int:
        name = self._engine.reg_name(register).upper()
        name = {"XZR": "XZR", "FP": "X29", "LR": "X30"}.get(name, name)
        return int(getattr(self._constants, f"{self._prefix}{name}", 0))


def _is_zero(name: str, operands: Any, kinds: tuple[int, int], zeros: frozenset[int]) -> bool:
    """Return whether an instruction moves 0 into a register; `kinds` are those of register and immediate operands."""
    if name not in ("mov", "movz") or len(operands) != 2 or operands[0].type != kinds[0]:
        return False
    source = operands[1]
    return (source.type == kinds[1] and source.imm == 0) or (source.type == kinds[0] and source.reg in zeros)
