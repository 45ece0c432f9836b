"""The command line: parse, call the engine, write, return the exit code; no other logic."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

from ftaudit.__about__ import __version__
from ftaudit.errors import FtauditError, UsageError

INTERRUPTED: Final = 130

DESCRIPTION: Final = "Tells whether a Python stack is ready for free-threaded CPython, from evidence."
EPILOG: Final = """\
exit codes: 0 nothing blocks · 1 something blocks · 2 usage or unreadable input · 3 nothing found to block,
but not everything could be checked

start here:
  ftaudit check                      the lock file or requirements in this folder
  ftaudit check requirements.txt     what blocks, why, who pulls it in, what to do
  ftaudit check --static uv.lock     the same without running any code of the audited packages
"""


class _Parser(argparse.ArgumentParser):
    """Raises usage errors instead of exiting, so that they are printed like every other error."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"see `{self.prog} --help`")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code (docs/usage.md has the table)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments in (["--version"], ["-V"]):
        print(f"ftaudit {__version__}")
        return 0
    try:
        return _run(arguments)
    except FtauditError as error:
        print(f"ftaudit: error: {error.problem}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("ftaudit: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away; nothing is left to say and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(arguments: list[str]) -> int:
    from ftaudit.cli.answer import find_screen, write

    parser = build_parser()
    options = parser.parse_args(arguments)
    if not hasattr(options, "answer"):
        parser.print_help()
        return 0
    answer = options.answer(options, find_screen(options))
    write(answer)
    return int(answer.exit_code)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    from ftaudit.cli import check, python, scan

    parser = _Parser(
        prog="ftaudit", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-V", "--version", action="version", version=f"ftaudit {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for room in (check, scan, python):
        room.add_parsers(commands)
    return parser
