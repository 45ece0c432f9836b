"""A report or a scan as a list of results, each with its place: the input of SARIF, annotations, and others."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote, urlsplit

from ftaudit.fingerprint import fingerprints
from ftaudit.model import (
    BLOCKING,
    Acceptance,
    Confidence,
    DistributionFile,
    Finding,
    Fix,
    Location,
    Package,
    Report,
    Severity,
    Verdict,
)
from ftaudit.model.reach_sentences import reach_summary
from ftaudit.model.reachability import BlockerReach
from ftaudit.report.console import clean
from ftaudit.report.package.agreeing_rows import (
    LISTED,
    AgreeingRows,
    chains,
    counted,
    entries,
    headline,
    is_about_package,
    reason_of_many,
    restates_verdict,
)
from ftaudit.report.package.reach_lines import reach_lines, reach_of_entry
from ftaudit.report.results.result_places import Places
from ftaudit.source.tree_scan import ScanResult

SEVERITIES: Final = {Verdict.UNKNOWN: Severity.WARNING, Verdict.FALLBACK: Severity.INFO}
"""The severity of the verdicts that do not block; those that block are errors."""
_TOLD: Final = (*sorted(BLOCKING), Verdict.UNKNOWN, Verdict.FALLBACK)
_LISTED: Final = 5
"""How many modules or places of an sdist a result names before it only counts the rest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Suppression:
    """Why a result does not count."""

    in_source: bool
    """A comment in the source silences it; otherwise a file of the user accepts it."""
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One message about one place. No text in it contains control characters."""

    rule: str
    """A rule's code, or a verdict."""
    name: str
    severity: Severity
    confidence: Confidence
    subject: str
    """The subject: `lxml 6.1.3`, or for a line of source the rule's name."""
    lines: tuple[str, ...]
    """The message, one or two sentences per line. Never empty."""
    shared: str = ""
    """For something that could not be checked: the first line in the form that other packages share."""
    fingerprint: str = ""
    """Stable between runs: independent of lines and versions."""
    location: Location | None = None
    """With a path relative to the folder in which the command runs, or absolute."""
    column: int | None = None
    snippet: str | None = None
    unknown: bool = False
    """It could not be checked: no problem was found, and none is ruled out."""
    suppression: Suppression | None = None
    platforms: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    """Codes of the rules whose findings the message summarizes."""
    fix: Fix | None = None
    reach: tuple[BlockerReach, ...] = ()
    """When the user's code loads the package, on each of the platforms."""

    @property
    def text(self) -> str:
        """The message on one line."""
        return " ".join(line if line[-1:] in ".;:!?" else f"{line};" for line in self.lines).removesuffix(";")


