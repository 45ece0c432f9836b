"""The plans for several targets: the changes side by side, then each plan."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from ftaudit.model.plans import Plan
from ftaudit.report.console import DEFAULT_WIDTH, clean, draw
from ftaudit.report.package.check_markdown import LIMIT, MarkdownSection, escape, fit
from ftaudit.report.plan import plan_json, plan_table
from ftaudit.report.plan.plan_markdown import outlook_sections, sections
from ftaudit.report.targets import targets_json
from ftaudit.report.targets.targets_table import rule

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanCell:
    """What one target's plan does with a package."""

    proposed: Version | None = None
    """The version that it proposes; `None` if it changes nothing."""
    still_blocks: bool = False
    """No version is compatible with the rest yet."""

    def __str__(self) -> str:
        if self.proposed is not None:
            return f"→ {self.proposed}"
        return "still blocks" if self.still_blocks else "stays"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanRow:
    """One package that a target's plan changes, or that blocks a target."""

    name: str
    cells: tuple[PlanCell, ...]
    """In the order of the targets."""


def find_rows(plans: Sequence[Plan]) -> tuple[PlanRow, ...]:
    """Return the packages of the plans, in the order of the plans."""
    names = dict.fromkeys(
        str(name) for plan in plans for name in (*(change.name for change in plan.changes), *plan.still_blocked)
    )
    return tuple(PlanRow(name=name, cells=tuple(_cell(name, plan) for plan in plans)) for name in names)


def _cell(name: str, plan: Plan) -> PlanCell:
    proposed = next((change.proposed for change in plan.changes if str(change.name) == name), None)
    return PlanCell(proposed=proposed, still_blocks=name in map(str, plan.still_blocked))


def render_table(plans: Sequence[Plan], *, width: int = DEFAULT_WIDTH, color: bool = False, written: bool) -> str:
    """Return the plans as text that is `width` columns wide; `written` means that their edits are made."""

    def write(console: Console) -> None:
        from rich.table import Table
        from rich.text import Text

        for plan in plans:
            word, sentence = plan_table.headline(plan)
            console.print(Text.assemble((plan.target, "bold"), f"  {word}: ", clean(sentence)))
        if rows := find_rows(plans):
            drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
            for title in ("package", *(plan.target for plan in plans)):
                drawn.add_column(title, header_style="bold", overflow="fold")
            for row in rows:
                drawn.add_row(Text(clean(row.name)), *(Text(str(cell)) for cell in row.cells))
            console.print()
            console.print(drawn)

    parts = [draw(write, width=width, color=color)]
    for plan in plans:
        parts += [f"\n{rule(plan.target, width)}\n", plan_table.render(plan, width=width, color=color, written=written)]
    return "".join(parts)


def render_json(plans: Sequence[Plan]) -> str:
    """Return the plans as JSON text, with a final newline."""
    rows = [
        {
            "name": row.name,
            "targets": {plan.target: _as_dict(cell) for plan, cell in zip(plans, row.cells, strict=True)},
        }
        for row in find_rows(plans)
    ]
    made = targets_json.together([plan.target for plan in plans], rows, map(plan_json.as_dict, plans))
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def _as_dict(cell: PlanCell) -> dict[str, Any]:
    return {"proposed": None if cell.proposed is None else str(cell.proposed), "still_blocks": cell.still_blocks}


def render_markdown(plans: Sequence[Plan], *, limit: int = LIMIT) -> str:
    """Return the plans within `limit` characters; omitted content is counted, with a pointer to it."""
    targets = [plan.target for plan in plans]
    top = [f"## ftaudit plan: {escape(', '.join(targets))}"]
    for plan in plans:
        word, sentence = plan_table.headline(plan)
        top.append(f"**{plan.target} {word}**: {escape(sentence)}")
    columns = ("package", *targets)
    head = f"### Side by side\n\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}\n"
    rows = [
        f"| {' | '.join((f'**{escape(row.name)}**', *(escape(str(cell)) for cell in row.cells)))} |"
        for row in find_rows(plans)
    ]
    parts = [MarkdownSection(items=rows, head=head, what="packages")]
    for plan in plans:
        notes = [f"- {escape(f'not checked: {what}')}" for what in plan.incomplete]
        notes += [f"- {escape(note)}" for note in plan.notes]
        title = MarkdownSection(items=[""], head=f"## {plan.target}", what="targets")
        parts += [title, *sections(plan), *outlook_sections(plan.outlook), MarkdownSection(items=notes, what="notes")]
    end = f"targets {escape(', '.join(targets))} on {escape(', '.join(plans[0].platforms))}"
    return fit(top, parts, end, limit, command="ftaudit plan")
