"""What has changed since the last run of `ftaudit watch`: as text, as Markdown for an issue, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from ftaudit.__about__ import __version__
from ftaudit.compare.documents import ComparedPackage
from ftaudit.compare.published import Published, UpstreamChange, UpstreamKind
from ftaudit.compare.report_changes import ReportChangeKind
from ftaudit.compare.watching import WatchedChanges
from ftaudit.model import worst_exit_code
from ftaudit.model.sentences import gap_phrase
from ftaudit.report import comparison
from ftaudit.report.comparison import MOST, change_as_dict, change_sentence
from ftaudit.report.console import DEFAULT_WIDTH, clean, draw
from ftaudit.report.package.agreeing_rows import counted
from ftaudit.report.package.check_markdown import LIMIT, MarkdownSection, escape, fit

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA_VERSION: Final = 1
_ORDER: Final[tuple[ReportChangeKind | UpstreamKind, ...]] = (
    ReportChangeKind.WORSE,
    UpstreamKind.FIX,
    UpstreamKind.PRE_RELEASE,
    UpstreamKind.FIX_WITHDRAWN,
    UpstreamKind.WHEEL,
    UpstreamKind.WHEEL_WITHDRAWN,
    ReportChangeKind.BETTER,
    ReportChangeKind.CAME,
    ReportChangeKind.WENT,
    ReportChangeKind.CHANGED,
)
_TITLES: Final[dict[ReportChangeKind | UpstreamKind, str]] = {
    ReportChangeKind.WORSE: "Worse",
    UpstreamKind.FIX: "A good release exists",
    UpstreamKind.PRE_RELEASE: "A good pre-release exists",
    UpstreamKind.FIX_WITHDRAWN: "The good release is gone",
    UpstreamKind.WHEEL: "A wheel for another platform exists",
    UpstreamKind.WHEEL_WITHDRAWN: "A wheel for another platform is gone",
    ReportChangeKind.BETTER: "Better",
    ReportChangeKind.CAME: "Added",
    ReportChangeKind.WENT: "Removed",
    ReportChangeKind.CHANGED: "Changed, as good as before",
}
_STYLES: Final[dict[ReportChangeKind | UpstreamKind, str]] = {
    ReportChangeKind.WORSE: "red",
    UpstreamKind.FIX: "green",
    UpstreamKind.PRE_RELEASE: "green",
    UpstreamKind.FIX_WITHDRAWN: "red",
    UpstreamKind.WHEEL: "green",
    UpstreamKind.WHEEL_WITHDRAWN: "red",
    ReportChangeKind.BETTER: "green",
}
_UNCHECKED: Final = "Could not be checked"


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchAnswer:
    """The answer of `ftaudit watch`."""

    inputs: tuple[str, ...]
    last_run: str | None
    """When the last run ended; `None` for the first run."""
    targets: tuple[WatchedChanges, ...]

    @property
    def exit_code(self) -> int:
        """`1` something has changed that may need you, `3` nothing is known to, but not all is known, else `0`."""
        return worst_exit_code(each.exit_code for each in self.targets)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeLine:
    """One change, in words."""

    subject: str
    """The package, or the place of a finding."""
    text: str
    where: str
    """The platforms, and with several targets the target; empty if it is about none of them in particular."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeGroup:
    """The changes of one kind."""

    kind: ReportChangeKind | UpstreamKind
    title: str
    lines: tuple[ChangeLine, ...]


def headline(answer: WatchAnswer) -> tuple[str, str]:
    """Return the answer as a word and the rest of its sentence."""
    groups = change_groups(answer.targets)
    parts = [_counted(group.kind, len(group.lines), first=answer.last_run is None) for group in groups]
    unchecked = len({line.subject for line in _unchecked(answer)})
    left = f"{counted(unchecked, 'package')} could not be checked" if unchecked else "not everything could be checked"
    first = answer.last_run is None
    match answer.exit_code:
        case 1:
            tail = f"; {left}" if unchecked else ""
            return ("FIRST RUN" if first else "CHANGED"), f"{', '.join(parts)}{tail}."
        case 3:
            nothing = "nothing is known to block" if first else "nothing is known to have changed"
            return "NOT SURE", f"{nothing}; {left}."
        case _:
            blocking = max((each.blocking for each in answer.targets), default=0)
            packages = max((each.packages for each in answer.targets), default=0)
            block = f"{blocking} of {counted(packages, 'package')} {'blocks' if 1 in (blocking, packages) else 'block'}"
            return ("FIRST RUN" if first else "UNCHANGED"), f"{', '.join([block, *parts])}."


