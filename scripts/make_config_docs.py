#!/usr/bin/env python3
"""Writes the table of keys in docs/configuration.md from the options that the commands declare.

scripts/make_config_docs.py            write the table
scripts/make_config_docs.py --check    write nothing; exit 1 if the table is stale
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from ftaudit.cli import build_parser
from ftaudit.cli.declare import declare
from ftaudit.config import Key

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
BEGIN, END = "<!-- keys: made by scripts/make_config_docs.py -->\n", "<!-- end of keys -->\n"


def table() -> str:
    """Return the Markdown table of all keys."""
    by_name: dict[str, list[Key]] = {}
    for key in declare(build_parser()):
        by_name.setdefault(key.name, []).append(key)
    lines = ["| key | takes | default | commands | what it does |", "|---|---|---|---|---|"]
    for name, keys in sorted(by_name.items()):
        cells = (
            f"`{name}`",
            _takes(keys),
            next(filter(None, map(_default, keys)), ""),
            ", ".join(dict.fromkeys(f"`{key.section}`" for key in keys)),
            "; ".join(_said(keys)),
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _takes(keys: list[Key]) -> str:
    """Return the values of the key; if the commands offer different choices, all of them."""
    choices = dict.fromkeys(choice for key in keys for choice in key.choices)
    return ", ".join(f"`{choice}`" for choice in choices) if choices else keys[0].expected


def _default(key: Key) -> str:
    match key.plain(key.default):
        case None | []:
            return ""
        case bool() as value:
            return f"`{str(value).lower()}`"
        case value:
            return f"`{value}`"


def _said(keys: list[Key]) -> Iterator[str]:
    first = keys[0]
    offered = {key.choices for key in keys}
    yield first.help.replace("%%", "%") if len(offered) == 1 else "each command supports some of these"
    if first.variables:
        yield "environment: " + ", ".join(f"`{name}`" for name in first.variables)
    if first.reserved:
        yield f"**only in a file that you specify with `--config`**: {first.reserved}"
    if first.contained:
        yield "must be below the folder of the file, unless you name the file with `--config`"


def page(text: str) -> str:
    """Return the page with the table as it has to be."""
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{PAGE.name} lacks the lines between which the table stands")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> int:
    """Write the table, or report that it is stale."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    text = PAGE.read_text("utf-8")
    wanted = page(text)
    if text == wanted:
        return 0
    if check:
        print(f"{PAGE.name} is stale: run scripts/make_config_docs.py")
        return 1
    PAGE.write_text(wanted, "utf-8")
    print(f"wrote {PAGE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
