"""The runs that reachability is compared with: imports of the start points in the sandbox, and the user's records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ftaudit.engine.recorded_loads import read_recorded
from ftaudit.engine.tiers.collect import Key, environments_of, sandbox_settings, wheels_of
from ftaudit.load_record import Loads
from ftaudit.model import IndexFacts, Interpreter
from ftaudit.model.reachability import ComparedRun, ReachAnswer, RunKind, SeenLoad
from ftaudit.reach.observed import ObservedRun, has_completed, seen_in_record, weight
from ftaudit.settings import Settings

if TYPE_CHECKING:
    from ftaudit.target import Platform, Target


def recorded_runs(
    answer: ReachAnswer, paths: Sequence[Path], target: Target, platform: Platform
) -> Iterator[ObservedRun]:
    """Yield what each file recorded for the target. Raise `InputError` for a file that is not a record."""
    for path in paths:
        every = read_recorded(path).every
        fitting = [loads for loads in every if _fits(loads, target, platform)]
        if not fitting:
            others = (_described(loads) for loads in every)
            other = ", ".join(dict.fromkeys(others)) or "no interpreter"
            yield ObservedRun(run=ComparedRun(kind=RunKind.RECORDED, run=str(path), other=other), loads={})
        else:
            yield _recorded(answer, str(path), fitting)


def _fits(loads: Loads, target: Target, platform: Platform) -> bool:
    """Return whether runs are of the target's version, system and machine; a build with a GIL imports the same."""
    around = loads.surroundings
    return (
        around.python == "{}.{}".format(*target.version)
        and around.platform == platform.sys_platform
        and around.machine.lower() == platform.machine.lower()
    )


def _described(loads: Loads) -> str:
    around = loads.surroundings
    return f"CPython {around.python} on {around.platform} {around.machine}"


def _recorded(answer: ReachAnswer, name: str, every: Sequence[Loads]) -> ObservedRun:
    found: dict[str, SeenLoad] = {}
    for load in (load for loads in every for load in loads.modules):
        seen = seen_in_record(answer, name, load)
        known = found.get(load.name)
        if known is None or weight(seen, answer) > weight(known, answer):
            found[load.name] = seen
    imported = frozenset().union(*(loads.imported for loads in every))
    programs = frozenset().union(*(loads.programs for loads in every))
    run = ComparedRun(
        kind=RunKind.RECORDED,
        run=name,
        completed=tuple(start.label for start in answer.starts if has_completed(start, imported, programs)),
    )
    return ObservedRun(run=run, loads=found, completed=imported, programs=programs)


def imports_of_starts(
    answer: ReachAnswer,
    indexed: Mapping[Key, IndexFacts],
    roots: Sequence[Path],
    interpreter: Interpreter,
    settings: Settings,
    platform: Platform,
) -> ObservedRun | None:
    """Import the start points in the sandbox; return `None` without a start point to import."""
    from ftaudit.sandbox import import_starts

    starts = {start.module: start for start in answer.starts if not start.is_main}
    groups = [group for group in environments_of(indexed) if group[0][1] == platform]
    if not starts or not groups:
        return None
    wheels = wheels_of(groups[0], indexed, frozenset())
    ran = import_starts(interpreter, wheels, list(starts), roots, settings=sandbox_settings(settings))
    if not ran:
        return None
    name = f"CPython {interpreter.version} in the sandbox"
    found: dict[str, SeenLoad] = {}
    for each in ran:
        for load in each.loads:
            seen = SeenLoad(run=name, chain=load.chain, at_start=True, requires_gil=load.requires_gil)
            found.setdefault(load.module, seen)
    completed = frozenset(each.start for each in ran if each.error is None)
    run = ComparedRun(
        kind=RunKind.SANDBOX,
        run=name,
        completed=tuple(start.label for name, start in starts.items() if name in completed),
        failed=tuple((each.start, each.error) for each in ran if each.error is not None),
    )
    return ObservedRun(run=run, loads=found, completed=completed)
