"""The runtime tier for environments (`--run-env`): their own interpreters import their packages."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ftaudit.engine.tiers.installed_facts import ORIGIN
from ftaudit.model import IndexFacts, Interpreter, OnDisk, Pin, RuntimeFacts, Status
from ftaudit.progress import ProgressListener
from ftaudit.settings import Settings
from ftaudit.target import Platform, Target

if TYPE_CHECKING:
    from ftaudit.sandbox import InstalledPackage


@dataclass(kw_only=True, slots=True)
class EnvironmentImports:
    """The results of the interpreters in the environments."""

    facts: dict[tuple[Pin, Platform], RuntimeFacts] = field(default_factory=dict)
    interpreter: Interpreter | None = None
    """The first interpreter."""
    notes: dict[str, None] = field(default_factory=dict)


def import_environments(
    indexed: Mapping[tuple[Pin, Platform], IndexFacts],
    wanted: Collection[tuple[Pin, Platform]],
    *,
    target: Target,
    settings: Settings,
    progress: ProgressListener,
) -> EnvironmentImports:
    """Import the wanted packages of each environment of the target with its own interpreter, in the sandbox.

    Raise `InterpreterError` for an environment without an interpreter of the target.
    """
    answers = EnvironmentImports()
    if not settings.run_env:
        return answers
    installed = {
        key: key[0].on_disk
        for key, facts in indexed.items()
        if facts.origin == ORIGIN and facts.status is Status.DONE and key[0].on_disk is not None and key[1].is_host
    }
    chosen = set(wanted)
    if not installed:
        answers.notes[f"--run-env: no environment has CPython {target.name}, so nothing was imported in place"] = None
    if not chosen.intersection(installed):
        return answers
    from ftaudit.interpreters import find_in_environment
    from ftaudit.sandbox import SandboxSettings, import_in_place

    limits = SandboxSettings(cache_dir=settings.cache, module_seconds=settings.timeout, memory_bytes=settings.memory)
    if settings.jobs is not None:
        limits = replace(limits, jobs=settings.jobs)
    by_python: dict[Path, list[tuple[Pin, Platform]]] = {}
    for key, found in installed.items():
        by_python.setdefault(find_in_environment(Path(found.root), target), []).append(key)
    progress.stage("imports", len(chosen.intersection(installed)))
    for python, keys in by_python.items():
        interpreter, facts = import_in_place(
            python,
            [_package(key[0], installed[key], wanted=key in chosen) for key in keys],
            version=target.version,
            settings=limits,
            on_done=progress.done,
        )
        answers.interpreter = answers.interpreter or interpreter
        for number, ran in facts.items():
            answers.facts[keys[number]] = ran
            answers.notes |= dict.fromkeys(ran.notes)
    return answers


def _package(pin: Pin, found: OnDisk, *, wanted: bool) -> InstalledPackage:
    from ftaudit.sandbox import InstalledPackage

    record = None if found.metadata is None else Path(found.metadata).with_name("RECORD")
    return InstalledPackage(
        name=pin.name,
        root=Path(found.root),
        record=record if record is not None and record.is_file() else None,
        modules=found.modules,
        wanted=wanted,
    )
