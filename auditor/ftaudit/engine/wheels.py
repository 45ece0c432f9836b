"""`ftaudit wheel`: every wheel of a release, for every platform, before or after it is published."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Final

from ftaudit.binary.inspection import WheelRequest
from ftaudit.engine.releases import Candidate, find_candidates, find_releases, tagged
from ftaudit.engine.rows import count_coverage, facts_of, judge_all, make_rows, with_elsewhere
from ftaudit.engine.setup import choose_rules, open_index
from ftaudit.engine.tiers.binaries import read_wheels
from ftaudit.engine.tiers.reader import Reader
from ftaudit.judge.table import IMPORTS_NOTHING, rebuilt
from ftaudit.model import (
    BinaryFacts,
    ExtensionModule,
    Finding,
    IndexFacts,
    Package,
    PackageFacts,
    Pin,
    Report,
    RuntimeFacts,
    Severity,
    Status,
    WheelKind,
)
from ftaudit.progress import Progress, Silent
from ftaudit.registry import info_of
from ftaudit.rule import PackageRule
from ftaudit.settings import Settings
from ftaudit.target import Target, parse_target

NOT_IMPORTED: Final = RuntimeFacts(status=Status.SKIPPED, reason=IMPORTS_NOTHING)


def audit_wheels(items: Sequence[str], settings: Settings, *, progress: Progress | None = None) -> Report:
    """Judge every wheel of each FILE, FOLDER, URL or NAME[==VERSION], without importing anything.

    Rows are the wheels that the target installs on some platform; with `settings.platforms`, what it installs on
    those. A release without such a wheel has a row for each platform that the ordinary build has a wheel for, with
    what a rebuild would declare. Wheels of other builds that were named one by one are noted, and are rows only
    where something in them is wrong. Raise `FtauditError` for an item that does not exist or means nothing.
    """
    progress = progress or Silent()
    target = parse_target(settings.target)
    rules, problems = choose_rules(settings, PackageRule)
    with open_index(settings) as index:
        releases, incomplete = find_releases(items, index)
        candidates = [each for release in releases for each in find_candidates(release, target, settings.platforms)]
        requests = [request for candidate in candidates if (request := _request(candidate, target)) is not None]
        with Reader(settings, index, record=True) as reader:
            read = read_wheels(requests, reader=reader, progress=progress, stage="wheels")
        traffic = index.traffic.counts
    every = [_facts(candidate, read, target) for candidate in candidates]
    rows, failures = make_rows(judge_all(with_elsewhere(every)), rules=rules, later=None)
    kept, notes = _settle(rows, candidates)
    return Report(
        target=target.name,
        platforms=tuple(dict.fromkeys(row.facts.platform for row in kept)),
        inputs=tuple(items),
        packages=_without_repetition(kept),
        coverage=count_coverage([row.facts for row in kept]),
        notes=(*notes, *problems, *failures),
        incomplete=incomplete if kept else (*incomplete, *_nothing(items, incomplete, target)),
        traffic=traffic,
    )


def _request(candidate: Candidate, target: Target) -> WheelRequest | None:
    """Return what to read for a row; of a wheel that says it is pure, that it is a wheel at all."""
    if candidate.wheel is None:
        return None
    return WheelRequest(
        file=candidate.wheel.file,
        target=target,
        rebuild=candidate.kind is WheelKind.NONE,
        whole=not candidate.release.whole and candidate.wheel.file.sha256 is not None,
    )


def _facts(candidate: Candidate, read: dict[WheelRequest, BinaryFacts], target: Target) -> PackageFacts:
    request = _request(candidate, target)
    binary = read[request] if request is not None else BinaryFacts(status=Status.SKIPPED, reason="no wheel to read")
    files = candidate.release.files
    wheels = tuple(file for file in files if file.filename.endswith(".whl"))
    file = candidate.wheel.file if candidate.wheel else None
    missing = candidate.kind is WheelKind.NONE
    index = IndexFacts(
        status=Status.DONE,
        origin="index" if candidate.release.whole else "file",
        kind=candidate.kind,
        wheel=file if not missing or candidate.optional else None,
        wheels=wheels,
        sdist=next((file for file in files if not file.filename.endswith(".whl")), None),
        compiled=any(tag.platform != "any" for _, tags in tagged(wheels) for tag in tags),
        gil_wheel=file if missing else None,
    )
    return facts_of(
        Pin(
            name=candidate.release.name,
            version=candidate.release.version,
            required_by=((candidate.release.name,),),
            files=files,
        ),
        target=target,
        platform=candidate.platform,
        index=index,
        binary=binary,
        runtime=NOT_IMPORTED,
    )


def _nothing(items: Sequence[str], said: Sequence[str], target: Target) -> tuple[str, ...]:
    """Say that nothing was judged, unless it is said already: an empty answer must not look like a good one."""
    return () if said else (f"no wheel of {', '.join(items)} is for {target.name}",)


def _settle(rows: Sequence[Package], candidates: Sequence[Candidate]) -> tuple[list[Package], list[str]]:
    """Return the rows that stay, and notes: on archives that are not in order, on wheels of other builds."""
    kept, notes = [], []
    for row, candidate in zip(rows, candidates, strict=True):
        name = candidate.wheel.file.filename if candidate.wheel else str(row.facts.pin.name)
        wrong = row.facts.binary.status is Status.FAILED or any(
            finding.severity is Severity.ERROR for finding in row.findings
        )
        if candidate.optional and not wrong:
            notes.append(f"{name} is not for {row.facts.target}; {_would(row.facts.modules)}")
        else:
            kept.append(row)
        notes += [problem if name in problem else f"{name}: {problem}" for problem in row.facts.binary.problems]
    return kept, notes


def _would(modules: Sequence[ExtensionModule]) -> str:
    """Say what a rebuild of these modules for the target would declare."""
    if not modules:
        return "it holds no extension module"
    return f"a build of it {rebuilt(modules)}"


def _for_authors(finding: Finding) -> Finding:
    """Return a finding with the severity that it has for the people who publish the release."""
    info = info_of(finding.code)
    severity = None if info is None else info.for_authors
    return finding if severity is None else dataclasses.replace(finding, severity=severity)


def _without_repetition(rows: Iterable[Package]) -> tuple[Package, ...]:
    """Leave what is said of a whole release to the first of its rows."""
    said: set[tuple[str, str, str]] = set()
    result = []
    for row in rows:
        findings = []
        for finding in row.findings:
            key = (str(row.facts.pin.name), finding.rule, finding.message)
            if finding.module is not None or key not in said:
                findings.append(_for_authors(finding))
            said.add(key)
        result.append(dataclasses.replace(row, findings=tuple(findings)))
    return tuple(result)
