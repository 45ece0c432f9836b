"""The options of reachability, and their effect on the exit code."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftaudit.cli.options import UNSURE, settle_exit
from ftaudit.errors import UsageError

if TYPE_CHECKING:
    from ftaudit.model import Report

LEVELS = ("start", "run", "any")
INPUTS = (".txt", ".in", ".toml", ".lock", ".json", ".yml", ".yaml", ".cfg", ".whl")
"""Suffixes of names that are inputs, not start points."""


def add_reach(parser: argparse.ArgumentParser) -> None:
    """Add the options for where the user's program starts."""
    group = next(each for each in parser._action_groups if each.title == "checks")
    text = "report whether and when your code loads each module"
    group.add_argument("--reach", nargs="?", const="", action="append", default=[], metavar="MODULE", help=text)
    root = "with --reach: a folder that your modules are imported from (repeatable)"
    group.add_argument("--source-root", action="append", default=[], type=Path, metavar="PATH", help=root)
    text = "with --reach: compare with runs that `ftaudit reach --run --record FILE` recorded (repeatable)"
    group.add_argument("--recorded", action="append", default=[], type=Path, metavar="FILE", help=text)


def add_fail_on_reach(group: Any) -> None:
    """Add `--fail-on-reach`."""
    text = "count only packages that your code loads: start, run (at start or later), any (unsure ones too)"
    group.add_argument("--fail-on-reach", choices=LEVELS, metavar="WHEN", help=text)


def check_reach(options: argparse.Namespace) -> None:
    """Raise an error for start points that are inputs, options that need `--reach`, and files that are not records."""
    from ftaudit.reach.starts import shortened

    for text in options.reach:
        if text.endswith(INPUTS) or ("/" in text and not text.endswith(".py") and _exists(text)):
            raise UsageError(
                f"--reach {shortened(text)}: an input, not a start point",
                hint=f"write the inputs first: ftaudit {options.command} {text} --reach",
            )
    for name in ("source_root", "recorded", "fail_on_reach"):
        if not options.reach and getattr(options, name, None):
            raise UsageError(f"--{name.replace('_', '-')} needs --reach", hint="add --reach")
    if options.recorded:
        from ftaudit.engine.recorded_loads import read_recorded

        for path in options.recorded:
            read_recorded(path)  # A file that is not a record is an error before the audit.


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except OSError:  # The name is too long.
        return False


def settle_by_reach(report: Report, options: argparse.Namespace) -> tuple[int, tuple[str, ...]] | None:
    """Return the exit code and a note if `--fail-on-reach` decides; `None` if it was not given."""
    level = getattr(options, "fail_on_reach", None)
    if level is None or not report.reach:
        return None
    from ftaudit.judge.reach_exit import FailOnReach, exit_code_by_reach

    code = exit_code_by_reach(report, FailOnReach(level))
    if code == report.exit_code:
        return None
    note = f"exit code {code}: --fail-on-reach {level} counts only what your code loads; the verdicts do not change"
    if code == UNSURE:
        settled, notes = settle_exit(code, options)
        return settled, (note, *notes)
    return code, (note,)
