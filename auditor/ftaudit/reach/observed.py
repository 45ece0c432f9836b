"""Compares an answer with what real runs loaded: every disagreement is a difference, and loaded modules are reached."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import PurePosixPath
from typing import Final

from ftaudit.load_record import Load
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


def seen_in_record(answer: ReachAnswer, run: str, load: Load) -> SeenLoad:
    """Return what a recorded load says about the start points."""
    ways = [_progress(start, load) for start in answer.starts]
    return SeenLoad(
        run=run,
        chain=load.chain,
        at_start=_Progress.BODY in ways,
        in_start=_Progress.FUNCTION in ways,
        requires_gil=load.requires_gil,
        file=load.path,
        line=load.line,
    )


class _Progress(Enum):
    """What a start point did while a module was loaded."""

    BODY = "body"
    """Its module-level code ran, or the function that it calls, and no other function of the user."""
    FUNCTION = "function"
    """These called a function of the user."""
    NOTHING = "nothing"


def _progress(start: StartPoint, load: Load) -> _Progress:
    if start.module in load.chain:
        return _Progress.BODY
    if load.program is not None and _is_program(load.program, start):
        return _Progress.FUNCTION if load.functions else _Progress.BODY
    if start.function is not None and (called := f"{start.module}:{start.function}") in load.functions:
        return _Progress.BODY if load.functions[-1] == called else _Progress.FUNCTION
    return _Progress.NOTHING


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
            said = answer.modules[number]
            load = each.loads.get(module.module)
            differences += _differences(answer, said, said.reached, load, each)
            if load is not None and (module.seen is None or weight(load, answer) > weight(module.seen, answer)):
                modules[number] = _seen(said, load, answer)
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
    load = replace(load, at_start=load.at_start or load.in_start)
    # The chain of the run shows how: what the analysis found is another way, or none.
    return replace(module, seen=load, reached=ReachClass.START if load.at_start else ReachClass.RUN, path=())


def weight(load: SeenLoad, answer: ReachAnswer) -> tuple[bool, bool, bool]:
    """Return a key for several loads of one module: the largest says most about the start points."""
    return load.at_start, load.in_start, not is_outside(load, answer)


def is_outside(load: SeenLoad, answer: ReachAnswer) -> bool:
    """Return whether code that no start point imports, such as a test, loaded a module; unknown code is inside."""
    if load.at_start or load.in_start or load.file is None:
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
        return has_completed(start, observed.completed, observed.programs)
    return False


def has_completed(start: StartPoint, completed: Collection[str], programs: Collection[str]) -> bool:
    """Return whether a run completed the import of a start point, or ran it as a program without an error."""
    imported = not start.is_main and start.module in completed
    return imported or any(_is_program(name, start) for name in programs)


def _is_program(name: str, start: StartPoint) -> bool:
    file = f"{start.module.replace('.', '/')}.py"
    return name in (start.module, start.text, file) or name.replace("\\", "/").endswith(f"/{file}")
