"""The command `ftaudit fleet changes`: what has changed between two runs, project by project."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any, Final

from ftaudit.cli.answer import CommandAnswer, Screen
from ftaudit.cli.options import add_allow_unknown, add_also, add_answer, also_of, check_answer, settle_exit
from ftaudit.report import formats

EPILOG: Final = """\
exit codes: 0 nothing needs your attention · 1 something does
2 usage error or unreadable run
3 no change found, but not everything could be checked

examples:
  ftaudit fleet changes last-week/ run/
  ftaudit fleet changes last-week/ run/ --output news.md
"""


def add_changes(commands: Any) -> None:
    """Add `changes` to the sub-commands of `fleet`."""
    changes = commands.add_parser(
        "changes",
        help="report what has changed between two runs, project by project",
        description="Report what has changed between two runs for each project, like `ftaudit watch`.",
        epilog=EPILOG,
    )
    changes.add_argument("old", type=Path, metavar="OLD", help="the folder of the earlier run")
    changes.add_argument("new", type=Path, metavar="NEW", help="the folder of the later run")
    answer = add_answer(changes, formats.OF_WATCH)
    add_also(answer)
    add_allow_unknown(answer)
    changes.set_defaults(answer=run_changes)


def run_changes(options: argparse.Namespace, screen: Screen) -> CommandAnswer:
    """Compare. Raise `InputError` for runs that cannot be read, or that have nothing in common to compare."""
    from ftaudit.fleet.fleet_summary import read_summary
    from ftaudit.fleet.history import find_history

    check_answer(options, formats.OF_WATCH)
    history = find_history(read_summary(options.old), read_summary(options.new))
    rendered = partial(formats.render_fleet_changes, history, page=screen.page)
    code, notes = settle_exit(history.exit_code, options)
    return CommandAnswer(
        text=rendered(formats.choose(options.format, options.output, formats.OF_WATCH)),
        exit_code=code,
        output=options.output,
        notes=notes,
        also=tuple((file, rendered(also)) for file, also in also_of(options, formats.OF_WATCH)),
    )
