#!/usr/bin/env python3
"""Draw findings of the default profile at random, for judgment by hand, and count the judgments.

    scripts/draw_findings.py draw NAME==VERSION … [--count 160] [--most 10] [--seed 12] [--around 6] [--cache FOLDER]
    scripts/draw_findings.py count [JUDGED.csv] [--round NAME]
    scripts/draw_findings.py again [JUDGED.csv] [--round NAME] [--cache FOLDER]

`draw` scans whole source distributions in the default profile for target 3.14t, without tests, examples, documentation
and vendored code, draws findings with a fixed seed, at most so many of one project, and prints them as rows of the
table with the lines around each place. Whoever judges fills in `verdict` (true, debatable, false) and `reason`.
`count` prints the precision per rule. `again` scans the same releases again and counts the judged findings that are
still reported: the precision of the rules after they changed, on the findings that they changed for.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
from collections import Counter, defaultdict
from pathlib import Path

from judge_rules import fetch

from ftaudit.model import Finding
from ftaudit.registry import load_rules
from ftaudit.rule import SourceRule
from ftaudit.source.source_files import find_files
from ftaudit.source.tree_scan import scan
from ftaudit.target import parse_target

COLUMNS = ("round", "project", "version", "code", "severity", "path", "line", "verdict", "reason", "message")
VERDICTS = ("true", "debatable", "false")
_SKIPPED_REASONS = 120


def findings_of(project: str, cache: Path) -> tuple[Path, list[Finding]]:
    """Return the folder of a release and the findings of the default profile in it."""
    name, _, version = project.partition("==")
    folder = fetch(f"{name.lower()}-{version}.tar.gz", cache)
    rules = tuple(rule for rule in load_rules().select() if isinstance(rule, SourceRule))
    inner = [*folder.iterdir()]
    found = find_files(inner if len(inner) == 1 else [folder], trust_git=False, base=folder)
    return folder, list(scan(found, rules=rules, target=parse_target("3.14t")).findings)


def row_of(project: str, finding: Finding, name: str) -> dict[str, str]:
    """Return a finding as a row that is not judged yet."""
    place = finding.location
    release, _, version = project.partition("==")
    return {
        "round": name,
        "project": release,
        "version": version,
        "code": finding.code,
        "severity": finding.severity.value,
        "path": place.path if place else "",
        "line": str(place.line or "") if place else "",
        "verdict": "",
        "reason": "",
        "message": finding.message[:_SKIPPED_REASONS],
    }


def draw(options: argparse.Namespace) -> int:
    """Print the drawn findings."""
    chosen: list[tuple[dict[str, str], Path, Finding]] = []
    totals: Counter[str] = Counter()
    for project in options.projects:
        folder, findings = findings_of(project, options.cache)
        totals[project] = len(findings)
        order = sorted(findings, key=lambda one: (str(one.location), one.code, one.message))
        random.Random(f"{options.seed} {project}").shuffle(order)
        chosen += ((row_of(project, one, options.round), folder, one) for one in order[: options.most])
        print(f"{project}: {len(findings)} findings", file=sys.stderr, flush=True)
    random.Random(options.seed).shuffle(chosen)
    chosen = sorted(chosen[: options.count], key=lambda one: [one[0][key] for key in ("project", "code", "path")])
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row, _, _ in chosen:
        writer.writerow(row)
    if options.around:
        for row, folder, finding in chosen:
            print(f"\n=== {row['project']} {row['code']} {row['severity']} {row['path']}:{row['line']}")
            print(finding.message)
            for site in finding.sites:
                print(f"    {site.location} {site}"[:220])
            lines = (folder / row["path"]).read_text(encoding="utf-8", errors="replace").splitlines()
            at = int(row["line"] or 1)
            for number in range(max(1, at - options.around), min(len(lines), at + options.around) + 1):
                print(f"{'>' if number == at else ' '}{number:5} {lines[number - 1][:150]}")
    print(f"{sum(totals.values())} findings, {len(chosen)} drawn", file=sys.stderr)
    return 0


def judged(options: argparse.Namespace) -> list[dict[str, str]]:
    """Return the judged rows of the table."""
    with options.table.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if options.round in (None, row["round"])]
    if wrong := [row for row in rows if row["verdict"] not in VERDICTS]:
        raise SystemExit(f"{options.table}: {len(wrong)} rows without a verdict; the first is {wrong[0]}")
    return rows


def count(rows: list[dict[str, str]]) -> int:
    """Print the precision per rule."""
    by_code: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        by_code[row["code"]][row["verdict"]] += 1
        by_code["all"][row["verdict"]] += 1
    print(
        f"{'code':8}{'found':>7}"
        + "".join(f"{verdict:>11}" for verdict in VERDICTS)
        + f"{'true':>9}{'or debatable':>14}"
    )
    for code, counts in sorted(by_code.items()):
        total = sum(counts.values())
        share, fair = counts["true"] / total, (counts["true"] + counts["debatable"]) / total
        numbers = "".join(f"{counts[verdict]:11}" for verdict in VERDICTS)
        print(f"{code:8}{total:7}{numbers}{share:9.0%}{fair:14.0%}")
    print(f"{len({row['project'] for row in rows})} projects")
    return 0


def again(rows: list[dict[str, str]], cache: Path) -> int:
    """Print the precision of the judged findings that are still reported."""
    kept: list[dict[str, str]] = []
    for project in dict.fromkeys(f"{row['project']}=={row['version']}" for row in rows):
        reported = {
            (finding.code, finding.location.path, str(finding.location.line or ""))
            for finding in findings_of(project, cache)[1]
            if finding.location
        }
        own = [row for row in rows if f"{row['project']}=={row['version']}" == project]
        kept += (row for row in own if (row["code"], row["path"], row["line"]) in reported)
    lost = [row for row in rows if row not in kept and row["verdict"] == "true"]
    for row in lost:
        print(f"no longer reported, though true: {row['project']} {row['code']} {row['path']}:{row['line']}")
    return count(kept)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    cache = Path.home() / ".cache" / "ftaudit-judge"
    drawing = commands.add_parser("draw")
    drawing.add_argument("projects", nargs="+", metavar="NAME==VERSION")
    drawing.add_argument("--count", type=int, default=160)
    drawing.add_argument("--most", type=int, default=10, help="findings of one project")
    drawing.add_argument("--seed", type=int, default=12)
    drawing.add_argument("--around", type=int, default=6, help="lines to print around each place")
    drawing.add_argument("--round", default="", help="the name of the round in the table")
    drawing.add_argument("--cache", type=Path, default=cache)
    for name in ("count", "again"):
        other = commands.add_parser(name)
        other.add_argument("table", nargs="?", type=Path, default=Path(__file__).with_name("judged_findings.csv"))
        other.add_argument("--round")
        other.add_argument("--cache", type=Path, default=cache)
    options = parser.parse_args()
    if options.command == "draw":
        options.cache.mkdir(parents=True, exist_ok=True)
        return draw(options)
    rows = judged(options)
    return count(rows) if options.command == "count" else again(rows, options.cache)


if __name__ == "__main__":
    sys.exit(main())
