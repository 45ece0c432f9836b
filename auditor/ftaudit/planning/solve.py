"""Finds the smallest compatible set of version changes that removes the blockers, by calling uv."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from ftaudit.lockfiles.resolve.unpinned import prove
from ftaudit.lockfiles.resolve.uv_failures import Failure, FailureKind
from ftaudit.lockfiles.selection import ResolveOptions, Selection
from ftaudit.model.plans import Prefer, Wanted
from ftaudit.planning.proposal import ProposalCase, Specify, propose
from ftaudit.target import Target

MOST_RELAXED: Final = 6
"""How often further pins are released before a blocker is given up."""


Versions: TypeAlias = dict[NormalizedName, Version]
Known: TypeAlias = "Callable[[Iterable[NormalizedName]], Mapping[NormalizedName, Wanted]]"
"""Returns the lowest version to which packages that do not block may change, and the excluded versions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Solution:
    """The changes, and the result of uv for them."""

    changes: Mapping[NormalizedName, Wanted]
    """Every package that changes, with its new version."""
    selections: tuple[Selection, ...] = ()
    """The proposed set of each case, in order; empty if nothing was proven."""
    given_up: Mapping[NormalizedName, str] = field(default_factory=dict)
    """Blockers whose good releases other requirements exclude, with uv's reason."""
    problem: str | None = None
    """Why nothing was proven."""
    implied: frozenset[NormalizedName] = frozenset()
    """Changes that other changes cause: a resolver always chooses that version, so that no line is written."""
    needed_by: Mapping[NormalizedName, tuple[NormalizedName, ...]] = field(default_factory=dict)
    """For changes that are not wanted themselves: the wanted changes that conflict with today's version."""

    @property
    def written(self) -> Mapping[NormalizedName, Wanted]:
        """The changes that have to be requested."""
        return {name: want for name, want in self.changes.items() if name not in self.implied}


