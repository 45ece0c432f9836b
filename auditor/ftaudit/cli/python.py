"""The command `ftaudit python`: find or provide the free-threaded interpreter."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ftaudit.cli.answer import CommandAnswer, Screen, say
from ftaudit.cli.options import add_target, settings_of


def add_parsers(commands: Any) -> None:
    """Add `python find` and `python install` to the sub-commands."""
    python = commands.add_parser(
        "python", help="find or install the free-threaded interpreter that imports the modules"
    )
    actions = python.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, text in (
        ("find", "print which free-threaded interpreter ftaudit uses, and why"),
        ("install", "find an interpreter, or install it with uv, or build it from source"),
    ):
        action = actions.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=f"examples:\n  ftaudit python {name}\n  ftaudit python {name} --target 3.15t",
        )
        add_target(action)
        action.add_argument("--python", type=Path, metavar="PATH", help="use only this interpreter")
        action.add_argument("--cache-dir", type=Path, metavar="PATH", help="the cache folder (default: the user's)")
        action.set_defaults(answer=run, action=name)


def run(options: argparse.Namespace, screen: Screen) -> CommandAnswer:
    """Find or provide one. Raise `InterpreterError` with everything that was tried."""
    from ftaudit import interpreters
    from ftaudit.target import parse_target

    target, cache = parse_target(options.target), settings_of(options).cache
    if options.action == "find" or options.python is not None:
        found = interpreters.find_interpreter(target, explicit=options.python, cache_dir=cache)
    else:
        found = interpreters.provide_interpreter(target, cache_dir=cache, progress=say)
    notes = [f"CPython {found.version}, {found.source}"]
    if options.action == "find":
        notes += [f"skipped: {attempt}" for attempt in found.attempts]
    if found.missing:
        notes.append(f"built without {', '.join(found.missing)}: modules that need it fail to import")
    return CommandAnswer(text=f"{found.path}\n", notes=tuple(notes))
