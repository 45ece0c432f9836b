"""Track the flow of the machine's answers while a module's code runs, and invert branches that they decide."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from ftaudit.binary.emulator.oracle import Guess
from ftaudit.binary.emulator.taint.addresses import FRAME, Addresses
from ftaudit.binary.emulator.taint.branch_conditions import holds
from ftaudit.binary.emulator.taint.constructor_state import Joins
from ftaudit.binary.emulator.taint.forks import Forks
from ftaudit.binary.emulator.taint.instruction_effects import (
    FLAGS,
    LINE_SIZE,
    Compared,
    Decoder,
    InstructionEffect,
    InstructionKind,
    MemoryOperand,
)
from ftaudit.binary.emulator.taint.null_checks import forget_pointer
from ftaudit.binary.emulator.taint.rounds import Changes, Rounds
from ftaudit.binary.image.mapped import AARCH64, DEFAULT_COOKIE

_MASK = 0xFFFF_FFFF_FFFF_FFFF
_LINE = LINE_SIZE.bit_length() - 1
_MOST_REPEATED = 1 << 16
_INDEX = 1 << 20
"""Values below which a register is an index, and not an address."""
_NEAR = 4
"""Instructions before a branch among which the one is that sets the flags."""
_LONGEST_CODE = 15
"""Bytes of the longest instruction of x86-64."""
_STEPS = 150_000
_EQUALITY = frozenset({"je", "jne", "b.eq", "b.ne", "cbz", "cbnz"})
_LONGEST = 48
"""Decisions in a row of one branch in one way."""


def named(names: Sequence[str], labels: int) -> str:
    """Return the name of the first of the labels, or a more specific one of the same."""
    found = [name for index, name in enumerate(names) if labels >> index & 1]
    return next((name for name in found if name.startswith(f"{found[0]} ")), found[0]) if found else ""


OWNER, COUNT = "the owner of an object", "the number of references to an object"
COUNTING = frozenset({OWNER, COUNT})
_COUNTS = {0: (8, OWNER), 12: (4, COUNT), 16: (8, COUNT)}
"""Fields of a free-threaded build's objects that count references: bytes and name by offset (Include/object.h)."""
_STATE = (
    "registers", "memory", "known", "lines", "regions", "names", "weakly", "by_python", "opaque", "trace", "steps",
    "may_have_failed", "not_run", "_bits", "_streaks", "_seen", "_last",
)  # fmt: skip
"""The fields of `Flow` that change while code runs in which no unknown decides."""
_LARGE = 8_000
"""Different instructions from which on an initialization is a large one, and not a short one that repeats itself."""


class TooLong(Exception):
    """The code ran too long to be followed."""


class FastFailed(Exception):
    """Windows ends the process here, and no handler can catch that: this path does not make a module."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A branch that an unknown decided."""

    address: int
    taken: bool
    """Whether the branch was taken, after any inversion."""
    labels: int
    """The unknowns, one bit each."""
    at: int
    """How many instructions were followed before."""
    asked: int
    """How many questions were asked before."""
    other: int
    """The address at which the path that was not taken begins."""


@dataclass(slots=True)
class _Scope:
    """A stretch of code that runs, or runs so often, because an unknown decided so: what it writes is as unknown."""

    stack: int
    labels: int
    places: Collection[int]
    ends_there: bool
    """Whether it ends where one of the places is reached, or where they are left: a loop."""


