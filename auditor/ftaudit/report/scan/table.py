"""A scan's report for a terminal: findings with code frames by file, a summary by rule, what was not looked at."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from ftaudit.model import AcceptedBy, Finding, Severity
from ftaudit.report.console import DEFAULT_WIDTH, clean, draw
from ftaudit.report.package.entries import accepted_line
from ftaudit.source.scan import ScanResult

if TYPE_CHECKING:
    from rich.console import Console

_STYLES: Final = {
    Severity.ERROR: "bold red",
    Severity.WARNING: "yellow",
    Severity.INFO: "cyan",
    Severity.PEDANTIC: "dim",
}
_MOST_SKIPPED: Final = 20
"""Rows of skipped files that are written out; the JSON report has them all."""


def render(result: ScanResult, *, width: int = DEFAULT_WIDTH, color: bool = False) -> str:
    """Return the result as text that is `width` columns wide, with ANSI colours if `color`."""

    def write(console: Console) -> None:
        by_file: dict[str, list[Finding]] = defaultdict(list)
        for finding in result.findings:
            by_file[finding.location.path if finding.location is not None else ""].append(finding)
        for path, findings in sorted(by_file.items()):
            _file(console, result, path, findings)
        _summary(console, result)
        _accepted(console, result)
        _skipped(console, result)
        _coverage(console, result)

    return draw(write, width=width, color=color)


def _file(console: Console, result: ScanResult, path: str, findings: list[Finding]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    console.print(Text(clean(path) or "the project as a whole", style="bold underline"))
    for finding in findings:
        line = finding.location.line if finding.location is not None else None
        column = finding.location.column if finding.location is not None else None
        place = "" if line is None else f"{line}:{column or 1} "
        title = Text.assemble(
            (place, "dim"), (finding.severity.value, _STYLES[finding.severity]), f" {finding.code} {finding.rule}: "
        )
        title.append(clean(finding.message))
        console.print(Padding(title, (0, 0, 0, 2)))
        if line is not None:
            for number, text in result.frames.get((path, line), ()):
                mark = ">" if number == line else " "
                row = Text(f"{mark} {number:5} | {clean(text)}", style="" if number == line else "dim")
                console.print(Padding(row, (0, 0, 0, 4)), overflow="ellipsis", no_wrap=True, crop=True)
        if finding.remedy:
            console.print(Padding(Text(f"= {clean(finding.remedy)}", style="green"), (0, 0, 0, 6)))
    console.print()


def _summary(console: Console, result: ScanResult) -> None:
    from rich.table import Table

    if not result.findings:
        return
    counts = Counter((finding.code, finding.rule) for finding in result.findings)
    worst: dict[str, Severity] = {}
    order = list(Severity)
    for finding in result.findings:
        known = worst.get(finding.code, finding.severity)
        worst[finding.code] = min(known, finding.severity, key=order.index)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("findings", justify="right")
    table.add_column("code")
    table.add_column("rule")
    table.add_column("severity")
    for (code, rule), count in sorted(counts.items(), key=lambda item: (order.index(worst[item[0][0]]), item[0])):
        severity = worst[code]
        table.add_row(str(count), code, rule, severity.value, style=_STYLES[severity])
    console.print(table)
    console.print()


def _skipped(console: Console, result: ScanResult) -> None:
    from rich.text import Text

    if not result.skipped:
        return
    console.print(Text("Not looked at, or not as it should be", style="bold"))
    for skip in result.skipped[:_MOST_SKIPPED]:
        place = clean(skip.path) + ("" if skip.line is None else f":{skip.line}")
        console.print(Text(f"  {place}: {clean(skip.reason)}"))
    if len(result.skipped) > _MOST_SKIPPED:
        console.print(f"  and {len(result.skipped) - _MOST_SKIPPED} more (--format json names all)")
    console.print()


def _accepted(console: Console, result: ScanResult) -> None:
    """Name what the configuration accepts, with its reason; the baseline's findings are a number."""
    from rich.text import Text

    for finding in result.accepted:
        if finding.accepted is not None and finding.accepted.by is AcceptedBy.CONFIGURATION:
            told = f"accepted: {finding.location or 'the project'} {finding.code} {finding.rule}: "
            console.print(Text(clean(told + accepted_line(finding.accepted)), style="dim"))
    for note in result.notes:
        console.print(Text(clean(f"note: {note}"), style="yellow"))
    if result.accepted or result.notes:
        console.print()


def _coverage(console: Console, result: ScanResult) -> None:
    from rich.text import Text

    severities = Counter(finding.severity for finding in result.findings)
    found = ", ".join(
        f"{severities[severity]} {severity.value}" + ("s" if severities[severity] != 1 and severity in _PLURAL else "")
        for severity in Severity
        if severities[severity]
    )
    missed = sum(not skip.read_anyway for skip in result.skipped)
    parts = [
        found or "nothing found",
        f"{result.files - missed}/{result.files} files",
        f"{result.lines:,} lines",
        f"{len(result.rules)} rule" + ("s" if len(result.rules) != 1 else ""),
        f"target {result.target}",
    ]
    parts += [f"{len(result.silenced)} silenced"] if result.silenced else []
    parts += [f"{len(result.accepted)} accepted"] if result.accepted else []
    parts += [f"left out: {count} {role}" for role, count in sorted(result.left_out.items())]
    console.print(Text(" · ".join(parts)))


_PLURAL: Final = (Severity.ERROR, Severity.WARNING)
