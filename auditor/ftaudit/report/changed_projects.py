"""What has changed between two runs of a fleet, project by project: as text, as Markdown for an issue, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from ftaudit.__about__ import __version__
from ftaudit.fleet.history import EVERYTHING, FleetHistory, ProjectHistory
from ftaudit.report import watched_changes
from ftaudit.report.comparison import MOST
from ftaudit.report.console import DEFAULT_WIDTH, clean, draw
from ftaudit.report.package.agreeing_rows import counted
from ftaudit.report.package.check_markdown import LIMIT, MarkdownSection, escape, fit
from ftaudit.report.watched_changes import change_groups, changes_as_dict

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA_VERSION: Final = 1
_WORDS: Final = {0: "UNCHANGED", 1: "CHANGED", 3: "NOT SURE"}
_STYLES: Final = {0: "bold green", 1: "bold red", 3: "bold yellow"}


def _headline(history: FleetHistory) -> str:
    changed = len({one.project for one in history.loud})
    every = len({one.project for one in history.projects})
    if history.projects and history.projects[0].project == EVERYTHING:
        return "packages have changed." if changed else "no package has changed."
    failed = f"; {counted(len(history.failed), 'project')} could not be read" if history.failed else ""
    return f"{changed:,} of {counted(every, 'project')} changed{failed}."


def _title(one: ProjectHistory) -> str:
    return f"CPython {one.changes.target}" if one.project == EVERYTHING else f"{one.project} ({one.changes.target})"


def _notes(history: FleetHistory) -> Iterator[str]:
    yield from (f"could not be read: {project.id}: {project.problem}" for project in history.failed)
    yield from (f"added: {project}" for project in history.came)
    yield from (f"removed: {project}" for project in history.went)
    for one in history.projects:
        rows = one.changes.unchecked
        if rows:
            names = ", ".join(sorted({row.name for row in rows})[:5])
            yield f"could not be checked in {_title(one)}: {counted(len(rows), 'package')}: {names}"
        yield from (f"not sure about {_title(one)}: {text}" for text in one.changes.unsure[:1])


def render_table(history: FleetHistory, *, width: int = DEFAULT_WIDTH, color: bool = False) -> str:
    """Return the changes as text that is `width` columns wide."""

    def write(console: Console) -> None:
        from rich.padding import Padding
        from rich.text import Text

        code = history.exit_code
        console.print(Text.assemble((_WORDS[code], _STYLES[code]), f": {clean(_headline(history))}"))
        console.print(Text(clean(f"from {history.old.info.ended} to {history.new.info.ended}"), style="dim"))
        for one in history.loud[:MOST]:
            console.print()
            console.print(Text(clean(_title(one)), style="bold"))
            for group in change_groups((one.changes,)):
                console.print(Text(f"  {group.title} ({len(group.lines)})"))
                for line in group.lines[:MOST]:
                    where = f"  ({line.where})" if line.where else ""
                    console.print(Padding(Text(clean(f"{line.subject}  {line.text}{where}")), (0, 0, 0, 4)))
                if len(group.lines) > MOST:
                    console.print(f"    and {len(group.lines) - MOST} more (--format json names all)")
        if len(history.loud) > MOST:
            console.print(f"and {len(history.loud) - MOST} more (--format json names all)")
        notes = list(_notes(history))
        if notes:
            console.print()
        for note in notes[:MOST]:
            console.print(Text(clean(note), style="yellow"))
        if len(notes) > MOST:
            console.print(f"and {len(notes) - MOST} more (--format json names all)")

    return draw(write, width=width, color=color)


def render_markdown(history: FleetHistory, *, limit: int = LIMIT) -> str:
    """Return the changes as the body of an issue, within `limit` characters; omitted content is counted."""
    sections = [
        MarkdownSection(
            items=[
                f"- {group.title}: **{escape(line.subject)}** {escape(line.text)}"
                + (f" ({escape(line.where)})" if line.where else "")
                for group in change_groups((one.changes,))
                for line in group.lines
            ],
            head=f"### {escape(_title(one))}\n\n",
            what="changes",
        )
        for one in history.loud[:MOST]
    ]
    left = [f"and {len(history.loud) - MOST} more with changes"] if len(history.loud) > MOST else []
    notes = [f"- {escape(note)}" for note in (*left, *_notes(history))]
    sections.append(MarkdownSection(items=notes, what="notes"))
    top = [f"## ftaudit fleet: {_WORDS[history.exit_code].lower()}", escape(_headline(history))]
    end = escape(f"from {history.old.info.ended} to {history.new.info.ended}")
    return fit(top, sections, end, limit, command="ftaudit fleet changes")


def render_json(history: FleetHistory) -> str:
    """Return the changes as JSON text, with a final newline. Projects without a change or a doubt are only counted."""
    changed = [one for one in history.projects if not one.is_quiet or one.changes.exit_code]
    document = {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "ftaudit", "version": __version__},
        "old": history.old.info.ended,
        "new": history.new.info.ended,
        "exit_code": history.exit_code,
        "added": list(history.came),
        "removed": list(history.went),
        "failed": [{"project": project.id, "problem": project.problem} for project in history.failed],
        "quiet": len(history.projects) - len(changed),
        "projects": [{"project": one.project, **changes_as_dict(one.changes)} for one in changed],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) that every rendered answer obeys."""
    text = resources.files("ftaudit.report").joinpath("schema/fleet-changes-1.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded | {"$defs": {"watch-1.json": watched_changes.schema() | {"$id": "watch-1.json"}}}
