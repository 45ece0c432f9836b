"""The pre-migration report as Markdown for an issue: the answer, what blocks, the plan, the rest folded, in limits."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Severity
from ftaudit.plan import Change, Plan
from ftaudit.report.entries import coverage, headline
from ftaudit.report.markdown import LIMIT, Section, cut, escape, fit, folded, scan_sections, sections
from ftaudit.report.migration import Migration, sums
from ftaudit.report.results import scan_sentence


def render(migration: Migration, *, limit: int = LIMIT) -> str:
    """Return the report within `limit` characters; what has no room is counted and said where to be."""
    report, told = migration.report, headline(migration.report)
    top = [
        f"# Free-threading report: {told.word.lower()}",
        escape(told.sentence + (f" {told.more}" if told.more else "")),
    ]
    top += [escape(text) for text in sums(migration)]
    first, *rest = sections(report)
    parts = [first, *_plan(migration.plan), *rest]
    if migration.scan is not None:
        exit_code = migration.scan.exit_code(Severity.WARNING)
        parts.append(
            Section(
                items=[escape(scan_sentence(migration.scan))], head="### The project's own source\n\n", what="lines"
            )
        )
        parts += scan_sections(migration.scan, exit_code=exit_code)
    left = [text for text in (migration.no_plan, migration.no_scan, *migration.incomplete) if text]
    parts.append(Section(items=[f"- {escape(text)}" for text in left], head="### Left out\n\n", what="notes"))
    parts.append(folded("How to reproduce it", list(_reproduction(migration)), "lines"))
    return fit(top, parts, f"checked: {coverage(report)}", limit, command="ftaudit report")


def _plan(plan: Plan | None) -> Iterator[Section]:
    if plan is None:
        return
    head = f"### The plan ({len(plan.changes)})\n\n| package | from | to | why |\n| --- | --- | --- | --- |\n"
    yield Section(items=[_change(change) for change in plan.changes], head=head, what="changes")
    ways = [f"- **{escape(str(way.name))}** {way.platform}: {escape(way.sentence)}" for way in plan.ways]
    yield folded("Ways out, one by one", ways, "packages")
    proofs = [
        f"- {escape(proof.input)} on {proof.platform}: {proof.status}"
        + (f", {escape(proof.reason)}" if proof.reason else "")
        for proof in plan.proofs
    ]
    yield folded("Proof", [*proofs, *(f"- {escape(text)}" for text in plan.incomplete)], "lines")


def _change(change: Change) -> str:
    cells = (str(change.name), str(change.current or ""), str(change.proposed), change.reason)
    return "| " + " | ".join(escape(cut(cell)) for cell in cells) + " |"


def _reproduction(migration: Migration) -> Iterator[str]:
    how = migration.reproduction
    if how is None:
        return
    yield from (f"- {escape(command)}" for command in how.commands)
    yield f"- made: {how.made:%Y-%m-%d %H:%M} UTC"
    yield from (f"- {escape(name)}: {escape(value)}" for name, value in how.versions)
    for path, digest in how.inputs:
        yield f"- input: {escape(path)}" + (f" `sha256:{digest}`" if digest else "")
