"""The formats: their names, the commands that offer them, and the only place that calls their renderers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ftaudit.errors import UsageError
from ftaudit.model import Report, Severity, StrEnum
from ftaudit.report.console import DEFAULT_WIDTH
from ftaudit.rule import Rule

if TYPE_CHECKING:
    from ftaudit.fleet.history import FleetHistory
    from ftaudit.model.plans import Plan
    from ftaudit.report.migration.migration_contents import Migration
    from ftaudit.report.watched_changes import WatchAnswer
    from ftaudit.source.tree_scan import ScanResult


class Format(StrEnum):
    """The values of `--format`."""

    TABLE = "table"
    CONCISE = "concise"
    JSON = "json"
    MARKDOWN = "markdown"
    SARIF = "sarif"
    GITHUB = "github"
    GITLAB = "gitlab"
    JUNIT = "junit"
    CSV = "csv"
    BADGE = "badge"
    SUMMARY = "summary"
    HTML = "html"


OF_REPORT: Final = tuple(Format)
"""For `check` and `wheel`."""
OF_SCAN: Final = tuple(format for format in Format if format not in (Format.BADGE, Format.SUMMARY, Format.HTML))
"""A scan has no packages to count, so it has no badge, no ready count, and no package report."""
OF_MIGRATION: Final = (Format.HTML, Format.MARKDOWN, Format.JSON)
"""For `report`, whose first format is the default."""
OF_PLAN: Final = (Format.TABLE, Format.JSON, Format.MARKDOWN)
OF_WATCH: Final = (Format.TABLE, Format.JSON, Format.MARKDOWN)
WITHOUT_NOTES: Final = frozenset(
    {Format.CONCISE, Format.GITHUB, Format.GITLAB, Format.CSV, Format.BADGE, Format.SUMMARY}
)
"""These formats have no place for anything except the results."""
SUFFIXES: Final = {
    ".json": Format.JSON,
    ".md": Format.MARKDOWN,
    ".markdown": Format.MARKDOWN,
    ".sarif": Format.SARIF,
    ".sarif.json": Format.SARIF,
    ".xml": Format.JUNIT,
    ".csv": Format.CSV,
    ".svg": Format.BADGE,
    ".html": Format.HTML,
    ".htm": Format.HTML,
    "code-quality-report.json": Format.GITLAB,
}
"""The format for each suffix of the output file's name if no format is named."""
PLAIN: Final = frozenset({".txt", ".text", ".log"})
"""File name suffixes that mean the table, if a command has one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Medium:
    """The output of the answer, and the folder that its paths are relative to."""

    width: int = DEFAULT_WIDTH
    color: bool = False
    folder: Path = Path()
    """The folder in which the command runs."""
    written: bool = False
    """For a plan: its edits are made."""
    state: bool = False
    """For a scan: the table of shared state is requested."""


def choose(named: str | None, output: Path | None, offered: Sequence[Format]) -> Format:
    """Return the named format, or else the format of the output file's suffix, or else the first offered format.

    Raise `UsageError` for an unknown suffix.
    """
    if named is not None:
        return Format(named)
    if output is None:
        return offered[0]
    if (form := of_name(output, offered)) is not None:
        return form
    suffix = output.suffix.lower()
    # A path that is not a regular file (`/dev/stdout`, a pipe) has no meaningful name.
    if not suffix or (suffix in PLAIN and offered[0] is Format.TABLE) or (output.exists() and not output.is_file()):
        return offered[0]
    raise UsageError(
        f"--output {output}: cannot infer a format from the name", hint=f"supported suffixes: {known_suffixes(offered)}"
    )


def known_suffixes(offered: Sequence[Format]) -> str:
    """Return the suffixes that mean one of the formats, and how else to name one, for a hint."""
    known = [suffix for suffix, meant in SUFFIXES.items() if meant in offered]
    if offered[0] is Format.TABLE:
        known += sorted(PLAIN)
    return f"{', '.join(known)}; or specify a format with --format"


def of_name(path: Path, offered: Sequence[Format]) -> Format | None:
    """Return the format that a file's name means, if the command offers it."""
    name = path.name.lower()
    found = (SUFFIXES[suffix] for suffix in sorted(SUFFIXES, key=len, reverse=True) if name.endswith(suffix))
    return next((form for form in found if form in offered), None)


