"""A scan as Markdown for a pull request comment or a job summary: sums, then folded findings, within limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ftaudit.model import Severity
from ftaudit.report.console import clean
from ftaudit.report.package.agreeing_rows import counted
from ftaudit.report.package.check_markdown import BREAKING, LIMIT, MarkdownSection, cut, escape, fit, folded
from ftaudit.report.results.results import Result, of_scan, scan_sentence, worst_first
from ftaudit.source.tree_scan import ScanResult


def render(scan: ScanResult, *, exit_code: int, limit: int = LIMIT) -> str:
    """Return a scan: a sentence, sums by rule, then each finding, folded, the worst first."""
    word = {0: "nothing to fix", 1: "findings", 3: "not everything could be read"}.get(exit_code, "findings")
    end = f"{counted(len(scan.rules), 'rule')}, target {escape(scan.target)}"
    if scan.left_out:
        end += "; left out: " + ", ".join(f"{count} {escape(role)}" for role, count in sorted(scan.left_out.items()))
    top = [f"## ftaudit scan: {word}", escape(scan_sentence(scan))]
    return fit(top, sections(scan, exit_code=exit_code), end, limit, command="ftaudit scan")


def sections(scan: ScanResult, *, exit_code: int) -> tuple[MarkdownSection, ...]:
    """Return the content of a scan: sums by rule, then each finding, folded, the worst first, and what was not read."""
    results = of_scan(scan, exit_code=exit_code).results
    found = sorted((result for result in results if result.suppression is None), key=worst_first)
    suppressed = [result for result in results if result.suppression is not None]
    skipped = [f"- {_place(skip.path, skip.line)}: {escape(skip.reason)}" for skip in scan.skipped]
    skipped += [f"- note: {escape(note)}" for note in scan.notes]
    return (
        MarkdownSection(
            items=list(_sums(found)),
            head="| findings | code | rule | severity |\n| ---: | --- | --- | --- |\n",
            what="rules",
        ),
        folded("Findings", [_finding(result) for result in found], "findings", opened=len(found) <= 10),
        folded(f"Known and not counted ({len(suppressed)})", [_finding(each) for each in suppressed], "findings"),
        folded("Not read, or only in part", skipped, "rows"),
    )


def _sums(found: Sequence[Result]) -> Iterator[str]:
    counts = Counter((result.rule, result.name) for result in found)
    worst: dict[str, Severity] = {}
    for result in found:
        worst.setdefault(result.rule, result.severity)
    for (code, name), number in counts.items():
        yield f"| {number} | {escape(code)} | {escape(name)} | {worst[code]} |"


def _finding(result: Result) -> str:
    place = ""
    if result.location is not None:
        place = _place(result.location.path, result.location.line) + " "
    text = escape(cut(result.suppression.reason)) + ": " if result.suppression and result.suppression.reason else ""
    return (
        f"- {place}{result.severity} **{escape(result.rule)}** {escape(result.name)}: {text}{escape(cut(result.text))}"
    )


def _place(path: str, line: int | None) -> str:
    place_text = clean(path) if line is None else f"{clean(path)}:{line}"
    return escape(place_text) if BREAKING.search(place_text) or not place_text.strip() else f"`{place_text}`"
