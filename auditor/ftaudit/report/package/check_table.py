"""The report for a terminal: the answer first, then blockers, what could not be checked, and a summary of the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ftaudit.model import Finding, Report, Verdict
from ftaudit.model.reach_sentences import reach_summary
from ftaudit.report.console import DEFAULT_WIDTH, clean, draw
from ftaudit.report.package.agreeing_rows import (
    NOTHING,
    ORDER,
    AgreeingRows,
    accepted_line,
    chains,
    coverage,
    entries,
    extra_findings,
    headline,
    not_imported,
    number_of,
    reason_of_many,
    source_lines,
    stress_lines,
    together,
)
from ftaudit.report.package.local_build_rows import build_lines
from ftaudit.report.package.reach_lines import reach_lines, reach_order

if TYPE_CHECKING:
    from rich.console import Console

STYLES: Final = {
    Verdict.READY: "green",
    Verdict.PURE: "green",
    Verdict.FALLBACK: "yellow",
    Verdict.UNKNOWN: "yellow",
}
WORDS: Final = {
    "BLOCKED": "bold red",
    "NOT SURE": "bold yellow",
    "ACCEPTED": "bold yellow",
    "READY": "bold green",
    NOTHING: "bold green",
}


def render(report: Report, *, width: int = DEFAULT_WIDTH, color: bool = False) -> str:
    """Return the report as text that is `width` columns wide, with ANSI colors if `color`."""

    def write(console: Console) -> None:
        every = tuple(entries(report.packages))
        counting = [entry for entry in every if entry.package.accepted is None]
        _headline(console, report)
        for title, verdicts in (
            ("Blocks", ORDER),
            ("Not checked", (Verdict.UNKNOWN,)),
            ("Works, slower", (Verdict.FALLBACK,)),
        ):
            _section(
                console,
                report,
                title,
                sorted(
                    (entry for verdict in verdicts for entry in counting if entry.package.verdict is verdict),
                    key=lambda entry: reach_order(entry, report),
                ),
            )
        _accepted(console, report, [entry for entry in every if entry.package.accepted is not None])
        _builds(console, report)
        works = [entry for entry in counting if entry.package.verdict in (Verdict.READY, Verdict.PURE)]
        for verdict in (Verdict.READY, Verdict.PURE):
            fine = [entry for entry in works if entry.package.verdict is verdict and not entry.package.blocked_by]
            _sum(console, report, str(verdict), "bold green", fine)
        through = [entry for entry in works if entry.package.blocked_by]
        _sum(console, report, "needs a blocked package", "bold yellow", through)
        _notes(console, report)
        _coverage(console, report)

    return draw(write, width=width, color=color)


def _headline(console: Console, report: Report) -> None:
    from rich.text import Text

    _verdict(console, report)
    if more := headline(report).more:
        console.print(more)
    if report.inputs:
        console.print(Text(clean("read: " + ", ".join(report.inputs)), style="dim"))


def _section(console: Console, report: Report, title: str, found: list[AgreeingRows]) -> None:
    from rich.text import Text

    if not found:
        return
    console.print()
    console.print(Text(f"{title} ({number_of(found)})", style="bold"))
    for group in together(found):
        if len(group) == 1:
            _entry(console, report, group[0])
        else:
            _several(console, report, group)


def _several(console: Console, report: Report, group: tuple[AgreeingRows, ...]) -> None:
    """Print a reason once that several unchecked packages share."""
    from rich.padding import Padding
    from rich.text import Text

    first = group[0]
    head = Text.assemble((f"{len(group)} packages", "bold"), "  ", (str(first.package.verdict), "yellow"))
    if len(report.platforms) > 1:
        head.append(f"  ({', '.join(first.platforms)})", style="dim")
    console.print(Padding(head, (0, 0, 0, 2)))
    for text in (*reason_of_many(first), ", ".join(entry.title for entry in group)):
        console.print(Padding(Text(clean(text)), (0, 0, 0, 6)))


def _entry(console: Console, report: Report, entry: AgreeingRows) -> None:
    from rich.padding import Padding
    from rich.text import Text

    package = entry.package
    style = STYLES.get(package.verdict, "red")
    head = Text.assemble((clean(entry.title), "bold"), "  ", (str(package.verdict), style))
    if len(report.platforms) > 1:
        head.append(f"  ({', '.join(entry.platforms)})", style="dim")
    console.print(Padding(head, (0, 0, 0, 2)))
    lines = [("", reason) for reason in entry.reasons]
    lines += chains(package)
    lines += [(f"{finding.code} ", _message(finding)) for finding in extra_findings(package)]
    lines += [("source: ", phrase) for phrase in source_lines(package)]
    lines += [("reach: ", phrase) for phrase in reach_lines(entry, report)]
    lines += [("stress: ", phrase) for phrase in stress_lines(package)]
    if entry.next_step:
        lines.append(("next: ", entry.next_step))
    for label, text in lines:
        console.print(Padding(Text.assemble((label, "dim"), clean(text)), (0, 0, 0, 6)))


def _builds(console: Console, report: Report) -> None:
    """Print the local builds, separately from the verdicts of published files."""
    from rich.padding import Padding
    from rich.text import Text

    if not report.builds:
        return
    console.print()
    console.print(Text(f"Built here ({len(report.builds)})", style="bold"))
    for build in report.builds:
        for line in build_lines(build):
            depth = len(line) - len(line.lstrip())
            console.print(Padding(Text(clean(line.strip())), (0, 0, 0, depth)))


def _accepted(console: Console, report: Report, found: list[AgreeingRows]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    if not found:
        return
    console.print()
    console.print(Text(f"Known and accepted ({number_of(found)})", style="bold"))
    for entry in found:
        if entry.package.accepted is None:
            continue
        head = Text.assemble((clean(entry.title), "bold"), "  ", (str(entry.package.verdict), "yellow"))
        if len(report.platforms) > 1:
            head.append(f"  ({', '.join(entry.platforms)})", style="dim")
        console.print(Padding(head, (0, 0, 0, 2)))
        console.print(Padding(Text(clean(accepted_line(entry.package.accepted))), (0, 0, 0, 6)))


def _message(finding: Finding) -> str:
    return f"{finding.rule}: {finding.message}"


def _sum(console: Console, report: Report, title: str, style: str, found: list[AgreeingRows]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    if not found:
        return
    console.print()
    console.print(Text.assemble((f"{title} ", style), (f"({number_of(found)})", "bold")))
    parts = [
        f"{clean(entry.title)} ({', '.join(entry.platforms)})"
        if len(entry.platforms) < len(report.platforms)
        else clean(entry.title)
        for entry in found
    ]
    console.print(Padding(Text(", ".join(parts)), (0, 0, 0, 2)))
    for entry in found:
        for line in source_lines(entry.package):
            console.print(Padding(Text(clean(f"{entry.title}: {line}"), style="yellow"), (0, 0, 0, 2)))
    for entry in found:
        for line in stress_lines(entry.package):
            console.print(Padding(Text(clean(f"{entry.title}: {line}"), style="yellow"), (0, 0, 0, 2)))
    for entry in found:
        for finding in extra_findings(entry.package):
            text = f"{entry.title}: {finding.code} {_message(finding)}"
            console.print(Padding(Text(clean(text), style="yellow"), (0, 0, 0, 2)))
    through = [entry for entry in found if entry.package.blocked_by]
    for entry in through:
        needs = ", ".join(entry.package.blocked_by)
        console.print(
            Padding(Text(clean(f"{entry.title} needs a blocked package: {needs}"), style="red"), (0, 0, 0, 2))
        )


def _notes(console: Console, report: Report) -> None:
    from rich.text import Text

    lines = [f"not checked: {what}" for what in report.incomplete]
    lines += [f"not imported: {what}" for what in not_imported(report)]
    lines += [f"note: {note}" for note in report.notes]
    lines += [line for reach in report.reach for line in reach_summary(reach)]
    if lines:
        console.print()
    for line in lines:
        console.print(Text(clean(line), style="yellow"))


def _coverage(console: Console, report: Report) -> None:
    console.print()
    console.print("checked: " + coverage(report))
    # After a long report has scrolled by, its last line repeats the answer.
    _verdict(console, report)


def _verdict(console: Console, report: Report) -> None:
    from rich.text import Text

    answer = headline(report)
    console.print(Text.assemble((answer.word, WORDS[answer.word]), ": ", clean(answer.sentence)))
