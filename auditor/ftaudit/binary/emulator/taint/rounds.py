"""Branches that run again in one call of their function: what their rounds change is as unknown as what decides them.

A run tries one number of rounds of a loop that an unknown ends. So what changes from one round to the next has a value
that nobody knows, and a store through a pointer that moves may hit all that the pointer can reach.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ftaudit.binary.emulator.taint.meeting_point import Meeting
from ftaudit.binary.image.mapped import AARCH64

_FORCED: Final = 3
"""Decisions that go the same way after an inverted one: two whole rounds, which are compared, begin with the second."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs from one round to the next, and the unknowns that decide how many there are."""

    labels: int
    registers: frozenset[int] = frozenset()
    """Families."""
    places: frozenset[tuple[int, int]] = frozenset()
    """Address and size of memory with another content after each round."""
    moved: frozenset[tuple[int, int]] = frozenset()
    """Where a store was in the first of the rounds that were compared, and in a later one."""


@dataclass(slots=True)
class _FollowedRound:
    """The end of the code that a branch decides on."""

    registers: tuple[int, ...]
    stores: dict[int, tuple[int, int]]
    contents: dict[tuple[int, int], bytes]


@dataclass(eq=False, slots=True)
class _Repeated:
    """A branch in one call of its function."""

    labels: int
    taken: bool
    """Its way in the last round."""
    forced: int = 0
    """How many of the next decisions go that way too."""
    meeting: Meeting | None = None
    """Where its paths lead, if it has run twice."""
    stores: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Address and size of the last store in this round, by the address of the instruction."""
    first: dict[int, int] = field(default_factory=dict)
    """Where each instruction stored first."""
    begun: tuple[int, ...] = ()
    """The registers at the decision, if its paths meet again in the same round."""
    last: _FollowedRound | None = None
    changes: Changes = field(default_factory=lambda: Changes(0))


@dataclass(slots=True)
class Rounds:
    """The branches that unknowns decide, in calls that have not returned."""

    machine: str
    registers: Sequence[tuple[int, int]]
    """Families of the registers, and Unicorn's numbers."""
    meeting_point: Callable[[int], Meeting]
    """Returns where the paths of the branch at an address meet."""
    engine: Any
    calls: dict[int, dict[int, _Repeated]] = field(default_factory=dict)
    """By the stack pointer, then by the address of the branch."""
    followed: list[_Repeated] = field(default_factory=list)
    """Those whose rounds are being compared."""
    meets: dict[tuple[int, int], _Repeated] = field(default_factory=dict)
    """Those of them that are not the end of a loop, by the place and the stack pointer where their paths meet."""

    def leave_function(self, stack: int) -> None:
        """Note that a function returns, where the stack pointer is `stack`."""
        limit = stack if self.machine == AARCH64 else stack + 1
        for at in [at for at in self.calls if at < limit]:
            for branch in self.calls.pop(at).values():
                self._close(branch)

    def store(self, instruction: int, address: int, size: int) -> None:
        """Note a store by an instruction, or by a function that it calls."""
        for branch in self.followed:
            branch.stores[instruction] = address, size

    def meet(self, address: int, stack: int) -> Changes | None:
        """Return the changes of the branch whose paths meet here."""
        branch = self.meets.get((address, stack))
        if branch is None:
            return None
        self._end_round(branch)
        self._close(branch)
        return branch.changes

    def forced(self, address: int, stack: int) -> bool | None:
        """Return the way that a branch has to go, or `None` if that is free."""
        branch = self.calls.get(stack, {}).get(address)
        return branch.taken if branch is not None and branch.forced else None

    def decide(
        self, address: int, stack: int, labels: int, ways: Mapping[bool, int], *, taken: bool, inverted: bool
    ) -> Changes | None:
        """Note a decision, and return the changes of all rounds if it leaves the loop. `ways` are both targets."""
        branches = self.calls.setdefault(stack, {})
        branch = branches.get(address)
        if branch is None:
            branches[address] = _Repeated(labels, taken, _FORCED if inverted else 0)
            return None
        branch.labels |= labels
        if branch.meeting is None:
            branch.meeting = self.meeting_point(address)
        elif branch in self.followed:
            self._end_round(branch)
        meeting, turns = branch.meeting, taken is not branch.taken
        branch.taken, branch.forced = taken, _FORCED if inverted else max(branch.forced - 1, 0)
        unclear = meeting.place is None and meeting.leaving is None
        if ways[taken] == meeting.leaving or (unclear and turns):
            self._close(branch)
            return branch.changes
        if branch not in self.followed:
            self.followed.append(branch)
        if meeting.leaving is None and meeting.place is not None:
            self.meets[meeting.place, stack] = branch
            branch.begun = self._values()
        return None

    def _close(self, branch: _Repeated) -> None:
        """Stop comparing the rounds of a branch."""
        self.followed = [other for other in self.followed if other is not branch]
        self.meets = {key: other for key, other in self.meets.items() if other is not branch}
        branch.stores = {}

    def _values(self) -> tuple[int, ...]:
        return tuple(self.engine.reg_read(number) for _, number in self.registers)

    def _end_round(self, branch: _Repeated) -> None:
        """Compare a round with the one before."""
        values = self._values()
        contents = {place: bytes(self.engine.mem_read(*place)) for place in dict.fromkeys(branch.stores.values())}
        last, branch.last = branch.last, _FollowedRound(values, branch.stores, contents)
        if last is not None:
            known, pairs = branch.changes, zip(self.registers, values, last.registers, strict=True)
            families = {family for (family, _), now, before in pairs if now != before}
            if branch.begun:
                # What the code between the decision and the meeting point leaves alone changes whatever is decided.
                pairs = zip(self.registers, values, branch.begun, strict=True)
                families &= {family for (family, _), now, before in pairs if now != before}
            branch.changes = Changes(
                branch.labels,
                known.registers | families,
                known.places | {place for place, now in contents.items() if last.contents.get(place, now) != now},
                known.moved
                | {
                    (branch.first[instruction], place)
                    for instruction, (place, _) in branch.stores.items()
                    if last.stores.get(instruction, (place, 0))[0] != place
                },
            )
        for instruction, (place, _) in branch.stores.items():
            branch.first.setdefault(instruction, place)
        branch.stores = {}
