"""The parser's options as keys of the configuration: each option is declared once, by the command that adds it to its
parser.

The rest of this module is policy: what a file found in a checkout may not decide, what belongs to one run and not to a
file, and which environment variables set the same option.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ftaudit.cli.parser import HelpAll, Parser
from ftaudit.config.keys import Key, ValueKind

RESERVED: Final = {
    "python": "it names a program to be run",
    "cache_dir": "ftaudit trusts this folder, and runs an interpreter in it",
    "facts": "ftaudit trusts what the store contains",
    "read_again": "it decides how far ftaudit trusts facts stores",
    "output": "it names a file that ftaudit replaces",
    "wheel_dir": "it names a folder that ftaudit writes to",
}
"""By the name of the option in the command's code."""

CONTAINED: Final = frozenset({"rules", "recipes", "baseline", "last_run"})
"""A folder whose modules are run, which must be in the project, like `conftest.py`; a file that may be replaced."""

UNSAVED: Final = frozenset(
    {
        "help",
        "help_all",
        "version",
        "config",
        "no_config",
        "update_baseline",
        "write",
        "declare",
        "stress_wheel",
        "diff",
        "changed",
        "also",
        "parts",
        "replay",
        "report",
        "run",
        "record",
        "no_record",
        "since",
        "stores",
        "manifest",
        "package_names",
        "names",
        "wheels",
    }
)
"""Options for a single run: a file would repeat them each time without a request."""

BARE: Final = frozenset({"target"})
"""Usually a single value, which a file may write without a list."""

LOCATED: Final = frozenset({"inputs", "paths", "items", "find_links", "index_url", "extra_index_url"})
"""Text that can be a path."""


def _variables() -> dict[str, tuple[str, ...]]:
    from ftaudit.index.index_settings import EXTRA_INDEX_VARIABLES, INDEX_VARIABLES, LINK_VARIABLES
    from ftaudit.processes import PYTHON_VARIABLE
    from ftaudit.settings import CACHE_VARIABLE

    return {
        "python": (PYTHON_VARIABLE,),
        "cache_dir": (CACHE_VARIABLE,),
        "index_url": INDEX_VARIABLES,
        "extra_index_url": EXTRA_INDEX_VARIABLES,
        "find_links": LINK_VARIABLES,
    }


def find_leaves(parser: Parser, name: str = "") -> Iterator[tuple[str, Parser]]:
    """Yield each command that can be run, with its parser: `check`, `python find`."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        yield name, parser
    for action in inner:
        for word, leaf in action.choices.items():
            yield from find_leaves(leaf, f"{name} {word}".strip())


def declare(parser: Parser) -> tuple[Key, ...]:
    """Return the keys of all commands, and make the parser report only the options that were given.

    Each command that can be configured gets `--config` and `--no-config`, and each switch its opposite (`--no-static`),
    so that the command line can take back what a file says.
    """
    variables = _variables()
    every: list[Key] = []
    for command, leaf in find_leaves(parser):
        leaf.set_defaults(command=command)
        leaf.add_argument("--help-all", action=HelpAll, nargs=0, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        keys = [(action, key) for action in leaf._actions if (key := _key(command, action, variables)) is not None]
        if not keys:
            continue
        for action, key in keys:
            action.default = argparse.SUPPRESS
            if key.kind is ValueKind.SWITCH:
                _add_opposite(leaf, key)
        _add_config(leaf)
        every += (key for _, key in keys)
    return tuple(every)


def _key(command: str, action: argparse.Action, variables: dict[str, tuple[str, ...]]) -> Key | None:
    long = next((option for option in action.option_strings if option.startswith("--")), None)
    # argparse treats an argument that accepts any number of values, including none, as required.
    needed = action.required if action.option_strings else action.nargs != "*"
    if action.dest in UNSAVED or needed or (action.option_strings and long is None):
        return None
    many = isinstance(action, argparse._AppendAction) or action.nargs in ("*", "+")
    switch = isinstance(action, argparse._StoreTrueAction)
    if not (switch or many or isinstance(action, argparse._StoreAction)):
        return None
    kinds: dict[Any, ValueKind] = {Path: ValueKind.PATH, int: ValueKind.WHOLE, float: ValueKind.NUMBER}
    kind = ValueKind.SWITCH if switch else kinds.get(action.type, ValueKind.TEXT)
    default = [] if action.default is None and many else action.default
    return Key(
        command=command,
        name=action.dest.replace("_", "-") if long is None else long[2:],
        dest=action.dest,
        kind=kind,
        many=many,
        bare=many and action.dest in BARE,
        choices=tuple(map(str, action.choices or ())),
        default=default,
        help=action.help or "",
        convert=action.type if kind is ValueKind.TEXT and callable(action.type) else None,
        variables=variables.get(action.dest, ()),
        reserved=RESERVED.get(action.dest),
        contained=action.dest in CONTAINED,
        located=action.dest in LOCATED,
    )


def _add_opposite(leaf: Parser, key: Key) -> None:
    opposite = f"--{key.name[3:]}" if key.name.startswith("no-") else f"--no-{key.name}"
    if opposite not in leaf._option_string_actions:
        leaf.add_argument(
            opposite, dest=key.dest, action="store_false", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )


def _add_config(leaf: Parser) -> None:
    group = leaf.add_argument_group("configuration")
    group.add_argument("--config", type=Path, metavar="FILE", help="read only this TOML file")
    group.add_argument("--no-config", action="store_true", help="ignore all configuration files")
