"""Compares an answer with what real runs loaded: every disagreement is a difference, and loaded modules are reached."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Final

from ftaudit.model.reachability import (
    ComparedRun,
    Difference,
    ModuleReach,
    ReachAnswer,
    ReachClass,
    SeenLoad,
    StartPoint,
)

_EARLIEST: Final = (ReachClass.START, ReachClass.START_IF, ReachClass.RUN)


@dataclass(frozen=True, kw_only=True, slots=True)
class ObservedRun:
    """A run, and the extension modules that it loaded, by name."""

    run: ComparedRun
    loads: Mapping[str, SeenLoad]
    completed: Collection[str] = ()
    """Python modules whose import the run completed."""
    programs: Collection[str] = ()
    """Main programs that the run completed, as `load_record.Loads.programs`."""


def compare_with_runs(answer: ReachAnswer, observed: Sequence[ObservedRun]) -> ReachAnswer:
    """Return the answer with the runs, the differences, and the class of each module that a run loaded.

    What code outside the program loaded, such as a test, is a difference, and changes no class.
    """
    modules = list(answer.modules)
    differences: list[Difference] = []
    for each in observed:
        if each.run.other is not None:
            continue
        for number, module in enumerate(modules):
            said = answer.modules[number].reached
            load = each.loads.get(module.module)
            differences += _differences(answer, answer.modules[number], said, load, each)
            if load is not None and (module.seen is None or (load.at_start and not module.seen.at_start)):
                modules[number] = _seen(module, load, answer)
    return replace(
        answer,
        modules=tuple(modules),
        runs=(*answer.runs, *(each.run for each in observed)),
        differences=(*answer.differences, *differences),
    )


def _differences(
    answer: ReachAnswer, module: ModuleReach, said: ReachClass, load: SeenLoad | None, observed: ObservedRun
) -> Iterator[Difference]:
    if load is not None and (said is ReachClass.NONE or (said is ReachClass.RUN and load.at_start)):
        yield Difference(
            module=module.module,
            predicted=said,
            loaded=True,
            at_start=load.at_start,
            outside=is_outside(load, answer),
            run=observed.run,
        )
    elif load is None and said is ReachClass.START and _was_due(answer, module, observed):
        yield Difference(
            module=module.module, predicted=said, loaded=False, at_start=True, outside=False, run=observed.run
        )


def _seen(module: ModuleReach, load: SeenLoad, answer: ReachAnswer) -> ModuleReach:
    if is_outside(load, answer):
        return replace(module, seen=load)
    if module.reached in _EARLIEST and (not load.at_start or module.reached is not ReachClass.RUN):
        return replace(module, seen=load)
    # The chain of the run shows how: what the analysis found is another way, or none.
    return replace(module, seen=load, reached=ReachClass.START if load.at_start else ReachClass.RUN, path=())


def is_outside(load: SeenLoad, answer: ReachAnswer) -> bool:
    """Return whether code that no start point imports, such as a test, loaded a module; unknown code is inside."""
    if load.at_start or load.file is None:
        return False
    own = frozenset(answer.own)
    path = PurePosixPath(load.file.replace("\\", "/"))
    names = {*path.parts[:-1], path.stem, *(name.partition(".")[0] for name in load.chain)}
    return own.isdisjoint(names)


def _was_due(answer: ReachAnswer, module: ModuleReach, observed: ObservedRun) -> bool:
    """Return whether a run completed the start point that loads a module on every import."""
    first = module.path[0].site.module if module.path else module.module
    for start in answer.starts:
        if start.module != first:
            continue
        if start.function is not None and any(step.site.function for step in module.path):
            return False  # An import of the module does not call the function.
        if start.is_main:
            return any(_is_program(name, start) for name in observed.programs)
        return start.module in observed.completed
    return False


def _is_program(name: str, start: StartPoint) -> bool:
    file = f"{start.module.replace('.', '/')}.py"
    return name in (start.module, start.text, file) or name.replace("\\", "/").endswith(f"/{file}")
