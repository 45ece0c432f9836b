"""Several targets as JSON: the packages side by side, and the document of each target (`schema/targets-1.json`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any, Final

from ftaudit.__about__ import __version__
from ftaudit.model import Report, worst_exit_code
from ftaudit.report.package import check_json
from ftaudit.report.package.target_rows import TargetCell, TargetRow, find_rows

SCHEMA_VERSION: Final = 1


def render(reports: Sequence[Report]) -> str:
    """Return the reports as JSON text, with a final newline."""
    rows = [row_as_dict(row, reports) for row in find_rows(reports)]
    made = together([report.target for report in reports], rows, map(check_json.as_dict, reports))
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) that the documents of several targets obey, with the schemas of their parts."""
    from ftaudit.report.migration import migration_json
    from ftaudit.report.plan import plan_json

    text = resources.files("ftaudit.report").joinpath("schema/targets-1.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    parts = {
        "check-1.json": check_json.schema(),
        "plan-1.json": plan_json.schema(),
        "report-1.json": migration_json.schema(),
    }
    definitions = {name: part | {"$id": name} for name, part in parts.items()}
    return loaded | {"$defs": loaded["$defs"] | definitions}


def together(
    targets: Sequence[str], rows: Sequence[dict[str, Any]], documents: Iterable[dict[str, Any]]
) -> dict[str, Any]:
    """Return one of the documents of several targets; each has its own `exit_code`."""
    each = list(documents)
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "ftaudit", "version": __version__},
        "targets": list(targets),
        "exit_code": worst_exit_code(one["exit_code"] for one in each),
        "side_by_side": list(rows),
        "reports": each,
    }


def row_as_dict(row: TargetRow, reports: Sequence[Report]) -> dict[str, Any]:
    """Return a package with the result of each target's report; `null` if the target does not need it."""
    return {
        "name": row.name,
        "platforms": list(row.platforms),
        "differs": row.differs,
        "targets": {report.target: _cell(cell) for report, cell in zip(reports, row.cells, strict=True)},
    }


def _cell(cell: TargetCell | None) -> dict[str, Any] | None:
    if cell is None:
        return None
    return {
        "version": None if cell.version is None else str(cell.version),
        "verdict": cell.verdict.value,
        "reason": cell.reason,
        "accepted": cell.accepted,
    }
