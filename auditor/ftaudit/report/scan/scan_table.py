"""A scan's report for a terminal: findings in working order, a summary by rule, and what was not checked."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from ftaudit.model import AcceptedBy, Finding, Severity
from ftaudit.report.console import DEFAULT_WIDTH, clean, draw
from ftaudit.report.package.agreeing_rows import accepted_line
from ftaudit.report.results.results import message_of
from ftaudit.report.scan.state_table import under
from ftaudit.report.scan.worklist import NEXT, Group, WorkStep, groups, tasks
from ftaudit.source.tree_scan import ScanResult

if TYPE_CHECKING:
    from rich.console import Console

_STYLES: Final = {
    Severity.ERROR: "bold red",
    Severity.WARNING: "yellow",
    Severity.INFO: "cyan",
    Severity.PEDANTIC: "dim",
}
_MOST_SITES: Final = 8
_MOST_NAMES: Final = 3
_MOST_TITLES: Final = 5
_MOST_SKIPPED: Final = 20
"""Rows of skipped files that are listed; the JSON report has all of them."""


def render(result: ScanResult, *, width: int = DEFAULT_WIDTH, color: bool = False, state: bool = False) -> str:
    """Return the result as text that is `width` columns wide, with ANSI colors if `color`.

    `state` adds the table of shared state.
    """

    def write(console: Console) -> None:
        step = None
        for group in groups(result):
            if group.step is not step:
                step = group.step
                _heading(console, step)
            _group(console, result, group)
        if state:
            _state(console, result)
        _summary(console, result)
        _accepted(console, result)
        _skipped(console, result)
        _order(console, result)
        _coverage(console, result)

    return draw(write, width=width, color=color)


def _heading(console: Console, step: WorkStep) -> None:
    from rich.text import Text

    console.print(Text(step.value[0].upper() + step.value[1:], style="bold underline"))
    console.print()


def _group(console: Console, result: ScanResult, group: Group) -> None:
    from rich.text import Text

    console.print(Text(clean(group.title), style="bold"))
    path = None
    for finding in group.findings:
        place = finding.location.path if finding.location is not None else ""
        if place != path:
            path = place
            console.print(Text(clean(path) or "the project as a whole", style="underline"))
        _finding(console, result, finding)
    console.print()


def _finding(console: Console, result: ScanResult, finding: Finding) -> None:
    from rich.padding import Padding
    from rich.text import Text

    path = finding.location.path if finding.location is not None else ""
    line = finding.location.line if finding.location is not None else None
    column = finding.location.column if finding.location is not None else None
    place = "" if line is None else f"{line}:{column or 1} "
    title = Text.assemble(
        (place, "dim"), (finding.severity.value, _STYLES[finding.severity]), f" {finding.code} {finding.rule}: "
    )
    title.append(clean(message_of(finding)))
    console.print(Padding(title, (0, 0, 0, 2)))
    if line is not None:
        for number, text in result.frames.get((path, line), ()):
            mark = ">" if number == line else " "
            row = Text(f"{mark} {number:5} | {clean(text)}", style="" if number == line else "dim")
            console.print(Padding(row, (0, 0, 0, 4)), overflow="ellipsis", no_wrap=True, crop=True)
    for sentence in finding.interleaving:
        console.print(Padding(Text(f"~ {clean(sentence)}", style="dim"), (0, 0, 0, 6)))
    if len(finding.sites) > 1:
        console.print(Padding(Text(clean(f"at {_sites(finding)}"), style="dim"), (0, 0, 0, 6)))
    if finding.remedy:
        console.print(Padding(Text(f"= {clean(finding.remedy)}", style="green"), (0, 0, 0, 6)))


def _sites(finding: Finding) -> str:
    """Return every place of a finding in one line, with only the line number for places in its own file."""
    own = finding.location.path if finding.location is not None else ""
    by_place: dict[str, list[str]] = {}
    for site in finding.sites:
        place = f"line {site.location.line}" if site.location.path == own else str(site.location)
        locks = f" under {', '.join(site.locks)}" if site.locks else ""
        what = f"{site.access} of {site.state}" if site.state else site.access
        by_place.setdefault(f"{place}: {what}{locks} in ", []).append(site.entry_point)
    shown = [what + _some(entry_points) for what, entry_points in [*by_place.items()][:_MOST_SITES]]
    more = len(by_place) - len(shown)
    return "; ".join(shown) + (f"; and {more} more (--format json lists all)" if more else "")


def _some(names: list[str]) -> str:
    """Return the first names, and the number of others."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _state(console: Console, result: ScanResult) -> None:
    """Write which code reads and writes the state of each type, and under which locks."""
    from rich.table import Table
    from rich.text import Text

    console.print(Text("Shared state", style="bold underline"))
    if not result.states:
        console.print("no state that several threads can reach was found")
        console.print()
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("state", "written by", "read by", "under"):
        table.add_column(column, overflow="fold")
    for row in result.states:
        table.add_row(
            clean(str(row.state)),
            clean(", ".join(row.writers)) or "-",
            clean(", ".join(row.readers)) or "-",
            clean(under(row)),
        )
    console.print(table)
    console.print()


