"""The audit: inputs become pins, pins become facts, facts become rows; one failure loses nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ftaudit import lockfiles
from ftaudit.engine.given import at_its_file, find_lacking
from ftaudit.engine.inputs import read_inputs, resolve_options, what_they_say
from ftaudit.engine.rows import count_coverage, facts_of, judge_all, make_rows, with_elsewhere
from ftaudit.engine.setup import choose_rules, open_index
from ftaudit.engine.tiers.ahead import Ahead
from ftaudit.engine.tiers.binaries import find_binary_facts
from ftaudit.engine.tiers.collect import Key, find_index_facts, find_runtime_facts
from ftaudit.engine.tiers.reader import Reader
from ftaudit.engine.tiers.sources import find_source_facts, unread_sources
from ftaudit.engine.upgrades.later import find_later
from ftaudit.engine.upgrades.surveyor import Surveyor
from ftaudit.index.client import Index
from ftaudit.model import Pin, Report
from ftaudit.progress import Progress, Silent
from ftaudit.rule import PackageRule
from ftaudit.settings import Settings
from ftaudit.target import Platform, Target, host_platform, parse_platform, parse_target


def find_input() -> str:
    """Return the most precise input of the current folder; raise `InputError` where there is none."""
    return str(lockfiles.find_input(Path()))


def find_environment(path: str) -> str:
    """Return the folder of packages of an environment, which `audit` takes; raise `InputError` where there is none."""
    return str(lockfiles.find_environment(Path(path)))


def audit(inputs: Sequence[str], settings: Settings, *, progress: Progress | None = None) -> Report:
    """Judge every package that the inputs pin, on every platform asked for.

    Without inputs the most precise one of the current folder is taken. Raise `FtauditError` for what makes the command
    exit with 2: an input that cannot be read, a setting that does not exist, an interpreter that is none.
    """
    progress = progress or Silent()
    target = parse_target(settings.target)
    platforms = tuple(map(parse_platform, settings.platforms)) or (host_platform(),)
    paths = tuple(inputs) or (find_input(),)
    read = read_inputs(paths, settings)
    with (
        open_index(settings, map(what_they_say, read)) as index,
        Reader(settings, index) as reader,
        Surveyor(target=target, index=index, reader=reader, settings=settings) as surveyor,
    ):
        ahead = Ahead(target=target, index=index, reader=reader, surveyor=surveyor)
        with ThreadPoolExecutor(1) as aside:
            aside.submit(ahead.prepare)
            chosen = aside.submit(choose_rules, settings, PackageRule)
            selected = _select(read, target, platforms, settings, index, progress)
        rules, problems = chosen.result()
        keys = selected.keys
        indexed = find_index_facts(keys, target=target, index=index, progress=progress, on_found=ahead.hear)
        binaries = find_binary_facts(indexed, target=target, reader=reader, progress=progress)
        imports = find_runtime_facts(indexed, target=target, settings=settings, progress=progress)
        sources = find_source_facts(indexed, target=target, settings=settings, index=index, progress=progress)
        every = [
            facts_of(
                at_its_file(pin, indexed[pin, platform]),
                target=target,
                platform=platform.name,
                index=indexed[pin, platform],
                binary=binaries[pin, platform],
                runtime=imports.facts[pin, platform],
                source=sources[pin, platform],
            )
            for pin, platform in keys
        ]
        judged = judge_all(with_elsewhere(every))
        later = find_later(judged, platforms=platforms, surveyor=surveyor, progress=progress)
        lacking = find_lacking(judged, target=target, platforms=platforms, index=index)
        traffic, unconnected = index.traffic.counts, index.notes
        indexes = tuple(source.url for source in (*index.settings.sources, *index.settings.find_links))
    rows, failures = make_rows(judged, rules=rules, later=later, lacking=lacking)
    return Report(
        target=target.name,
        platforms=tuple(platform.name for platform in platforms),
        inputs=tuple(str(found.path) for found in read),
        packages=rows,
        coverage=count_coverage(every),
        notes=tuple(dict.fromkeys((*selected.notes, *unconnected, *imports.notes, *problems, *failures))),
        incomplete=(*selected.incomplete, *unread_sources(every)),
        interpreter=imports.interpreter.build if imports.interpreter else None,
        traffic=traffic,
        indexes=indexes,
    )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Selected:
    """The rows to make, and what reading and resolving leave to be said."""

    keys: tuple[Key, ...]
    notes: tuple[str, ...]
    incomplete: tuple[str, ...]


def _together(one: Pin, other: Pin) -> Pin:
    """Return a pin that two inputs have, with the places of both and all of its chains, the shortest first."""
    first, second = (other, one) if _shortest(other) < _shortest(one) else (one, other)
    chains = sorted(dict.fromkeys((*first.required_by, *second.required_by)), key=len)
    places = tuple(dict.fromkeys((*first.places, *second.places)))
    return dataclasses.replace(one, required_by=tuple(chains), source=next(iter(places), None), also=places[1:])


def _shortest(pin: Pin) -> int:
    return len(pin.required_by[0]) if pin.required_by else 1


def _select(
    read: Sequence[lockfiles.Requirements],
    target: Target,
    platforms: Sequence[Platform],
    settings: Settings,
    index: Index,
    progress: Progress,
) -> _Selected:
    """Arrive at the pins of every input on every platform; the same pin of two inputs is one row."""
    options = resolve_options(settings, index)
    keys: dict[tuple[object, ...], Key] = {}
    notes: dict[str, None] = {}
    incomplete: dict[str, None] = {}
    progress.stage("resolving", len(read) * len(platforms))
    for requirements in read:
        if requirements.left_out:
            told = ", ".join(requirements.left_out)
            notes[f"{requirements.path}: not judged, because no --extra or --group names them: {told}"] = None
    for requirements in read:
        for platform in platforms:
            selection = lockfiles.pins(requirements, target, platform, options)
            notes |= dict.fromkeys(selection.notes)
            incomplete |= dict.fromkeys(selection.incomplete)
            for pin in selection.pins:
                same = (pin.name, pin.version, pin.problem, pin.source_tree, platform.name)
                keys[same] = (_together(keys[same][0], pin) if same in keys else pin, platform)
            progress.done(requirements.path.name)
    return _Selected(keys=tuple(keys.values()), notes=tuple(notes), incomplete=tuple(incomplete))
