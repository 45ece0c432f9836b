#!/usr/bin/env python3
"""Writes docs/fleet-schema.md from `ftaudit.fleet.schema`.

scripts/make_fleet_docs.py            write the page
scripts/make_fleet_docs.py --check    write nothing; exit 1 if the page is stale
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from ftaudit.fleet.schema import SCHEMA_VERSION, TABLES, DataTable

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "fleet-schema.md"


def render() -> str:
    """Return the page."""
    head = (
        "# Tables of a fleet's data set\n\n"
        f"This is version {SCHEMA_VERSION} of the schema. New releases of ftaudit can add columns to this version, but "
        "do not rename or\nredefine columns. Every row has a `target` (`3.14t`), which is the partition. Rows are "
        "sorted by their key.\n"
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


def main() -> int:
    """Write the page, or report that it is stale."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    if PAGE.exists() and PAGE.read_text("utf-8") == render():
        return 0
    if check:
        print(f"{PAGE.name} is stale: run scripts/make_fleet_docs.py")
        return 1
    PAGE.write_text(render(), "utf-8")
    print(f"wrote {PAGE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
