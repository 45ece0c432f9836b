"""A scan with its accepted findings set apart and named, and the baseline from that scan."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from pathspec import GitIgnoreSpec

from ftaudit.accepting.accept_entries import AcceptEntry
from ftaudit.accepting.baseline import Baseline, FindingKey
from ftaudit.accepting.notes import entry_notes, named
from ftaudit.fingerprint import fingerprints
from ftaudit.model import Acceptance, AcceptedBy, Finding, Location
from ftaudit.registry import is_named
from ftaudit.source.tree_scan import ScanResult


def accept_findings(
    result: ScanResult, entries: Sequence[AcceptEntry], baseline: Baseline | None, *, whole: bool, today: date
) -> ScanResult:
    """Return the result with its accepted findings apart, and notes on entries that accept nothing.

    `whole` means that all of the project was scanned, so that a problem that was not found is gone.
    """
    mine = [entry for entry in entries if entry.rule is not None and entry.package is None]
    matchers = [(entry, _Matcher(entry)) for entry in mine if not entry.expired(today)]
    known: Collection[FindingKey] = frozenset() if baseline is None else baseline.findings
    seen: set[FindingKey] = set()
    used: list[AcceptEntry] = []
    kept: list[Finding] = []
    accepted: list[Finding] = []
    for finding, key in _keys(result):
        seen.add(key)
        entry = next((each for each, fits in matchers if each.means(finding) and fits(finding)), None)
        if entry is not None:
            used.append(entry)
            accepted.append(replace(finding, accepted=entry.acceptance))
        elif baseline is not None and key in known:
            accepted.append(replace(finding, accepted=_by_baseline(baseline)))
        else:
            kept.append(finding)
    ran = [entry for entry in mine if whole and any(is_named(str(entry.rule), r.name, r.code) for r in result.rules)]
    quiet = [entry for entry in mine if entry not in ran]
    idle = list(entry_notes(mine, used=(*used, *quiet), today=today))
    notes = (*result.notes, *idle, *_gone(result, baseline, seen, whole=whole))
    return replace(result, findings=tuple(kept), accepted=(*result.accepted, *accepted), notes=notes)


def keep_findings(result: ScanResult, baseline: Baseline, *, whole: bool) -> Baseline:
    """Return the baseline that lets every finding stand that no entry of the configuration accepts.

    `result` is what `accept_findings` returned. Known problems of rules that did not run and of files that could not be
    read stay, and, unless `whole`, so do known problems that were not found now.
    """
    every = replace(
        result,
        findings=(
            *result.findings,
            *(f for f in result.accepted if f.accepted is not None and f.accepted.by is AcceptedBy.BASELINE),
        ),
    )
    now = {key for _, key in _keys(every)}
    return replace(baseline, findings=frozenset(now | (baseline.findings - _answerable(result, baseline, whole=whole))))


def _keys(result: ScanResult) -> list[tuple[Finding, FindingKey]]:
    """Return each finding with its key."""
    marks = fingerprints(result.findings, result.frames)
    return [
        (finding, FindingKey(path=_path(finding), rule=finding.rule, fingerprint=mark))
        for finding, mark in zip(result.findings, marks, strict=True)
    ]


def _answerable(result: ScanResult, baseline: Baseline, *, whole: bool) -> set[FindingKey]:
    """Return the known findings whose presence this scan can decide."""
    if not whole:
        return set()
    ran = {info.name for info in result.rules}
    unread = {skip.path for skip in result.skipped if not skip.read_anyway}
    return {key for key in baseline.findings if key.rule in ran and key.path not in unread}


def _gone(result: ScanResult, baseline: Baseline | None, seen: Collection[FindingKey], *, whole: bool) -> list[str]:
    if baseline is None:
        return []
    gone = sorted(_answerable(result, baseline, whole=whole) - set(seen))
    if not gone:
        return []
    text = named(dict.fromkeys(f"{key.rule} in {key.path}" for key in gone), most=3)
    one = len(gone) == 1
    problems = (
        "1 problem in the baseline no longer occurs" if one else f"{len(gone)} problems in the baseline no longer occur"
    )
    return [f"{problems} ({text}); --update-baseline removes {'it' if one else 'them'}"]


def _by_baseline(baseline: Baseline) -> Acceptance:
    return Acceptance(
        by=AcceptedBy.BASELINE,
        reason="recorded in the baseline",
        source=Location(path=str(baseline.path)),
    )


class _Matcher:
    """Checks whether a finding matches an entry's path, relative to the folder of the entry's file or of the scan."""

    def __init__(self, entry: AcceptEntry) -> None:
        self._spec = None if entry.path is None else GitIgnoreSpec.from_lines([entry.path])
        self._folder = Path(entry.location.path).absolute().parent

    def __call__(self, finding: Finding) -> bool:
        if self._spec is None:
            return True
        path = _path(finding)
        if not path:
            return False
        try:
            below = Path(path).absolute().relative_to(self._folder).as_posix()
        except ValueError:
            below = path
        return bool(self._spec.match_file(below) or self._spec.match_file(path))


def _path(finding: Finding) -> str:
    return "" if finding.location is None else finding.location.path.replace("\\", "/")
