"""The command `ftaudit report`: audit, plan, and scan of the project's source in one report for other readers."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ftaudit.cli.accept import accept_in_report, accept_in_scan, check_accept
from ftaudit.cli.answer import CommandAnswer, Screen
from ftaudit.cli.options import (
    add_allow_unknown,
    add_also,
    add_answer,
    add_audit,
    also_of,
    inputs_of,
    settings_of,
    settle_exit,
    targets_of,
)
from ftaudit.cli.reach_options import add_reach, check_reach
from ftaudit.model import worst_exit_code
from ftaudit.report import formats

if TYPE_CHECKING:
    from ftaudit.engine.session import AuditSession
    from ftaudit.model import Report
    from ftaudit.model.plans import Plan
    from ftaudit.progress import ProgressListener
    from ftaudit.settings import Settings
    from ftaudit.source.tree_scan import ScanResult

EPILOG: Final = """\
examples:
  ftaudit report -o report.html      the project in this folder, with its source
  ftaudit report requirements.txt --scan src/ -o report.html
  ftaudit report --target 3.14t --target 3.15t -o report.html
  ftaudit report -o report.md        for an issue; report.json for programs
"""


def add_parsers(commands: Any) -> None:
    """Add `report` to the sub-commands."""
    report = commands.add_parser(
        "report",
        help="write a migration report: blockers, plan, all packages, and your own source",
        description="Write the migration report as one self-contained HTML file, or as Markdown or JSON.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_audit(report)
    add_reach(report)
    parts = report.add_argument_group("contents")
    parts.add_argument(
        "--scan",
        action="append",
        default=[],
        type=Path,
        metavar="PATH",
        help="source to scan (repeatable; default: the project folder of an input)",
    )
    parts.add_argument("--no-scan", action="store_true", help="do not scan your own source")
    parts.add_argument("--no-plan", action="store_true", help="do not make a plan (faster)")
    answer = add_answer(report, formats.OF_MIGRATION)
    answer.add_argument("--baseline", type=Path, metavar="FILE", help="mark problems recorded in FILE as known")
    add_also(answer)
    add_allow_unknown(answer)
    report.set_defaults(answer=run)


def run(options: argparse.Namespace, screen: Screen) -> CommandAnswer:
    """Audit, plan, scan, and render. Raise `FtauditError` for a problem that the user must fix."""
    from ftaudit import engine
    from ftaudit.engine.next_target import find_outlook
    from ftaudit.engine.project_scan import find_project_name, find_projects
    from ftaudit.engine.reproduce import find_reproduction
    from ftaudit.engine.session import open_sessions
    from ftaudit.progress import on_stderr
    from ftaudit.registry import load_rules
    from ftaudit.report.migration.migration_contents import Migration

    check_reach(options)
    settings = settings_of(options)
    check_accept(options)
    form = formats.choose(options.format, options.output, formats.OF_MIGRATION)
    others = also_of(options, formats.OF_MIGRATION)
    inputs = inputs_of(options)
    paths = () if options.no_scan else tuple(options.scan) or find_projects(inputs)
    project = find_project_name(inputs)
    migrations = []
    with (
        on_stderr(wanted=not options.quiet) as progress,
        open_sessions(inputs, settings, targets_of(options), progress) as sessions,
    ):
        for session in sessions:
            report = engine.audit_inputs(session)
            plan, no_plan = _plan(report, session, options)
            migrations.append(
                Migration(
                    report=accept_in_report(report, options),
                    project=project,
                    plan=plan,
                    outlook=find_outlook(report.packages, session) if plan is None else plan.outlook,
                    no_plan=no_plan,
                    scan=_scan(paths, options, session.settings, progress),
                    scanned=tuple(map(str, paths)),
                    no_scan=None if paths else _why_no_scan(options),
                    reproduction=find_reproduction(report, [["ftaudit", *sys.argv[1:]]]),
                    incomplete=load_rules(settings.rules).problems,
                )
            )
    code, notes = settle_exit(worst_exit_code(migration.exit_code for migration in migrations), options)
    return CommandAnswer(
        text=formats.render_migrations(migrations, form),
        exit_code=code,
        output=options.output,
        notes=notes,
        also=tuple((path, formats.render_migrations(migrations, other)) for path, other in others),
    )


def _plan(report: Report, session: AuditSession, options: argparse.Namespace) -> tuple[Plan | None, str | None]:
    """Return the plan, or the reason for a missing plan: the facts about the blockers do not depend on it."""
    from ftaudit.errors import FtauditError
    from ftaudit.planning import make_plan

    if options.no_plan:
        return None, "The plan was skipped (--no-plan)."
    try:
        return make_plan(report, session), None
    except FtauditError as error:
        return None, f"ftaudit could not make a plan: {error.problem}"


def _scan(
    paths: tuple[Path, ...], options: argparse.Namespace, settings: Settings, progress: ProgressListener
) -> ScanResult | None:
    from ftaudit.engine.project_scan import scan_project

    if not paths:
        return None
    return accept_in_scan(scan_project(paths, settings, progress=progress), options, whole=False)


def _why_no_scan(options: argparse.Namespace) -> str:
    if options.no_scan:
        return "The project's own source was not scanned (--no-scan)."
    return "The project's own source was not scanned: no input is in a project folder. --scan PATH scans a folder."
