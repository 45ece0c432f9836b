"""The command `ftaudit watch`: what has changed in a project since the last run."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any, Final

from ftaudit.cli.accept import accept_in_report, add_baseline, check_accept
from ftaudit.cli.answer import CommandAnswer, Screen
from ftaudit.cli.options import (
    add_allow_unknown,
    add_also,
    add_answer,
    add_audit,
    also_of,
    check_answer,
    inputs_of,
    settings_of,
    settle_exit,
    targets_of,
)
from ftaudit.errors import UsageError
from ftaudit.report import formats

LAST_RUN: Final = Path("ftaudit-watch.json")
EPILOG: Final = """\
exit codes: 0 nothing needs your attention · 1 something does
2 usage error, unreadable input or damaged last run
3 no change found, but not everything could be checked

examples:
  ftaudit watch uv.lock --static --quiet >news || mail -s news me <news
"""


def add_parsers(commands: Any) -> None:
    """Add `watch` to the sub-commands."""
    watch = commands.add_parser(
        "watch",
        help="report what has changed since the last run: new good releases, new blockers, new wheels",
        description="Report what has changed since the last run, in the project and on the package index.",
        epilog=EPILOG,
    )
    add_audit(watch)
    answer = add_answer(watch, formats.OF_WATCH)
    last = f"the file that keeps the last run (default {LAST_RUN})"
    answer.add_argument("--last-run", type=Path, default=LAST_RUN, metavar="FILE", help=last)
    answer.add_argument("--no-record", action="store_true", help="do not save this run as the last run")
    add_also(answer)
    add_allow_unknown(answer)
    add_baseline(answer)
    watch.set_defaults(answer=run_watch)


def run_watch(options: argparse.Namespace, screen: Screen) -> CommandAnswer:
    """Audit, compare, and record. Raise `FtauditError` for a problem that the user must fix."""
    from ftaudit import engine
    from ftaudit.compare.documents import parse_document
    from ftaudit.compare.last_run import read_last_run, render_last_run
    from ftaudit.compare.watching import WatchedTarget, find_changes, keep
    from ftaudit.engine.reproduce import present_time
    from ftaudit.engine.session import open_sessions
    from ftaudit.engine.upstream import find_published, why_stale
    from ftaudit.progress import on_stderr
    from ftaudit.report.watched_changes import WatchAnswer

    settings, path = settings_of(options), options.last_run
    check_accept(options)
    check_answer(options, formats.OF_WATCH)
    if not path.resolve().parent.is_dir():
        raise UsageError(f"the folder of --last-run {path} does not exist", hint="create it, or specify another file")
    inputs = inputs_of(options)
    last = read_last_run(path, tuple(inputs))
    watched, stale = [], {}
    with (
        on_stderr(wanted=not options.quiet) as progress,
        open_sessions(inputs, settings, targets_of(options), progress) as sessions,
    ):
        for session in sessions:
            report = accept_in_report(engine.audit_inputs(session), options)
            (audit,) = parse_document(report.to_json().encode("utf-8", "replace"), "this run").audits
            watched.append(WatchedTarget(audit=audit, published=find_published(session, report)))
            stale[audit.target] = why_stale(session)
    before = {each.audit.target: None if last is None else last.of(each.audit.target) for each in watched}
    answer = WatchAnswer(
        inputs=tuple(inputs),
        last_run=None if last is None else last.recorded,
        targets=tuple(
            find_changes(before[each.audit.target], each, stale=stale[each.audit.target]) for each in watched
        ),
    )
    kept = tuple(keep(before[each.audit.target], each) for each in watched)
    record = render_last_run(last, kept, inputs=tuple(inputs), path=path, now=present_time())
    code, notes = settle_exit(answer.exit_code, options)
    rendered = partial(formats.render_watch, answer, page=screen.page)
    return CommandAnswer(
        text=rendered(formats.choose(options.format, options.output, formats.OF_WATCH)),
        exit_code=code,
        output=options.output,
        notes=notes,
        also=tuple((other, rendered(each)) for other, each in also_of(options, formats.OF_WATCH)),
        last=() if options.no_record else ((path, record),),
    )
