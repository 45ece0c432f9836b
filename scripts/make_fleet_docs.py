#!/usr/bin/env python3
"""Write docs/fleet-schema.md from `ftaudit.fleet.schema`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ftaudit.fleet.schema import SCHEMA_VERSION, TABLES, DataTable

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "fleet-schema.md"


def render() -> str:
    """Return the page."""
    head = (
        "# Tables of a fleet's data set\n\n"
        f"This is version {SCHEMA_VERSION} of the schema. Columns are added, and never renamed or redefined, within a "
        "version.\nEvery row has a `target` (`3.14t`), which is the partition. Rows are sorted by their key.\n"
    )
    return "\n".join((head, *map(_table, TABLES)))


def _table(table: DataTable) -> str:
    rows = "".join(
        f"| `{column.name}` | `{column.type}` | {'yes' if column.nullable else ''} | {column.about} |\n"
        for column in table.columns
    )
    key = ", ".join(f"`{name}`" for name in ("target", *table.key))
    return (
        f"## {table.name}\n\n{table.about} Key: {key}.\n\n| column | type | null | meaning |\n|---|---|---|---|\n{rows}"
    )


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
    print(f"wrote {PAGE.name}")
