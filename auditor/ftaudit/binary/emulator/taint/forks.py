"""Branches that unknowns decide in code that runs once: the other path is followed until it meets the usual one.

What the two paths leave differently is as unknown as the branch. The process continues on the usual path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from ftaudit.binary.emulator.taint.instruction_effects import InstructionEffect, InstructionKind, MemoryOperand
from ftaudit.binary.emulator.taint.meeting_point import Meeting
from ftaudit.binary.emulator.taint.own_code import CALLS
from ftaudit.binary.image.mapped import AARCH64

_MOST_STEPS: Final = 600_000
"""Instructions of all the paths through one constructor."""
_LONGEST_PATH: Final = 60_000
"""Instructions of one path before it counts as unfinished."""
_DEEPEST: Final = 48
"""Branches whose paths have not met yet."""
_SAME: Final = 3
"""How many of these are the same branch: rounds of a loop."""

Entry = tuple[int, bytes, tuple[int | None, ...] | None]
"""Memory before a write: its address, its content, and the label of each byte if one has a label."""


class Labels(Protocol):
    """The run's labels, registers and memory, as `flow.Flow` has them."""

    engine: Any
    machine: str
    stack: int
    program: int
    registers: dict[int, int]
    memory: dict[int, int]
    known: list[tuple[int, int]]
    lines: set[int]
    regions: list[tuple[int, int, int]]
    questions: list[Any]
    paused: bool
    code: Sequence[tuple[int, int]]
    data: Sequence[tuple[int, int]]

    @property
    def read_register(self) -> Callable[[int], int]:
        """Reads a register by Unicorn's number."""

    def name(self, labels: int) -> str:
        """Return the question that the first of the labels is an answer to."""

    def of_memory(self, address: int, size: int) -> int:
        """Return the labels of bytes."""

    def of_register(self, family: int) -> int:
        """Return the labels of a register."""

    def set_register(self, family: int, labels: int) -> None:
        """Give a register these labels."""

    def mark(self, address: int, size: int, labels: int) -> None:
        """Give bytes these labels and no others."""

    def open(self, ranges: Sequence[tuple[int, int]], name: str, *, weak: bool = False) -> None:
        """Give all of these ranges a label."""

    def open_around(self, address: int, name: str) -> None:
        """Label the memory that a write with an unknown index may reach."""

    def target_of(self, effect: InstructionEffect, address: int) -> int:
        """Return where an indirect jump or call at an address leads."""

    def address_of(self, place: MemoryOperand, address: int) -> int:
        """Return where an operand of the instruction at an address is."""


class GaveUp(Exception):
    """The paths through a constructor are too long to be followed."""


@dataclass(slots=True)
class _Fork:
    """A branch whose other path, and then whose usual path, is being followed."""

    address: int
    meets: int | None
    """Where the paths meet; `None`: after the function returns."""
    stack: int
    labels: int
    usual: int
    """The address at which the usual path begins."""
    begins: int
    """The address at which the other one begins."""
    context: Any
    """The processor's state at the branch."""
    registers: dict[int, int]
    """The labels of registers at the branch."""
    asked: int
    """The number of questions asked before it."""
    begun: int
    """The number of instructions followed before it."""
    on_other: bool = True
    calls: list[tuple[int, int]] = field(default_factory=list)
    """Calls that have not returned: the address after each, and the stack pointer there."""
    left: tuple[int, int] | None = None
    """The function returns with the current instruction: the stack pointer, and the target of a jump to a function."""
    journal: list[Entry] = field(default_factory=list)
    other: dict[int, tuple[int, int]] = field(default_factory=dict)
    """The bytes that the other path wrote: what it left there, and the label."""
    other_registers: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Values and labels of registers at its end, by family."""
    other_ends: bool = False
    """The process ends on the other path, which has no further effect."""
    loops: bool = False
    """The branch ends a loop of which not every number of rounds was followed."""
    places: dict[int, int] = field(default_factory=dict)
    """Where each instruction stored last since this branch, by the instruction's address."""
    before: _Fork | None = None
    """The same branch in the round before, if it ends a loop."""


