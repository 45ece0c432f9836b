"""Markdown for a pull request comment or a job summary: the answer, the blockers, the rest folded, within limits."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ftaudit.model import BLOCKING, Report, Verdict
from ftaudit.model.reach_sentences import reach_summary
from ftaudit.report.console import clean
from ftaudit.report.package.agreeing_rows import (
    ORDER,
    AgreeingRows,
    accepted_line,
    chains,
    counted,
    coverage,
    entries,
    extra_findings,
    headline,
    not_imported,
    number_of,
    source_lines,
    stress_lines,
)
from ftaudit.report.package.reach_lines import reach_lines, reach_order
from ftaudit.report.package.readiness import Readiness, count_ready

LIMIT: Final = 65_536
"""Characters that GitHub accepts in a comment."""
_RESERVE: Final = 2_000
"""Characters reserved for the note about skipped content and for closing open elements."""
_CELL: Final = 400
"""Characters of one table cell, before escaping."""
_SPECIAL: Final = re.compile(r"[\\`*\[\]<>#!|~&$@]|(?<![^\W_])_|_(?![^\W_])")
"""Characters that begin markup, including tables, formulas, and entities."""
_REFERENCE: Final = re.compile(
    r"[@#]|//|www\.|:\w+:|[!%~$&^](?=[\w\"])|\bGH-\d|\b[0-9a-f]{7,40}\b", re.ASCII | re.IGNORECASE
)
"""Text that GitHub or GitLab turns into a link or a mention: people, issues, commits, milestones, addresses."""
_PAIRS: Final = {")": "(", "]": "[", "}": "{", "(": ")", "[": "]", "{": "}"}
_NAME: Final = re.compile(r"[\w.]*(?:\b_|_\b)[\w.]*[^\W_][\w.]*", re.ASCII)
"""A dotted name with underscores that would begin markup: it is most readable as code."""
_SPAN: Final = re.compile(r"(?<![^\s(])(`[^`\n|<>&]+`)(?![^\s.,;:)])", re.ASCII)
"""Code that is already between backticks, and contains nothing that could end it."""
BREAKING: Final = re.compile(r"([|`])")
"""Characters that end a table cell or a code span at any position."""


def render(report: Report, *, limit: int = LIMIT, command: str = "check") -> str:
    """Return the report: a sentence, the blockers, the unknowns, then folded evidence and the other packages."""
    answer = headline(report)
    top = [
        f"## ftaudit: {answer.word}",
        f"{escape(answer.sentence)}" + (f" {escape(answer.more)}" if answer.more else ""),
    ]
    end = f"checked: {coverage(report)}"
    return fit(top, sections(report), end, limit, command=f"ftaudit {command}")


def sections(report: Report) -> tuple[MarkdownSection, ...]:
    """Return the part about packages: blockers, unknowns, then folded evidence and the packages that are fine."""
    every = tuple(entries(report.packages))
    rows = [entry for entry in every if entry.package.accepted is None]
    accepted = [entry for entry in every if entry.package.accepted is not None]
    blocked = [entry for verdict in ORDER for entry in rows if entry.package.verdict is verdict]
    blocked.sort(key=lambda entry: reach_order(entry, report))
    unknown = [entry for entry in rows if entry.package.verdict is Verdict.UNKNOWN]
    slower = [entry for entry in rows if entry.package.verdict is Verdict.FALLBACK]
    works = [entry for entry in rows if entry.package.verdict in (Verdict.READY, Verdict.PURE)]
    fine = [entry for entry in works if not entry.package.blocked_by]
    through = [entry for entry in works if entry.package.blocked_by]
    notes = [f"not checked: {what}" for what in report.incomplete]
    notes += [f"not imported: {what}" for what in not_imported(report)]
    notes += [f"note: {note}" for note in report.notes]
    notes += [line for reach in report.reach for line in reach_summary(reach)]
    many = len(report.platforms) > 1
    return (
        _table("What blocks", blocked, many),
        _table("What could not be checked", unknown, many),
        MarkdownSection(items=[f"- {escape(note)}" for note in notes], what="notes"),
        folded(
            f"Known and accepted ({number_of(accepted)})", [_evidence(entry, report) for entry in accepted], "packages"
        ),
        folded("Evidence", [_evidence(entry, report) for entry in (*blocked, *unknown)], "packages"),
        folded(f"Works, slower ({number_of(slower)})", [_evidence(entry, report) for entry in slower], "packages"),
        folded(
            f"Needs a blocked package ({number_of(through)})", [_fine(entry, report) for entry in through], "packages"
        ),
        folded(f"Not blocked ({number_of(fine)})", [_fine(entry, report) for entry in fine], "packages"),
    )


def summary(report: Report) -> str:
    """Return one line for a README: how many packages are ready, on which target, and the blockers."""
    counts = count_ready(report)
    ready, total = counts[Readiness.READY], sum(counts.values())
    where = f" on {', '.join(report.platforms)}" if report.platforms else ""
    line = f"Free-threading: {ready} of {counted(total, 'package')} ready for CPython {report.target}{where}"
    tails = [f"{counts[Readiness.SLOWER]} slower"] if counts[Readiness.SLOWER] else []
    if through := counts[Readiness.NEEDS_BLOCKED]:
        tails.append(f"{through} {'needs' if through == 1 else 'need'} a blocked package")
    for verdicts, verb in ((BLOCKING, "blocked by"), (frozenset({Verdict.UNKNOWN}), "not checked:")):
        names = sorted({str(p.facts.pin.name) for p in report.packages if p.verdict in verdicts})
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        tails += [f"{verb} {shown}"] if names else []
    tails += ["not everything was checked"] if report.incomplete else []
    return escape("; ".join((line, *tails))) + "\n"


def escape(text: str) -> str:
    """Return third-party text as Markdown that shows it verbatim: no markup, no link, and no mention of a user.

    Text that GitHub or GitLab would turn into a reference goes into a code span, where neither looks for references.
    """
    return "".join(part if _SPAN.fullmatch(part) else _outside(part) for part in _SPAN.split(clean(text)))


def _outside(text: str) -> str:
    return " ".join("".join(map(_piece, BREAKING.split(word))) for word in text.split(" "))


def _piece(piece: str) -> str:
    if _REFERENCE.search(piece) or _NAME.fullmatch(piece):
        before, core, after = _around(piece)
        return f"{_plain(before)}`{core}`{_plain(after)}"
    return _plain(piece)


def _around(piece: str) -> tuple[str, str, str]:
    """Return the leading marks, the rest, and the trailing marks; a bracket that is closed inside stays."""
    core = piece
    while len(core) > 1 and core[0] in "([{\"'":
        pair = _PAIRS.get(core[0])
        if pair is not None and pair in core.rstrip(".,;!?\"':")[:-1]:
            break
        core = core[1:]
    before = piece[: len(piece) - len(core)]
    while len(core) > 1 and core[-1] in ".,;!?\"')]}:":
        pair = _PAIRS.get(core[-1])
        if pair is not None and core.count(pair) >= core.count(core[-1]):
            break
        core = core[:-1]
    return before, core, piece[len(before) + len(core) :]


def _plain(piece: str) -> str:
    return _SPECIAL.sub(lambda match: f"&#{ord(match[0])};", piece)


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkdownSection:
    """A part that drops items from its end if there is not enough room."""

    items: Sequence[str]
    what: str
    head: str = ""
    foot: str = ""


def _table(title: str, found: Sequence[AgreeingRows], many: bool) -> MarkdownSection:
    columns = ("package", "verdict", *(("platforms",) if many else ()), "why", "next")
    head = f"### {title} ({number_of(found)})\n\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}\n"
    return MarkdownSection(items=[_row(entry, many) for entry in found], head=head, what="packages")


def folded(title: str, items: list[str], what: str, *, opened: bool = False) -> MarkdownSection:
    """Return a part that opens when its title is clicked."""
    head = f"<details{' open' if opened else ''}><summary>{html.escape(title)}</summary>\n\n"
    return MarkdownSection(items=items, head=head, foot="\n\n</details>", what=what)


def fit(top: Sequence[str], sections: Iterable[MarkdownSection], end: str, limit: int, *, command: str) -> str:
    """Join the parts, and drop what does not fit, with a note about how much is missing and where it is."""
    parts = [*top]
    room = limit - _RESERVE - sum(len(part) + 2 for part in (*top, end))
    for section in sections:
        if not section.items:
            continue
        frame = len(section.head) + len(section.foot) + 4
        kept, used = 0, frame
        for item in section.items:
            if used + len(item) + 1 > room:
                break
            used += len(item) + 1
            kept += 1
        missing = len(section.items) - kept
        more = f"\n\n… and {missing:,} more {section.what}: see `{command} --format json`" if missing else ""
        if kept:
            body = section.head + "\n".join(section.items[:kept]) + more + section.foot
        else:
            body = f"… {missing:,} {section.what} did not fit here: see `{command} --format json`"
        parts.append(body)
        room -= used if kept else 0
    return "\n\n".join((*parts, end)) + "\n"


def _row(entry: AgreeingRows, many: bool) -> str:
    package = entry.package
    cells = [f"**{escape(entry.title)}**", str(package.verdict)]
    cells += [", ".join(map(escape, entry.platforms))] if many else []
    cells += [escape(cut("; ".join(entry.reasons))), escape(cut(entry.next_step or ""))]
    return "| " + " | ".join(cells) + " |"


def _evidence(entry: AgreeingRows, report: Report) -> str:
    package = entry.package
    where = f" ({', '.join(map(escape, entry.platforms))})" if len(report.platforms) > 1 else ""
    lines = [f"- **{escape(entry.title)}** {package.verdict}{where}"]
    lines += [f"  - {escape(line)}" for line in _evidence_lines(entry, report)]
    return "\n".join(lines)


def _evidence_lines(entry: AgreeingRows, report: Report) -> Iterator[str]:
    package = entry.package
    if package.accepted is not None:
        yield f"accepted: {accepted_line(package.accepted)}"
    yield from entry.reasons
    yield from (f"{label}{text}" for label, text in chains(package))
    yield from (f"{finding.code} {finding.rule}: {finding.message}" for finding in extra_findings(package))
    yield from source_lines(package)
    yield from (f"reach: {line}" for line in reach_lines(entry, report))
    yield from stress_lines(package)
    if entry.next_step:
        yield f"next: {entry.next_step}"


def _fine(entry: AgreeingRows, report: Report) -> str:
    tails = [f"on {', '.join(entry.platforms)}"] if len(entry.platforms) < len(report.platforms) else []
    tails += [f"blocked through {', '.join(entry.package.blocked_by)}"] if entry.package.blocked_by else []
    tails += [f"{finding.code} {finding.rule}: {finding.message}" for finding in extra_findings(entry.package)]
    tails += source_lines(entry.package)
    tails += stress_lines(entry.package)
    tail = f": {escape('; '.join(tails))}" if tails else ""
    return f"- {escape(entry.title)} {entry.package.verdict}{tail}"


def cut(text: str) -> str:
    """Return the text that fits into a table cell."""
    return text if len(text) <= _CELL else f"{text[: _CELL - 1]}…"
