"""Whether any machine-specific unknown could change the declaration of a run."""

from __future__ import annotations

import functools
import operator
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial

from ftaudit.binary.emulator.attach import dead_ends_of
from ftaudit.binary.emulator.taint.addresses import ADDRESS
from ftaudit.binary.emulator.taint.constructor_state import Joins
from ftaudit.binary.emulator.taint.dead_ends import DeadEnds
from ftaudit.binary.emulator.taint.flow import COUNTING, Decision, named
from ftaudit.binary.emulator.taint.instruction_effects import InstructionEffect
from ftaudit.binary.emulator.taint.meeting_point import Meeting
from ftaudit.binary.hook import HookRun, RunEnding, Subject, run

_TOO_MANY = "more values than ftaudit follows"
_SAME_BRANCH = 2
"""How often a branch is inverted in each direction: its later decisions are part of the runs that follow."""


def unknown(subject: Subject, best: HookRun) -> str:
    """Return the first unknown that the run met before its declaration, or nothing."""
    until = len(best.guesses)
    if best.declared_after is not None and best.declared_after < until and subject.is_final:
        until = best.declared_after
    if until:
        return best.guesses[0]
    if best.asked_processor:
        return "the features of the processor"
    if best.asked_addresses:
        return ADDRESS
    return f"what runs before its hook: {best.notes[0]}" if best.notes else ""


_FEWEST = 5
"""Runs that are made however long each is."""
_START_UP = 2
"""Static constructors of a module that has none of its own: the compiler's start-up code."""


@dataclass(frozen=True, slots=True)
class _Path:
    """A planned run: other answers, and inverted decisions."""

    overrides: tuple[tuple[int, int], ...]
    turned: tuple[int, ...]
    parent: HookRun | None
    """The run that it comes from."""
    merges: tuple[tuple[int, HookRun, int], ...]
    """For each inverted decision its number, the run that has it, and where in the trace its code begins."""
    by_python: bool
    """Whether the difference is an answer of the C API."""
    difference: str | Decision
    """From the run that it comes from: the unknown itself, or the decision that one made."""
    contrary: frozenset[str] = frozenset()
    """The fields of which every decision is inverted."""

    @property
    def label(self) -> str:
        """The unknown that makes the difference; finding it is costly, and few paths need it."""
        if isinstance(self.difference, str) or self.parent is None:
            return str(self.difference)
        return named(self.parent.labels, self.difference.labels)

    @property
    def code_after(self) -> dict[int, Collection[int]]:
        """The code that ran after each decision in the run that inverted it first, by the decision's number."""
        return {number: frozenset(run.trace[at:]) for number, run, at in self.merges}


def depends(subject: Subject, best: HookRun) -> str:
    """Return the unknown on which the declaration of a run depends, or may depend; nothing if none can change it.

    Every branch that an unknown decides is inverted, one after the other and along the path that it opens, and
    every question gets another answer; all runs that reach a declaration must agree. If there are more paths than
    the budget allows, those whose branches come last before the declaration are tried first: they decide.
    """
    if not unknown(subject, best):
        return best.opaque
    if best.created and best.gil is None and best.origin == "create" and not best.foreign and subject.cannot_declare:
        return ""  # It returned a module of its own, and no code that it may call can declare anything for that.
    # Whether a declaration is final is costly to find out: of addresses alone there is hardly anything to follow.
    more = bool(best.guesses or best.asked_processor or best.notes)
    subject = replace(subject, seals=more and best.declared_after is not None and subject.is_final)
    start = _Path(tuple(sorted(best.overrides.items())), (), None, (), True, "")
    waiting = [start]
    seen: dict[tuple[int, bool], int] = {}
    asked: set[tuple[str, int]] = set()
    known: dict[tuple[tuple[int, int], ...], Joins] = {}
    effects: dict[int, InstructionEffect | None] = {}
    meeting_points: dict[int, Meeting] = {}
    dead_ends = dead_ends_of(subject.image, subject.hook)
    left, followed = subject.budget.proofs, 0
    subject, first = _without_constructors(subject, best, start, Joins(effects=effects, meeting_points=meeting_points))
    while waiting:
        path = waiting.pop(0)
        if left <= 0 or (followed > subject.budget.followed and left < subject.budget.proofs - _FEWEST):
            # Every way that was tried agrees, those whose branches come last before the declaration first.
            return ""
        joins = known.setdefault(_early(best, path), Joins(effects=effects, meeting_points=meeting_points))
        follow = partial(
            run,
            overrides=dict(path.overrides),
            turned=path.turned,
            joins=joins,
            merges=path.code_after,
            contrary=path.contrary,
        )
        other = first if first is not None and path is start else follow(subject)
        if other.faulted and path.parent is not None:
            # On an inverted path, the run may meet a null pointer that is valid on any machine that takes the path.
            other = follow(replace(subject, null_objects=True))
            left -= 1
        left -= 1
        followed += len(other.trace)
        if other.too_large and path.parent is None:
            # NumPy 2.3's hundreds of thousands of instructions cannot be followed, and no other way can be tried.
            return ""
        if (reason := _contradiction(subject, best, other, path)) is not None:
            return reason
        waiting += _following(other, path, seen, asked, joins, dead_ends)
    return ""


