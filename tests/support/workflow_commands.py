"""Reads workflow commands as GitHub's runner does (actions/runner, ActionCommand.cs): both of its forms."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Command:
    name: str
    properties: dict[str, str]
    message: str


def commands(text: str) -> list[Command]:
    """Return the text that a runner treats as commands in a step's output."""
    return [command for line in text.splitlines() if (command := _command(line)) is not None]


def _command(line: str) -> Command | None:
    """The runner tries the form `::name …::` at the start of a line, then `##[name …]` anywhere in it."""
    stripped = line.lstrip()
    if stripped.startswith("::") and (end := stripped.find("::", 2)) >= 0:
        return _parsed(stripped[2:end], stripped[end + 2 :], ",")
    start = line.find("##[")
    if start >= 0 and (end := line.find("]", start)) >= 0:
        return _parsed(line[start + 3 : end], line[end + 1 :], ";")
    return None


def _parsed(head: str, message: str, separator: str) -> Command:
    name, _, rest = head.partition(" ")
    pairs = (pair.partition("=") for pair in rest.split(separator) if pair.strip())
    return Command(
        name=name, properties={key.strip(): _plain(value) for key, _, value in pairs}, message=_plain(message)
    )


def _plain(text: str) -> str:
    for code, char in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        text = text.replace(code, char)
    return text
