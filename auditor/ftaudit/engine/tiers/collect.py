"""Runs the tiers over the pins, cheap ones first; each tier handles what the tiers before it leave open."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ftaudit.engine.rows import INSTALLED_KINDS
from ftaudit.engine.tiers.hashes import check_hashes
from ftaudit.engine.tiers.installed_facts import IS_INSTALLED, ORIGIN, installed_facts
from ftaudit.engine.tiers.run_env import import_environments
from ftaudit.engine.tiers.source_tree import look_at_tree
from ftaudit.engine.tiers.wheel_urls import find_places
from ftaudit.errors import InterpreterError
from ftaudit.index.choose import choose_wheel
from ftaudit.index.client import Index
from ftaudit.index.release import Query, ReleaseFiles, query_for
from ftaudit.model import (
    Gap,
    GapKind,
    IndexFacts,
    Interpreter,
    Pin,
    RuntimeFacts,
    Status,
    WheelKind,
)
from ftaudit.model.sentences import gap_phrase
from ftaudit.progress import ProgressListener
from ftaudit.settings import Settings
from ftaudit.target import Platform, Target

if TYPE_CHECKING:
    from ftaudit.sandbox import SandboxSettings, WheelToImport

Key: TypeAlias = tuple[Pin, Platform]
"""One package on one platform: one row of the report."""


def find_index_facts(
    keys: Sequence[Key],
    *,
    target: Target,
    index: Index,
    progress: ProgressListener,
    on_found: Callable[[Key, IndexFacts], object] = lambda key, facts: None,
) -> dict[Key, IndexFacts]:
    """Look up each release that the input does not list itself, and choose one of its files for each platform.

    If the input names the files without their locations, the index is used only for the locations. `on_found` is called
    for each package as soon as its files are known, while others are still looked up.
    """
    found: dict[Key, IndexFacts] = {}
    asked: dict[Query, list[Key]] = {}

    def settle(key: Key, release: ReleaseFiles | None) -> None:
        found[key] = _index_facts(*key, target, release)
        on_found(key, found[key])

    def hear(query: Query, release: ReleaseFiles) -> None:
        for key in asked[query]:
            settle(key, release)
        progress.done(query.name)

    for key in keys:
        query = None if key[0].problem is not None else query_for(key[0])
        if query is None:
            settle(key, None)
        else:
            asked.setdefault(query, []).append(key)
    if asked:
        progress.stage("index", len(asked))
        index.find_releases(asked, on_done=hear)
    placed = find_places({key: found[key] for key in keys}, index=index, progress=progress)
    return check_hashes(placed, target=target, index=index, progress=progress)


def _index_facts(pin: Pin, platform: Platform, target: Target, release: ReleaseFiles | None) -> IndexFacts:
    if pin.problem is not None:
        return IndexFacts(status=Status.FAILED, reason=Gap(kind=GapKind.UNRESOLVED, detail=pin.problem))
    if pin.on_disk is not None:
        return installed_facts(pin, pin.on_disk, target, platform)
    if pin.source_tree is not None:
        return look_at_tree(Path(pin.source_tree))
    return choose_wheel(pin, release, target, platform)


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeAnswers:
    """The runtime tier's answers, and notes for the reader about how they were made."""

    facts: dict[Key, RuntimeFacts]
    interpreter: Interpreter | None = None
    notes: tuple[str, ...] = ()


def find_runtime_facts(
    indexed: dict[Key, IndexFacts],
    *,
    target: Target,
    settings: Settings,
    progress: ProgressListener,
    only: Container[Key] | None = None,
    starters: Container[Key] = (),
) -> RuntimeAnswers:
    """Import every extension module of the wheels that this machine can run; report why the others are not imported.

    `starters` are the packages with files that run when an interpreter starts, including pure ones: those files run
    too. With `only`, the other packages are present only as dependencies, and are not imported themselves.
    """
    skipped = {
        key: RuntimeFacts(status=Status.SKIPPED, reason=_why_not(facts, settings, key[1], starts=key in starters))
        for key, facts in indexed.items()
    }
    wanted = [key for key in indexed if skipped[key].reason is None and (only is None or key in only)]
    left_out = _left_out(skipped, indexed)
    in_place = import_environments(indexed, wanted, target=target, settings=settings, progress=progress)
    skipped |= in_place.facts
    left_out = (*in_place.notes, *left_out)
    wanted = [key for key in wanted if indexed[key].origin != ORIGIN]
    if not wanted:
        return RuntimeAnswers(facts=skipped, interpreter=in_place.interpreter, notes=left_out)
    from ftaudit import interpreters

    try:
        interpreter = interpreters.find_interpreter(target, explicit=settings.python, cache_dir=settings.cache)
    except InterpreterError:
        if settings.python is not None or os.environ.get(interpreters.VARIABLE):
            raise
        reason = Gap(kind=GapKind.NO_INTERPRETER, detail=target.executable)
        install = f"ftaudit python install{interpreters.option_of(target)}"
        note = f"{gap_phrase(reason)}: run `{install}`, or specify one with --python; only the binaries were read"
        facts = {key: replace(said, reason=said.reason or reason) for key, said in skipped.items()}
        return RuntimeAnswers(facts=facts, interpreter=in_place.interpreter, notes=(note, *left_out))
    facts = dict(skipped)
    notes: dict[str, None] = {}
    progress.stage("imports", len(wanted))
    for group in environments_of(indexed):
        names = {str(key[0].name): key for key in group}
        for name, found in _import_group(group, wanted, indexed, interpreter, settings, progress).items():
            facts[names[name]] = found
            notes |= dict.fromkeys(found.notes)
    if interpreter.missing and any(map(_fails, facts.values())):
        notes[f"the interpreter was built without {', '.join(interpreter.missing)}: modules that need it fail"] = None
    return RuntimeAnswers(facts=facts, interpreter=interpreter, notes=(*notes, *left_out))


