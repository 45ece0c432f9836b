#!/usr/bin/env python3
"""Print the number and the list of the default profile's findings in well-kept projects, for review by hand.

    scripts/judge_noise.py [NAME==VERSION …] [--cache FOLDER] [--target 3.14t] [-v]

Each source distribution is scanned whole, in the default profile, without tests, examples, documentation and vendored
code. Without names, the five of the project's limit (at most 0.15 findings per 1,000 lines) are taken. `-v` prints
every finding with its line, which is what `docs/rule-precision.md` was judged from.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from judge_rules import fetch

from ftaudit.registry import load_rules
from ftaudit.rule import SourceRule
from ftaudit.source.source_files import find_files
from ftaudit.source.tree_scan import ScanResult, scan
from ftaudit.target import parse_target

FIVE = ("Django==5.2.8", "SQLAlchemy==2.0.44", "rich==14.2.0", "requests==2.32.5", "attrs==25.4.0")


def main() -> int:
    """Run the judgment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("projects", nargs="*", default=FIVE, metavar="NAME==VERSION")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "ftaudit-judge")
    parser.add_argument("--target", default="3.14t")
    parser.add_argument("-v", "--verbose", action="store_true", help="print every finding")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    rules = tuple(rule for rule in load_rules().select() if isinstance(rule, SourceRule))
    results: dict[str, ScanResult] = {}
    for project in options.projects:
        name, _, version = project.partition("==")
        folder = fetch(f"{name.lower()}-{version}.tar.gz", options.cache)
        found = find_files([folder], trust_git=False, base=folder)
        results[project] = scan(found, rules=rules, target=parse_target(options.target))
        if options.verbose:
            for finding in results[project].findings:
                place = finding.location
                where = "" if place is None else f"{place.path}:{place.line}"
                print(f"{finding.code} {finding.severity.value:7} {where} {finding.message}")
    print(f"{'project':28}{'lines':>10}{'findings':>10}{'/1,000 lines':>14}")
    for project, result in results.items():
        _print_row(project, result.lines, len(result.findings))
    if len(results) > 1:
        total = sum(len(result.findings) for result in results.values())
        _print_row("all", sum(result.lines for result in results.values()), total)
    counts = Counter(
        (finding.code, finding.rule, finding.severity.value)
        for result in results.values()
        for finding in result.findings
    )
    print("\n" + "\n".join(f"{count:6}  {' '.join(rule)}" for rule, count in sorted(counts.items())))
    return 0


def _print_row(name: str, lines: int, findings: int) -> None:
    print(f"{name:28}{lines:10,}{findings:10}{1000 * findings / max(lines, 1):14.3f}")


if __name__ == "__main__":
    sys.exit(main())
