"""Several targets for a terminal: the answers, the packages side by side, then each target's report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ftaudit.model import Report
from ftaudit.report.console import DEFAULT_WIDTH, clean, draw
from ftaudit.report.package import check_table
from ftaudit.report.package.target_rows import TargetRow, all_platforms, answers, cell_words, find_rows

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


def render(reports: Sequence[Report], *, width: int = DEFAULT_WIDTH, color: bool = False) -> str:
    """Return the reports as text that is `width` columns wide, with ANSI colors if `color`."""

    def write(console: Console) -> None:
        _answers(console, reports)
        _side_by_side(console, reports)

    parts = [draw(write, width=width, color=color)]
    for report in reports:
        parts += [f"\n{rule(report.target, width)}\n", check_table.render(report, width=width, color=color)]
    return "".join(parts)


def rule(target: str, width: int) -> str:
    """Return the heading of a section about one target."""
    return f"── {target} ".ljust(width, "─")


def _answers(console: Console, reports: Sequence[Report]) -> None:
    from rich.text import Text

    for report, answer in answers(reports):
        head = Text.assemble((report.target, "bold"), "  ", (answer.word, check_table.WORDS[answer.word]))
        console.print(Text.assemble(head, ": ", clean(answer.sentence)))


def _side_by_side(console: Console, reports: Sequence[Report]) -> None:
    from rich.table import Table
    from rich.text import Text

    rows = find_rows(reports)
    shown = [row for row in rows if not row.is_quiet]
    many = len(all_platforms(reports)) > 1
    if shown:
        drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for title in ("package", *(["platforms"] if many else []), *(report.target for report in reports)):
            drawn.add_column(title, header_style="bold", overflow="fold")
        for row in shown:
            places = [Text(", ".join(row.platforms))] if many else []
            drawn.add_row(Text(clean(title_of(row))), *places, *_cells(row))
        console.print()
        console.print(drawn)
    same = len({row.name for row in rows} - {row.name for row in shown})
    if same:
        console.print()
        console.print(f"ready or pure for every target: {same} of {len({row.name for row in rows})} packages")


def _cells(row: TargetRow) -> list[Text]:
    from rich.text import Text

    return [
        Text(cell_words(cell, row), style="dim" if cell is None else check_table.STYLES.get(cell.verdict, "red"))
        for cell in row.cells
    ]


def title_of(row: TargetRow) -> str:
    """Return `lxml 6.1.3`, or only the name if the targets get different versions."""
    return row.name if row.version is None else f"{row.name} {row.version}"
