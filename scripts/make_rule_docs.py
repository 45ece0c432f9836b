#!/usr/bin/env python3
"""Writes docs/rules/: a page for each rule and an index, from the rules' own descriptions.

scripts/make_rule_docs.py            write what has changed, remove pages of rules that are gone
scripts/make_rule_docs.py --check    write nothing; exit 1 if a page is stale
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

from ftaudit.registry import load_rules
from ftaudit.rule import PackageExample, PackageRule, Rule, SourceExample, SourceRule
from ftaudit.target import DEFAULT_TARGET

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "rules"
GROUPS = {
    "0": "Comments that silence findings",
    "1": "Wheels, metadata and build configuration",
    "2": "Binaries",
    "3": "C and C++",
    "4": "Cython, binding generators and Rust",
    "5": "Python",
    "6": "Imports and runs",
    "7": "Migration to the stable ABI for free-threaded builds (abi3t)",
}
FENCES = {"python": "python", "c": "c", "c++": "cpp", "cython": "cython", "rust": "rust", "build": "text"}
BY_SUFFIX = {
    ".py": "python",
    ".pyx": "cython",
    ".pxd": "cython",
    ".c": "c",
    ".rs": "rust",
    ".toml": "toml",
    ".cfg": "ini",
    ".txt": "cmake",
    ".build": "text",
    ".yml": "yaml",
    ".yaml": "yaml",
}


def pages() -> dict[str, str]:
    """Return every page by its file name."""
    registry = load_rules()
    if registry.problems:
        raise SystemExit("\n".join(registry.problems))
    every = {f"{rule.info.name}.md": "\n".join(page(rule)) + "\n" for rule in registry.rules}
    return every | {"README.md": "\n".join(contents(registry.rules)) + "\n"}


def page(rule: Rule) -> Iterator[str]:
    """Yield the lines of one rule's page."""
    info = rule.info
    yield from (f"# {info.code} {info.name}", "", info.summary, "")
    default = "yes" if info.default else f"no: `--select {info.code}` or `--pedantic`"
    if info.migration:
        default = "in projects that use the limited API, for 3.15t and later; otherwise with `--select FT7`"
    yield from (
        "| severity | confidence | on by default | since |",
        "| --- | --- | --- | --- |",
        f"| {info.severity} | {info.confidence} | {default} | {info.since} |",
        "",
    )
    yield from ("## Why", "", inspect.getdoc(type(rule)) or "", "")
    yield from ("## What to do", "", info.remedy, "")
    yield from examples(rule)
    if info.links:
        yield from ("## See also", "", *(f"- <{link}>" for link in info.links))


def examples(rule: Rule) -> Iterator[str]:
    """Yield the sections on flagged and accepted code."""
    if isinstance(rule, PackageRule):
        yield from ("## Flagged", "", *(f"- {finding_line(rule, each)}" for each in rule.INVALID), "")
        yield from ("## Not flagged", "", *(f"- {each.title}" for each in rule.VALID), "")
    elif isinstance(rule, SourceRule):
        instead = [example for example in rule.VALID if example.instead]
        others = [example for example in rule.VALID if not example.instead]
        for title, each in (("Flagged", rule.INVALID), ("Use instead", instead), ("Not flagged", others)):
            yield from (f"## {title}", "") if each else ()
            for example in each:
                yield from source_example(rule, example)


def finding_line(rule: PackageRule, example: PackageExample) -> str:
    """Return an example's title with the rule's findings in it."""
    return f"{example.title}: " + "; ".join(f"“{finding.message}”" for finding in rule.check(example.facts))


def source_example(rule: SourceRule, example: SourceExample) -> Iterator[str]:
    """Yield one example as a fenced block, under its path and lines if they matter."""
    notes = [f"`{example.path}`"] if example.path else []
    if example.lines:
        notes.append(("line " if len(example.lines) == 1 else "lines ") + ", ".join(map(str, example.lines)))
    if example.target != DEFAULT_TARGET:
        notes.append(f"with `--target {example.target}`")
    if notes:
        yield from (f"{', '.join(notes)}:", "")
    suffix = Path(example.path).suffix if example.path else ""
    language = BY_SUFFIX.get(suffix) or FENCES[min(rule.languages)]
    fence = "````" if "```" in example.code else "```"
    yield from (f"{fence}{language}", example.code.rstrip("\n"), fence, "")
    for path, text in example.others:
        yield from (f"next to it `{path}`:", "", f"{fence}", text.rstrip("\n"), fence, "")


def contents(rules: tuple[Rule, ...]) -> Iterator[str]:
    """Yield the lines of the table of all rules."""
    yield from ("# Rules", "", "`ftaudit explain RULE` prints the page of a rule.")
    for digit, title in GROUPS.items():
        group = [rule for rule in rules if rule.info.code[2:3] == digit]
        if group:
            yield from ("", f"## {title}", "", "| code | rule | summary | severity | confidence | default |")
            yield "| --- | --- | --- | --- | --- | --- |"
            for rule in group:
                info = rule.info
                on = "on" if info.default else "off"
                link = f"[{info.name}]({info.name}.md)"
                yield f"| {info.code} | {link} | {info.summary} | {info.severity} | {info.confidence} | {on} |"
    yield from ("", "```{toctree}", ":hidden:", "", *(rule.info.name for rule in rules), "```")


def stale() -> dict[Path, str | None]:
    """Return the files that differ from what they should be, with their right text; `None` for what must go."""
    wanted = {FOLDER / name: text for name, text in pages().items()}
    found = {path: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    changed: dict[Path, str | None] = {path: text for path, text in wanted.items() if found.get(path) != text}
    return changed | dict.fromkeys(found.keys() - wanted.keys())


def main() -> int:
    """Write the pages, or check them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a page is stale")
    check = parser.parse_args().check
    changed = stale()
    for path, text in sorted(changed.items()):
        print(f"{'stale' if check else 'removed' if text is None else 'written'}: {path.name}")
        if check:
            continue
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