def _counted(kind: ReportChangeKind | UpstreamKind, number: int, *, first: bool) -> str:
    match kind:
        case ReportChangeKind.WORSE if first:
            return f"{counted(number, 'package')} {'blocks' if number == 1 else 'block'}"
        case UpstreamKind.FIX:
            return counted(number, "good release")
        case UpstreamKind.PRE_RELEASE:
            return counted(number, "good pre-release")
        case UpstreamKind.FIX_WITHDRAWN:
            return f"{counted(number, 'good release')} gone"
        case UpstreamKind.WHEEL:
            return f"{counted(number, 'package')} with wheels for other platforms"
        case UpstreamKind.WHEEL_WITHDRAWN:
            return f"{counted(number, 'package')} with fewer wheels for other platforms"
        case ReportChangeKind.CAME:
            return f"{number} added"
        case ReportChangeKind.WENT:
            return f"{number} removed"
        case ReportChangeKind():
            return f"{number} {kind}"


def render_table(answer: WatchAnswer, *, width: int = DEFAULT_WIDTH, color: bool = False) -> str:
    """Return the answer as text that is `width` columns wide."""

    def write(console: Console) -> None:
        from rich.padding import Padding
        from rich.text import Text

        word, rest = headline(answer)
        style = {0: "bold green", 1: "bold red", 3: "bold yellow"}[answer.exit_code]
        console.print(Text.assemble((word, style), f": {clean(rest)}"))
        console.print(Text(clean(_since(answer)), style="dim"))
        for title, style, lines in _sections(answer):
            console.print()
            console.print(Text(f"{title} ({len(lines)})", style="bold"))
            for line in lines[:MOST]:
                text = Text.assemble((clean(line.subject), "bold"), "  ", (clean(line.text), style))
                if line.where:
                    text.append(f"  ({clean(line.where)})", style="dim")
                console.print(Padding(text, (0, 0, 0, 2)))
            if len(lines) > MOST:
                console.print(f"  and {len(lines) - MOST} more (--format json lists all)")
        notes = list(_notes(answer))
        if notes:
            console.print()
        for note in notes:
            console.print(Text(clean(note), style="yellow"))

    return draw(write, width=width, color=color)


def render_markdown(answer: WatchAnswer, *, limit: int = LIMIT) -> str:
    """Return the answer as the body of an issue, within `limit` characters; omitted content is counted."""
    word, rest = headline(answer)
    sections = [
        MarkdownSection(
            items=[
                f"- **{escape(line.subject)}** {escape(line.text)}" + (f" ({escape(line.where)})" if line.where else "")
                for line in lines
            ],
            head=f"### {title} ({len(lines)})\n\n",
            what="changes",
        )
        for title, _, lines in _sections(answer)
    ]
    sections.append(MarkdownSection(items=[f"- {escape(note)}" for note in _notes(answer)], what="notes"))
    top = [f"## ftaudit watch: {word.lower()}", escape(rest)]
    return fit(top, sections, escape(_since(answer)), limit, command="ftaudit watch")


