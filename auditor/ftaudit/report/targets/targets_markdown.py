"""Several targets as Markdown: the answers, the packages side by side, then each target's report, within limits."""

from __future__ import annotations

from collections.abc import Sequence

from ftaudit.model import Report
from ftaudit.report.package import check_markdown
from ftaudit.report.package.agreeing_rows import coverage
from ftaudit.report.package.check_markdown import LIMIT, MarkdownSection, escape, fit, folded
from ftaudit.report.package.target_rows import TargetRow, all_platforms, answers, cell_words, find_rows
from ftaudit.report.targets.targets_table import title_of


def render(reports: Sequence[Report], *, limit: int = LIMIT, command: str = "check") -> str:
    """Return the reports within `limit` characters; omitted content is counted, with a pointer to it."""
    targets = ", ".join(report.target for report in reports)
    top = [f"## ftaudit: {escape(targets)}", *answer_lines(reports)]
    parts = list(side_by_side(reports))
    for report in reports:
        first, *rest = check_markdown.sections(report)
        parts += [MarkdownSection(items=[""], head=f"## {report.target}", what="targets"), first, *rest]
    end = "  \n".join(f"{report.target} checked: {coverage(report)}" for report in reports)
    return fit(top, parts, end, limit, command=f"ftaudit {command}")


def answer_lines(reports: Sequence[Report]) -> tuple[str, ...]:
    """Return each target's answer as a paragraph."""
    return tuple(
        f"**{report.target} {text.word}**: {escape(text.sentence)}" + (f" {escape(text.more)}" if text.more else "")
        for report, text in answers(reports)
    )


def side_by_side(reports: Sequence[Report]) -> tuple[MarkdownSection, ...]:
    """Return the packages side by side: first those that need attention, then the others, folded."""
    rows = find_rows(reports)
    many = len(all_platforms(reports)) > 1
    columns = ("package", *(("platforms",) if many else ()), *(report.target for report in reports))
    head = f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}\n"
    shown = [row for row in rows if not row.is_quiet]
    fine = [row for row in rows if row.is_quiet]
    title = f"Ready or pure for every target ({len({row.name for row in fine})})"
    rest = folded(title, [f"- {escape(title_of(row))}" for row in fine], "packages")
    return MarkdownSection(
        items=[_row(row, many) for row in shown], head=f"### Side by side\n\n{head}", what="packages"
    ), rest


def _row(row: TargetRow, many: bool) -> str:
    cells = [f"**{escape(title_of(row))}**", *([", ".join(map(escape, row.platforms))] if many else [])]
    return "| " + " | ".join((*cells, *(escape(cell_words(cell, row)) for cell in row.cells))) + " |"
