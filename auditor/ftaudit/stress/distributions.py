"""Stress the wanted distributions of an environment, one after another, and return the facts."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from packaging.utils import NormalizedName

from ftaudit.errors import FtauditError
from ftaudit.model import Gap, GapKind, Interpreter, Status, StressFacts
from ftaudit.sandbox.confined_process import can_protect_files
from ftaudit.sandbox.contents import find_metadata, read_contents, search_paths
from ftaudit.sandbox.environment import Environment, open_environment
from ftaudit.sandbox.sandbox_settings import SandboxSettings, WheelToImport
from ftaudit.stress.confined_director import DirectorReport, run_director
from ftaudit.stress.failure_facts import (
    callable_of,
    end_of,
    failure_of,
    number_of,
    rows_of,
    seconds_of,
    text_of,
    texts_of,
    unit_of,
)
from ftaudit.stress.recipes import recipes_for
from ftaudit.stress.stress_settings import StressSettings

WORKER_BYTES: Final = 2 << 30
"""Memory limit of one process that makes calls."""
_README_BYTES: Final = 200_000


def stress_distributions(
    interpreter: Interpreter,
    wheels: Sequence[WheelToImport],
    *,
    sandbox: SandboxSettings,
    stress: StressSettings,
    on_done: Callable[[str], None] = lambda name: None,
) -> dict[NormalizedName, StressFacts]:
    """Install the wheels into one environment and stress each wanted one; a failure is an entry with a reason.

    They run one after another, because each uses all cores. Raise `ResolutionError` if uv cannot be run.
    """
    wanted = [wheel.name for wheel in wheels if wheel.wanted]
    if not wanted:
        return {}
    if sys.platform == "win32":
        reason = Gap(kind=GapKind.NO_SANDBOX)
        return {name: StressFacts(status=Status.SKIPPED, reason=reason) for name in wanted}
    stop = threading.Event()
    protected = can_protect_files(Path(interpreter.path), settings=sandbox, stop=stop)
    found: dict[NormalizedName, StressFacts] = {}
    with open_environment(interpreter, wheels, settings=sandbox, safe_to_link=protected) as environment:
        for name in wanted:
            try:
                found[name] = _stress_one(interpreter, environment, name, sandbox, stress, stop)
            except (FtauditError, OSError) as error:
                found[name] = _failed(str(error))
            on_done(name)
    return found


def _failed(why: str) -> StressFacts:
    return StressFacts(status=Status.FAILED, reason=Gap(kind=GapKind.FAILED, detail=why))


def _stress_one(
    interpreter: Interpreter,
    environment: Environment,
    name: NormalizedName,
    sandbox: SandboxSettings,
    stress: StressSettings,
    stop: threading.Event,
) -> StressFacts:
    if (problem := environment.failures.get(name)) is not None:
        return _failed(problem)
    major, minor = interpreter.version.split(".")[:2]
    contents = read_contents(environment.path, name, (int(major), int(minor)))
    toplevels = list(contents.toplevels)
    modules = [module for module, _ in contents.modules]
    if not toplevels and not modules:
        return _nothing("it has nothing to import")
    # A compiled module next to a package, such as `_spam`, is a part of it.
    tops = [*toplevels, *sorted({module.partition(".")[0] for module in modules} - set(toplevels))]
    job: dict[str, Any] = {
        "site": str(environment.path.resolve()),
        "paths": list(search_paths(environment.path)),
        "toplevels": tops,
        "modules": modules[:200],
        "budget": stress.budget,
        "threads": stress.threads,
        "seed": stress.seed,
        "memory": WORKER_BYTES,
        "recipes": recipes_for(stress.recipes, tops),
        "readme": find_metadata(environment.path, name)[:_README_BYTES],
    }
    limits = replace(sandbox, cpu_seconds=int(2 * stress.budget) + 120)
    ran = run_director(Path(interpreter.path), job, settings=limits, stop=stop, wall_seconds=stress.wall_seconds)
    return _facts(ran, interpreter, stress)


def _nothing(why: str) -> StressFacts:
    return StressFacts(status=Status.FAILED, reason=Gap(kind=GapKind.NOTHING_DRIVEN, detail=why))


def _facts(ran: DirectorReport, interpreter: Interpreter, stress: StressSettings) -> StressFacts:
    said = ran.coverage or {}
    callables = tuple(map(callable_of, rows_of(said.get("callables"))))
    failures = tuple(failure for row in rows_of(said.get("failures")) if (failure := failure_of(row)) is not None)
    facts = StressFacts(
        status=Status.DONE,
        reason=None,
        interpreter=f"{interpreter.version} free-threading build",
        seed=stress.seed,
        budget=stress.budget,
        callables=callables,
        types=number_of(said.get("types")),
        types_driven=texts_of(said.get("types_driven")),
        left_out=number_of(said.get("left_out")),
        units=number_of(said.get("units")),
        rounds=number_of(said.get("rounds")),
        overlapped=number_of(said.get("overlapped")),
        calls=number_of(said.get("calls")),
        cpu_seconds=seconds_of(said.get("cpu")),
        wall_seconds=seconds_of(said.get("wall")),
        alone=tuple(
            (text_of(row.get("call")), int(text_of(row.get("signal")) or 0))
            for row in rows_of(said.get("alone"))
            if text_of(row.get("signal")).isdecimal()
        ),
        with_gil=tuple(map(unit_of, rows_of(said.get("with_gil")))),
        in_interpreter=tuple(map(unit_of, rows_of(said.get("interpreter")))),
        rare=tuple(map(unit_of, rows_of(said.get("rare")))),
        failures=failures,
        notes=ran.notes,
        ended=end_of(said.get("ended")),
    )
    if failures:
        return facts
    if ran.problem is not None and not facts.driven:
        return replace(facts, status=Status.FAILED, reason=Gap(kind=GapKind.NOTHING_DRIVEN, detail=ran.problem))
    if not facts.driven:
        why = "no callable was found" if not callables else callables[0].reason
        return replace(facts, status=Status.FAILED, reason=Gap(kind=GapKind.NOTHING_DRIVEN, detail=why))
    if ran.problem is not None:
        return replace(facts, status=Status.FAILED, reason=Gap(kind=GapKind.FAILED, detail=ran.problem))
    return facts
