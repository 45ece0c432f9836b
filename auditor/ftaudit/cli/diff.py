"""The command `ftaudit diff`: what improved, worsened, appeared, and disappeared between two JSON reports."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

from ftaudit.cli.answer import CommandAnswer, Screen
from ftaudit.cli.options import add_answer
from ftaudit.report import formats
from ftaudit.report.formats import Format

OFFERED: Final = (Format.TABLE, Format.JSON, Format.MARKDOWN)
EPILOG: Final = """\
exit codes: 0 nothing got worse · 1 something did · 2 cannot compare these files
3 nothing got worse, but something could no longer be checked

examples:
  ftaudit check --output new.json; ftaudit diff old.json new.json
  ftaudit diff old.json new.json --format markdown
"""


def add_parsers(commands: Any) -> None:
    """Add `diff` to the sub-commands."""
    diff = commands.add_parser(
        "diff",
        help="compare two JSON reports: improvements, regressions, additions and removals",
        description="Compare two JSON reports of check, wheel, scan or report.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    diff.add_argument("old", type=Path, metavar="OLD.json", help="the earlier report")
    diff.add_argument("new", type=Path, metavar="NEW.json", help="the later report")
    add_answer(diff, OFFERED)
    diff.set_defaults(answer=run_diff)


def run_diff(options: argparse.Namespace, screen: Screen) -> CommandAnswer:
    """Compare. Raise `InputError` for files that are not reports, or that have nothing in common to compare."""
    from ftaudit.compare import compare, read_document
    from ftaudit.report import comparison

    form = formats.choose(options.format, options.output, OFFERED)
    compared = compare(read_document(options.old), read_document(options.new))
    match form:
        case Format.JSON:
            text = comparison.render_json(compared)
        case Format.MARKDOWN:
            text = comparison.render_markdown(compared)
        case _:
            text = comparison.render_table(compared, width=screen.width, color=screen.color)
    return CommandAnswer(text=text, exit_code=compared.exit_code, output=options.output)
