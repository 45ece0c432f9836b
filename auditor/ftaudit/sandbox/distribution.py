"""All the imports of one distribution: their processes, the repeated questions, and the meaning of each answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from ftaudit.model import ModuleRuntime
from ftaudit.sandbox.confined_process import ImportEnding, run_steps
from ftaudit.sandbox.contents import Contents
from ftaudit.sandbox.failures import describe_exception, escape, is_environmental
from ftaudit.sandbox.launch import ImportStep
from ftaudit.sandbox.sandbox_settings import SandboxSettings

ROUNDS: Final = 24
"""How many fresh processes are spent on modules that found the GIL on, to learn what they do by themselves."""
_AGAIN: Final = frozenset({"exception", "signal"})
_NAME_CHARS: Final = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class DistributionImports:
    """The result for one distribution."""

    modules: dict[str, ModuleRuntime]
    toplevels: dict[str, ModuleRuntime]
    startup: dict[str, ModuleRuntime]
    guilty: tuple[tuple[str, str], ...]
    """Name and file of each module that required the GIL, from any distribution."""
    network_cut: bool | None
    notes: tuple[str, ...]


def import_distribution(
    python: Path,
    environment: Path,
    contents: Contents,
    *,
    settings: SandboxSettings,
    stop: threading.Event,
    bytecode: Path | None = None,
    paths: Sequence[str] = (),
) -> DistributionImports:
    """Import each top-level name and each extension module of one installed distribution.

    One process imports as much as it can. Another starts if an import ended it; if an import failed after
    others, which may be to blame; and if a module found the GIL already on, so that it remains unknown
    what it does by itself. Each start-up file runs in its own process. Those of the environment run
    before imports only if an import failed without them: `paths` are the folders that they add.
    """
    toplevels = [ImportStep(name=name) for name in contents.toplevels]
    modules = [ImportStep(name=name, path=path) for name, path in contents.modules]
    work = _ImportWork(python, environment, settings, stop, bytecode, paths)
    started = {step: work.run([step])[step] for step in (ImportStep(name=n, startup=True) for n in contents.startup)}
    first = work.run([*toplevels, *modules])
    again = [step for step, seen in first.items() if _worth_repeating(step, seen, contents)]
    if again:
        # The top-level packages come first, in the order in which a user's program would have them.
        good = [step for step in toplevels if first[step].ending.outcome == "imported" and step not in again]
        for step, seen in work.run([*good, *again]).items():
            if step in again:
                first[step] = seen
    for step, helper in _circular(first, contents)[:ROUNDS]:
        # `a` needs `b` and `b` needs something of `a`: the import that works begins at the other end.
        other_way = work.run([ImportStep(name=helper), step])[step]
        if other_way.ending.outcome == "imported":
            first[step] = other_way
    failed = [step for step, seen in first.items() if seen.ending.outcome == "exception"]
    if failed and contents.others_start_up:
        for step, seen in work.run(failed, startup=True).items():
            if seen.ending.outcome == "imported":
                first[step] = seen
    for _ in range(ROUNDS):
        unclear = [step for step, seen in first.items() if seen.unclear]
        if not unclear:
            break
        answered = work.run(unclear)
        for step, seen in answered.items():
            if not seen.unclear:
                first[step] = seen
        if all(seen.unclear for seen in answered.values()):
            break
    answers = {step: _answer(seen.ending, step, contents) for step, seen in (*first.items(), *started.items())}
    for step in toplevels:
        if _leaves_lazy(first[step]) and not answers[step].gil_enabled_after:
            answers[step] = _with_lazy(answers[step], work, step)
    return DistributionImports(
        modules={step.name: answers[step] for step in modules},
        toplevels={step.name: answers[step] for step in toplevels},
        startup={step.name: answers[step] for step in started},
        guilty=tuple(work.guilty),
        network_cut=work.network_cut,
        notes=tuple(work.notes),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    ending: ImportEnding
    alone: bool
    """Whether nothing was imported before it in its process."""

    @property
    def unclear(self) -> bool:
        """Whether the GIL was on before, for a reason that is not known to involve this module."""
        report = self.ending.report
        return (
            self.ending.outcome == "imported"
            and report is not None
            and (not report["explained"] or report["denied"])
            and report["requires_gil"] is not True
        )


@dataclass(slots=True)
class _ImportWork:
    python: Path
    environment: Path
    settings: SandboxSettings
    stop: threading.Event
    bytecode: Path | None
    paths: Sequence[str]
    guilty: dict[tuple[str, str], None] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    network_cut: bool | None = None
    deadline: float = 0.0

    def __post_init__(self) -> None:
        self.deadline = time.monotonic() + self.settings.distribution_seconds

    def run(self, steps: Sequence[ImportStep], *, startup: bool = False) -> dict[ImportStep, _Seen]:
        """Import the steps, in a new process after each one that ended its process."""
        found: dict[ImportStep, _Seen] = {}
        rest = list(steps)
        while rest:
            if self.stop.is_set() or time.monotonic() > self.deadline:
                why = (
                    "interrupted"
                    if self.stop.is_set()
                    else ("the time limit for this distribution was reached before it")
                )
                found |= {step: _Seen(ending=ImportEnding(outcome="not-run", error=why), alone=True) for step in rest}
                break
            ran = run_steps(
                self.python,
                self.environment,
                rest,
                settings=self.settings,
                stop=self.stop,
                deadline=self.deadline,
                pycache=self.bytecode,
                paths=self.paths,
                startup=startup,
            )
            for ending in ran.endings.values():
                self.guilty |= dict.fromkeys((name, file) for name, file in (ending.report or {}).get("guilty", ()))
            self.notes |= dict.fromkeys(ran.notes)
            if (cut := ran.confined.get("network_cut")) is not None:
                self.network_cut = bool(cut) and self.network_cut is not False
            found |= {rest[index]: _Seen(ending=ending, alone=index == 0) for index, ending in ran.endings.items()}
            # `run_steps` always says how at least its first import ended, so this gets shorter.
            rest = [step for index, step in enumerate(rest) if index not in ran.endings]
        return found


def _leaves_lazy(seen: _Seen) -> bool:
    """Return whether an import deferred others (PEP 810)."""
    return seen.ending.report is not None and bool(seen.ending.report["lazy"])


def _with_lazy(known: ModuleRuntime, work: _ImportWork, step: ImportStep) -> ModuleRuntime:
    """Add the module that turns the GIL on when the imports run that a plain import defers."""
    later = ImportStep(name=step.name, lazy=True)
    report = work.run([step, later])[later].ending.report
    found = [] if report is None else report["chains"]
    chains = [tuple(escape(part, _NAME_CHARS) for part in chain) for chain in found]
    culprits = tuple(dict.fromkeys(chain[-1] for chain in chains))
    return replace(known, lazy_culprits=culprits, lazy_chain=_shortest(chains))


def _circular(found: dict[ImportStep, _Seen], contents: Contents) -> list[tuple[ImportStep, str]]:
    """Return each module that a circular import kept from loading, with the module of its own that imported it back.

    CPython says "partially initialized module" then (`Python/ceval.c`).
    """
    own = {path.partition("/")[0].partition(".")[0] for path in contents.files}
    pairs = []
    for step, seen in found.items():
        error = None if seen.ending.report is None else seen.ending.report["error"]
        if error is None or "partially initialized module" not in str(error["message"]):
            continue
        helper = error.get("importer")
        if isinstance(helper, str) and helper != step.name and helper.partition(".")[0] in own:
            pairs.append((step, helper))
    return pairs


def _worth_repeating(step: ImportStep, seen: _Seen, contents: Contents) -> bool:
    if seen.alone or seen.ending.outcome not in _AGAIN:
        return False
    report = seen.ending.report
    # A module that is not installed is missing the second time too.
    return (
        report is None or "ModuleNotFoundError" not in report["error"]["kinds"] or not _environmental(report, contents)
    )


def _environmental(report: dict[str, Any], contents: Contents) -> bool:
    return is_environmental(
        report["error"],
        own_names={path.partition("/")[0].partition(".")[0] for path in contents.files},
        own_files={path.rpartition("/")[2] for path in contents.files},
    )


def _answer(ending: ImportEnding, step: ImportStep, contents: Contents) -> ModuleRuntime:
    report = ending.report
    if report is None:
        return ModuleRuntime(imported=False, outcome=ending.outcome, error=ending.error, output=ending.output)
    denied = report["denied"]
    chains = [tuple(escape(part, _NAME_CHARS) for part in chain) for chain in report["chains"]]
    known = ModuleRuntime(
        imported=report["error"] is None,
        requires_gil=None if denied and not report["requires_gil"] else report["requires_gil"],
        gil_enabled_after=report["gil"] or denied,
        unexplained=denied or (report["gil"] and report["explained"] and not chains and not report["requires_gil"]),
        culprits=tuple(dict.fromkeys(chain[-1] for chain in chains)) or _itself(report, step),
        chain=_shortest(chains),
        output=ending.output,
    )
    if report["error"] is None:
        if report["loaded"]:
            return known
        loaded = escape(str(report.get("origin")), _NAME_CHARS)
        return replace(known, error=f"the import did not load this file, but {loaded}")
    if "MemoryError" in report["error"]["kinds"]:
        return replace(known, outcome="memory", error=describe_exception(report["error"]))
    if "SystemExit" in report["error"]["kinds"]:
        return replace(known, outcome="exit", error=describe_exception(report["error"]))
    return replace(
        known,
        outcome="exception",
        error=describe_exception(report["error"]),
        environmental=_environmental(report, contents),
    )


def _itself(report: dict[str, Any], step: ImportStep) -> tuple[str, ...]:
    return (step.name,) if report["requires_gil"] else ()


def _shortest(chains: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the path to the first culprit, without repeated names in a row; or an empty one."""
    for chain in chains:
        return tuple(name for position, name in enumerate(chain) if position == 0 or name != chain[position - 1])
    return ()
