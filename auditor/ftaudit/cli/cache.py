"""The commands `ftaudit cache show` and `ftaudit cache clean`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

from ftaudit.cli.answer import CommandAnswer, Screen
from ftaudit.cli.options import settings_of
from ftaudit.errors import UsageError

SHOW: Final = """\
examples:
  ftaudit cache show
"""
CLEAN: Final = """\
examples:
  ftaudit cache clean                all except interpreters and facts stores
  ftaudit cache clean index sdists   only these parts
"""


def add_parsers(commands: Any) -> None:
    """Add `cache show` and `cache clean` to the sub-commands."""
    cache = commands.add_parser("cache", help="show or empty the cache")
    actions = cache.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, text, epilog, run in (
        ("show", "show the location and the size of the cache", SHOW, run_show),
        ("clean", "empty the cache", CLEAN, run_clean),
    ):
        action = actions.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", epilog=epilog)
        if name == "clean":
            about = "index, binary, sdists …, as in `cache show` (default: all except facts, python)"
            action.add_argument("parts", nargs="*", metavar="PART", help=about)
        action.add_argument("--cache-dir", type=Path, metavar="PATH", help="the cache folder (default: the user's)")
        action.set_defaults(answer=run)


def run_show(options: argparse.Namespace, screen: Screen) -> CommandAnswer:
    """Return the content of the cache."""
    from ftaudit.cache.folder import measure

    cache = settings_of(options).cache
    lines = [str(cache)]
    lines += [
        f"  {size.part.name:13} {size.bytes / 1e6:9.1f} MB  {size.items:6} items  {size.part.what}"
        for size in measure(cache)
    ]
    return CommandAnswer(text="\n".join(lines) + "\n")


def run_clean(options: argparse.Namespace, screen: Screen) -> CommandAnswer:
    """Empty the named parts. Raise `UsageError` for an unknown part."""
    from ftaudit.cache.folder import PARTS, clean
    from ftaudit.config.keys import nearest

    known = {part.name: part for part in PARTS}
    for name in options.parts:
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean {near}?" if near else f"choose from {', '.join(known)}"
            raise UsageError(f"the cache has no part {name!r}", hint=hint)
    chosen = [known[name] for name in dict.fromkeys(options.parts)] or [part for part in PARTS if not part.costly]
    cache = settings_of(options).cache
    freed = clean(cache, chosen)
    return CommandAnswer(text=f"{freed / 1e6:.1f} MB removed from {cache}\n")
