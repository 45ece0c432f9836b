"""A comparison of two reports: as a table, as JSON (`schema/diff-1.json`), or as Markdown for a pull request."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from ftaudit.__about__ import __version__
from ftaudit.compare import Comparison, PackageState, ReportChange, ReportChangeKind
from ftaudit.report.console import DEFAULT_WIDTH, clean, draw
from ftaudit.report.package.agreeing_rows import counted
from ftaudit.report.package.check_markdown import escape

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA_VERSION: Final = 1
MOST: Final = 200
"""Changes of one kind that are listed for people; the JSON has all of them."""

TITLES: Final = {
    ReportChangeKind.WORSE: "Worse",
    ReportChangeKind.UNCLEAR: "Can no longer be checked",
    ReportChangeKind.BETTER: "Better",
    ReportChangeKind.CAME: "Came",
    ReportChangeKind.WENT: "Went",
    ReportChangeKind.CHANGED: "Changed, as good as before",
}
STYLES: Final = {ReportChangeKind.WORSE: "red", ReportChangeKind.UNCLEAR: "yellow", ReportChangeKind.BETTER: "green"}


def headline(comparison: Comparison) -> str:
    """Return the answer in one sentence."""
    counts = Counter(change.kind for change in comparison.changes)
    text = ", ".join(f"{counts[kind]} {kind}" for kind in ReportChangeKind if counts[kind])
    match comparison.exit_code:
        case 1:
            return f"WORSE: {text}, {_unchanged(comparison)}."
        case 3:
            return f"NOT SURE: nothing is known to be worse; {text or 'no change'}."
        case _:
            return f"NO WORSE: {text or 'no change'}, {_unchanged(comparison)}."


def _unchanged(comparison: Comparison) -> str:
    found = ((comparison.same_packages, "package"), (comparison.same_findings, "finding"))
    return f"{' and '.join(counted(number, what) for number, what in found if number) or 'nothing'} unchanged"


def render_table(comparison: Comparison, *, width: int = DEFAULT_WIDTH, color: bool = False) -> str:
    """Return the comparison as text that is `width` columns wide."""

    def write(console: Console) -> None:
        from rich.padding import Padding
        from rich.text import Text

        styles = {0: "bold green", 1: "bold red", 3: "bold yellow"}
        word, _, rest = headline(comparison).partition(":")
        console.print(Text.assemble((word, styles[comparison.exit_code]), ":", rest))
        console.print(Text(clean(f"from {comparison.old} to {comparison.new}"), style="dim"))
        for kind, changes in by_kind(comparison.changes):
            console.print()
            console.print(Text(f"{TITLES[kind]} ({len(changes)})", style="bold"))
            for change in changes[:MOST]:
                line = Text.assemble(
                    (clean(change.subject), "bold"), "  ", (clean(change_sentence(change)), STYLES.get(kind, ""))
                )
                if change.platforms:
                    line.append(f"  ({clean(', '.join(change.platforms))})", style="dim")
                console.print(Padding(line, (0, 0, 0, 2)))
            if len(changes) > MOST:
                console.print(f"  and {len(changes) - MOST} more (--format json lists all)")
        if comparison.not_compared or comparison.unsure:
            console.print()
        for note in comparison.unsure:
            console.print(Text(clean(f"not sure: {note}"), style="yellow"))
        for note in comparison.not_compared:
            console.print(Text(clean(f"not compared: {note}"), style="yellow"))

    return draw(write, width=width, color=color)


def render_markdown(comparison: Comparison) -> str:
    """Return the comparison as Markdown."""
    lines = [
        f"**{escape(headline(comparison))}**",
        "",
        f"From {escape(comparison.old)} to {escape(comparison.new)}.",
        "",
    ]
    for kind, changes in by_kind(comparison.changes):
        lines += [f"### {TITLES[kind]} ({len(changes)})", ""]
        for change in changes[:MOST]:
            where = f" ({escape(', '.join(change.platforms))})" if change.platforms else ""
            lines.append(f"- **{escape(change.subject)}** {escape(change_sentence(change))}{where}")
        lines += [f"- and {len(changes) - MOST} more"] if len(changes) > MOST else []
        lines.append("")
    lines += [f"- not sure: {escape(note)}" for note in comparison.unsure]
    lines += [f"- not compared: {escape(note)}" for note in comparison.not_compared]
    return "\n".join(lines).rstrip("\n") + "\n"


def render_json(comparison: Comparison) -> str:
    """Return the comparison as JSON text, with a final newline."""
    counts = Counter(change.kind for change in comparison.changes)
    document = {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "ftaudit", "version": __version__},
        "old": comparison.old,
        "new": comparison.new,
        "exit_code": comparison.exit_code,
        "summary": {kind.value: counts.get(kind, 0) for kind in ReportChangeKind} | {"unchanged": comparison.unchanged},
        "changes": [change_as_dict(change) for change in comparison.changes],
        "unsure": list(comparison.unsure),
        "not_compared": list(comparison.not_compared),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) that every rendered comparison obeys."""
    text = resources.files("ftaudit.report").joinpath("schema/diff-1.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def change_as_dict(change: ReportChange) -> dict[str, Any]:
    """Return one change as plain JSON values."""
    finding = change.finding
    return {
        "kind": change.kind.value,
        "subject": change.subject,
        "platforms": list(change.platforms),
        "old": _state(change.old),
        "new": _state(change.new),
        "finding": None
        if finding is None
        else {
            "rule": finding.rule,
            "code": finding.code,
            "severity": finding.severity.value,
            "message": finding.message,
            "path": finding.path,
            "line": finding.line,
            "module": finding.module,
        },
    }


def _state(state: PackageState | None) -> dict[str, Any] | None:
    if state is None:
        return None
    return {
        "version": state.version,
        "verdict": state.verdict.value,
        "reason": state.reason,
        "accepted": state.accepted,
    }


def by_kind(changes: Sequence[ReportChange]) -> Iterator[tuple[ReportChangeKind, list[ReportChange]]]:
    """Yield the changes of each kind that occurs."""
    for kind in ReportChangeKind:
        found = [change for change in changes if change.kind is kind]
        if found:
            yield kind, found


def change_sentence(change: ReportChange) -> str:
    """Return what happened, as a phrase that follows the subject."""
    if change.finding is not None:
        gone = "" if change.kind in (ReportChangeKind.WORSE, ReportChangeKind.CAME) else "gone: "
        return f"{gone}{change.finding.severity} {change.finding.code} {change.finding.rule}: {change.finding.message}"
    match change.old, change.new:
        case None, PackageState() as new:
            return f"new: {_one(new)}" + _why(change)
        case PackageState() as old, None:
            return f"gone: was {_one(old)}"
        case PackageState() as old, PackageState() as new:
            if old.verdict is new.verdict:
                return f"{old.version} → {new.version}, {new.verdict}"
            return f"{_one(old)} → {_one(new)}" + _why(change)
    return ""


def _one(state: PackageState) -> str:
    return f"{state.version or 'no version'} {state.verdict}" + (" (accepted)" if state.accepted else "")


def _why(change: ReportChange) -> str:
    text = (
        change.kind in (ReportChangeKind.WORSE, ReportChangeKind.UNCLEAR)
        and change.new is not None
        and change.new.reason
    )
    return f": {text}" if text else ""