@dataclass(slots=True)
class Forks:
    """The branches in one constructor whose paths have not met yet."""

    flow: Labels
    registers: Sequence[tuple[int, int]]
    """Families of the registers, and Unicorn's numbers."""
    meeting_point: Callable[[int], Meeting]
    """Returns where the paths of the branch at an address meet."""
    ends_process: Callable[[BaseException], bool]
    """Returns whether an exception stands for the end of the process."""
    open: list[_Fork] = field(default_factory=list)
    labels: int = 0
    """The labels of all branches so far."""
    steps: int = 0
    gave_up: bool = False
    """Whether the rest of the constructor is not followed: all data is labeled."""

    def begin(self, address: int, stack: int, labels: int, paths: tuple[int, int]) -> bool:
        """Follow the other path of a branch first; return whether it goes elsewhere than the processor would.

        `paths` are the usual and the other one. After some rounds of a loop, it is left.
        """
        self.labels |= labels
        usual, other = paths
        same = [fork for fork in self.open if fork.address == address and fork.stack == stack]
        if same:
            self._note_moves(same[-1])
        if len(same) >= _SAME:
            for fork in same:
                fork.loops = True
            leaving = self.meeting_point(address).leaving
            if leaving is not None:
                self.flow.engine.reg_write(self.flow.program, leaving)
            return leaving is not None
        if len(self.open) >= _DEEPEST:
            self._leave_all_open(labels)
            return False
        flow = self.flow
        fork = _Fork(
            address=address,
            meets=self.meeting_point(address).place,
            stack=stack,
            labels=labels,
            usual=usual,
            begins=other,
            context=flow.engine.context_save(),
            registers=dict(flow.registers),
            asked=len(flow.questions),
            begun=self.steps,
            before=same[-1] if same else None,
        )
        self.open.append(fork)
        flow.engine.reg_write(flow.program, other)
        return True

    def arrive(self, address: int) -> bool:
        """Note that code at an address is about to run; return whether the processor goes elsewhere instead."""
        self.steps += 1
        while self.open:
            fork = self.open[-1]
            if fork.on_other and self.steps - fork.begun > _LONGEST_PATH:
                self._abandon(fork)
                self.flow.engine.reg_write(self.flow.program, fork.usual)
                return True
            if not self._has_met(fork, address):
                break
            if fork.on_other:
                self._turn_back(fork)
                self.flow.engine.reg_write(self.flow.program, fork.usual)
                return True
            self._merge(fork)
        if self.steps > _MOST_STEPS and not self.gave_up:
            raise GaveUp
        return False

    def follow(self, effect: InstructionEffect, address: int) -> None:
        """Note calls and returns."""
        name, fork = effect.name, self.open[-1]
        if name in CALLS:
            fork.calls.append((address + effect.length, self._stack()))
        elif name.startswith("ret"):
            self._leave_functions(0)
        elif effect.kind is InstructionKind.INDIRECT:
            target = self.flow.target_of(effect, address)
            if not any(start <= target < end for start, end in self.flow.code):
                self._leave_functions(target)
        for place in effect.stores:
            fork.places[address] = self.flow.address_of(place, address)

    def note(self, address: int, size: int) -> None:
        """Save the memory that is about to be written."""
        if not self.open or size <= 0:
            return
        flow = self.flow
        try:
            content = bytes(flow.engine.mem_read(address, size))
        except Exception:
            return
        labels = None
        if flow.lines or flow.regions:
            labels = tuple(flow.memory.get(byte) for byte in range(address, address + size))
        self.open[-1].journal.append((address, content, labels))

    def resume(self, error: BaseException | None, *, landed: bool) -> int | None:
        """Return where the process continues after its run ended, or `None` if it has ended."""
        if error is None and landed:
            while self.open:
                fork = self.open[-1]
                if fork.on_other:
                    self._turn_back(fork)
                    return fork.usual
                self._merge(fork)
            return None
        if isinstance(error, GaveUp):
            return self._give_up()
        if all(not fork.on_other for fork in self.open):
            self.open.clear()
            return None
        inner = self.open[-1]
        if error is not None and not inner.on_other and not inner.other_ends and self.ends_process(error):
            # The process ends on the usual path: only the other one goes on.
            self._undo(inner)
            self.open.pop()
            return inner.begins
        while not self.open[-1].on_other:
            # The usual path of a branch on another path fails: whether the latter goes on is not known.
            inner = self.open.pop()
            self.open[-1].journal += inner.journal
            error = None
        fork = self.open[-1]
        if error is not None and self.ends_process(error):
            fork.other_ends = True
            self._undo(fork)
        else:
            self._abandon(fork)
        return fork.usual

    # Paths

    def _give_up(self) -> int:
        """Go back to the usual path, and return where it continues: from now on it is not followed."""
        flow = self.flow
        self.gave_up = flow.paused = True
        where = int(flow.read_register(flow.program))
        outer = next((fork for fork in self.open if fork.on_other), None)
        if outer is not None:
            self._abandon(outer)
            where = outer.usual
        self.open.clear()
        self._leave_all_open(self.labels)
        return where

    def _stack(self) -> int:
        return int(self.flow.read_register(self.flow.stack))

    def _has_met(self, fork: _Fork, address: int) -> bool:
        stack, calls = self._stack(), fork.calls
        while calls and (stack > calls[-1][1] or (address, stack) == calls[-1]):
            calls.pop()
        if fork.left is not None:
            before, target = fork.left
            if not target:
                return True
            above = stack >= before if self.flow.machine == AARCH64 else stack > before
            return above and address != target
        return not calls and address == fork.meets

    def _leave_functions(self, target: int) -> None:
        """Note that the function of the innermost branches returns, or jumps to another function at `target`."""
        stack = self._stack()
        for fork in reversed(self.open):
            if fork.calls:
                return
            fork.left = (stack, target)

    def _turn_back(self, fork: _Fork) -> None:
        """Keep what the other path left, and go back to the branch."""
        flow = self.flow
        for start, content in _contents(flow.engine, ((address, len(old)) for address, old, _ in fork.journal)):
            for place, value in enumerate(content, start):
                fork.other[place] = (value, flow.of_memory(place, 1))
        read = flow.engine.reg_read
        fork.other_registers = {family: (read(number), flow.of_register(family)) for family, number in self.registers}
        for family, labels in flow.registers.items():
            fork.other_registers.setdefault(family, (0, labels))
        self._undo(fork)

    def _abandon(self, fork: _Fork) -> None:
        """Go back to the branch from another path that was not followed to its end: it may write any data."""
        while self.open[-1] is not fork:
            inner = self.open.pop()
            fork.journal += inner.journal
        fork.loops = True
        self._turn_back(fork)
        self._leave_all_open(fork.labels)

    def _undo(self, fork: _Fork) -> None:
        flow = self.flow
        memory = flow.memory
        for address, content, labels in reversed(fork.journal):
            flow.engine.mem_write(address, content)
            for place in range(address, address + len(content)):
                before = labels[place - address] if labels is not None else None
                if before is None:
                    memory.pop(place, None)
                else:
                    memory[place] = before
                    if not before:
                        flow.known.append((place, 1))
        fork.journal = []
        flow.registers = dict(fork.registers)
        flow.engine.context_restore(fork.context)
        del flow.questions[fork.asked :]
        fork.on_other = False
        fork.calls.clear()
        fork.places.clear()
        for each in self.open:
            each.left = None

    def _merge(self, fork: _Fork) -> None:
        """Label what differs where the paths meet."""
        flow = self.flow
        self.open.pop()
        if self.open:
            self.open[-1].journal += fork.journal
            self.open[-1].places |= fork.places
            self.open[-1].loops |= fork.loops and self.open[-1].address == fork.address
        if fork.other_ends:
            return
        before: dict[int, tuple[int, int]] = {}
        for address, content, labels in fork.journal:
            for offset, value in enumerate(content):
                known = (labels[offset] or 0) if labels is not None else 0
                before.setdefault(address + offset, (value, known))
        changed: dict[int, int] = {}
        written = sorted(before.keys() | fork.other.keys())
        for start, content in _contents(flow.engine, ((place, 1) for place in written)):
            for place, value in enumerate(content, start):
                own = flow.of_memory(place, 1)
                other, label = fork.other.get(place) or before[place]
                merged = own | label | (fork.labels if other != value or fork.loops else 0)
                if merged != own:
                    changed[place] = merged
        for place, merged in changed.items():
            flow.mark(place, 1, merged)
        numbers = dict(self.registers)
        for family, (other, label) in fork.other_registers.items():
            own = flow.of_register(family)
            differs = family in numbers and flow.engine.reg_read(numbers[family]) != other
            flow.set_register(family, own | label | (fork.labels if differs else 0))

    def _note_moves(self, fork: _Fork) -> None:
        """Label the objects around the stores of a loop that were elsewhere in the round before."""
        before = fork.before
        if before is None:
            return
        for instruction, place in fork.places.items():
            if before.places.get(instruction, place) != place:
                self.flow.open_around(place, self.flow.name(fork.labels))

    def _leave_all_open(self, labels: int) -> None:
        """Label all data that stays writable, whatever was written there."""
        flow = self.flow
        known, flow.known = flow.known, []
        for address, size in known:
            for place in range(address, address + size):
                if flow.memory.get(place) == 0 and any(start <= place < end for start, end in flow.data):
                    self.note(place, 1)
                    del flow.memory[place]
        flow.open(flow.data, flow.name(labels))


def _contents(engine: Any, ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, bytes]]:
    """Yield the current content of these ranges, each byte once."""
    end = start = 0
    for address, size in sorted(ranges):
        if start < end < address:
            yield start, bytes(engine.mem_read(start, end - start))
            start = address
        elif start == end:
            start = end = address
        end = max(end, address + size)
    if start < end:
        yield start, bytes(engine.mem_read(start, end - start))