@dataclass(slots=True)
class Flow:
    """The labels of registers and memory in one run."""

    engine: Any
    machine: str
    decoder: Decoder
    stack: int
    """Unicorn's number of the stack pointer."""
    program: int
    read_register: Callable[[int], int]
    """Reads a register by Unicorn's number."""
    merges: Mapping[int, Collection[int]] = field(default_factory=dict)
    """The continuation of the original path of each inverted decision: both paths meet there again."""
    by_python: int = 0
    """The labels that are answers of the C API."""
    trace: list[int] = field(default_factory=list)
    """The addresses of the instructions that were followed, in order."""
    hook_begins: int = 0
    """How many instructions were followed before the hook."""
    turned: Collection[int] = ()
    """The numbers of the decisions to invert, counted from 0 in the order of the run."""
    names: list[str] = field(default_factory=list)
    """The question that each label is an answer to."""
    weakly: int = 0
    """The labels of values that an unknown decided; the other labels are of values computed from one."""
    decisions: list[Decision] = field(default_factory=list)
    opaque: str = ""
    """Why later results cannot be trusted: the untracked action of the code. For people."""
    fast_fail: bytes = b""
    """The instruction with which code for Windows ends its process; empty for other systems."""
    questions: list[Guess] = field(default_factory=list)
    """The questions so far."""
    identifiers: Mapping[str, int] = field(default_factory=dict)
    """The answers, by question, that are not 0 and not `DEFAULT_COOKIE`, and that stay the same.

    Nothing else is known of them.
    """
    code: Sequence[tuple[int, int]] = ()
    """The places of the images' code and data."""
    data: Sequence[tuple[int, int]] = ()
    """The parts of the images that stay writable."""
    clean: Collection[int] = ()
    """The addresses of Python objects, whose reference counts are never unknown."""
    unsure: Collection[int] = ()
    """The addresses of what may be Python objects: another package's function returned them."""
    contrary: Collection[str] = ()
    """The names of fields of those: every decision that follows only from them is inverted."""
    registers: dict[int, int] = field(default_factory=dict)
    """Labels by family, without families that have no label."""
    memory: dict[int, int] = field(default_factory=dict)
    """Labels by byte."""
    known: list[tuple[int, int]] = field(default_factory=list)
    """Addresses and sizes of the bytes to which `memory` gave no label, and perhaps has given one since."""
    lines: set[int] = field(default_factory=set)
    regions: list[tuple[int, int, int]] = field(default_factory=list)
    """Ranges of memory with labels, unless `memory` overrides them."""
    paused: bool = False
    """Whether instructions are not followed for now: everything that they can write is already labeled."""
    steps: int = 0
    constructing: int = 0
    """Instructions of constructors that were followed."""
    joins: Joins = field(default_factory=Joins)
    forks: Forks | None = None
    """The branches that unknowns decide in the constructor that runs; `None` while the hook runs."""
    addresses: Addresses | None = None
    """Finds what is made of addresses."""
    rounds: Rounds | None = None
    """The branches that unknowns decide again and again in the hook."""
    may_have_failed: bool = False
    """Whether the C API may have left an exception: a decision that its answer made was inverted since."""
    inverted: Callable[[str], None] = lambda _name: None
    """Called when a decision is inverted that only one answer, with this name, made."""
    object_of: Callable[[int], int] = lambda _value: 0
    """Returns where the object that a value is the address of begins, or 0 for another value."""
    object_around: Callable[[int], tuple[int, int] | None] = lambda _address: None
    """Returns where the object at an address, on the heap or of the thread, begins and ends."""
    not_run: int = 0
    """The labels of memory that static constructors may have written which were not run."""
    is_left_alone: Callable[[int, int], bool] = lambda _address, _size: False
    """Returns whether no code but that of the running function can have written bytes."""
    forks_of_constructor: Callable[[], Forks] | None = None
    """Makes `forks` for one constructor."""
    _scopes: list[_Scope] = field(default_factory=list)
    _bits: dict[tuple[str, bool], int] = field(default_factory=dict)
    """The label of each name, and of each name that only decides."""
    _streaks: dict[int, tuple[bool, int]] = field(default_factory=dict)
    """How many times in a row a branch was decided in one way."""
    _seen: dict[int, int] = field(default_factory=dict)
    _last: InstructionEffect | None = None

    @property
    def constructs(self) -> bool:
        """Whether a static constructor runs."""
        return self.forks is not None

    def state(self) -> dict[str, Any] | None:
        """Return all labels for `resume` in another run, or `None` if unknowns have decided something."""
        if self.decisions or self.contrary or self.paused or self._scopes:
            return None
        return {name: copy(getattr(self, name)) for name in _STATE}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Continue with the labels of another run, whose code ran here too."""
        for name, value in state.items():
            setattr(self, name, copy(value))

    def note(self, address: int, size: int) -> None:
        """Save the memory that is about to be written, if it may have to be restored."""
        if self.forks is not None:
            self.forks.note(address, size)

    def note_answer(self, number: int, address: int, size: int) -> None:
        """Note that the function which was called last is about to write memory, for the time with this number."""
        self.note(address, size)
        if self.rounds is not None and self.rounds.followed and self.trace and self._around(address) is not None:
            self.rounds.store(-(self.trace[-1] << 8) - number, address, size)

    def touch(self, address: int, size: int, name: str) -> None:
        """Give bytes a label that the instruction which is being executed is the first to read."""
        labels = self.label(name)
        self.mark(address, size, labels)
        for family in self._last.writes if self._last is not None else ():
            self.set_register(family, labels)

    # Labels

    def label(self, name: str, *, weak: bool = False) -> int:
        """Return the bit of an unknown, a new one on first use; a `weak` one is for values that the unknown decides."""
        bit = self._bits.get((name, weak))
        if bit is None:
            bit = self._bits[name, weak] = 1 << len(self.names)
            self.names.append(name)
            self.weakly |= bit if weak else 0
        return bit

    def name(self, labels: int) -> str:
        """Return the question that the first of the labels is an answer to."""
        return named(self.names, labels)

    def of_memory(self, address: int, size: int) -> int:
        """Return the labels of bytes."""
        lines = self.lines
        if not lines and not self.regions:
            return 0
        found = 0
        for start, end, labels in self.regions:
            if address < end and start < address + size:
                for byte in range(max(start, address), min(end, address + size)):
                    found |= self.memory.get(byte, labels)
        for line in range(address >> _LINE, (address + size - 1 >> _LINE) + 1):
            if line in lines:
                start, end = max(address, line << _LINE), min(address + size, line + 1 << _LINE)
                for byte in range(start, end):
                    found |= self.memory.get(byte, 0)
        return found

    def of_written(self, address: int, size: int) -> int:
        """Return the labels that bytes got when they were written, without those of whole ranges."""
        found = 0
        for byte in range(address, address + size):
            found |= self.memory.get(byte, 0)
        return found

    def mark(self, address: int, size: int, labels: int) -> None:
        """Give bytes these labels and no others."""
        if size <= 0:
            return
        lines, memory = self.lines, self.memory
        if labels:
            size = min(size, _MOST_REPEATED)
            self.note(address, size)
            self.set_bytes(address, size, labels)
        elif any(address < end and start < address + size for start, end, _ in self.regions):
            self.set_bytes(address, min(size, _MOST_REPEATED), 0)
        elif lines:
            for line in range(address >> _LINE, (address + size - 1 >> _LINE) + 1):
                if line in lines:
                    for byte in range(max(address, line << _LINE), min(address + size, line + 1 << _LINE)):
                        memory.pop(byte, None)

    def set_bytes(self, address: int, size: int, labels: int) -> None:
        """Give bytes these labels, also in a range that `open` labels."""
        self.lines.update(range(address >> _LINE, (address + size - 1 >> _LINE) + 1))
        self.memory.update(dict.fromkeys(range(address, address + size), labels))
        if not labels:
            self.known.append((address, size))

    def open(self, ranges: Sequence[tuple[int, int]], name: str, *, weak: bool = False) -> None:
        """Give all of these ranges a label, except the bytes that are written from now on."""
        known = {(start, end) for start, end, _ in self.regions}
        labels = self.label(name, weak=weak)
        self.regions += [(start, end, labels) for start, end in ranges if (start, end) not in known]

    def open_not_run(self, ranges: Sequence[tuple[int, int]], reason: str) -> None:
        """Let all of these ranges be unknown, because code that may write them was not run or not followed."""
        self.open(ranges, reason)
        self.not_run |= self.label(reason)

    def copy(self, target: int, source: int, size: int, more: int) -> None:
        """Copy the labels of bytes, and add `more` to each."""
        size = min(size, _MOST_REPEATED)
        if not size:
            return
        if not self.of_memory(source, size) and not more:
            self.mark(target, size, 0)
            return
        labels = [self.of_memory(source + index, 1) | more for index in range(size)]
        for index, value in enumerate(labels):
            self.mark(target + index, 1, value)

    def of_register(self, family: int) -> int:
        """Return the labels of a register."""
        return self.registers.get(family, 0)

    def set_register(self, family: int, labels: int) -> None:
        """Give a register these labels."""
        if labels:
            self.registers[family] = labels
        else:
            self.registers.pop(family, None)

    @property
    def implied(self) -> int:
        """The labels of every current write: an unknown decided that this code runs, and how often."""
        found = 0
        for scope in self._scopes:
            found |= scope.labels
        return found

    def _leave_scopes(self, address: int) -> None:
        """Drop the scopes that end at an address."""
        stack = self.read_register(self.stack)
        for scope in self._scopes:
            if stack < scope.stack or (stack == scope.stack and (address in scope.places) is not scope.ends_there):
                continue
            self._scopes = [
                scope
                for scope in self._scopes
                if stack < scope.stack or (stack == scope.stack and (address in scope.places) is not scope.ends_there)
            ]
            return

    def weak(self, labels: int) -> int:
        """Return labels of the same names for values that are only decided by them, and not computed from them."""
        found = labels & self.weakly
        for index, name in enumerate(list(self.names)):
            if self.strong(labels) >> index & 1:
                found |= self.label(name, weak=True)
        return found

    def _firm(self, labels: int) -> int:
        """Return labels of the same names for values computed from them."""
        found = 0
        for index, name in enumerate(list(self.names)):
            if labels >> index & 1:
                label = self.label(name)
                self.by_python |= label if self.by_python >> index & 1 else 0
                found |= label
        return found

    def strong(self, labels: int) -> int:
        """Return the labels that stand for values computed from an unknown."""
        return labels & ~self.weakly

    # Instructions

    def step(self, address: int, size: int) -> None:
        """Follow the instruction that is about to be executed: Unicorn calls this."""
        if self.paused:
            return
        forks = self.forks
        if forks is not None:
            if forks.arrive(address):
                return
            if not forks.labels and forks.steps > _STEPS:
                raise TooLong(len(set(self.trace)) > _LARGE)
        else:
            self.steps += 1
            if self.steps > _STEPS:
                raise TooLong(len(set(self.trace)) > _LARGE)
        effects = self.joins.effects
        effect = effects.get(address)
        if effect is None and address not in effects:
            effect = effects[address] = self._effect(address, size)
        registers = self.registers
        self.trace.append(address)
        if self._scopes:
            self._leave_scopes(address)
        if effect is None:
            self.opaque = self.opaque or f"an instruction at {address:#x} that is not followed"
            return
        kind = effect.kind
        self._last = effect
        if forks is not None and forks.open:
            for place in effect.stores:
                forks.note(self.address_of(place, address), self._size(place, effect))
            forks.follow(effect, address)
        rounds = self.rounds
        if rounds is not None and rounds.calls:
            self._follow_rounds(rounds, effect, address)
        scopes = self._scopes
        made = 0
        if effect.use is not None and self.addresses is not None:
            made = self.addresses.made(effect.use, effect, address)
        if (
            effect.simple
            and not made
            and not scopes
            and not self.regions
            and (not registers or effect.touched.isdisjoint(registers))
        ):
            lines = self.lines
            for place in effect.places if lines else ():
                where = self.address_of(place, address)
                if where >> _LINE in lines or where + place.size - 1 >> _LINE in lines:
                    break
            else:
                return  # No label is among what it reads and writes.
        labels, read = self.implied if scopes else 0, 0
        if kind is InstructionKind.SOURCE:
            labels |= self.label(f"the instruction {effect.name}")
        elif kind is InstructionKind.SYSTEM:
            if bytes(self.engine.mem_read(address, size)) == self.fast_fail:
                raise FastFailed(f"it ends the process at {address:#x}")
            self.opaque = self.opaque or f"the instruction {effect.name}"
            return
        elif kind is not InstructionKind.CLEAR:
            for family in effect.reads:
                if family in registers:
                    read |= registers[family]
            if self.addresses is not None and read & self.addresses.order:
                read = self.addresses.asked(read, effect)
            read |= made
            labels |= read
        for place in effect.loads:
            labels |= self._loaded(place, address, effect)
        if kind is InstructionKind.BRANCH:
            if read:
                self._decide(address, size, effect, labels)
            return
        if kind is InstructionKind.INDIRECT:
            pointed = 0
            for family in effect.reads:
                pointed |= registers.get(family, 0)
            for place in effect.loads:
                pointed |= self._loaded(place, address, effect)
            if strong := self.strong(pointed):
                self._jump(effect, address, strong)
            return
        for family in effect.writes:
            if labels:
                registers[family] = labels
            elif family in registers:
                del registers[family]
        for place in effect.stores:
            self._store(place, address, effect, labels)

    def _effect(self, address: int, size: int) -> InstructionEffect | None:
        """Return the effect of the instruction at an address. Unicorn does not know how long those of AVX are."""
        code = bytes(self.engine.mem_read(address, size))
        if self.machine != AARCH64 and code[:1] in (b"\xc4", b"\xc5"):
            return self.decoder.effect_at(bytes(self.engine.mem_read(address, _LONGEST_CODE)), address)
        return self.decoder.effect(code, address)

    def _follow_rounds(self, rounds: Rounds, effect: InstructionEffect, address: int) -> None:
        """Note what matters to branches that run again: returns, stores, and places where their paths meet."""
        if effect.name.startswith("ret"):
            rounds.leave_function(self.read_register(self.stack))
        elif rounds.followed:
            if rounds.meets and (changes := rounds.meet(address, self.read_register(self.stack))) is not None:
                self._label_changes(changes)
            for place in effect.stores:
                rounds.store(address, self.address_of(place, address), self._size(place, effect))

    def _label_changes(self, changes: Changes) -> None:
        """Label what the rounds of a branch changed: the number of rounds and the paths through them are unknown."""
        labels = self._firm(changes.labels)
        for family in changes.registers:
            self.registers[family] = self.registers.get(family, 0) | labels
        for where, size in changes.places:
            self.mark(where, size, self.of_memory(where, size) | labels)
        for first, where in changes.moved:
            if self.object_of(first) == self.object_of(where):
                self.open_around(first, self.name(labels))
            elif (around := self._around(first)) is not None and self.object_around(first) is None:
                # A loop that goes on for longer than on any machine leaves its object. Of other memory, each round has
                # an object of its own.
                self.open(around, self.name(labels))

    def _loaded(self, place: MemoryOperand, address: int, effect: InstructionEffect) -> int:
        registers = self.registers
        pointer = registers.get(place.base_family, 0) | registers.get(place.index_family, 0)
        if not pointer and not self.lines and not self.regions:
            return 0
        where = self.address_of(place, address)
        found = self.of_memory(where, self._size(place, effect))
        if found & self.not_run and self.forks is None and self.is_left_alone(where, place.size):
            found &= ~self.not_run
            self.set_bytes(where, place.size, found)
        if not pointer or self._is_header(where):
            return found
        return found | (self._of_counts(where, place.size) or pointer)

    def _store(self, place: MemoryOperand, address: int, effect: InstructionEffect, labels: int) -> None:
        registers = self.registers
        if not labels and not self.lines and not registers and not self.regions:
            return
        if place.index_family >= 0 and not self.opaque:
            chosen = self.strong(registers.get(place.index_family, 0))
            base = self.strong(registers.get(place.base_family, 0))
            if base and self.read_register(place.base) < _INDEX:
                chosen |= base  # The other register holds the address.
            if chosen:
                self.open_around(self.address_of(place, address), self.name(chosen))
        elif pointer := self.strong(registers.get(place.base_family, 0)):
            where = self.address_of(place, address)
            if any(start <= where < end for start, end in self.data):
                self.open(self.data, self.name(pointer))
        self.mark(self.address_of(place, address), self._size(place, effect), labels)

    def open_around(self, address: int, name: str) -> None:
        """Label the memory that a write with an unknown index may reach: data, the function's frame, an object."""
        around = self._around(address)
        if around is None:
            self.opaque = f"a place in memory that depends on {name}"
        else:
            self.open(around, name)

    def open_where_known(self, address: int, name: str) -> None:
        """Label the memory that a function's write of an unknown length may reach, if that is memory of the module."""
        if (around := self._around(address)) is not None:
            self.open(around, name)

    def _around(self, address: int) -> Sequence[tuple[int, int]] | None:
        """Return the memory in which a pointer stays that points to an address, or `None` if that is not known."""
        if any(start <= address < end for start, end in self.data):
            return self.data
        stack = self.read_register(self.stack)
        if stack <= address < stack + FRAME:
            return [(stack, stack + FRAME)]
        around = self.object_around(address)
        return None if around is None else [around]

    def _size(self, place: MemoryOperand, effect: InstructionEffect) -> int:
        if not effect.repeats:
            return place.size
        from unicorn import x86_const

        return min(place.size * int(self.read_register(x86_const.UC_X86_REG_RCX)), _MOST_REPEATED) or 1

    def address_of(self, place: MemoryOperand, address: int) -> int:
        """Return where an operand of the instruction at an address is."""
        read = self.read_register
        where = place.displacement
        if place.relative:
            where += address
        elif place.base:
            where += read(place.base)
        if place.index:
            where += read(place.index) * place.scale
        if place.segment:
            where += read(place.segment)
        return where & _MASK

    def _is_header(self, address: int) -> bool:
        """Return whether an address is in the reference counts of a Python object."""
        clean = self.clean
        return any(address - offset in clean for offset in range(0, 24, 4))

    def _of_counts(self, address: int, size: int) -> int:
        """Return the label of the fields that count references, if bytes are those of what may be an object."""
        for offset, (length, name) in _COUNTS.items():
            if length == size and address - offset in self.unsure:
                label = self.label(name, weak=True)
                self.by_python |= label
                return label
        return 0

    def _is_contrary(self, labels: int) -> bool:
        """Return whether a decision follows only from fields of which every decision is inverted."""
        wanted = 0
        for name in self.contrary:
            wanted |= self.label(name, weak=True)
        return bool(wanted) and not labels & ~wanted

    def _jump(self, effect: InstructionEffect, address: int, labels: int) -> None:
        """Follow a jump to a place that an unknown decided: into the module's own code it can lead anywhere."""
        where = self.target_of(effect, address)
        if any(start <= where < end for start, end in self.code) and not self.opaque:
            self.opaque = self.name(labels)

    def target_of(self, effect: InstructionEffect, address: int) -> int:
        """Return where an indirect jump or call at an address leads."""
        if effect.loads:
            return int.from_bytes(self.engine.mem_read(self.address_of(effect.loads[0], address), 8), "little")
        code = bytes(self.engine.mem_read(address, 4))
        if self.machine == AARCH64:
            from unicorn import arm64_const

            number = int.from_bytes(code, "little") >> 5 & 31
            return int(self.read_register(getattr(arm64_const, f"UC_ARM64_REG_X{number}")))
        from unicorn import x86_const

        code = code.lstrip(b"\x3e\xf2\xf3")
        high = 8 if code[0] & 0xF0 == 0x40 and code[0] & 1 else 0
        code = code[1:] if code[0] & 0xF0 == 0x40 else code
        order = ("RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", *(f"R{number}" for number in range(8, 16)))
        return int(self.read_register(getattr(x86_const, f"UC_X86_REG_{order[high + (code[1] & 7)]}")))

    def _forget_pointer(self, branch: bytes, *, taken: bool) -> None:
        """Let a pointer be null where the inverted branch says so."""
        flags = self.decoder.family(FLAGS)
        for address in self.trace[-2 : -2 - _NEAR : -1]:
            effect = self.joins.effects.get(address)
            if effect is not None and flags in effect.writes:
                compare = bytes(self.engine.mem_read(address, effect.length))
                place = self.address_of(effect.loads[0], address) if effect.loads else None
                if place is not None:
                    self.note(place, 8)
                forget_pointer(self.engine, self.machine, compare, place, branch, taken=taken)
                return
        forget_pointer(self.engine, self.machine, b"", None, branch, taken=taken)

    def _is_settled(self, address: int, size: int, effect: InstructionEffect, labels: int) -> bool:
        """Return whether a branch asks only whether an identifier is itself, or a value that it never has.

        A lock asks so for its owner, and code of Windows for the security cookie.
        """
        known = self.identifiers.get(self.name(labels))
        if known is None or labels & labels - 1 or labels & self.weakly or effect.name not in _EQUALITY:
            return False
        code = bytes(self.engine.mem_read(address, size))
        if effect.name not in ("cbz", "cbnz"):
            before = self.trace[-2] if len(self.trace) > 1 else 0
            earlier = self.joins.effects.get(before)
            if earlier is None or before + earlier.length != address:
                return False
            code, address = bytes(self.engine.mem_read(before, earlier.length)), before
        compared = self.decoder.compared(code)
        return bool(compared) and all(self._is_identity(each, address, known, labels) for each in compared)

    def _is_identity(self, compared: Compared, address: int, known: int, labels: int) -> bool:
        """Return whether a compared value is the identifier itself, or a certain one that it never has."""
        if compared.place is not None:
            where = self.address_of(compared.place, address)
            value = int.from_bytes(self.engine.mem_read(where, compared.size), "little")
            own = self.of_memory(where, compared.size)
        elif compared.number:
            value = self.read_register(compared.number) & (1 << 8 * compared.size) - 1
            own = self.registers.get(compared.family, 0)
        else:
            value, own = compared.value, 0
        return (value == known and own == labels) or (value in (0, DEFAULT_COOKIE) and not own)

    def _decide(self, address: int, size: int, effect: InstructionEffect, labels: int) -> None:
        """Note a branch that an unknown decides, and invert it if that is wanted."""
        if self.identifiers and self._is_settled(address, size, effect, labels):
            return
        if self.forks is not None:
            self._fork(self.forks, address, size, effect, labels)
            return
        number = len(self.decisions)
        taken = holds(self.engine, self.machine, bytes(self.engine.mem_read(address, size)), effect.name)
        last, streak = self._streaks.get(address, (taken, 0))
        streak = streak + 1 if last is taken else 1
        self._streaks[address] = (taken, streak)
        # A loop that only an unknown ends is left after a while: its count and its results are unknown.
        stack, rounds = self.read_register(self.stack), self.rounds
        forced = rounds.forced(address, stack) if rounds is not None and number not in self.turned else None
        turned = number in self.turned or streak >= _LONGEST or self._is_contrary(labels)
        if taken is not forced if forced is not None else turned:
            taken = not taken
            self._streaks[address] = (taken, 1)
            self.engine.reg_write(self.program, address + (effect.target or 0) if taken else address + size)
            if number in self.turned or forced is not None:
                self._forget_pointer(bytes(self.engine.mem_read(address, size)), taken=taken)
            self.may_have_failed |= bool(labels & self.by_python)
            if number in self.turned and (own := self.strong(labels)) and not own & own - 1:
                self.inverted(self.name(own))
        ways = {True: address + (effect.target or 0), False: address + size}
        if rounds is not None:
            inverted = number in self.turned
            changes = rounds.decide(address, stack, labels, ways, taken=taken, inverted=inverted)
            if changes is not None:
                self._label_changes(changes)
        other = ways[not taken]
        self.decisions.append(Decision(address, taken, labels, len(self.trace), len(self.questions), other))
        before = self._seen.get(address)
        self._seen[address] = len(self.trace)
        if number in self.turned:
            self._scopes.append(_Scope(stack, self.weak(labels), self.merges.get(number, ()), True))
        elif before is not None:
            body = frozenset(self.trace[before:])
            self._scopes = [scope for scope in self._scopes if scope.ends_there or scope.stack != stack]
            self._scopes.append(_Scope(stack, self.weak(labels), body, False))

    def _fork(self, forks: Forks, address: int, size: int, effect: InstructionEffect, labels: int) -> None:
        """Follow both paths of a branch in a constructor."""
        taken = holds(self.engine, self.machine, bytes(self.engine.mem_read(address, size)), effect.name)
        ends = address + size, address + (effect.target or 0)
        open_before = len(forks.open)
        if forks.begin(address, self.read_register(self.stack), labels, (ends[taken], ends[not taken])):
            if len(forks.open) > open_before:
                self._forget_pointer(bytes(self.engine.mem_read(address, size)), taken=not taken)
            return
        last, streak = self._streaks.get(address, (taken, 0))
        streak = streak + 1 if last is taken else 1
        if streak >= _LONGEST:
            taken, streak = not taken, 1
            self.engine.reg_write(self.program, ends[taken])
        self._streaks[address] = (taken, streak)