@dataclass(frozen=True, kw_only=True, slots=True)
class Unchecked:
    """Something that was not checked, or not checked completely."""

    message: str
    location: Location | None = None
    matters: bool = True
    """It causes exit code 3; otherwise it is only information."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Results:
    """The content of one run for every results format."""

    command: str
    """`check`, `wheel` or `scan`."""
    target: str
    exit_code: int
    sentence: str
    """The answer."""
    results: tuple[Result, ...]
    """By place, then rule."""
    unchecked: tuple[Unchecked, ...]
    rules: tuple[str, ...] = ()
    """Codes of the rules that ran, if known."""


def of_report(report: Report, *, places: Places, command: str = "check") -> Results:
    """Return the results of a package report line by line.

    A package that blocks, is slower, or could not be checked has one result for its verdict, whatever the rules found.
    Other errors and warnings have one result per rule, as in the table. A package that several files list has its
    results in each file, because a reviewer of a change sees only one file.
    """
    made = [
        replace(result, location=place)
        for entry in entries(report.packages)
        for result in _of_entry(entry, report)
        for place in (result.location, *entry.package.facts.pin.also)
    ]
    unchecked = [Unchecked(message=clean(what)) for what in report.incomplete]
    unchecked += [
        Unchecked(message=f"{result.subject}: {result.text}", location=result.location)
        for result in made
        if result.unknown and result.suppression is None
    ]
    unchecked += [Unchecked(message=clean(note), matters=False) for note in report.notes]
    unchecked += [
        Unchecked(message=clean(line), matters=False) for reach in report.reach for line in reach_summary(reach)
    ]
    answer = headline(report)
    return Results(
        command=command,
        target=report.target,
        exit_code=report.exit_code,
        sentence=clean(f"{answer.word}: {answer.sentence}" + (f" {answer.more}" if answer.more else "")),
        results=tuple(sorted(_numbered(made, places), key=order)),
        unchecked=tuple(dict.fromkeys(unchecked)),
    )


def of_scan(scan: ScanResult, *, exit_code: int) -> Results:
    """Return the results of a scan line by line; silenced and accepted findings are marked as suppressed."""
    kinds: tuple[tuple[Sequence[Finding], Suppression | None], ...] = (
        (scan.findings, None),
        (scan.accepted, Suppression(in_source=False)),
        (scan.silenced, Suppression(in_source=True, reason="silenced by a comment")),
    )
    made: list[Result] = []
    counted = (*scan.findings, *scan.accepted)
    marks = dict(zip(map(id, counted), fingerprints(counted, scan.frames), strict=True))
    marks |= zip(map(id, scan.silenced), fingerprints(scan.silenced, scan.frames), strict=True)
    for findings, suppression in kinds:
        made += (_of_finding(finding, marks[id(finding)], scan, suppression) for finding in findings)
    unchecked = [
        Unchecked(
            message=f"{clean(skip.path)}: {clean(skip.reason)}",
            location=Location(path=skip.path, line=skip.line),
            matters=not skip.read_anyway,
        )
        for skip in scan.skipped
    ]
    unchecked += [Unchecked(message=clean(note), matters=False) for note in scan.notes]
    return Results(
        command="scan",
        target=scan.target,
        exit_code=exit_code,
        sentence=scan_sentence(scan),
        results=tuple(sorted(made, key=order)),
        unchecked=tuple(unchecked),
        rules=tuple(info.code for info in scan.rules),
    )


def scan_sentence(scan: ScanResult) -> str:
    """Return the findings of a scan, in one sentence."""
    counts = Counter(finding.severity for finding in scan.findings)
    plural = (Severity.ERROR, Severity.WARNING)
    found = ", ".join(
        counted(counts[severity], severity.value) if severity in plural else f"{counts[severity]} {severity.value}"
        for severity in Severity
        if counts[severity]
    )
    tail = f"; {scan.unread} of them could not be read" if scan.unread else ""
    return f"{found or 'nothing found'} in {counted(scan.files, 'file')} and {scan.lines:,} lines{tail}."


def order(result: Result) -> tuple[str, int, int, str, str, str]:
    """Return the sort key of results: the place, then the rule."""
    place = result.location
    path, line = (place.path, place.line or 0) if place is not None else ("", 0)
    return path, line, result.column or 0, result.rule, result.subject, result.text


def worst_first(result: Result) -> tuple[object, ...]:
    """Return the sort key of results if not all of them fit."""
    return (result.suppression is not None, list(Severity).index(result.severity), *order(result))


def _of_entry(entry: AgreeingRows, report: Report) -> Iterator[Result]:
    package = entry.package
    own = [finding for finding in package.findings if finding not in set(package.facts.source.findings)]
    place = _place(package)
    if package.verdict in _TOLD:
        lines = [*entry.reasons, *(f"{label}{text}" for label, text in chains(package) if label != LISTED)]
        lines += [f"reach: {line}" for line in reach_lines(entry, report)]
        lines += [f"next: {entry.next_step}"] if entry.next_step else []
        yield Result(
            rule=package.verdict.value,
            name=package.verdict.value,
            severity=SEVERITIES.get(package.verdict, Severity.ERROR),
            confidence=Confidence.HIGH,
            subject=clean(entry.title),
            lines=tuple(map(clean, lines)),
            shared=clean(reason_of_many(entry)[0]),
            location=place,
            unknown=package.verdict is Verdict.UNKNOWN,
            suppression=_suppressed(package.accepted),
            platforms=entry.platforms,
            rules=tuple(sorted({finding.code for finding in own if restates_verdict(finding)})),
            reach=reach_of_entry(entry, report),
        )
        own = [finding for finding in own if not restates_verdict(finding)]
    yield from _merged(own, entry, place, in_sdist=False)
    scanned = [finding for finding in package.facts.source.findings if not is_about_package(finding)]
    yield from _merged(scanned, entry, place, in_sdist=True)
    contradicted = [finding for finding in package.facts.source.findings if is_about_package(finding)]
    yield from _merged(contradicted, entry, place, in_sdist=False)


def _merged(
    findings: Iterable[Finding], entry: AgreeingRows, place: Location | None, *, in_sdist: bool
) -> Iterator[Result]:
    """Yield one result for each rule: all its findings in one package are on the same line of the user's file."""
    by_rule: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        if finding.severity in (Severity.ERROR, Severity.WARNING):
            by_rule[finding.code].append(finding)
    for code, group in sorted(by_rule.items()):
        first = group[0]
        severity = min((finding.severity for finding in group), key=list(Severity).index)
        if in_sdist and severity is Severity.ERROR:
            # The code in an sdist never changes a verdict, so it never fails a build.
            severity = Severity.WARNING
        accepted = [finding.accepted for finding in group]
        yield Result(
            rule=code,
            name=first.rule,
            severity=severity,
            confidence=first.confidence,
            subject=clean(entry.title),
            lines=tuple(map(clean, _said(group, entry.package, in_sdist))),
            location=place,
            suppression=_suppressed(next(filter(None, accepted), None)) if all(accepted) else None,
            platforms=entry.platforms,
        )


