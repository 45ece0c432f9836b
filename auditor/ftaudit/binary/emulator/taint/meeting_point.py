"""Where the two paths of a conditional branch meet again: the first instruction that both pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ftaudit.binary.emulator.taint.instruction_effects import Decoder, InstructionEffect, InstructionKind
from ftaudit.binary.emulator.taint.own_code import OwnCode
from ftaudit.binary.image.mapped import Image

_MOST: Final = 4_000
"""Instructions after the branch that are examined."""
_CALLS_SYSTEM: Final = frozenset({"syscall", "sysenter", "svc"})


@dataclass(frozen=True, slots=True)
class Meeting:
    """Where the two paths of a branch lead."""

    place: int | None = None
    """The address at which both meet, or `None` if they may meet only after the function."""
    leaving: int | None = None
    """The address at which the one path begins that does not come back to the branch before, if only one does not."""


def meeting_point(image: Image, decoder: Decoder, branch: int) -> Meeting:
    """Return where both paths of a branch meet. Paths on which the process ends do not count.

    Nothing is known of a function that is too large, or that has a table of jumps.
    """
    code = OwnCode(image=image, start=branch, decoder=decoder, most=_MOST)
    if not code.complete:
        return Meeting()
    follows = {address: _following(code.effect(address), after) for address, after in code.following.items()}
    before: dict[int, int] = {}
    for after in follows.values():
        for place in after:
            before[place] = before.get(place, 0) + 1
    exits = {address for address in follows if _leaves(code.effect(address))}
    path = _path(follows, branch, exits)
    met = next((place for place in path if before.get(place, 0) > 1 and _divides(follows, branch, place, exits)), None)
    leaving = [start for start in follows.get(branch, ()) if _divides(follows, start, met, {branch})]
    return Meeting(met, leaving[0] if len(leaving) == 1 else None)


def _following(effect: InstructionEffect | None, after: tuple[int, ...]) -> tuple[int, ...]:
    ends = effect is None or (effect.kind is InstructionKind.SYSTEM and effect.name not in _CALLS_SYSTEM)
    return () if ends else after


def _leaves(effect: InstructionEffect | None) -> bool:
    """Return whether a function is left after an instruction: `ret`, or a jump through a pointer."""
    if effect is None:
        return True
    return effect.name.startswith("ret") or (effect.kind is InstructionKind.INDIRECT and effect.name in ("jmp", "br"))


def _path(follows: Mapping[int, tuple[int, ...]], start: int, exits: set[int]) -> list[int]:
    """Return a shortest path from a branch to a place where the function is left, without the branch itself."""
    came: dict[int, int] = {start: start}
    waiting = [start]
    for place in waiting:
        if place in exits:
            path = []
            while place != start:
                path.append(place)
                place = came[place]
            return path[::-1]
        for after in follows.get(place, ()):
            if after not in came:
                came[after] = place
                waiting.append(after)
    return []


def _divides(follows: Mapping[int, tuple[int, ...]], start: int, place: int | None, exits: set[int]) -> bool:
    """Return whether every path from `start` to an exit passes a place."""
    if start == place:
        return True
    seen = {start, place}
    waiting = [start]
    while waiting:
        here = waiting.pop()
        if here in exits:
            return False
        for after in follows.get(here, ()):
            if after not in seen:
                seen.add(after)
                waiting.append(after)
    return True
