"""Turns the result of an abstract run into the answer for each extension module: class, chain, cuts, open sites."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from packaging.utils import canonicalize_name

from ftaudit.model.reachability import ImportSite, ModuleReach, OpenKind, OpenSite, ReachClass, ReachStep
from ftaudit.reach.abstract_run import AbstractRun
from ftaudit.reach.finder import Found, FoundKind
from ftaudit.reach.load_graph import ModuleLoad

_CONDITION: Final = 1_000
"""The cost of a condition in a chain, if a step costs 1."""
_FUNCTION: Final = 1_000_000
"""The cost of a step that happens only in a function."""
_LISTED: Final = 50
"""Open sites that are listed for one module."""


@dataclass(slots=True)
class _Ways:
    """The shortest chain to each reached module."""

    cost: dict[str, int] = field(default_factory=dict)
    last: dict[str, tuple[str, ModuleLoad]] = field(default_factory=dict)
    """The module before a step in a chain, and the step."""

    def steps(self, module: str) -> tuple[ReachStep, ...]:
        """Return the chain to a module, from the start point on."""
        found: list[ReachStep] = []
        seen: set[str] = set()
        while module in self.last and module not in seen:
            seen.add(module)
            before, edge = self.last[module]
            if edge.site.module:  # Nothing imports the start point itself.
                found.append(ReachStep(site=edge.site, target=edge.target, conditions=edge.conditions))
            if edge.call is not None:
                found.append(ReachStep(site=edge.call, target=edge.site.module))
            module = before
        return tuple(reversed(found))


def classify(
    machine: AbstractRun, extensions: Iterable[Found], absent: Iterable[OpenSite] = ()
) -> tuple[tuple[ModuleReach, ...], tuple[OpenSite, ...]]:
    """Return the answer for each extension module, sorted by name, and what could not be followed.

    `absent` are the start points and packages that the run could not follow at all.
    """
    bodies: dict[str, list[ModuleLoad]] = {}
    functions: dict[str, list[ModuleLoad]] = {}
    for unit in (machine.root, *machine.units):
        into = bodies if unit.function is None else functions
        into.setdefault(unit.module, []).extend(unit.edges.values())
        for caller, conditions in machine.cut_calls.get((unit.module, unit.function or ""), {}).items():
            bodies.setdefault(caller.module, []).extend(
                replace(edge, conditions=(*conditions, *edge.conditions)) for edge in unit.edges.values()
            )
    ways = _find_ways(bodies, functions)
    before = _reversed(bodies, ways)
    optional = _optional_packages(machine, before)
    sites = (*absent, *_open_sites(machine, ways.cost))
    answers = []
    for found in sorted(extensions, key=lambda found: found.name):
        if found.is_own:
            continue
        answers.append(_answer(machine, found, ways, before, sites, optional))
    unread = (Found(kind=FoundKind.UNSURE, name=name) for name in _unread_names(machine, ways))
    answers.extend(_answer(machine, found, ways, before, sites, optional) for found in unread)
    return tuple(answers), sites


def _unread_names(machine: AbstractRun, ways: _Ways) -> list[str]:
    """Return the imported names of packages without files, if they are named like the package."""
    unread = set(machine.finder.unread)
    return sorted(
        name
        for name in ways.cost
        if name and "." not in name and name not in machine.modules and canonicalize_name(name) in unread
    )


def _find_ways(bodies: Mapping[str, Sequence[ModuleLoad]], functions: Mapping[str, Sequence[ModuleLoad]]) -> _Ways:
    """Find the cheapest chain to each module: without functions first, then with the fewest conditions, then the
    shortest.
    """
    ways = _Ways()
    waiting: list[tuple[int, int, str, str, ModuleLoad | None]] = [(0, 0, "", "", None)]
    number = 0
    while waiting:
        cost, _, module, before, edge = heapq.heappop(waiting)
        if module in ways.cost:
            continue
        ways.cost[module] = cost
        if edge is not None:
            ways.last[module] = before, edge
        for extra, edges in ((0, bodies.get(module, ())), (_FUNCTION, functions.get(module, ()))):
            for each in edges:
                if each.target not in ways.cost:
                    number += 1
                    more = 1 + extra + (_CONDITION if each.conditions else 0)
                    heapq.heappush(waiting, (cost + more, number, each.target, module, each))
    return ways


def class_of(cost: int | None) -> ReachClass | None:
    """Return the class for the cost of the cheapest chain; `None` without a chain."""
    if cost is None:
        return None
    if cost >= _FUNCTION:
        return ReachClass.RUN
    return ReachClass.START_IF if cost >= _CONDITION else ReachClass.START


def _reversed(bodies: Mapping[str, Sequence[ModuleLoad]], ways: _Ways) -> dict[str, list[tuple[str, ModuleLoad]]]:
    """Return the steps that lead to each module on import of the start points."""
    found: dict[str, list[tuple[str, ModuleLoad]]] = {}
    for module, edges in bodies.items():
        if ways.cost.get(module, _FUNCTION) < _FUNCTION:
            for edge in edges:
                found.setdefault(edge.target, []).append((module, edge))
    return found


def _answer(
    machine: AbstractRun,
    found: Found,
    ways: _Ways,
    before: Mapping[str, Sequence[tuple[str, ModuleLoad]]],
    sites: Sequence[OpenSite],
    optional: frozenset[tuple[object, str]],
) -> ModuleReach:
    reached = class_of(ways.cost.get(found.name))
    if reached is None:
        covering = tuple(site for site in sites if covers(site, found))
        return ModuleReach(
            module=found.name,
            reached=ReachClass.UNSURE if covering else ReachClass.NONE,
            open_sites=covering[:_LISTED],
        )
    cuts = _cuts(machine, found.name, before) if reached in (ReachClass.START, ReachClass.START_IF) else ()
    return ModuleReach(
        module=found.name,
        reached=reached,
        path=ways.steps(found.name),
        ways=max(1, len(cuts)),
        cuts=cuts,
        optional=found.tree is not None and (found.tree, found.tree.package(found.path)) in optional,
    )


def covers(site: OpenSite, found: Found) -> bool:
    """Return whether an unfollowed site may load a module.

    A computed name counts if its known part fits, or if it is in the module's own package. A completely unknown name
    could be any module, and is counted once for all modules.
    """
    package = "" if found.tree is None else found.tree.package(found.path)
    if site.hides_everything or (site.kind is OpenKind.BUDGET and not site.module):
        return True
    if site.prefix:
        return found.name.startswith(site.prefix)
    return bool(package) and site.package == package


def _cuts(
    machine: AbstractRun, name: str, before: Mapping[str, Sequence[tuple[str, ModuleLoad]]]
) -> tuple[ImportSite, ...]:
    """Return the third-party imports in the user's code through which a module is reached at start."""
    found: dict[ImportSite, None] = {}
    seen = {name}
    waiting = [name]
    while waiting:
        for module, edge in before.get(waiting.pop(), ()):
            if edge.first.own and not _is_own(machine, edge.target):
                found[edge.first] = None
            elif module not in seen and module:
                seen.add(module)
                waiting.append(module)
    return tuple(sorted(found, key=lambda site: (site.file, site.line)))