def render_report(report: Report, form: Format, page: Medium, *, command: str = "check") -> str:
    """Return a report of packages in a format."""
    match form:
        case Format.TABLE if command == "stress":
            from ftaudit.report.package import stress_table

            return stress_table.render(report, width=page.width, color=page.color)
        case Format.TABLE:
            from ftaudit.report.package import check_table

            return check_table.render(report, width=page.width, color=page.color)
        case Format.JSON:
            from ftaudit.report.package import check_json

            return check_json.render(report)
        case Format.MARKDOWN:
            from ftaudit.report.package import check_markdown

            return check_markdown.render(report, command=command)
        case Format.SUMMARY:
            from ftaudit.report.package import check_markdown

            return check_markdown.summary(report)
        case Format.JUNIT:
            from ftaudit.report.results import junit

            return junit.render(report)
        case Format.CSV:
            from ftaudit.report.results import csv

            return csv.render(report)
        case Format.BADGE:
            from ftaudit.report.package import badge

            return badge.render(report)
        case Format.HTML:
            from ftaudit.report.migration.migration_contents import Migration

            return render_migration(Migration(report=report), form)
        case Format.CONCISE:
            from ftaudit.report.results import concise, result_places, results

            seen = result_places.find_places(page.folder)
            return concise.render(results.of_report(report, places=seen, command=command))
        case Format.SARIF:
            from ftaudit.registry import load_rules
            from ftaudit.report.results import result_places, results, sarif

            seen = result_places.find_places(page.folder)
            found = results.of_report(report, places=seen, command=command)
            return sarif.render(found, places=seen, rules=load_rules().rules)
        case Format.GITHUB:
            from ftaudit.report.results import github, result_places, results

            seen = result_places.find_places(page.folder)
            return github.render(results.of_report(report, places=seen, command=command), places=seen)
        case Format.GITLAB:
            from ftaudit.report.results import gitlab, result_places, results

            seen = result_places.find_places(page.folder)
            return gitlab.render(results.of_report(report, places=seen, command=command), places=seen)


def render_reports(reports: Sequence[Report], form: Format, page: Medium, *, command: str = "check") -> str:
    """Return the reports of one run, one for each target, in a format; several are shown side by side."""
    if len(reports) == 1:
        return render_report(reports[0], form, page, command=command)
    match form:
        case Format.TABLE:
            from ftaudit.report.targets import targets_table

            return targets_table.render(reports, width=page.width, color=page.color)
        case Format.JSON:
            from ftaudit.report.targets import targets_json

            return targets_json.render(reports)
        case Format.MARKDOWN:
            from ftaudit.report.targets import targets_markdown

            return targets_markdown.render(reports, command=command)
        case Format.SUMMARY:
            return "".join(render_report(report, form, page, command=command) for report in reports)
        case Format.JUNIT:
            from ftaudit.report.results import junit

            return junit.render_each(reports)
        case Format.CSV:
            from ftaudit.report.results import csv

            return csv.render_each(reports)
        case Format.BADGE:
            from ftaudit.report.package import badge

            return badge.render_each(reports)
        case Format.HTML:
            from ftaudit.report.migration.migration_contents import Migration

            return render_migrations([Migration(report=report) for report in reports], form)
        case Format.SARIF:
            from ftaudit.registry import load_rules
            from ftaudit.report.results import result_places, results, sarif

            seen = result_places.find_places(page.folder)
            each = [results.of_report(report, places=seen, command=command) for report in reports]
            return sarif.render_each(each, places=seen, rules=load_rules().rules)
        case Format.CONCISE | Format.GITHUB | Format.GITLAB:
            from ftaudit.report.results import concise, github, gitlab, result_places, results
            from ftaudit.report.targets import merged_results

            seen = result_places.find_places(page.folder)
            together = merged_results.merge(
                [results.of_report(report, places=seen, command=command) for report in reports]
            )
            if form is Format.CONCISE:
                return concise.render(together)
            if form is Format.GITHUB:
                return github.render(together, places=seen)
            return gitlab.render(together, places=seen)


