"""The command `ftaudit fleet`: many projects or packages at once."""

from __future__ import annotations

from typing import Any

from ftaudit.cli.fleet_report import add_report


def add_parsers(commands: Any) -> None:
    """Add `fleet` to the sub-commands."""
    fleet = commands.add_parser("fleet", help="check many projects or packages at once")
    add_report(fleet.add_subparsers(title="commands", metavar="COMMAND", required=True))
