"""The commands `ftaudit fleet check`, `survey`, `status`, `report` and `changes`: many projects or packages at once."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ftaudit.cli.answer import CommandAnswer, Screen, say
from ftaudit.cli.fleet_changes import add_changes
from ftaudit.cli.fleet_report import add_report
from ftaudit.cli.options import (
    add_allow_unknown,
    add_facts,
    add_index,
    add_platforms,
    add_read_again,
    add_rules,
    add_targets,
    settings_of,
    settle_exit,
    targets_of,
)
from ftaudit.errors import InputError, UsageError
from ftaudit.model import worst_exit_code

if TYPE_CHECKING:
    from ftaudit.fleet.runs import FleetRun
    from ftaudit.fleet.schema import RunInfo
    from ftaudit.progress import ProgressListener

CONNECTIONS: Final = 32
MOST_NOTES: Final = 20
SLOWEST_RATE: Final = 0.01
"""Requests per second: with fewer, a run waits minutes for each one."""
MOST_GAPS: Final = 10
SCHEDULER: Final = "DASK_SCHEDULER_ADDRESS"
CHECK: Final = """\
examples:
  ftaudit fleet check ~/repositories -o run
  ftaudit fleet check --manifest teams.csv -o run --dask tcp://scheduler:8786
"""
SURVEY: Final = """\
examples:
  ftaudit fleet survey lxml numpy -o run
  ftaudit fleet survey --names packages.txt --newest 3 -o run
"""
STATUS: Final = """\
examples:
  ftaudit fleet status run
