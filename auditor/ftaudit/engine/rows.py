"""Turns the tiers' facts into the rows of the report: merging, rules, verdicts, and the blocking chains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from packaging.version import Version

from ftaudit.judge.misfits import LoadPlace, chosen_files, place_of
from ftaudit.judge.next_step import next_step
from ftaudit.judge.table import is_unemulated, judge
from ftaudit.model import (
    BLOCKING,
    BinaryFacts,
    ExtensionModule,
    Finding,
    IndexFacts,
    Package,
    PackageFacts,
    Pin,
    RuntimeFacts,
    Severity,
    SourceFacts,
    Status,
    TierCoverage,
    Verdict,
    WheelKind,
)
from ftaudit.model.reasons import InSource, Reasons
from ftaudit.model.steps import Download, Lead, MakeWheel, Remedy, Simply, Step
from ftaudit.rule import PackageRule
from ftaudit.target import Target, parse_target

INSTALLED_KINDS = frozenset({WheelKind.FREE_THREADED, WheelKind.ABI3T, WheelKind.NATIVE})
"""Kinds of wheel that contain compiled code according to their tags."""


Judged: TypeAlias = tuple[PackageFacts, Verdict, Reasons]
"""A package's facts with its verdict and the reasons for it."""


def facts_of(
    pin: Pin,
    *,
    target: Target,
    platform: str,
    index: IndexFacts,
    binary: BinaryFacts,
    runtime: RuntimeFacts,
    source: SourceFacts | None = None,
) -> PackageFacts:
    """Return the facts of all tiers about a package, with each extension module once."""
    place = place_of(index, target=target, platform=platform)
    return PackageFacts(
        pin=pin,
        target=target.name,
        platform=platform,
        index=index,
        binary=binary,
        runtime=runtime,
        modules=_merged(binary, runtime, place),
        source=source or SourceFacts(),
    )


def _merged(binary: BinaryFacts, runtime: RuntimeFacts, place: LoadPlace | None) -> tuple[ExtensionModule, ...]:
    """Return each extension module once, by its dotted name, with the facts of every tier.

    If several files have one name, it is the file that the interpreter loads.
    """
    merged = chosen_files(binary.modules, place)
    for module in runtime.modules:
        known = merged.get(module.name)
        merged[module.name] = replace(known, runtime=module.runtime) if known else module
    return tuple(merged[name] for name in sorted(merged))


def with_elsewhere(every: Sequence[PackageFacts]) -> list[PackageFacts]:
    """Add to each row what the other platforms' wheels of the same release contain."""
    releases: dict[tuple[str, str], list[tuple[str, tuple[ExtensionModule, ...]]]] = {}
    for facts in every:
        releases.setdefault((facts.pin.name, str(facts.pin.version)), []).append((facts.platform, facts.modules))
    return [
        replace(
            facts,
            elsewhere=tuple(
                other for other in releases[facts.pin.name, str(facts.pin.version)] if other[0] != facts.platform
            ),
        )
        for facts in every
    ]


def judge_all(every: Sequence[PackageFacts]) -> list[Judged]:
    """Return each package's facts with its verdict and reasons."""
    return [(facts, *judge(facts)) for facts in every]


