"""The audit: turns inputs into pins, pins into facts, and facts into rows; one failure never loses other results."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ftaudit import lockfiles
from ftaudit.engine.ahead import Ahead
from ftaudit.engine.evidence import Evidence, find_evidence
from ftaudit.engine.judged_pins import judge_facts
from ftaudit.engine.reproduce import present_time
from ftaudit.engine.rows import count_coverage
from ftaudit.engine.selected_pins import select_pins
from ftaudit.engine.session import AuditSession, open_session, open_sessions
from ftaudit.engine.sources import find_source_facts, unread_sources
from ftaudit.engine.stressing import find_stress_facts, unstressed
from ftaudit.judge.reach_exit import reach_by_urgency
from ftaudit.model import GapKind, PackageFacts, Report
from ftaudit.model.reachability import ReachAnswer
from ftaudit.progress import ProgressListener
from ftaudit.rule import PackageRule
from ftaudit.settings import Settings


def find_input() -> str:
    """Return the most precise input in the current folder; raise `InputError` if the folder has no input."""
    return str(lockfiles.find_input(Path()))


def find_others(taken: str) -> tuple[str, ...]:
    """Return the other files in the current folder that could have been its input."""
    return tuple(map(str, lockfiles.find_others(Path(), Path(taken))))


def find_environment(path: str) -> str:
    """Return the packages folder of an environment, which `audit` takes; raise `InputError` if there is no such
    folder.
    """
    return str(lockfiles.find_environment(Path(path)))


def audit(inputs: Sequence[str], settings: Settings, *, progress: ProgressListener | None = None) -> Report:
    """Judge every package that the inputs pin, on every requested platform.

    Without inputs, use the most precise input in the current folder. Raise `FtauditError` for errors with exit code 2:
    an input that cannot be read, a setting that does not exist, an invalid interpreter.
    """
    with open_session(inputs, settings, progress) as session:
        return audit_inputs(session)


def audit_targets(
    inputs: Sequence[str], settings: Settings, targets: Sequence[str], *, progress: ProgressListener | None = None
) -> tuple[Report, ...]:
    """Judge every package for each target, in the order of `targets`; read and request shared data once.

    `settings.target` is ignored. Errors as in `audit`.
    """
    with open_sessions(inputs, settings, targets, progress) as sessions:
        return tuple(map(audit_inputs, sessions))


def audit_inputs(session: AuditSession, *, stress_only: frozenset[str] | None = None) -> Report:
    """Judge every package that the inputs of a session pin, on each of its platforms. Errors as in `audit`.

    If the settings enable stress, stress the packages that are ready, or those named in `stress_only`.
    """
    ahead = Ahead(target=session.target, index=session.index, reader=session.reader, surveyor=session.surveyor)
    with ThreadPoolExecutor(1) as aside:
        aside.submit(ahead.prepare)
        chosen = aside.submit(session.rules, PackageRule)
        selected = select_pins(session)
    rules, problems = chosen.result()
    evidence = find_evidence(session, selected.keys, on_found=ahead.hear)
    sources = find_source_facts(session, evidence.indexed)
    every = [
        dataclasses.replace(facts, source=sources[key])
        for key, facts in zip(selected.keys, evidence.facts, strict=True)
    ]
    stressed, broken = find_stress_facts(session, selected.keys, every, evidence.indexed, only=stress_only)
    every = [dataclasses.replace(facts, stress=stressed[key]) for key, facts in zip(selected.keys, every, strict=True)]
    rows, failures = judge_facts(session, every, rules)
    platforms, index = session.platforms, session.index
    reach = _reach(session, every, evidence) if session.settings.reach else ()
    report = Report(
        target=session.target.name,
        platforms=tuple(platform.name for platform in platforms),
        inputs=tuple(str(found.path) for found in session.read),
        packages=rows,
        coverage=count_coverage(every),
        notes=tuple(
            dict.fromkeys(
                (
                    *selected.notes,
                    *_built(every),
                    *_unopened(every),
                    *index.notes,
                    *evidence.notes,
                    *session.reader.notes,
                    *broken,
                    *problems,
                    *failures,
                )
            )
        ),
        incomplete=(*selected.incomplete, *unread_sources(every), *unstressed(every)),
        interpreter=evidence.interpreter.build if evidence.interpreter else None,
        created=present_time(),
        traffic=index.traffic.counts,
        reach=reach,
        indexes=tuple(source.url for source in (*index.settings.sources, *index.settings.find_links)),
    )
    return dataclasses.replace(report, package_reach=reach_by_urgency(report))


def _reach(session: AuditSession, every: Sequence[PackageFacts], evidence: Evidence) -> tuple[ReachAnswer, ...]:
    from ftaudit.engine.reaching import find_reach_of_packages  # Most runs need nothing that it imports.

    return find_reach_of_packages(session, every, evidence)


def _built(every: Sequence[PackageFacts]) -> tuple[str, ...]:
    """Return notes on packages without a wheel that are built from their sdists as pure Python."""
    names = sorted({f"{facts.pin.name} {facts.pin.version}" for facts in every if facts.index.built_from_source})
    return (f"built from source, because they have no wheel: {', '.join(names)}",) if names else ()


def _unopened(every: Sequence[PackageFacts]) -> tuple[str, ...]:
    """Return a note on pure wheels that could not be fetched: their tags are all that is known of them."""
    names = sorted(
        {
            f"{facts.pin.name} {facts.pin.version}"
            for facts in every
            if facts.binary.reason is not None and facts.binary.reason.kind is GapKind.NOT_OPENED
        }
    )
    return (
        (f"classified as pure only by their tags, because the wheels could not be fetched: {', '.join(names)}",)
        if names
        else ()
    )
