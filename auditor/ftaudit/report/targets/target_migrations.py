"""The migration reports for several targets, as Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ftaudit.report.migration import migration_json, migration_markdown
from ftaudit.report.migration.migration_contents import Migration
from ftaudit.report.package.agreeing_rows import coverage
from ftaudit.report.package.check_markdown import LIMIT, MarkdownSection, escape, fit
from ftaudit.report.package.target_rows import find_rows
from ftaudit.report.targets import targets_json
from ftaudit.report.targets.targets_markdown import answer_lines, side_by_side


def render_json(migrations: Sequence[Migration]) -> str:
    """Return the reports as JSON text, with a final newline."""
    reports = [migration.report for migration in migrations]
    rows = [targets_json.row_as_dict(row, reports) for row in find_rows(reports)]
    made = targets_json.together([report.target for report in reports], rows, map(migration_json.as_dict, migrations))
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def render_markdown(migrations: Sequence[Migration], *, limit: int = LIMIT) -> str:
    """Return the reports within `limit` characters; omitted content is counted, with a pointer to it."""
    reports = [migration.report for migration in migrations]
    targets = ", ".join(report.target for report in reports)
    top = [f"# Free-threading report: {escape(targets)}", *answer_lines(reports)]
    parts = list(side_by_side(reports))
    for migration in migrations:
        parts.append(MarkdownSection(items=[""], head=f"## {migration.report.target}", what="targets"))
        parts += migration_markdown.sections_of(migration)
    end = "  \n".join(f"{report.target} checked: {escape(coverage(report))}" for report in reports)
    return fit(top, parts, end, limit, command="ftaudit report")