def make_rows(
    judged: Sequence[Judged],
    *,
    rules: Sequence[PackageRule],
    later: Mapping[tuple[str, str], Lead] | None,
    lacking: Mapping[tuple[str, str], Download] | None = None,
    forecasts: Mapping[tuple[str, Version], InSource] | None = None,
) -> tuple[tuple[Package, ...], tuple[str, ...]]:
    """Return the report's rows, with findings and next steps, and a sentence for each rule that failed.

    `later` maps (name, platform) to what is known about later versions; `None` means that the reader makes the wheels,
    and the next step is the remedy. `lacking` maps to how to get a wheel of the same version that the user's files
    lack. `forecasts` maps (name, version) to what the sdist declares.
    """
    failures: dict[str, None] = {}
    rows = []
    for facts, verdict, reasons in judged:
        findings = (*_findings(facts, rules, failures), *facts.source.findings)
        step: Step | None
        name, version = str(facts.pin.name), facts.pin.version
        forecast = None if version is None else (forecasts or {}).get((name, version))
        if forecast is not None and verdict is Verdict.SOURCE_ONLY:
            reasons = (*reasons, forecast)
        if later is None:
            step = Simply.BUILD_AGAIN if facts.binary.refused else _remedy(findings) or _make(verdict, facts)
        else:
            key = (name, facts.platform)
            step = (lacking or {}).get(key) or next_step(verdict, facts, later=later.get(key), forecast=forecast)
        rows.append(
            Package(
                facts=facts,
                verdict=verdict,
                why=reasons,
                findings=findings,
                step=step,
            )
        )
    blockers = _blockers(rows)
    linked = tuple(
        replace(row, blocked_by=tuple(sorted(blockers.get((str(row.facts.pin.name), row.facts.platform), ()))))
        for row in rows
    )
    return linked, tuple(failures)


def _remedy(findings: Iterable[Finding]) -> Remedy | None:
    """Return what an author can do about the worst of the findings."""
    errors = (finding for finding in findings if finding.severity is Severity.ERROR)
    return next((Remedy(text=worst.remedy, rule=worst.rule) for worst in errors if worst.remedy), None)


def _make(verdict: Verdict, facts: PackageFacts) -> MakeWheel | None:
    """Return how the missing wheel is made."""
    if verdict not in (Verdict.SOURCE_ONLY, Verdict.UNAVAILABLE):
        return None
    here = any(file.url is not None and file.url.startswith("file:") for file in facts.index.wheels)
    release = f"{facts.pin.name}=={facts.pin.version}"
    return MakeWheel(executable=parse_target(facts.target).executable, release=release if here else None)


def _findings(facts: PackageFacts, rules: Sequence[PackageRule], failures: dict[str, None]) -> Iterator[Finding]:
    for rule in rules:
        try:
            yield from tuple(rule.check(facts))
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
            failures[f"the rule {rule.info.name} failed on {facts.pin.name} {facts.pin.version}: {told}"] = None


def _blockers(rows: Iterable[Package]) -> dict[tuple[str, str], set[str]]:
    """Map each (name, platform) to the blocked packages that it needs, based on the chains of the blocked packages."""
    needs: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        if row.verdict not in BLOCKING:
            continue
        blocked = str(row.facts.pin.name)
        for chain in row.facts.pin.required_by:
            for name in chain[:-1]:
                if name != blocked:
                    needs.setdefault((name, row.facts.platform), set()).add(blocked)
    return needs


def count_coverage(every: Sequence[PackageFacts]) -> tuple[tuple[str, TierCoverage], ...]:
    """Return how many packages were looked up, wheels read, and modules imported, with the totals."""
    wheels = [facts for facts in every if facts.index.kind in INSTALLED_KINDS]
    modules = [module for facts in every for module in facts.modules if module.binary or module.runtime]
    return (
        ("index", TierCoverage(done=sum(_looked_up(facts.index, facts.pin) for facts in every), total=len(every))),
        (
            "binaries",
            TierCoverage(done=sum(_was_read(facts) for facts in wheels), total=len(wheels)),
        ),
        (
            "imports",
            TierCoverage(
                done=sum(module.runtime is not None and module.runtime.requires_gil is not None for module in modules),
                total=len(modules),
            ),
        ),
    )


def _was_read(facts: PackageFacts) -> bool:
    """Return whether the binary tier read every module of the wheel, whatever it determined."""
    unread = any(
        is_unemulated(module) or (module.binary is not None and module.binary.engine_missing)
        for module in facts.modules
    )
    return facts.binary.status is Status.DONE and not unread


def _looked_up(index: IndexFacts, pin: Pin) -> bool:
    return index.status is Status.DONE and pin.problem is None