def render_scan(
    scan: ScanResult, form: Format, page: Medium, *, exit_code: int, fail_on: Severity, rules: Sequence[Rule] = ()
) -> str:
    """Return a scan in a format. `rules` are the existing rules. Raise `ValueError` for a format without scans."""
    match form:
        case Format.TABLE:
            from ftaudit.report.scan import scan_table

            return scan_table.render(scan, width=page.width, color=page.color, state=page.state)
        case Format.JSON:
            from ftaudit.report.scan import scan_json

            return scan_json.render(scan, exit_code=exit_code)
        case Format.MARKDOWN:
            from ftaudit.report.scan import scan_markdown

            return scan_markdown.render(scan, exit_code=exit_code)
        case Format.JUNIT:
            from ftaudit.report.results import junit

            return junit.render_scan(scan, fail_on=fail_on, exit_code=exit_code)
        case Format.CSV:
            from ftaudit.report.results import csv

            return csv.render_scan(scan, exit_code=exit_code)
        case Format.CONCISE:
            from ftaudit.report.results import concise, results

            return concise.render(results.of_scan(scan, exit_code=exit_code))
        case Format.SARIF:
            from ftaudit.report.results import result_places, results, sarif

            found = results.of_scan(scan, exit_code=exit_code)
            return sarif.render(found, places=result_places.find_places(page.folder), rules=rules)
        case Format.GITHUB:
            from ftaudit.report.results import github, result_places, results

            found = results.of_scan(scan, exit_code=exit_code)
            return github.render(found, places=result_places.find_places(page.folder))
        case Format.GITLAB:
            from ftaudit.report.results import gitlab, result_places, results

            found = results.of_scan(scan, exit_code=exit_code)
            return gitlab.render(found, places=result_places.find_places(page.folder))
        case Format.BADGE | Format.SUMMARY | Format.HTML:
            raise ValueError(f"a scan has no {form}")


def render_migration(migration: Migration, form: Format) -> str:
    """Return the pre-migration report in a format. Raise `ValueError` for an unsupported format."""
    match form:
        case Format.HTML:
            from ftaudit.report.migration import html

            return html.render(migration)
        case Format.MARKDOWN:
            from ftaudit.report.migration import migration_markdown

            return migration_markdown.render(migration)
        case Format.JSON:
            from ftaudit.report.migration import migration_json

            return migration_json.render(migration)
        case _:
            raise ValueError(f"the migration report has no {form}")


def render_migrations(migrations: Sequence[Migration], form: Format) -> str:
    """Return the migration reports of one run, one for each target. Raise `ValueError` for an unsupported format."""
    if len(migrations) == 1:
        return render_migration(migrations[0], form)
    match form:
        case Format.HTML:
            from ftaudit.report.migration import html

            return html.render_each(migrations)
        case Format.MARKDOWN:
            from ftaudit.report.targets import target_migrations

            return target_migrations.render_markdown(migrations)
        case Format.JSON:
            from ftaudit.report.targets import target_migrations

            return target_migrations.render_json(migrations)
        case _:
            raise ValueError(f"the migration report has no {form}")


def render_plans(plans: Sequence[Plan], form: Format, page: Medium) -> str:
    """Return the plans of one run, one for each target. Raise `ValueError` for an unsupported format."""
    if len(plans) == 1:
        return render_plan(plans[0], form, page)
    from ftaudit.report.targets import target_plans

    match form:
        case Format.TABLE:
            return target_plans.render_table(plans, width=page.width, color=page.color, written=page.written)
        case Format.JSON:
            return target_plans.render_json(plans)
        case Format.MARKDOWN:
            return target_plans.render_markdown(plans)
        case _:
            raise ValueError(f"a plan has no {form}")


def render_watch(answer: WatchAnswer, form: Format, page: Medium) -> str:
    """Return what has changed since the last run. Raise `ValueError` for an unsupported format."""
    from ftaudit.report import watched_changes

    match form:
        case Format.TABLE:
            return watched_changes.render_table(answer, width=page.width, color=page.color)
        case Format.JSON:
            return watched_changes.render_json(answer)
        case Format.MARKDOWN:
            return watched_changes.render_markdown(answer)
        case _:
            raise ValueError(f"watch has no {form}")


def render_fleet_changes(history: FleetHistory, form: Format, page: Medium) -> str:
    """Return what has changed between two runs of a fleet. Raise `ValueError` for an unsupported format."""
    from ftaudit.report import changed_projects

    match form:
        case Format.TABLE:
            return changed_projects.render_table(history, width=page.width, color=page.color)
        case Format.JSON:
            return changed_projects.render_json(history)
        case Format.MARKDOWN:
            return changed_projects.render_markdown(history)
        case _:
            raise ValueError(f"changes have no {form}")


def render_plan(plan: Plan, form: Format, page: Medium) -> str:
    """Return a plan in a format. Raise `ValueError` for an unsupported format."""
    match form:
        case Format.TABLE:
            from ftaudit.report.plan import plan_table

            return plan_table.render(plan, width=page.width, color=page.color, written=page.written)
        case Format.JSON:
            from ftaudit.report.plan import plan_json

            return plan_json.render(plan)
        case Format.MARKDOWN:
            from ftaudit.report.plan import plan_markdown

            return plan_markdown.render(plan)
        case _:
            raise ValueError(f"a plan has no {form}")