"""


def add_parsers(commands: Any) -> None:
    """Add `fleet` with its actions to the sub-commands."""
    fleet = commands.add_parser("fleet", help="audit many projects or packages at once")
    actions = fleet.add_subparsers(title="commands", metavar="COMMAND", required=True)

    check = actions.add_parser(
        "check",
        help="audit many projects, and read each wheel only once",
        description="Audit many projects, and write a data set. Read each wheel only once, and run no audited code.",
        epilog=CHECK,
    )
    what = check.add_argument_group("inputs")
    what.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="a folder of repositories, or an input")
    manifest = "a CSV file with INPUT,NAME,OWNER on each line (repeatable)"
    what.add_argument("--manifest", action="append", default=[], type=Path, metavar="FILE", help=manifest)
    what.add_argument("--all-extras", action="store_true", help="include every extra")
    what.add_argument("--no-deps", action="store_true", help="audit only the listed packages, not their dependencies")
    _add_run(check)
    check.set_defaults(answer=run_check)

    survey = actions.add_parser(
        "survey",
        help="audit the newest releases of packages",
        description="Audit the newest releases of packages, and write a data set. Run no audited code.",
        epilog=SURVEY,
    )
    what = survey.add_argument_group("inputs")
    what.add_argument("package_names", nargs="*", metavar="NAME", help="a package")
    named = "a file with one name on each line (repeatable)"
    what.add_argument("--names", action="append", default=[], type=Path, metavar="FILE", help=named)
    newest = "audit the N newest releases of each package (default 1)"
    what.add_argument("--newest", type=int, default=1, metavar="N", help=newest)
    since = "audit all releases since DATE (such as 2026-01-31), or else the newest one"
    what.add_argument("--since", metavar="DATE", help=since)
    _add_run(survey)
    survey.set_defaults(answer=run_survey)

    status = actions.add_parser(
        "status",
        help="show the progress of a run",
        description="Show the progress of a run, even while another terminal runs it.",
        epilog=STATUS,
    )
    status.add_argument("folder", type=Path, metavar="FOLDER", help="the folder of the run")
    status.set_defaults(answer=run_status)
    add_report(actions)
    add_changes(actions)


def _add_run(parser: Any) -> None:
    where = parser.add_argument_group("target")
    add_targets(where)
    add_platforms(where, "default: this machine")
    how = parser.add_argument_group("execution")
    how.add_argument("--workers", type=int, metavar="N", help="number of local processes (default: one per core)")
    dask = f"the scheduler of a Dask cluster to run on (default: {SCHEDULER}, if it is set)"
    how.add_argument("--dask", metavar="ADDRESS", help=dask)
    rate = "maximum requests per second to one host, for all workers together (default: no limit)"
    how.add_argument("--rate", type=float, metavar="N", help=rate)
    connections = f"maximum connections to one host, for all workers together (default {CONNECTIONS})"
    how.add_argument("--connections", type=int, default=CONNECTIONS, metavar="N", help=connections)
    add_facts(how)
    add_read_again(how)
    add_rules(how)
    add_index(parser)
    answer = parser.add_argument_group("output")
    folder = "the folder for the data set; run the command again to resume"
    answer.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help=folder)
    answer.add_argument("-q", "--quiet", action="store_true", help="no progress display")
    add_allow_unknown(answer)


def run_check(options: argparse.Namespace, screen: Screen) -> CommandAnswer:
    """Audit the projects. Raise `FtauditError` for a problem that the user must fix."""
    from ftaudit.fleet.runs import check_fleet
    from ftaudit.progress import on_stderr

    with _resumable(), on_stderr(wanted=not options.quiet, estimate=True) as progress:
        info = check_fleet(options.paths, options.manifest, _run(options, progress))
    return _answer(options, info)


def run_survey(options: argparse.Namespace, screen: Screen) -> CommandAnswer:
    """Audit the packages. Raise `FtauditError` for a problem that the user must fix."""
    from ftaudit.fleet.runs import survey_fleet
    from ftaudit.progress import on_stderr

    if options.newest < 1:
        raise UsageError("--newest takes a positive number")
    try:
        since = (
            None
            if options.since is None
            else datetime.combine(date.fromisoformat(options.since), time.min, timezone.utc)
        )
    except ValueError as error:
        raise UsageError(f"--since {options.since} is not a date", hint="write it as 2026-01-31") from error
    names = [*options.package_names, *(name for path in options.names for name in _names(path))]
    with _resumable(), on_stderr(wanted=not options.quiet, estimate=True) as progress:
        info = survey_fleet(names, _run(options, progress), newest=options.newest, since=since)
    return _answer(options, info)


def run_status(options: argparse.Namespace, screen: Screen) -> CommandAnswer:
    """Return the progress of a run. Raise `InputError` if the folder has none."""
    from ftaudit.fleet.run_status import describe
    from ftaudit.report.console import clean

    return CommandAnswer(text="".join(f"{clean(line)}\n" for line in describe(options.folder)))


def _run(options: argparse.Namespace, progress: ProgressListener) -> FleetRun:
    from ftaudit.cores import count_cores
    from ftaudit.fleet.executors import FEWEST_CONNECTIONS, Executor, LocalWorkers, limited
    from ftaudit.fleet.runs import FleetRun

    for name in ("workers", "rate", "connections"):
        if (value := getattr(options, name)) is not None and value <= 0:
            raise UsageError(f"--{name} takes a positive number")
    if options.dask and options.workers:
        hint = "leave out --workers: the cluster decides how many workers it has"
        raise UsageError("--dask and --workers exclude each other", hint=hint)
    if options.rate is not None and not (SLOWEST_RATE <= options.rate < math.inf):
        raise UsageError(f"--rate takes a number of at least {SLOWEST_RATE}")
    if options.connections < FEWEST_CONNECTIONS:
        hint = "a worker needs one for index pages, and three for wheels"
        raise UsageError(f"--connections takes a number of at least {FEWEST_CONNECTIONS}", hint=hint)
    most = options.connections // FEWEST_CONNECTIONS
    workers = options.workers or count_cores()
    settings = replace(settings_of(options), static=True, jobs=1, connections=options.connections)
    address = options.dask or (None if options.workers else os.environ.get(SCHEDULER))
    if workers > most and not address:
        say(limited(most))
    workers = min(workers, most)
    executor: Executor = LocalWorkers(workers)
    if address:
        from ftaudit.fleet.dask_cluster import DaskWorkers
        from ftaudit.index.index_settings import options_of_environment

        executor = DaskWorkers(address, most=most, say=say)
        # The workers have environments of their own.
        given = options_of_environment(os.environ)
        settings = replace(
            settings,
            index_url=settings.index_url or given.index_url,
            extra_index_urls=settings.extra_index_urls or given.extra_index_urls,
            find_links=settings.find_links or given.find_links,
        )
    return FleetRun(
        output=options.output,
        settings=settings,
        targets=targets_of(options),
        executor=executor,
        workers=workers,
        progress=progress,
    )


@contextlib.contextmanager
def _resumable() -> Iterator[None]:
    """Say how to go on if the user interrupts the run."""
    try:
        yield
    except KeyboardInterrupt:
        say("to resume the run, repeat the command")
        raise


def _names(path: Path) -> list[str]:
    """Return the names in a file; empty lines and what follows `#` are ignored."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InputError(f"{path} cannot be read: {why}") from error
    return [name for line in lines if (name := line.partition("#")[0].strip())]