def _order(console: Console, result: ScanResult) -> None:
    """Write the porting order, or the next step if nothing is left to do."""
    from rich.padding import Padding
    from rich.text import Text

    todo = tasks(result)
    if not todo and result.unread:
        return
    console.print(Text("Porting order" if todo else "Next steps", style="bold"))
    for number, task in enumerate(todo, 1):
        titles = ", ".join(task.titles[:_MOST_TITLES])
        more = f" and {len(task.titles) - _MOST_TITLES} more" if len(task.titles) > _MOST_TITLES else ""
        console.print(
            Padding(Text(clean(f"{number}. {task.step.value} ({task.findings}): {titles}{more}")), (0, 0, 0, 2))
        )
    if not todo:
        for number, sentence in enumerate(NEXT, 1):
            console.print(Padding(Text(f"{number}. {sentence}"), (0, 0, 0, 2)))
    console.print()


def _summary(console: Console, result: ScanResult) -> None:
    from rich.table import Table

    if not result.findings:
        return
    order = list(Severity)
    counts = Counter((order.index(finding.severity), finding.code, finding.rule) for finding in result.findings)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("findings", justify="right")
    table.add_column("code")
    table.add_column("rule")
    table.add_column("severity")
    for (rank, code, rule), count in sorted(counts.items()):
        table.add_row(str(count), code, rule, order[rank].value, style=_STYLES[order[rank]])
    console.print(table)
    console.print()


def _skipped(console: Console, result: ScanResult) -> None:
    from rich.text import Text

    if not result.skipped:
        return
    console.print(Text("Not read, or only in part", style="bold"))
    for skip in result.skipped[:_MOST_SKIPPED]:
        place = clean(skip.path) + ("" if skip.line is None else f":{skip.line}")
        console.print(Text(f"  {place}: {clean(skip.reason)}"))
    if len(result.skipped) > _MOST_SKIPPED:
        console.print(f"  and {len(result.skipped) - _MOST_SKIPPED} more (--format json lists all)")
    console.print()


def _accepted(console: Console, result: ScanResult) -> None:
    """List the findings that the configuration accepts, with the reason; baseline findings are only counted."""
    from rich.text import Text

    for finding in result.accepted:
        if finding.accepted is not None and finding.accepted.by is AcceptedBy.CONFIGURATION:
            label = f"accepted: {finding.location or 'the project'} {finding.code} {finding.rule}: "
            console.print(Text(clean(label + accepted_line(finding.accepted)), style="dim"))
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
    parts = [
        found or "nothing found",
        f"{result.files - result.unread}/{result.files} files",
        f"{result.lines:,} lines",
        f"{len(result.rules)} rule" + ("s" if len(result.rules) != 1 else ""),
        f"target {result.target}",
    ]
    parts += [f"{len(result.silenced)} silenced"] if result.silenced else []
    parts += [f"{len(result.accepted)} accepted"] if result.accepted else []
    parts += [f"left out: {count} {role}" for role, count in sorted(result.left_out.items())]
    console.print(Text(" · ".join(parts)))


_PLURAL: Final = (Severity.ERROR, Severity.WARNING)
