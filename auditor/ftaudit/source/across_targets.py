"""Merge scans of the same files for several targets: a finding that not every target has names its targets."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from ftaudit.model import Finding
from ftaudit.source.tree_scan import ScanResult, in_order


def join_targets(results: Sequence[ScanResult]) -> ScanResult:
    """Return the scans of one set of files, one for each target, as one scan. A single one is returned as it is."""
    first = results[0]
    if len(results) == 1:
        return first
    frames = {place: frame for result in results for place, frame in result.frames.items()}
    return replace(
        first,
        target=", ".join(result.target for result in results),
        findings=_join(results, [result.findings for result in results]),
        silenced=_join(results, [result.silenced for result in results]),
        skipped=tuple(dict.fromkeys(skip for result in results for skip in result.skipped)),
        notes=tuple(dict.fromkeys(note for result in results for note in result.notes)),
        rules=tuple(dict.fromkeys(rule for result in results for rule in result.rules)),
        states=tuple(dict.fromkeys(row for result in results for row in result.states)),
        frames=frames,
        edited=tuple({each.file.shown: each for result in results for each in result.edited}.values()),
    )


def _join(results: Sequence[ScanResult], each: Sequence[Sequence[Finding]]) -> tuple[Finding, ...]:
    """Return each finding once; one that appears n times for a target appears n times."""
    found: dict[tuple[Finding, int], list[str]] = defaultdict(list)
    for result, findings in zip(results, each, strict=True):
        seen: Counter[Finding] = Counter()
        for finding in findings:
            found[finding, seen[finding]].append(result.target)
            seen[finding] += 1
    return in_order(
        finding if len(targets) == len(results) else replace(finding, targets=tuple(targets))
        for (finding, _), targets in found.items()
    )