def _answer(options: argparse.Namespace, info: RunInfo) -> CommandAnswer:
    from ftaudit.fleet.dataset import RUN_FILE, read_rows
    from ftaudit.fleet.run_status import describe_rows, describe_stores
    from ftaudit.fleet.schema import PACKAGES, PROJECTS, Mode
    from ftaudit.report.console import clean

    verdicts: Counter[tuple[str, str]] = Counter()
    blocks = unsure = False
    gaps: dict[str, None] = {}
    for row in read_rows(options.output, PACKAGES):
        if row["verdict"] == "unknown":
            what = " ".join(filter(None, (row["package"], row["version"])))
            gaps[f"unknown: {what}: {row['reasons'][0] if row['reasons'] else 'no reason is known'}"] = None
        verdicts[row["target"], row["verdict"]] += 1
        blocks = blocks or row["blocks"]
        unsure = unsure or row["verdict"] == "unknown"
    lines = [f"{options.output}: {describe_rows(info)}"]
    for target in info.targets:
        found = ", ".join(f"{count} {name}" for (of, name), count in sorted(verdicts.items()) if of == target)
        lines.append(f"{target}: {found or 'no package'}")
    if info.mode is Mode.CHECK:
        of_projects: dict[str, list[int]] = {}
        for row in read_rows(options.output, PROJECTS):
            of_projects.setdefault(row["project"], []).append(row["exit_code"])
            why = [f"could not be read: {row['project']}: {row['problem']}"] if row["problem"] else []
            why += [f"not checked in {row['project']}: {each}" for each in row["incomplete"]]
            gaps = {**dict.fromkeys(why), **gaps}
        codes = Counter(2 if 2 in each else worst_exit_code(each) for each in of_projects.values())
        blocks, unsure = codes[1] > 0, codes[2] + codes[3] > 0
        meanings = {0: "nothing blocks", 1: "something blocks", 2: "could not be read", 3: "not everything was checked"}
        lines.append(
            "projects: " + ", ".join(f"{codes[code]} {what}" for code, what in meanings.items() if codes[code])
        )
    lines += list(gaps)[:MOST_GAPS]
    if len(gaps) > MOST_GAPS:
        lines.append(f"and {len(gaps) - MOST_GAPS} more that could not be checked (`ftaudit fleet report` lists them)")
    if info.kept:
        kept = "1 package is unchanged" if info.kept == 1 else f"{info.kept} packages are unchanged"
        lines.append(f"{kept} since an earlier run; ftaudit reuses the earlier answers")
    lines += describe_stores(info)
    notes = info.notes[:MOST_NOTES]
    if len(info.notes) > MOST_NOTES:
        notes += (f"{len(info.notes) - MOST_NOTES} more notes are in {options.output / RUN_FILE}",)
    code, settled = settle_exit(1 if blocks else 3 if unsure else 0, options)
    # Much of this is in the words of others: names, messages of indexes, makers of stores.
    text = "".join(f"{clean(line)}\n" for line in lines)
    return CommandAnswer(text=text, exit_code=code, notes=(*map(clean, notes), *settled))