def render_json(answer: WatchAnswer) -> str:
    """Return the answer as JSON text, with a final newline."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "ftaudit", "version": __version__},
        "inputs": list(answer.inputs),
        "last_run": answer.last_run,
        "exit_code": answer.exit_code,
        "targets": [changes_as_dict(each) for each in answer.targets],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) that every rendered answer obeys."""
    text = resources.files("ftaudit.report").joinpath("schema/watch-1.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded | {"$defs": loaded["$defs"] | {"diff-1.json": comparison.schema() | {"$id": "diff-1.json"}}}


def changes_as_dict(each: WatchedChanges) -> dict[str, Any]:
    """Return the changes of one target as plain JSON values."""
    return {
        "target": each.target,
        "exit_code": each.exit_code,
        "packages": each.packages,
        "blocking": each.blocking,
        "first": list(each.first),
        "changes": [change_as_dict(change) for change in each.changes],
        "upstream": [_upstream(change) for change in each.upstream],
        "unchecked": [_unchecked_row(row) for row in each.unchecked] + [_unanswered(row) for row in each.unanswered],
        "unsure": list(each.unsure),
        "not_compared": list(each.not_compared),
    }


def _upstream(change: UpstreamChange) -> dict[str, Any]:
    return {
        "kind": change.kind.value,
        "name": change.name,
        "version": change.version,
        "verdict": change.verdict.value,
        "platforms": list(change.platforms),
        "release": change.release,
        "before": change.before,
        "wheels": list(change.wheels),
    }


def _unchecked_row(row: ComparedPackage) -> dict[str, Any]:
    return {
        "what": "verdict",
        "name": row.name,
        "version": row.version,
        "platform": row.platform,
        "reason": row.reason or "",
    }


def _unanswered(row: Published) -> dict[str, Any]:
    return {
        "what": "releases",
        "name": row.name,
        "version": row.version,
        "platform": row.platform,
        "reason": "" if row.gap is None else gap_phrase(row.gap),
    }


def _sections(answer: WatchAnswer) -> Iterator[tuple[str, str, Sequence[ChangeLine]]]:
    """Yield the sections with their titles, their styles and their lines, the most urgent first."""
    for group in change_groups(answer.targets):
        blocks = group.kind is ReportChangeKind.WORSE and answer.last_run is None
        yield "Blocks" if blocks else group.title, _STYLES.get(group.kind, ""), group.lines
    unchecked = _unchecked(answer)
    if unchecked:
        yield _UNCHECKED, "yellow", unchecked


def change_groups(targets: Sequence[WatchedChanges]) -> Iterator[ChangeGroup]:
    """Yield the changes of each kind that occurs, the most urgent first."""
    for kind in _ORDER:
        lines: list[ChangeLine] = []
        for each in targets:
            prefix = _prefix(targets, each)
            lines += (
                ChangeLine(subject=one.subject, text=change_sentence(one), where=_where(one.platforms, prefix))
                for one in each.changes
                if one.kind is kind
            )
            lines += (
                ChangeLine(subject=one.name, text=upstream_sentence(one), where=_where(one.platforms, prefix))
                for one in each.upstream
                if one.kind is kind
            )
        if lines:
            yield ChangeGroup(kind=kind, title=_TITLES[kind], lines=tuple(lines))


def _unchecked(answer: WatchAnswer) -> list[ChangeLine]:
    found: dict[tuple[str, str], list[str]] = {}
    for each in answer.targets:
        prefix = _prefix(answer.targets, each)
        rows = [(row.name, row.version, row.reason or "", row.platform) for row in each.unchecked]
        rows += [
            (row.name, row.version, f"its releases could not be looked up: {gap_phrase(row.gap)}", row.platform)
            for row in each.unanswered
            if row.gap is not None
        ]
        for name, version, reason, platform in rows:
            found.setdefault((name, f"{version or 'no version'}: {reason}"), []).append(_where((platform,), prefix))
    return [ChangeLine(subject=name, text=text, where=", ".join(where)) for (name, text), where in found.items()]


def _prefix(targets: Sequence[WatchedChanges], each: WatchedChanges) -> str:
    return f"{each.target} " if len(targets) > 1 else ""


def _where(platforms: Sequence[str], prefix: str) -> str:
    return ", ".join(f"{prefix}{platform}" for platform in platforms) or prefix.strip()


def upstream_sentence(change: UpstreamChange) -> str:
    """Return what upstream did, as a phrase that follows the package's name."""
    now = f"{change.version or 'no version'} {change.verdict}"
    match change.kind:
        case UpstreamKind.FIX:
            before = f"; before, it was {change.before}" if change.before else ""
            return f"{now}: {change.release} is the first good release{before}"
        case UpstreamKind.PRE_RELEASE:
            return f"{now}: the pre-release {change.release} is good"
        case UpstreamKind.FIX_WITHDRAWN:
            return f"{now}: the good release {change.before} is no longer there"
        case UpstreamKind.WHEEL:
            return f"{now}: has a free-threaded wheel for {', '.join(change.wheels)}"
        case UpstreamKind.WHEEL_WITHDRAWN:
            return f"{now}: no longer has a free-threaded wheel for {', '.join(change.wheels)}"


def _since(answer: WatchAnswer) -> str:
    since = "no last run" if answer.last_run is None else f"last run: {answer.last_run}"
    return f"{', '.join(answer.inputs)}; {since}"


def _notes(answer: WatchAnswer) -> Iterator[str]:
    for each in answer.targets:
        prefix = _prefix(answer.targets, each)
        if each.first and answer.last_run is not None:
            yield f"first run for {_where(each.first, f'{each.target} ')}: its blockers are listed as worse"
        yield from (f"{prefix}not sure: {note}" for note in each.unsure)
        yield from (f"{prefix}not compared: {note}" for note in each.not_compared)