@dataclass(frozen=True, kw_only=True, slots=True)
class Solver:
    """Runs uv on all cases together."""

    cases: Sequence[ProposalCase]
    target: Target
    options: ResolveOptions
    known: Known

    def solve(
        self, wanted: Mapping[NormalizedName, Wanted], optional: Mapping[NormalizedName, Wanted] | None = None
    ) -> Solution:
        """Return the fewest changes that give every wanted package a good version; drop as few packages as possible.

        An `optional` package also changes if nothing else has to change for it.
        """
        solution = self._solve(wanted)
        if not solution.selections or not optional:
            return solution
        changes, selections = dict(solution.changes), solution.selections
        for names in (tuple(optional), *((name,) for name in optional)):
            new = {name: optional[name] for name in names if name not in changes}
            answer = self._ask({**changes, **new}) if new else None
            if answer is not None and not isinstance(answer, Failure):
                changes, selections = {**changes, **new}, answer
        return replace(solution, changes=changes, selections=selections)

    def explain(self, solution: Solution, wanted: Container[NormalizedName]) -> Solution:
        """Return the solution with the changes that others cause, and with the reasons for those not `wanted`."""
        if not solution.selections:
            return solution
        changes = dict(solution.changes)
        implied = frozenset(name for name in changes if self._is_implied(name, changes, solution.selections))
        needed_by = {name: self._needing(name, changes, wanted) for name in changes if name not in wanted}
        return replace(solution, implied=implied, needed_by=needed_by)

    def _is_implied(
        self, name: NormalizedName, changes: Mapping[NormalizedName, Wanted], selections: Sequence[Selection]
    ) -> bool:
        having = [case for case in self.cases if name in case.versions]
        if not having or not all(case.editable and case.line(name) is None for case in having):
            return False
        others = {other: want for other, want in changes.items() if other != name}
        without = self._ask(others)
        if isinstance(without, Failure) or [*map(_pinned, without)] != [*map(_pinned, selections)]:
            return False
        lower = self._ask(others, held={name: SpecifierSet(f"<{changes[name].version}")})
        return isinstance(lower, Failure) and lower.kind in (FailureKind.CONFLICT, FailureKind.MISSING)

    def _needing(
        self, name: NormalizedName, changes: Mapping[NormalizedName, Wanted], wanted: Container[NormalizedName]
    ) -> tuple[NormalizedName, ...]:
        """Return the wanted changes that conflict with today's version of a package."""
        others = {other: want for other, want in changes.items() if other != name}
        failure = self._ask(others)
        if not isinstance(failure, Failure):
            return ()
        blamed = [other for other in others if other in wanted and other in failure.mentioned]
        blamed = blamed or [other for other in others if other in wanted]
        if len(blamed) == 1:
            return tuple(blamed)
        needing = [
            one
            for one in blamed
            if not isinstance(self._ask({other: want for other, want in others.items() if other != one}), Failure)
        ]
        return tuple(needing or blamed)

    def _solve(self, wanted: Mapping[NormalizedName, Wanted]) -> Solution:
        given_up: dict[NormalizedName, str] = {}
        while True:
            active = {name: want for name, want in wanted.items() if name not in given_up}
            answer = self._ask(active)
            if not isinstance(answer, Failure):
                return Solution(changes=active, selections=answer, given_up=given_up)
            today = self._ask({}) if active else answer
            if isinstance(today, Failure):
                return Solution(changes=active, given_up=given_up, problem=today.message)
            found = self._relax(active, answer)
            if found is not None:
                changes, selections = found
                return Solution(changes=changes, selections=selections, given_up=given_up)
            named = [name for name in active if name in answer.mentioned] or list(active)
            given_up[named[-1]] = f"uv says: {answer.message}"

    def _ask(
        self,
        wanted: Mapping[NormalizedName, Wanted],
        *,
        free: Container[NormalizedName] = (),
        fixed: Versions | None = None,
        held: Mapping[NormalizedName, SpecifierSet] | None = None,
    ) -> tuple[Selection, ...] | Failure:
        """Return the selection of every case, or the first failure.

        A `free` package may go beyond its nearest version. With `fixed`, use the lowest versions, and limit other
        requirements to them. A `held` package keeps its version, whatever other packages require.
        """
        specify: dict[NormalizedName, Specify] = {
            name: _constantly(SpecifierSet(f"=={version}")) for name, version in (fixed or {}).items()
        }
        for name, want in wanted.items():
            specify[name] = _constantly(want.or_later) if name in free else want.instead_of
        specify |= {name: _constantly(specifier) for name, specifier in (held or {}).items()}
        selections = []
        for case in self.cases:
            requirements = propose(case, specify, as_roots=fixed is not None)
            answer = prove(requirements, self.target, case.platform, self.options, lowest=fixed is not None)
            if isinstance(answer, Failure):
                return answer
            selections.append(answer)
        return tuple(selections)

    def _relax(self, active: Mapping[NormalizedName, Wanted], failure: Failure) -> _Found | None:
        """Let wanted packages exceed their nearest version, then other conflicting pins; choose the nearest result."""
        may = dict(active)
        free = {name for name in active if name in failure.mentioned} or set(active)
        pinned = frozenset[NormalizedName]().union(*(case.pinned for case in self.cases))
        for _ in range(MOST_RELAXED):
            answer = self._ask(may, free=free)
            if not isinstance(answer, Failure):
                return self._minimise(active, self._nearest(may, free, answer))
            more = (set(answer.mentioned) & (pinned | set(active))) - free
            may.update(self.known(more - may.keys()))
            if not more & may.keys():
                return None
            free |= more & may.keys()
        return None

    def _nearest(
        self, may: Mapping[NormalizedName, Wanted], free: set[NormalizedName], highest: tuple[Selection, ...]
    ) -> dict[NormalizedName, Wanted]:
        """Return the free packages at their lowest version from uv, or at the highest if that fails."""
        found = _versions(highest)
        lines = [line for case in self.cases for line in case.requirements.roots if line.reference is None]
        fixed = {line.name: found[line.name] for line in lines if line.name in found and line.name not in may}
        lowest = self._ask(may, free=free, fixed=fixed)
        best = found if isinstance(lowest, Failure) else _versions(lowest)
        return {
            name: replace(want, version=best[name], prefer=Prefer.NEAREST) for name, want in may.items() if name in best
        }

    def _minimise(
        self, active: Mapping[NormalizedName, Wanted], nearest: Mapping[NormalizedName, Wanted]
    ) -> _Found | None:
        """Return the changes without unnecessary ones, and the proof of the rest."""
        today = _today(self.cases)
        changes = {name: want for name, want in nearest.items() if name in active or want.version != today.get(name)}
        answer = self._ask(changes)
        if isinstance(answer, Failure):
            return None
        for name in [name for name in changes if name not in active]:
            fewer = {other: want for other, want in changes.items() if other != name}
            without = self._ask(fewer)
            if not isinstance(without, Failure):
                changes, answer = fewer, without
        return changes, answer


_Found: TypeAlias = "tuple[dict[NormalizedName, Wanted], tuple[Selection, ...]]"


def _constantly(specifier: SpecifierSet) -> Specify:
    return lambda _: specifier


def _pinned(selection: Selection) -> frozenset[tuple[NormalizedName, Version | None]]:
    return frozenset((pin.name, pin.version) for pin in selection.pins)


def _versions(selections: Iterable[Selection]) -> Versions:
    return {pin.name: pin.version for one in selections for pin in one.pins if pin.version is not None}


def _today(cases: Iterable[ProposalCase]) -> Versions:
    return {name: version for case in cases for name, version in case.versions.items()}
