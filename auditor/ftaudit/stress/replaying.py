"""Runs a script that shows a failure again, in the sandbox, with and without the GIL."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ftaudit.model import Interpreter
from ftaudit.sandbox.contents import search_paths
from ftaudit.sandbox.environment import open_environment
from ftaudit.sandbox.sandbox_settings import SandboxSettings, WheelToImport
from ftaudit.stress.confined_director import run_director
from ftaudit.stress.distributions import WORKER_BYTES
from ftaudit.stress.failure_facts import number_of

TRIES: Final = 5
RUN_SECONDS: Final = 30.0
"""The wall time of one run, after which it counts as a hang."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayCounts:
    """How often a script failed."""

    failed: int
    control: int
    tries: int
    problem: str | None


def replay_script(
    interpreter: Interpreter, wheels: Sequence[WheelToImport], script: str, *, sandbox: SandboxSettings
) -> ReplayCounts:
    """Run the script `TRIES` times with and `TRIES` times without the GIL, each in a new process. Raise
    `ResolutionError` without uv.
    """
    if sys.platform == "win32":
        return ReplayCounts(failed=0, control=0, tries=0, problem="ftaudit has no sandbox for Windows")
    with open_environment(interpreter, wheels, settings=sandbox, safe_to_link=False) as environment:
        for name, problem in environment.failures.items():
            return ReplayCounts(failed=0, control=0, tries=0, problem=f"{name}: {problem}")
        job: dict[str, Any] = {
            "replay": script,
            "tries": TRIES,
            "seconds": RUN_SECONDS,
            "site": str(environment.path.resolve()),
            "paths": list(search_paths(environment.path)),
            "memory": WORKER_BYTES,
            "budget": 4 * TRIES * RUN_SECONDS,
        }
        limits = replace(sandbox, cpu_seconds=int(job["budget"]) + 120)
        ran = run_director(
            Path(interpreter.path), job, settings=limits, stop=threading.Event(), wall_seconds=3 * TRIES * RUN_SECONDS
        )
    said = ran.coverage or {}
    return ReplayCounts(
        failed=number_of(said.get("failed")),
        control=number_of(said.get("control")),
        tries=number_of(said.get("tries")),
        problem=ran.problem if ran.problem or said else "it printed nothing",
    )