def _is_own(machine: AbstractRun, name: str) -> bool:
    module = machine.modules.get(name)
    return module is not None and module.found.is_own


def _optional_packages(
    machine: AbstractRun, before: Mapping[str, Sequence[tuple[str, ModuleLoad]]]
) -> frozenset[tuple[object, str]]:
    """Return the trees and packages that every import from outside can do without: it handles `ImportError`."""
    owners = {
        name: (module.found.tree, module.found.tree.package(module.found.path))
        for name, module in machine.modules.items()
        if module.found.tree is not None
    }
    guarded: dict[tuple[object, str], bool] = {}
    for name, owner in owners.items():
        if machine.modules[name].found.kind not in (FoundKind.PYTHON, FoundKind.EXTENSION):
            continue
        for source, edge in before.get(name, ()):
            if owners.get(source) != owner:
                guarded[owner] = edge.guarded and guarded.get(owner, True)
    return frozenset(owner for owner, every in guarded.items() if every)


def _open_sites(machine: AbstractRun, cost: Mapping[str, int]) -> tuple[OpenSite, ...]:
    """Return the sites that could not be followed, those that run at start first."""
    found = []
    for site, unit in machine.open_sites.values():
        at_start = unit.function is None and cost.get(unit.module, _FUNCTION) < _FUNCTION
        found.append(
            OpenSite(
                kind=site.kind,
                package=site.package,
                module=site.module,
                file=site.file,
                line=site.line,
                prefix=site.prefix,
                function=site.function,
                at_start=at_start,
                own=_is_own(machine, site.module),
            )
        )
    return tuple(sorted(found, key=lambda site: (not site.at_start, site.package, site.file, site.line)))
