#!/usr/bin/env python3
"""Writes the options of each command into its page under docs/commands, from the parser itself.

scripts/make_command_docs.py            write the tables
scripts/make_command_docs.py --check    write nothing; exit 1 if a table is stale or a page is missing
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from ftaudit.cli import build_parser

PAGES = Path(__file__).resolve().parent.parent / "docs" / "commands"
BEGIN, END = "<!-- options: made by scripts/make_command_docs.py -->\n", "<!-- end of options -->\n"
VALUES = ("NAME", "PART", "SHELL", "COMMAND")
"""What takes a value from a list. Help that begins with the list keeps the case of the value, as users type it."""


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the commands that a parser offers, by name; empty if it offers none."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def tables(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the lines of the tables of one command: one table for each group of its options."""
    nested = subcommands(parser)
    for name, command in nested.items():
        yield f"### `ftaudit {parser.prog.split()[-1]} {name}`\n"
        yield f"{command.description}\n" if command.description else ""
        yield from tables(command)
    if nested:
        return
    for group in parser._action_groups:
        rows = [row for action in group._group_actions if (row := _row(action))]
        if rows:
            yield f"**{(group.title or '').capitalize()}**\n"
            yield "| | |\n|---|---|"
            yield from rows
            yield ""


def _row(action: argparse.Action) -> str | None:
    if action.help == argparse.SUPPRESS or action.dest in ("help", "help_all"):
        return None
    value = "" if action.nargs == 0 else f" {_value(action)}"
    names = ", ".join(f"`{name}{value}`" for name in action.option_strings) or f"`{_value(action)}`"
    text = (action.help or "").replace("%%", "%").replace("|", "\\|")
    if action.metavar not in VALUES or not text.partition(" ")[0].endswith(","):
        text = f"{text[:1].upper()}{text[1:]}"
    return f"| {names} | {text} |"


def _value(action: argparse.Action) -> str:
    if action.metavar is None and action.choices:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return str(action.metavar or action.dest)


def page(text: str, parser: argparse.ArgumentParser, name: str) -> str:
    """Return the page of a command with its options as they have to be."""
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"docs/commands/{name}.md lacks the two comments that enclose the options")
    body = "\n".join(tables(parser)).strip()
    return f"{before}{BEGIN}\n{body}\n\n{END}{after}"


def main() -> int:
    """Write the tables, or return whether one is stale."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = []
    for name, command in subcommands(build_parser()).items():
        path = PAGES / f"{name}.md"
        if not path.exists():
            stale.append(f"docs/commands/{name}.md is missing: describe the command there")
            continue
        text = path.read_text("utf-8")
        wanted = page(text, command, name)
        if text != wanted:
            if check:
                stale.append(f"docs/commands/{name}.md is stale: run scripts/make_command_docs.py")
            else:
                path.write_text(wanted, "utf-8")
                print(f"wrote docs/commands/{name}.md")
    print("\n".join(stale), end="\n" if stale else "")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
