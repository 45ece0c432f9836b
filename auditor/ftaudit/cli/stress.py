"""The command `ftaudit stress`: packages used by many threads at once."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ftaudit.cli.accept import accept_in_report, check_accept
from ftaudit.cli.answer import CommandAnswer, Screen, say
from ftaudit.cli.options import (
    add_allow_unknown,
    add_also,
    add_answer,
    add_index,
    add_target,
    also_of,
    check_answer,
    inputs_of,
    settings_of,
    settle_exit,
)
from ftaudit.errors import UsageError
from ftaudit.report import formats
from ftaudit.stress.stress_settings import DEFAULT_BUDGET, LEAST_BUDGET, MOST_BUDGET, MOST_THREADS

if TYPE_CHECKING:
    from ftaudit.model import Report

EPILOG: Final = """\
examples:
  ftaudit stress ujson==6.1.0
  ftaudit stress ujson cytoolz --budget 20 --report failures/
  ftaudit stress uv.lock             every ready package in a lock file
  ftaudit stress --replay failures/ujson-6.1.0-1.py
"""


def add_parsers(commands: Any) -> None:
    """Add `stress` to the sub-commands."""
    stress = commands.add_parser(
        "stress",
        help="call packages from many threads without the GIL, and report what fails",
        description="Call packages from many threads at once without the GIL, in a sandbox, and report what fails. "
        "A run without a failure does not prove that a package is safe.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = stress.add_argument_group("inputs")
    what.add_argument("inputs", nargs="*", metavar="ITEM", help="NAME, NAME==VERSION, a wheel, or any input of `check`")
    env = "an environment or site-packages folder (repeatable)"
    what.add_argument("--env", action="append", default=[], metavar="PATH", help=env)
    text = "run a script that --report wrote, with and without the GIL"
    what.add_argument("--replay", type=Path, metavar="FILE", help=text)
    how = stress.add_argument_group("schedules")
    add_stress(how)
    where = stress.add_argument_group("execution")
    add_target(where)
    where.add_argument("--python", type=Path, metavar="PATH", help="the interpreter that runs the packages")
    add_index(stress)
    answer = add_answer(stress, formats.OF_REPORT)
    text = "write a script for each failure to FOLDER"
    answer.add_argument("--report", type=Path, metavar="FOLDER", help=text)
    add_also(answer)
    add_allow_unknown(answer)
    stress.set_defaults(answer=run_stress)


def add_stress(group: Any, *, optional: bool = False) -> None:
    """Add the options of stress.

    `optional` is for a command with another purpose: one option enables stress, and the options that repeat a run are
    left to `ftaudit stress`.
    """
    if optional:
        text = "also call ready packages from many threads (60 s each)"
        group.add_argument("--stress", action="store_true", help=text)
    text = f"processor time for each package in seconds (default {DEFAULT_BUDGET:g})"
    group.add_argument("--budget", type=float, default=DEFAULT_BUDGET, metavar="S", help=text)
    if not optional:
        text = "number of threads (default: varied)"
        group.add_argument("--threads", type=int, metavar="N", help=text)
        group.add_argument("--seed", type=int, default=1, metavar="N", help="the seed of the schedules (default 1)")
    text = "a folder with your own recipes (repeatable)"
    group.add_argument("--recipes", action="append", default=[], type=Path, metavar="FOLDER", help=text)


def check_stress(options: argparse.Namespace) -> None:
    """Raise `UsageError` for a budget that is too short to be useful, and for thread counts without concurrency."""
    if not LEAST_BUDGET <= options.budget <= MOST_BUDGET:
        raise UsageError(f"--budget takes {LEAST_BUDGET:g} to {MOST_BUDGET:g} seconds", hint="see --help")
    threads: int | None = getattr(options, "threads", None)
    if threads is not None and not 2 <= threads <= MOST_THREADS:
        raise UsageError(f"--threads takes 2 to {MOST_THREADS}", hint="see --help")


def run_stress(options: argparse.Namespace, screen: Screen) -> CommandAnswer:
    """Stress the arguments. Raise `FtauditError` for a problem that the user must fix."""
    from ftaudit.engine.stress_run import replay, stress
    from ftaudit.progress import on_stderr

    check_stress(options)
    settings = settings_of(options)
    check_accept(options)
    check_answer(options, formats.OF_REPORT)
    if options.replay is not None:
        if options.inputs or options.env:
            raise UsageError("--replay takes no other input", hint="ftaudit stress --replay FILE")
        with on_stderr(wanted=not options.quiet) as progress:
            replayed = replay(options.replay, settings, progress=progress)
        return CommandAnswer(text=f"{replayed.sentence}\n", exit_code=replayed.exit_code, output=options.output)
    items = inputs_of(options)
    with on_stderr(wanted=not options.quiet) as progress:
        report = stress(items, settings, progress=progress)
    report = accept_in_report(report, options)
    if options.report is not None:
        _write_scripts(report, options.report)
    code, notes = settle_exit(report.exit_code, options)
    rendered = partial(formats.render_report, report, page=screen.page, command=options.command)
    return CommandAnswer(
        text=rendered(formats.choose(options.format, options.output, formats.OF_REPORT)),
        exit_code=code,
        output=options.output,
        notes=notes,
        also=tuple((path, rendered(form)) for path, form in also_of(options, formats.OF_REPORT)),
    )


def _write_scripts(report: Report, folder: Path) -> None:
    """Write one script for each failure; raise `UsageError` if the folder cannot be written to."""
    from ftaudit.report.package.stress_script import scripts

    for name, text in scripts(report):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"cannot write {folder / name}: {error.strerror}", hint="specify another folder"
            ) from error
        say(f"wrote {folder / name}")
