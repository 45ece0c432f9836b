"""The command line: parses, calls the engine, writes, and returns the exit code; it has no other logic."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final

from ftaudit.__about__ import __version__
from ftaudit.cli.parser import Parser
from ftaudit.errors import FtauditError

INTERRUPTED: Final = 130
OURS: Final = frozenset({"ftaudit", "ftaudit_rules"})
"""The packages without which an installation is broken."""

DESCRIPTION: Final = "Check whether Python packages are ready for free-threaded CPython."
EPILOG: Final = """\
exit codes: 0 nothing blocks · 1 something blocks
2 usage error or unreadable input · 3 no blocker found, but not all was checked

get started:
  ftaudit check                    audit the lock file or requirements file here
  ftaudit check requirements.txt   show what blocks, why, and what to do next
  ftaudit check --static uv.lock   audit without running any audited code
"""

START: Final = f"""\
{DESCRIPTION}

Get started:
  ftaudit check                    audit the lock file or requirements file here
  ftaudit check requirements.txt   show what blocks, why, and what to do next
  ftaudit scan                     find code here that breaks without the GIL
  ftaudit python install           once: get a python3.14t to import modules with

All commands: ftaudit --help
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code (docs/verdicts.md has the table)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments in (["--version"], ["-V"]):
        print(f"ftaudit {__version__}")
        return 0
    try:
        return _run(arguments)
    except FtauditError as error:
        from ftaudit.urls import redact

        print(f"ftaudit: error: {_plain(redact(error.problem))}", file=sys.stderr)
        if error.hint:
            print(f"  {_plain(redact(error.hint))}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if not name or name in OURS or name in sys.stdlib_module_names:
            raise
        print(f"ftaudit: error: the dependency {_plain(name)} is not installed", file=sys.stderr)
        print(
            "  run `pip install ftaudit` without --no-deps; only the guard "
            "and the pytest plugin work without dependencies",
            file=sys.stderr,
        )
        return FtauditError.exit_code
    except KeyboardInterrupt:
        print("ftaudit: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        _let_go_of_output()
        return 0


def _plain(text: str) -> str:
    """Return text without control characters, so that third-party text never controls the terminal."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)


def _run(arguments: list[str]) -> int:
    from ftaudit.cli.answer import find_screen, write
    from ftaudit.cli.configure import complete
    from ftaudit.cli.declare import declare, find_leaves

    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    parser = build_parser()
    keys = declare(parser)
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        dict(find_leaves(parser)).get(getattr(options, "command", ""), parser).refuse(unknown)
    if not hasattr(options, "answer"):
        print(START, end="")
        return 0
    options = complete(options, keys)
    answer = options.answer(options, find_screen(options))
    try:
        write(answer)
    except BrokenPipeError:
        # The reader closed the pipe (`| head`). The exit code still reports the result.
        _let_go_of_output()
    _tidy(options)
    return int(answer.exit_code)


def _let_go_of_output() -> None:
    """Write to nowhere from now on, so that Python's flush at exit does not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tidy(options: argparse.Namespace) -> None:
    """Limit the size of the cache; once a day is enough."""
    if getattr(options, "no_cache", True):
        return
    from ftaudit.cache.folder import tidy
    from ftaudit.cli.options import settings_of

    tidy(settings_of(options).cache)


def build_parser() -> Parser:
    """Return the parser of the whole command line."""
    from ftaudit.cli import (
        build_command,
        cache,
        check,
        completion,
        config,
        diff,
        explain,
        facts_command,
        fleet,
        plan,
        python,
        reach_command,
        report,
        scan,
        stress,
        watch,
    )

    parser = Parser(prog="ftaudit", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument(
        "-V", "--version", action="version", version=f"ftaudit {__version__}", help="show the version and exit"
    )
    # Two commands describe the command line itself, so they get the function that makes it.
    parser.set_defaults(build_parser=build_parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    auditing = (check, plan, report, reach_command, fleet, watch, scan, stress, build_command)
    for room in (*auditing, explain, diff, config, cache, facts_command, python, completion):
        room.add_parsers(commands)
    return parser
