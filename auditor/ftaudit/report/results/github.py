"""GitHub's workflow commands: one annotation for each result, on its line, which no third-party text can break."""

from __future__ import annotations

from collections import Counter
from typing import Final

from ftaudit.model import Severity
from ftaudit.report.console import clean
from ftaudit.report.results.result_places import Places
from ftaudit.report.results.results import Result, Results, Unchecked, worst_first

SHOWN: Final = 10
"""How many annotations of one level GitHub shows for one step; the log has the others."""
_LEVELS: Final = {
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.INFO: "notice",
    Severity.PEDANTIC: "notice",
}
_LONGEST: Final = 4_000
"""Characters of a message: GitHub accepts 64 KB, but that is too long to read."""


def render(results: Results, *, places: Places) -> str:
    """Return one line for each result that counts, worst first, and a plain summary line.

    The summary line contains no third-party text: a runner treats a line that begins with `::` or contains `##[` as a
    command.
    """
    counted = [result for result in sorted(results.results, key=worst_first) if result.suppression is None]
    lines = [_annotation(result, places) for result in counted]
    levels = Counter(_LEVELS[result.severity] for result in counted)
    for unchecked in results.unchecked:
        # A package that could not be checked already has a result.
        if unchecked.matters and not any(result.unknown and _same(unchecked, result) for result in counted):
            lines.append(_command("warning", _where(unchecked, places), f"not checked: {unchecked.message}"))
            levels["warning"] += 1
    suppressed = len(results.results) - len(counted)
    parts = [f"{levels[level]} {level}{'s' if levels[level] != 1 else ''}" for level in levels]
    parts += [f"{suppressed} known and not counted"] if suppressed else []
    over = [level for level, number in levels.items() if number > SHOWN]
    tail = f" (GitHub shows only {SHOWN} of each level; the lines above list all of them)" if over else ""
    lines.append(f"ftaudit: {', '.join(parts) or 'nothing to report'}; exit code {results.exit_code}{tail}")
    return "\n".join(lines) + "\n"


def _same(unchecked: Unchecked, result: Result) -> bool:
    return unchecked.message == f"{result.subject}: {result.text}"


def _annotation(result: Result, places: Places) -> str:
    properties: dict[str, str] = {}
    if result.location is not None:
        properties["file"] = clean(places.shown(result.location.path))
        if result.location.line is not None:
            properties["line"] = str(result.location.line)
        if result.column is not None:
            properties["col"] = str(result.column)
    title = f"{result.subject}: {result.name}" if result.subject != result.name else result.name
    code = "" if result.rule == result.name else f"{result.rule} "
    properties["title"] = code + title
    return _command(_LEVELS[result.severity], properties, "\n".join(result.lines))


def _where(unchecked: Unchecked, places: Places) -> dict[str, str]:
    if unchecked.location is None:
        return {}
    line = {} if unchecked.location.line is None else {"line": str(unchecked.location.line)}
    return {"file": clean(places.shown(unchecked.location.path))} | line


def _command(level: str, properties: dict[str, str], message: str) -> str:
    """Return a command in the syntax that the runner reads (actions/toolkit, `command.ts`)."""
    given = ",".join(f"{name}={_escape_property(value)}" for name, value in properties.items())
    cut = message if len(message) <= _LONGEST else f"{message[: _LONGEST - 1]}…"
    return f"::{level}{' ' + given if given else ''}::{_escape(cut)}"


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")