def _said(group: Sequence[Finding], package: Package, in_sdist: bool) -> Iterator[str]:
    if in_sdist:
        found = list(dict.fromkeys(str(finding.location) for finding in group if finding.location))
        where = ", ".join(found[:_LISTED]) + (f" and {len(found) - _LISTED} more" if len(found) > _LISTED else "")
        yield f"{package.facts.source.sdist or 'the sdist'}: {group[0].message} ({where})"
    else:
        messages = list(dict.fromkeys(finding.message for finding in group))
        yield from messages[:_LISTED]
        if len(messages) > _LISTED:
            yield f"and {len(messages) - _LISTED} more"
    if group[0].remedy:
        yield f"remedy: {group[0].remedy}"


def _of_finding(finding: Finding, mark: str, scan: ScanResult, suppression: Suppression | None) -> Result:
    place = finding.location
    frame = scan.frames.get((place.path, place.line), ()) if place is not None and place.line is not None else ()
    if suppression is not None and finding.accepted is not None:
        suppression = _suppressed(finding.accepted)
    return Result(
        rule=finding.code,
        name=finding.rule,
        severity=finding.severity,
        confidence=finding.confidence,
        subject=finding.rule,
        lines=tuple(
            map(clean, (message_of(finding), f"remedy: {finding.remedy}") if finding.remedy else (message_of(finding),))
        ),
        fingerprint=mark,
        location=place,
        column=place.column if place is not None else None,
        snippet=next((clean(text) for number, text in frame if place is not None and number == place.line), None),
        suppression=suppression,
        fix=finding.fix if isinstance(finding.fix, Fix) else None,
    )


def message_of(finding: Finding) -> str:
    """Return the message, and its targets if it does not apply to all targets of the scan."""
    return f"{finding.message} [{', '.join(finding.targets)}]" if finding.targets else finding.message


def _suppressed(accepted: Acceptance | None) -> Suppression | None:
    if accepted is None:
        return None
    return Suppression(in_source=False, reason=clean(f"{accepted.by.value}: {accepted.reason}"))


def _place(package: Package) -> Location | None:
    """Return the line of the requirement or lock entry; for `ftaudit wheel`, the judged file."""
    if package.facts.pin.source is not None:
        return package.facts.pin.source
    index = package.facts.index
    file: DistributionFile | None = index.wheel or index.gil_wheel or index.sdist
    if file is None:
        return None
    local = file.url is not None and file.url.startswith("file:")
    return Location(path=unquote(urlsplit(file.url or "").path) if local else file.filename)


def _numbered(results: Iterable[Result], places: Places) -> Iterator[Result]:
    """Give the results of a report their fingerprints; forked versions of one package differ by their order."""
    seen: Counter[tuple[str, ...]] = Counter()
    for result in sorted(results, key=order):
        path = places.shown(result.location.path) if result.location is not None else ""
        what = (result.rule, result.subject.partition(" ")[0], path)
        seen[what] += 1
        text = "\0".join((*what, str(seen[what])))
        yield replace(result, fingerprint=hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32])
