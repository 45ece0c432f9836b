"""The command `ftaudit config show`: the settings in force, and the origin of each."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ftaudit.cli.answer import CommandAnswer, Screen
from ftaudit.errors import UsageError

if TYPE_CHECKING:
    from ftaudit.config import Configuration, Setting
    from ftaudit.report.settings_listing import Known, SettingLine

EPILOG: Final = """\
examples:
  ftaudit config show                the settings in effect for every command
  ftaudit config show scan           for one command
  ftaudit config show --format json
"""


def add_parsers(commands: Any) -> None:
    """Add `config show` to the sub-commands."""
    config = commands.add_parser("config", help="show the settings in effect and where each one is set")
    actions = config.add_subparsers(title="commands", metavar="COMMAND", required=True)
    text = "show the settings in effect and where each one is set: command line, environment, file or default"
    show = actions.add_parser(
        "show",
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    show.add_argument("of", nargs="?", metavar="COMMAND", help="check, scan …; default all")
    show.add_argument("--format", choices=("table", "json"), default="table", help="default table")
    show.set_defaults(answer=run_show)


def run_show(options: argparse.Namespace, screen: Screen) -> CommandAnswer:
    """Return the settings. Raise `UsageError` for an unknown command or an invalid file."""
    from ftaudit.cli.configure import settings_in_force
    from ftaudit.cli.declare import declare
    from ftaudit.report import settings_listing

    keys = declare(options.build_parser())
    configuration: Configuration = options.configuration
    shown = [key for key in keys if options.of in (None, key.command, key.section)]
    if not shown:
        known = ", ".join(dict.fromkeys(key.section for key in keys))
        raise UsageError(f"{options.of} is not a command with configuration", hint=f"these can: {known}")
    lines = _lines(settings_in_force(shown, argparse.Namespace(), configuration))
    files = [_short(path) for path in configuration.files]
    accepted = _accepted(configuration)
    if options.format == "json":
        return CommandAnswer(text=settings_listing.render_json(lines, files, accepted))
    return CommandAnswer(
        text=settings_listing.render_table(lines, files, accepted, width=screen.width, color=screen.color)
    )


def _accepted(configuration: Configuration) -> list[Known]:
    if not configuration.accept:
        return []
    from ftaudit.accepting import parse_entries
    from ftaudit.report.settings_listing import Known

    return [
        Known(
            what=entry.title,
            reason=entry.reason,
            where=str(entry.location),
            expires=entry.expires,
            expired=entry.expired(date.today()),
        )
        for entry in parse_entries(configuration.accept)
    ]


def _lines(settings: Iterable[Setting]) -> list[SettingLine]:
    """Merge the settings that several commands share."""
    from ftaudit.report.settings_listing import SettingLine

    together: dict[tuple[str, str, str, str | None], list[Setting]] = {}
    for setting in settings:
        same = (setting.key.name, repr(setting.plain), setting.origin.value, setting.where)
        together.setdefault(same, []).append(setting)
    return sorted(
        (
            SettingLine(
                key=group[0].key.name,
                value=group[0].plain,
                origin=group[0].origin.value,
                where=group[0].where,
                commands=tuple(dict.fromkeys(setting.key.command for setting in group)),
            )
            for group in together.values()
        ),
        key=lambda line: (line.key, line.commands),
    )


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
