"""The commands `ftaudit check` and `ftaudit wheel`: both end in a report of packages."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ftaudit.cli.accept import accept_in_report, add_baseline, check_accept
from ftaudit.cli.answer import CommandAnswer, Screen
from ftaudit.cli.build_command import add_build, checked_seconds
from ftaudit.cli.options import (
    add_allow_machines,
    add_allow_unknown,
    add_also,
    add_answer,
    add_audit,
    add_facts,
    add_index,
    add_platforms,
    add_read_again,
    add_rules,
    add_targets,
    allow_machines,
    also_of,
    check_answer,
    inputs_of,
    settings_of,
    targets_of,
)
from ftaudit.cli.reach_options import add_fail_on_reach, add_reach, check_reach, settle_by_reach
from ftaudit.cli.stress import add_stress, check_stress
from ftaudit.errors import UsageError
from ftaudit.model import worst_exit_code
from ftaudit.report import formats

if TYPE_CHECKING:
    from ftaudit.model import Report
    from ftaudit.progress import ProgressListener
    from ftaudit.settings import Settings

CHECK_EPILOG: Final = """\
examples:
  ftaudit check requirements.txt
  ftaudit check uv.lock --reach app.main --output report.sarif
"""
WHEEL_EPILOG: Final = """\
examples:
  ftaudit wheel dist/                every wheel in a folder, before publishing
  ftaudit wheel lxml==6.1.3          the wheels of a release, for every platform
  ftaudit wheel lxml                 the same for the newest release
  ftaudit wheel some-1.0-cp314-cp314t-win_amd64.whl
"""


def add_parsers(commands: Any) -> None:
    """Add `check` and `wheel` to the sub-commands."""
    formatter = argparse.RawDescriptionHelpFormatter
    check = commands.add_parser(
        "check",
        help="audit every package that a lock file or requirements file pins",
        description="Check whether packages and their dependencies are ready for free-threaded CPython.",
        epilog=CHECK_EPILOG,
        formatter_class=formatter,
    )
    how = add_audit(check)
    add_read_again(how)
    add_stress(how, optional=True)
    add_build(check)
    add_reach(check)
    answer = add_answer(check, formats.OF_REPORT)
    add_also(answer)
    add_fail_on_reach(answer)
    add_allow_unknown(answer)
    add_allow_machines(answer)
    add_baseline(answer)
    check.set_defaults(answer=run_check)

    wheel = commands.add_parser(
        "wheel",
        help="audit the wheels of a release for every platform, before or after publishing",
        description="Audit wheels for every platform without running them. Use this before you publish.",
        epilog=WHEEL_EPILOG,
        formatter_class=formatter,
    )
    what = wheel.add_argument_group("inputs")
    what.add_argument("items", nargs="+", metavar="ITEM", help="a wheel's path or URL, a folder, NAME or NAME==VERSION")
    where = wheel.add_argument_group("target")
    add_targets(where, default=None)
    add_platforms(where, "default: every platform with a wheel")
    how = wheel.add_argument_group("checks")
    how.add_argument("--jobs", type=int, metavar="N", help="number of processes (default: one per core)")
    add_facts(how)
    add_read_again(how)
    add_rules(how)
    add_index(wheel)
    answer = add_answer(wheel, formats.OF_REPORT)
    add_also(answer)
    add_allow_unknown(answer)
    add_allow_machines(answer)
    wheel.set_defaults(answer=run_wheel)


def run_check(options: argparse.Namespace, screen: Screen) -> CommandAnswer:
    """Audit the inputs. Raise `FtauditError` for a problem that the user must fix."""
    from ftaudit import engine
    from ftaudit.progress import on_stderr

    check_reach(options)
    settings = settings_of(options)
    check_stress(options)
    if settings.stress and settings.static:
        raise UsageError("--static and --stress cannot be used together", hint="remove one of them")
    check_accept(options)
    check_answer(options, formats.OF_REPORT)
    if options.build and options.static:
        raise UsageError("--build runs code of the packages, and --static runs none", hint="leave one out")
    build_seconds = checked_seconds(options)
    inputs = inputs_of(options)
    with on_stderr(wanted=not options.quiet) as progress:
        reports = engine.audit_targets(inputs, settings, targets_of(options), progress=progress)
        if options.build:
            reports = tuple(_with_builds(report, settings, build_seconds, options, progress) for report in reports)
    return _answer(reports, options, screen)


def _with_builds(
    report: Report, settings: Settings, seconds: float, options: argparse.Namespace, progress: ProgressListener
) -> Report:
    """Return the report with builds of its source-only packages, each release once."""
    from ftaudit.engine.build_runs import build_releases
    from ftaudit.model import Verdict
    from ftaudit.sandbox.confined_build import BuildLimits

    releases = dict.fromkeys(
        (str(row.facts.pin.name), row.facts.pin.version)
        for row in report.packages
        if row.verdict is Verdict.SOURCE_ONLY and row.facts.pin.version is not None
    )
    built = build_releases(
        [(name, version) for name, version in releases if version is not None],
        replace(settings, target=report.target),
        limits=BuildLimits(seconds=seconds),
        wheel_dir=options.wheel_dir,
        progress=progress,
    )
    return replace(report, builds=tuple(built))


def run_wheel(options: argparse.Namespace, screen: Screen) -> CommandAnswer:
    """Audit the wheels. Raise `FtauditError` for a problem that the user must fix."""
    from ftaudit.engine.releases import target_of_wheels
    from ftaudit.engine.wheels import audit_wheels_for
    from ftaudit.progress import on_stderr

    options.target = options.target or [target_of_wheels(options.items)]
    settings = settings_of(options)
    check_accept(options)
    check_answer(options, formats.OF_REPORT)
    with on_stderr(wanted=not options.quiet) as progress:
        reports = audit_wheels_for(options.items, settings, targets_of(options), progress=progress)
    return _answer(reports, options, screen)


def _answer(reports: Sequence[Report], options: argparse.Namespace, screen: Screen) -> CommandAnswer:
    reports = tuple(accept_in_report(report, options) for report in reports)
    rendered = partial(formats.render_reports, reports, page=screen.page, command=options.command)
    settled = [settle_by_reach(report, options) or allow_machines(report, options) for report in reports]
    code = worst_exit_code(code for code, _ in settled)
    notes = tuple(dict.fromkeys(note for _, notes in settled for note in notes))
    return CommandAnswer(
        text=rendered(formats.choose(options.format, options.output, formats.OF_REPORT)),
        exit_code=code,
        output=options.output,
        notes=notes,
        also=tuple((path, rendered(form)) for path, form in also_of(options, formats.OF_REPORT)),
    )
