"""The settings in force, as a table or as JSON: each key, its value, its origin, and its commands."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ftaudit.__about__ import __version__
from ftaudit.report.console import DEFAULT_WIDTH, clean, draw

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingLine:
    """One key with one value, and the commands to which it applies."""

    key: str
    value: Any
    origin: str
    """`command line`, `environment`, `file` or `default`."""
    where: str | None
    commands: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """One `accept` entry."""

    what: str
    reason: str
    where: str
    expires: date | None
    expired: bool


def render_table(
    lines: Sequence[SettingLine],
    files: Sequence[str],
    known: Sequence[Known] = (),
    *,
    width: int = DEFAULT_WIDTH,
    color: bool = False,
) -> str:
    """Return the settings as text that is `width` columns wide."""

    def write(console: Console) -> None:
        from rich.table import Table
        from rich.text import Text

        console.print(Text("read: " + (clean(", ".join(files)) or "no configuration file"), style="dim"))
        console.print()
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("key", "value", "from", "for"):
            table.add_column(heading, overflow="fold")
        for line in lines:
            origin = line.origin if line.where is None else line.where
            table.add_row(
                *map(Text, (line.key, clean(_shown(line.value)), clean(origin), ", ".join(line.commands))),
                style="dim" if line.origin == "default" else "",
            )
        console.print(table)
        for entry in known:
            until = "" if entry.expires is None else f", {'expired on' if entry.expired else 'until'} {entry.expires}"
            text = f"accepted: {entry.what}: {entry.reason} ({entry.where}{until})"
            console.print(Text(clean(text), style="yellow" if entry.expired else ""))

    return draw(write, width=width, color=color)


def render_json(lines: Sequence[SettingLine], files: Sequence[str], known: Sequence[Known] = ()) -> str:
    """Return the settings as JSON text, with a final newline."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "ftaudit", "version": __version__},
        "files": list(files),
        "settings": [
            {
                "key": line.key,
                "value": _plain(line.value),
                "origin": line.origin,
                "where": line.where,
                "commands": list(line.commands),
            }
            for line in lines
        ],
        "accept": [
            {
                "what": entry.what,
                "reason": entry.reason,
                "where": entry.where,
                "expires": None if entry.expires is None else entry.expires.isoformat(),
                "expired": entry.expired,
            }
            for entry in known
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    """Return a value as JSON, without the credentials of any URL in it."""
    match value:
        case str() | Path():
            return re.sub(r"(?<=://)[^/\s@'\"]*@", "***@", str(value))
        case list() | tuple():
            return [_plain(item) for item in value]
        case bool() | int() | float() | None:
            return value
        case _:
            return str(value)


def _shown(value: Any) -> str:
    plain = _plain(value)
    return "" if plain is None else plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
