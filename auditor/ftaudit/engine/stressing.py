"""The stress tier: packages that run without the GIL, used by many threads at once (`check --stress`, `stress`)."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from ftaudit.engine.session import AuditSession
from ftaudit.engine.sources import scan_sdist
from ftaudit.engine.tiers.collect import Key, environments_of, sandbox_settings, wheels_of
from ftaudit.errors import FtauditError, InterpreterError
from ftaudit.judge.table import judge
from ftaudit.model import Finding, Gap, GapKind, IndexFacts, PackageFacts, Status, StressFacts, StressFailure, Verdict
from ftaudit.model.sentences import unstressed_sentence
from ftaudit.rule import SourceRule
from ftaudit.stress.recipes import read_recipes
from ftaudit.stress.stress_settings import StressSettings

_CAN_RUN = frozenset({Verdict.READY, Verdict.PURE, Verdict.FALLBACK})
"""Verdicts of packages that leave the GIL disabled."""
_EXPLAINING = 3
_SHORT = 3
"""Words that are too common in names to be significant."""


def find_stress_facts(
    session: AuditSession,
    keys: Iterable[Key],
    every: Iterable[PackageFacts],
    indexed: Mapping[Key, IndexFacts],
    *,
    only: Collection[str] | None = None,
) -> tuple[dict[Key, StressFacts], tuple[str, ...]]:
    """Stress the packages that are ready; return the result of each, and sentences about broken recipes.

    With `only`, stress exactly the packages of these names, whatever they declare, if the GIL stays disabled.
    """
    if not session.settings.stress:
        return dict.fromkeys(keys, StressFacts()), ()
    by_key = dict(zip(keys, every, strict=True))
    found = {key: StressFacts(reason=_why_not(facts, key, only)) for key, facts in by_key.items()}
    wanted = frozenset(key for key, said in found.items() if said.reason is None)
    found |= {key: replace(said, status=Status.FAILED) for key, said in found.items() if _was_named(key, only)}
    if not wanted:
        return found, ()
    from ftaudit import interpreters
    from ftaudit.stress.distributions import stress_distributions

    settings = session.settings
    recipes, problems = read_recipes(settings.recipes)
    try:
        interpreter = interpreters.find_interpreter(session.target, explicit=settings.python, cache_dir=settings.cache)
    except InterpreterError:
        if settings.python is not None or os.environ.get(interpreters.VARIABLE):
            raise
        reason = Gap(kind=GapKind.NO_INTERPRETER, detail=session.target.executable)
        return found | {key: StressFacts(status=Status.FAILED, reason=reason) for key in wanted}, problems
    stress = StressSettings(budget=settings.budget, threads=settings.threads, seed=settings.seed, recipes=recipes)
    session.progress.stage("stress", len(wanted))
    for group in environments_of(indexed):
        if not wanted.intersection(group):
            continue
        names = {str(key[0].name): key for key in group}
        told = stress_distributions(
            interpreter,
            wheels_of(group, indexed, wanted),
            sandbox=sandbox_settings(settings),
            stress=stress,
            on_done=session.progress.done,
        )
        found |= {names[name]: facts for name, facts in told.items()}
    return {key: _explained(session, key, facts) for key, facts in found.items()}, problems


def _was_named(key: Key, only: Collection[str] | None) -> bool:
    return only is not None and str(key[0].name) in only


def _why_not(facts: PackageFacts, key: Key, only: Collection[str] | None) -> Gap | None:
    """Return why a package is not stressed, or `None` if it is."""
    if only is not None and str(facts.pin.name) not in only:
        return Gap(kind=GapKind.STRESS_NOT_ASKED)
    if facts.index.status is not Status.DONE or facts.index.wheel is None:
        return facts.index.reason or Gap(kind=GapKind.NO_WHEEL)
    if facts.index.no_place is not None:
        return facts.index.no_place
    if facts.index.wheel.url is None:
        return Gap(kind=GapKind.INSTALLED)
    if not key[1].is_host:
        return Gap(kind=GapKind.OTHER_MACHINE)
    verdict, _ = judge(facts)
    if verdict not in (_CAN_RUN if only is not None else {Verdict.READY}):
        return Gap(kind=GapKind.STRESS_NOT_READY)
    return None


def unstressed(every: Iterable[PackageFacts]) -> Iterator[str]:
    """Yield a sentence for each selected package that was not stressed, or not completely."""
    for facts in every:
        if (sentence := unstressed_sentence(facts)) is not None:
            yield sentence


def _explained(session: AuditSession, key: Key, facts: StressFacts) -> StressFacts:
    """Add the rules with findings in the source of the failed callables, if the sdist is available."""
    if not facts.failures or key[0].version is None:
        return facts
    rules, _ = session.rules(SourceRule)
    try:
        _, result = scan_sdist(session, key[0].name, key[0].version, rules)
    except FtauditError:
        return facts
    failures = tuple(
        replace(failure, explained_by=tuple(_explaining(failure, result.findings))) for failure in facts.failures
    )
    return replace(facts, failures=failures)


def _explaining(failure: StressFailure, findings: Iterable[Finding]) -> Iterator[tuple[str, str, int]]:
    """Yield the findings about state that the same function or method accesses, by its name in the source."""
    words = set(re.split(r"\W+", " ".join((failure.native, failure.unit.target, *failure.unit.operations))))
    names = {word for word in words if len(word) > _SHORT}
    found = 0
    for finding in findings:
        if finding.location is None or finding.location.line is None:
            continue
        if any(_is_of(site.entry_point, names) for site in finding.sites):
            yield finding.code, finding.location.path, finding.location.line
            found += 1
            if found == _EXPLAINING:
                return


def _is_of(entry_point: str, names: Collection[str]) -> bool:
    """Return whether a function of the source has one of those names, with or without the type's name before it."""
    return bool(set(re.split(r"\W|_", entry_point)) & set(names)) or entry_point in names
