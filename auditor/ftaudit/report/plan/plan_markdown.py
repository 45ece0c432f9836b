"""A plan as Markdown: the answer, the changes as a table, then ways out and proof, folded."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model.outlook import Outlook
from ftaudit.model.plans import Change, Plan
from ftaudit.planning import plan_sentences
from ftaudit.report.outlook.outlook_groups import outlook_groups, outlook_sentence
from ftaudit.report.package.check_markdown import LIMIT, MarkdownSection, cut, escape, fit, folded
from ftaudit.report.plan.plan_reach import reach_rows
from ftaudit.report.plan.plan_table import headline


def render(plan: Plan, *, limit: int = LIMIT) -> str:
    """Return the plan within `limit` characters; omitted content is counted, with a pointer to it."""
    word, sentence = headline(plan)
    notes = [f"- {escape(f'not checked: {what}')}" for what in plan.incomplete]
    notes += [f"- {escape(note)}" for note in plan.notes]
    parts = [*sections(plan), *outlook_sections(plan.outlook), MarkdownSection(items=notes, what="notes")]
    end = f"target {escape(plan.target)} on {escape(', '.join(plan.platforms))}"
    return fit([f"## ftaudit plan: {word.lower()}", escape(sentence)], parts, end, limit, command="ftaudit plan")


def outlook_sections(outlook: Outlook | None) -> Iterator[MarkdownSection]:
    """Yield what the next release of CPython has for the packages, folded."""
    if outlook is None or not outlook.packages:
        return
    lines = [f"- {escape(outlook_sentence(outlook))}"]
    lines += [
        f"- **{escape(group.title)}** ({len(group.items)}): {escape(', '.join(group.items))}"
        + (f" — {escape(group.note)}" if group.note else "")
        for group in outlook_groups(outlook)
    ]
    yield folded(f"The next release: CPython {outlook.target}", lines, "lines")


def sections(plan: Plan) -> Iterator[MarkdownSection]:
    """Yield the changes, the ways out and the proof."""
    head = f"### The plan ({len(plan.changes)})\n\n| package | from | to | why |\n| --- | --- | --- | --- |\n"
    yield MarkdownSection(items=[_change(change) for change in plan.changes], head=head, what="changes")
    items = [f"- **{escape(row.label)}**: {escape(row.text)}" for row in reach_rows(plan)]
    yield MarkdownSection(items=items, head="### Your code\n\n", what="packages")
    ways = [
        f"- **{escape(str(way.name))}** {escape(way.platform)}: {escape(plan_sentences.way_out(way, way.platform))}"
        for way in plan.ways
    ]
    yield folded("How to fix each blocker", ways, "packages")
    proofs = [
        f"- {escape(proof.input)} on {escape(proof.platform)}: {proof.status}"
        + (f", {escape(proof.reason)}" if proof.reason else "")
        for proof in plan.proofs
    ]
    yield folded("Proof", [*proofs, *(f"- {escape(text)}" for text in plan.incomplete)], "lines")


def _change(change: Change) -> str:
    cells = (str(change.name), str(change.current or ""), str(change.proposed), plan_sentences.change_reason(change))
    return "| " + " | ".join(escape(cut(cell)) for cell in cells) + " |"
