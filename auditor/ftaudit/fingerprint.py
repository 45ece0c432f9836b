"""The key of a scan's finding between runs: its rule, its file, and its line's text."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ftaudit.model import Finding

Frames = Mapping[tuple[str, int], Sequence[tuple[int, str]]]
"""The numbered lines around each finding, by path and line, in the form of `ScanResult.frames`."""


def fingerprints(findings: Iterable[Finding], frames: Frames) -> list[str]:
    """Return one fingerprint of 32 hexadecimal digits for each finding, in their order.

    It does not change if a line moves or its whitespace changes, or if an upgrade of ftaudit rewords a message. Equal
    lines in one file are numbered in the order of the file: pass all findings at once, including accepted ones, so that
    fingerprints do not depend on what is accepted. The fingerprint of a finding without a readable line uses its
    message.
    """
    every = list(findings)
    seen: Counter[tuple[str, str, str]] = Counter()
    made = [""] * len(every)
    for number in sorted(range(len(every)), key=lambda number: _position(every[number])):
        finding = every[number]
        what = (finding.code, _path(finding), " ".join(_text(finding, frames).split()))
        seen[what] += 1
        text = "\0".join((*what, str(seen[what])))
        made[number] = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
    return made


def _position(finding: Finding) -> tuple[int, int]:
    place = finding.location
    return (0, 0) if place is None else (place.line or 0, place.column or 0)


def _path(finding: Finding) -> str:
    return "" if finding.location is None else finding.location.path.replace("\\", "/")


def _text(finding: Finding, frames: Frames) -> str:
    place = finding.location
    if place is None or place.line is None:
        return finding.message
    return next(
        (text for number, text in frames.get((place.path, place.line), ()) if number == place.line), finding.message
    )