def _without_constructors(subject: Subject, best: HookRun, path: _Path, joins: Joins) -> tuple[Subject, HookRun | None]:
    """Return the subject with static constructors that are not followed, and its first run, if they do not matter.

    They do not if no code but the hook's names the slots, and if the hook reads nothing that they may have written.
    """
    few = len(subject.image.initializers) <= _START_UP and subject.image.entry is None
    if best.slots is None or not best.constant or best.slots.create or few:
        return subject, None
    attempt = replace(subject, starts_unfollowed=True)
    other = run(attempt, dict(path.overrides), turned=(), joins=joins)
    if other.opaque or other.comes_from or other.too_long or other.declaration != best.declaration:
        return subject, None
    if subject.is_plain and set(other.called) - {"PyModuleDef_Init"}:
        return subject, None  # Constructors may have changed what other functions answer.
    if any(decision.labels & other.by_constructors for decision in other.decisions):
        return subject, None
    return attempt, other


def _early(best: HookRun, path: _Path) -> tuple[tuple[int, int], ...]:
    """Return the overrides that static constructors may see: those with the same ones run in the same way."""
    asked = best.asked_by_start
    early = tuple(pair for pair in path.overrides if pair[0] < asked)
    same = early == tuple(sorted(pair for pair in best.overrides.items() if pair[0] < asked))
    return early if same else path.overrides


def _contradiction(subject: Subject, best: HookRun, other: HookRun, path: _Path) -> str | None:
    """Return why a run shows that the declaration depends on something, else `None`."""
    if other.too_long:
        return None if other.too_large else path.label or _TOO_MANY
    if other.ending is RunEnding.FAILED and not other.comes_from:
        return path.label if not path.by_python and _may_go_on(subject, other) else None
    if other.opaque:
        return other.opaque
    if other.comes_from:
        return other.comes_from
    if other.declaration == best.declaration:
        return None
    # The run that is followed leaves a long loop that an unknown ends: so it may differ before anything is inverted.
    return path.label or next((named(other.labels, each.labels) for each in other.decisions), _TOO_MANY)


def _may_go_on(subject: Subject, failed: HookRun) -> bool:
    """Return whether a real machine may go on where a run failed.

    Without a framework, the initialization may catch a C++ exception and go on, and so it may where the emulation ends.
    The frameworks turn each exception into one of Python.
    """
    if failed.faulted:
        return True
    return (failed.unsettled or failed.thrown) and subject.is_plain


def _following(
    other: HookRun,
    path: _Path,
    seen: dict[tuple[int, bool], int],
    asked: set[tuple[str, int]],
    joins: Joins,
    dead_ends: DeadEnds,
) -> list[_Path]:
    """Return the runs that differ from this one in one more decision or answer, those not made yet."""
    found: list[_Path] = []
    if other.faulted and len(path.turned) > 1:
        return found  # A path that no machine takes, beyond the stand-ins.
    last = max(path.turned, default=-1)
    # Decisions of the parent run were inverted from there. The writes of an inverted branch are labeled,
    # so that a decision that this changes is one more.
    before = {decision.address for decision in path.parent.decisions} if path.parent is not None else set()
    counting = sum(1 << index for index, name in enumerate(other.labels) if name in COUNTING)
    for number, decision in enumerate(other.decisions):
        seen.setdefault((decision.address, decision.taken), 1)
        if number <= last:
            continue
        if dead_ends.leads_to_null(decision.address, decision.other):
            continue
        way = (decision.address, not decision.taken)
        if seen.get(way, 0) >= _SAME_BRANCH or decision.address in before:
            continue
        if path.turned and other.hooked is not None and number >= other.hooked:
            continue
        if decision.labels and not decision.labels & ~counting:
            continue  # They are inverted together.
        seen[way] = seen.get(way, 0) + 1
        overrides = tuple(pair for pair in path.overrides if pair[0] < decision.asked)
        merges = (*path.merges, (number, other, decision.at))
        by_python = not _own(other, decision.labels)
        found.append(_Path(overrides, (*path.turned, number), other, merges, by_python, decision))
    if path.parent is None:
        found += [
            _Path(path.overrides, (), other, (), True, name, contrary=frozenset({name}))
            for name in sorted(COUNTING & set(other.labels))
        ]
    by_api = {name for index, name in enumerate(other.labels) if other.by_python >> index & 1}
    first = max((number for number, _ in path.overrides), default=-1) + 1
    decided = functools.reduce(operator.or_, (decision.labels for decision in other.decisions), 0)
    deciding = {name for index, name in enumerate(other.labels) if decided >> index & 1}
    deciding |= {name for labels in joins.constructors.values() for name in labels.deciding}
    for number, question in enumerate(other.questions):
        early = number < other.asked_before and not question.environment
        if number < first or early or question.name not in deciding:
            continue
        for choice in range(question.choices):
            if choice == question.answer or (question.name, choice) in asked:
                continue
            asked.add((question.name, choice))
            turned = tuple(n for n in path.turned if n < len(other.decisions) and other.decisions[n].asked <= number)
            answers = (*path.overrides, (number, choice))
            found.append(_Path(answers, turned, other, path.merges, question.name in by_api, question.name))
    return found if path.parent is not None else found[::-1]


def _own(other: HookRun, labels: int) -> bool:
    """Return whether one of the labels is an answer of another library, of the machine or of the processor."""
    return bool(labels & ~other.weakly & ~other.by_python)
