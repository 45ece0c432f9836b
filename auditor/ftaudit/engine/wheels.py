"""`ftaudit wheel`: judges every wheel of a release, for every platform, before or after it is published."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Final

from ftaudit.binary.inspection import WheelRequest
from ftaudit.engine.releases import InstalledRelease, Release, find_installed, find_releases
from ftaudit.engine.reproduce import present_time
from ftaudit.engine.rows import count_coverage, facts_of, judge_all, make_rows, with_elsewhere
from ftaudit.engine.setup import choose_rules, open_index
from ftaudit.engine.tiers.binary_tier import read_wheels
from ftaudit.engine.tiers.reader import SharedWheelReader
from ftaudit.index.client import Index
from ftaudit.judge.rebuild import find_rebuild
from ftaudit.model import (
    BinaryFacts,
    ExtensionModule,
    Finding,
    Gap,
    GapKind,
    Package,
    PackageFacts,
    Pin,
    Report,
    RuntimeFacts,
    Severity,
    Status,
    WheelKind,
)
from ftaudit.model.sentences import rebuilt
from ftaudit.progress import ProgressListener, Silent
from ftaudit.registry import info_of
from ftaudit.rule import PackageRule
from ftaudit.settings import Settings
from ftaudit.target import Target, parse_targets

NOTHING_TO_READ: Final = BinaryFacts(status=Status.SKIPPED, reason=Gap(kind=GapKind.NO_WHEEL))
NOT_IMPORTED: Final = RuntimeFacts(status=Status.SKIPPED, reason=Gap(kind=GapKind.IMPORTS_NOTHING))


def audit_wheels(items: Sequence[str], settings: Settings, *, progress: ProgressListener | None = None) -> Report:
    """Judge every wheel of each FILE, FOLDER, URL or NAME[==VERSION], without importing anything.

    Rows are the wheels that the target installs on some platform; with `settings.platforms`, on those platforms. A
    release without such a wheel has a row for each platform of the GIL-enabled wheels, with what a rebuild would
    declare. Wheels of other builds that were named one by one are noted, and have a row only if something in them is
    wrong. Raise `FtauditError` for an item that does not exist or is not understood.
    """
    return audit_wheels_for(items, settings, (settings.target,), progress=progress)[0]


def audit_wheels_for(
    items: Sequence[str], settings: Settings, targets: Sequence[str], *, progress: ProgressListener | None = None
) -> tuple[Report, ...]:
    """Judge the wheels for each target, in the order of `targets`; read and request shared data once.

    `settings.target` is ignored. Rows and errors as in `audit_wheels`.
    """
    each = parse_targets(targets)
    with open_index(settings) as index, SharedWheelReader(settings, index, record=True) as reader:
        releases, incomplete = find_releases(items, index)
        session = _WheelSession(
            items=tuple(items),
            settings=settings,
            releases=releases,
            incomplete=incomplete,
            index=index,
            reader=reader,
            progress=progress or Silent(),
        )
        return tuple(_audit_wheels(session, target) for target in each)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _WheelSession:
    """Resources that are opened once for all targets."""

    items: tuple[str, ...]
    settings: Settings
    releases: tuple[Release, ...]
    incomplete: tuple[str, ...]
    index: Index
    reader: SharedWheelReader
    progress: ProgressListener


def _audit_wheels(session: _WheelSession, target: Target) -> Report:
    items, settings, incomplete = session.items, session.settings, session.incomplete
    rules, problems = choose_rules(settings, PackageRule)
    found = [each for release in session.releases for each in find_installed(release, target, settings.platforms)]
    requests = [request for installed in found if (request := _request(installed, target)) is not None]
    read = read_wheels(requests, reader=session.reader, progress=session.progress, stage="wheels")
    traffic = session.index.traffic.counts
    every = [_facts(installed, read, target) for installed in found]
    rows, failures = make_rows(judge_all(with_elsewhere(every)), rules=rules, later=None)
    kept, notes = _settle(rows, found)
    return Report(
        target=target.name,
        platforms=tuple(dict.fromkeys(row.facts.platform for row in kept)),
        inputs=items,
        packages=_without_repetition(kept),
        coverage=count_coverage([row.facts for row in kept]),
        notes=(*notes, *session.reader.notes, *problems, *failures),
        nonconforming=_nonconforming(kept),
        incomplete=incomplete if kept else (*incomplete, *_nothing(items, incomplete, target)),
        created=present_time(),
        traffic=traffic,
    )


def _request(installed: InstalledRelease, target: Target) -> WheelRequest | None:
    """Return what to read for a row; for a wheel that claims to be pure, a check that it is a wheel at all."""
    if installed.wheel is None:
        return None
    return WheelRequest(
        file=installed.wheel,
        target=target,
        rebuild=installed.index.kind is WheelKind.NONE,
        whole=not installed.release.whole and installed.wheel.sha256 is not None,
    )


def _facts(installed: InstalledRelease, read: dict[WheelRequest, BinaryFacts], target: Target) -> PackageFacts:
    request, release, index = _request(installed, target), installed.release, installed.index
    binary = read[request] if request is not None else NOTHING_TO_READ
    return facts_of(
        Pin(name=release.name, version=release.version, required_by=((release.name,),), files=release.files),
        target=target,
        platform=installed.platform,
        index=dataclasses.replace(index, wheel=index.gil_wheel) if installed.optional else index,
        binary=binary,
        runtime=NOT_IMPORTED,
    )


def _nonconforming(rows: Sequence[Package]) -> tuple[str, ...]:
    """Return the names of the wheels with a module that breaks the stable ABI in the tags."""
    wheels = (
        row.facts.index.wheel.filename
        for row in rows
        if row.facts.index.wheel is not None and any(_gates(finding) for finding in row.findings)
    )
    return tuple(dict.fromkeys(wheels))


def _gates(finding: Finding) -> bool:
    info = info_of(finding.code)
    return info is not None and info.gates


def _nothing(items: Sequence[str], said: Sequence[str], target: Target) -> tuple[str, ...]:
    """Return a note that nothing was judged, unless there is one: an empty answer must not look like a good one."""
    return () if said else (f"no wheel of {', '.join(items)} is for {target.name}",)


def _settle(rows: Sequence[Package], found: Sequence[InstalledRelease]) -> tuple[list[Package], list[str]]:
    """Return the rows to keep, and notes about invalid archives and wheels of other builds."""
    kept, notes = [], []
    for row, installed in zip(rows, found, strict=True):
        name = installed.wheel.filename if installed.wheel else str(row.facts.pin.name)
        wrong = row.facts.binary.status is Status.FAILED or any(
            finding.severity is Severity.ERROR for finding in row.findings
        )
        if installed.optional and not wrong:
            notes.append(f"{name} is not a wheel for {row.facts.target}; {_would(row.facts.modules)}")
        else:
            kept.append(row)
        notes += [f"{name}: {problem}" for problem in row.facts.binary.problems]
    return kept, notes


def _would(modules: Sequence[ExtensionModule]) -> str:
    """Return what a rebuild of these modules for the target would declare."""
    rebuild = find_rebuild(modules)
    return "it holds no extension module" if rebuild is None else f"a build from source {rebuilt(rebuild)}"


def _for_authors(finding: Finding) -> Finding:
    """Return a finding with its severity for the publishers of the release."""
    info = info_of(finding.code)
    severity = None if info is None else info.for_authors
    return finding if severity is None else dataclasses.replace(finding, severity=severity)


def _without_repetition(rows: Iterable[Package]) -> tuple[Package, ...]:
    """Keep notes about a whole release only in the first of its rows."""
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
