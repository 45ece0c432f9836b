"""What has changed between two runs of a fleet, project by project: as text, as Markdown for an issue, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from ftaudit.__about__ import __version__
from ftaudit.fleet.history import EVERYTHING, FleetHistory, ProjectHistory, RunPart
from ftaudit.fleet.schema import Mode
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
_NAMES: Final = 5
_STYLES: Final = {0: "bold green", 1: "bold red", 3: "bold yellow"}


def summary(history: FleetHistory) -> tuple[str, str]:
    """Return the answer as a word and the rest of its sentence."""
    of_survey = history.new.info.mode is Mode.SURVEY
    noun = "package" if of_survey else "project"
    news, edited = (_subjects(each, of_survey=of_survey) for each in _split(history.loud))
    edited -= news
    every = max((one.changes.packages for one in history.projects), default=0)
    if not of_survey:
        every = len({one.project for one in history.projects})
    match history.exit_code:
        case 1:
            parts = [f"{len(news):,} of {counted(every, noun)} changed"]
        case 3:
            parts = [f"no {noun} is known to have changed; not everything could be checked"]
        case _:
            parts = [f"nothing needs your attention in {counted(every, noun)}"]
    if edited:
        only = "has" if len(edited) == 1 else "have"
        parts.append(f"{counted(len(edited), noun)} {only} only changes that are as good as before")
    if history.failed:
        parts.append(f"{counted(len(history.failed), 'project')} could not be read")
    return _WORDS[history.exit_code], f"{'; '.join(parts)}."


def _split(loud: Iterable[ProjectHistory]) -> tuple[list[ProjectHistory], list[ProjectHistory]]:
    """Return the projects with a change that may need you, and those with other changes."""
    found = list(loud)
    return [one for one in found if one.changes.exit_code == 1], found


def _subjects(projects: Iterable[ProjectHistory], *, of_survey: bool) -> set[str]:
    """Return the ids of the projects, or for a survey the names of the packages that changed."""
    if not of_survey:
        return {one.project for one in projects}
    lines = (line for one in projects for group in change_groups((one.changes,)) for line in group.lines)
    return {line.subject for line in lines}


def _title(one: ProjectHistory) -> str:
    return f"CPython {one.changes.target}" if one.project == EVERYTHING else f"{one.project} ({one.changes.target})"


def notes_on_comparison(history: FleetHistory) -> Iterator[str]:
    """Yield what has a first run because only the new run has it, and what only the old run has."""
    for part in history.first:
        yield f"first run for {part.target} {', '.join(part.platforms)}: its blockers are listed as worse"
    for project in history.first_read:
        yield f"first run for {project}: the old run could not read it"
    for part in history.dropped:
        yield f"not compared: {part.target} {', '.join(part.platforms)}: in the old run only"


def notes_on_gaps(history: FleetHistory) -> Iterator[str]:
    """Yield what could not be checked in the new run."""
    yield from (f"could not be read: {project.id}: {project.problem}" for project in history.failed)
    for one in history.projects:
        changes = one.changes
        names = sorted({row.name for row in changes.unchecked} | {row.name for row in changes.unanswered})
        if names:
            more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
            number = counted(len(names), "package")
            yield f"could not be checked in {_title(one)}: {number}: {', '.join(names[:_NAMES])}{more}"
        yield from (f"not sure about {_title(one)}: {text}" for text in one.changes.unsure)


def _notes(history: FleetHistory) -> Iterator[str]:
    yield from notes_on_comparison(history)
    yield from (f"added: {project}" for project in history.came)
    yield from (f"removed: {project}" for project in history.went)
    yield from notes_on_gaps(history)


def render_table(history: FleetHistory, *, width: int = DEFAULT_WIDTH, color: bool = False) -> str:
    """Return the changes as text that is `width` columns wide."""

    def write(console: Console) -> None:
        from rich.padding import Padding
        from rich.text import Text

        word, rest = summary(history)
        console.print(Text.assemble((word, _STYLES[history.exit_code]), f": {clean(rest)}"))
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
                    console.print(f"    and {len(group.lines) - MOST} more (--format json lists all)")
        if len(history.loud) > MOST:
            console.print(f"and {len(history.loud) - MOST} more (--format json lists all)")
        notes = list(_notes(history))
        if notes:
            console.print()
        for note in notes[:MOST]:
            console.print(Text(clean(note), style="yellow"))
        if len(notes) > MOST:
            console.print(f"and {len(notes) - MOST} more (--format json lists all)")

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
    word, rest = summary(history)
    top = [f"## ftaudit fleet: {word.lower()}", escape(rest)]
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
        "first": [_part(part) for part in history.first],
        "not_compared": [_part(part) for part in history.dropped],
        "added": list(history.came),
        "removed": list(history.went),
        "failed": [{"project": project.id, "problem": project.problem} for project in history.failed],
        "quiet": len(history.projects) - len(changed),
        "projects": [{"project": one.project, **changes_as_dict(one.changes)} for one in changed],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _part(part: RunPart) -> dict[str, Any]:
    return {"target": part.target, "platforms": list(part.platforms)}


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) that every rendered answer obeys."""
    text = resources.files("ftaudit.report").joinpath("schema/fleet-changes-1.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded | {"$defs": loaded["$defs"] | {"watch-1.json": watched_changes.schema() | {"$id": "watch-1.json"}}}