def _fails(facts: RuntimeFacts) -> bool:
    """Return whether an import failed, for any reason."""
    runs = (*(ran for _, ran in facts.toplevels), *(module.runtime for module in facts.modules))
    return any(ran is not None and not ran.imported for ran in runs)


def _left_out(skipped: Mapping[Key, RuntimeFacts], indexed: Mapping[Key, IndexFacts]) -> tuple[str, ...]:
    """Return one note about why modules that could have been imported were not."""
    at_hand = ((facts.reason, key[1].name) for key, facts in skipped.items() if indexed[key].no_place is None)
    nothing = (None, GapKind.NO_WHEEL, GapKind.NOTHING_COMPILED)
    told = (gap_phrase(gap, where) for gap, where in at_hand if gap is not None and gap.kind not in nothing)
    return tuple(f"{phrase}: binaries were read" for phrase in dict.fromkeys(told))


def _why_not(facts: IndexFacts, settings: Settings, platform: Platform, *, starts: bool) -> Gap | None:
    """Return why a package's modules are not imported, or `None` if they are imported."""
    if facts.status is not Status.DONE or facts.kind is WheelKind.NONE:
        return Gap(kind=GapKind.NO_WHEEL)
    if facts.kind not in INSTALLED_KINDS and not starts:
        return Gap(kind=GapKind.NOTHING_COMPILED)
    if facts.no_place is not None:
        return facts.no_place
    if facts.origin == ORIGIN and (settings.static or not settings.run_env):
        return IS_INSTALLED
    if facts.wheel is not None and facts.wheel.conda_package is not None:
        return Gap(kind=GapKind.CONDA_PACKAGE)
    if settings.static:
        return Gap(kind=GapKind.STATIC)
    if not platform.is_host:
        return Gap(kind=GapKind.OTHER_MACHINE)
    return None


def environments_of(indexed: Mapping[Key, IndexFacts]) -> Iterable[list[Key]]:
    """Split the wheels into the fewest environments with one version of each package and one platform each."""
    groups: list[dict[object, Key]] = []
    for key, facts in indexed.items():
        if facts.wheel is None or not key[1].is_host or facts.origin == ORIGIN:
            continue
        group = next((g for g in groups if key[0].name not in g and next(iter(g.values()))[1] == key[1]), None)
        if group is None:
            groups.append(group := {})
        group[key[0].name] = key
    return [list(group.values()) for group in groups]


def _import_group(
    group: Sequence[Key],
    wanted: Sequence[Key],
    indexed: dict[Key, IndexFacts],
    interpreter: Interpreter,
    settings: Settings,
    progress: ProgressListener,
) -> dict[str, RuntimeFacts]:
    from ftaudit.sandbox import import_distributions

    chosen = set(wanted)
    if not chosen.intersection(group):
        return {}
    wheels = wheels_of(group, indexed, chosen)
    limits = sandbox_settings(settings)
    return import_distributions(interpreter, wheels, settings=limits, on_done=progress.done)


def wheels_of(group: Iterable[Key], indexed: Mapping[Key, IndexFacts], wanted: Container[Key]) -> list[WheelToImport]:
    """Return the wheels of one environment in the form that the sandbox expects."""
    from ftaudit.sandbox import WheelToImport

    wheels = []
    for key in group:
        wheel = indexed[key].wheel
        if wheel is not None and wheel.url is not None:
            wheels.append(
                WheelToImport(
                    name=key[0].name,
                    version=str(key[0].version),
                    filename=wheel.filename,
                    location=wheel.url,
                    sha256=wheel.sha256,
                    wanted=key in wanted,
                )
            )
    return wheels


def sandbox_settings(settings: Settings) -> SandboxSettings:
    """Return the sandbox limits from the settings."""
    from ftaudit.sandbox import SandboxSettings

    limits = SandboxSettings(
        cache_dir=settings.cache,
        offline=settings.offline,
        module_seconds=settings.timeout,
        memory_bytes=settings.memory,
    )
    return limits if settings.jobs is None else replace(limits, jobs=settings.jobs)
