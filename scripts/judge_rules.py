#!/usr/bin/env python3
"""Judge the rules on real fixes: download the sdists that a table of cases names, scan them, and print the results.

    scripts/judge_rules.py [CASES.csv] [--cache FOLDER] [--only TEXT] [--language TEXT] [--tolerance LINES] [-v]
    scripts/judge_rules.py --named-only [--half tune|held-out|second|…]

    scripts/judge_rules.py scripts/fresh_cases.csv --named-only --tolerance 2 [--mirrors FOLDER]

Without a table, it is `rule_cases.csv` next to the script: fixes made for free threading, found in the histories of
projects, and places that a grep would report but that are safe, drawn at random and judged by hand.

A case is seen when one of its expected rules flags the file of the sdist before the fix within the tolerance of one of
the given lines, with its own place or one of its sites; it is still flagged when the same rule flags the file after the
fix at a line of the fix. A row whose
difficulty is `look-alike` names a place after a fix, or in code that never needed one, where none of its rules may say
anything. Each sdist is scanned whole, in the default profile, without tests and vendored code except the files that
the cases name. Findings of a grep for the same words would not be a measure; findings per 1,000 lines are.

With `--named-only` the other files of an sdist are surveyed as context but not checked: quicker, and without a measure
of noise. `--half` takes the rows with that note: rules were fixed with the first half in view, so the second shows
how they do on unseen code. Later sets are `second` and so on, each held out until its score was noted.

A source may also be a commit, `owner/name@commit`: then only the folder around the file is scanned, out of a clone
below `--mirrors` (`owner+name/repo`) or one that is made from GitHub. The rule `any` stands for every rule that does
not ask for a declaration: what a set is judged by whose rows were written down before any rule was run.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from ftaudit.model import Finding, Severity
from ftaudit.registry import load_rules
from ftaudit.rule import SourceRule
from ftaudit.source.base import Role
from ftaudit.source.languages import may_be_source
from ftaudit.source.sdist import unpack
from ftaudit.source.source_files import FoundFile, FoundFiles, find_files
from ftaudit.source.tree_scan import ScanResult, scan
from ftaudit.target import parse_target


@dataclass(frozen=True, kw_only=True)
class Case:
    """One row of the table."""

    id: str
    language: str
    before: frozenset[str]
    """Codes of which one is expected before the fix."""
    after: frozenset[str]
    """Codes of which one is expected after it: the fix trades one rule for another."""
    hard: bool
    lookalike: bool
    note: str
    pre: tuple[str, str, tuple[int, ...]]
    post: tuple[str, str, tuple[int, ...]]


def read_cases(path: Path) -> list[Case]:
    """Return the cases of the table."""
    with path.open(newline="", encoding="utf-8") as file:
        return [_case(row) for row in csv.DictReader(file)]


def _case(row: dict[str, str]) -> Case:
    before, _, after = row["expected_rules"].partition(">")
    return Case(
        id=row["id"],
        language=row["language"],
        before=frozenset(before.split(";")),
        after=frozenset(after.split(";")) - {""},
        hard=row["difficulty"] == "hard",
        lookalike=row["difficulty"] == "look-alike",
        note=row["note"],
        pre=(row["sdist_pre"], row["sdist_pre_path"], _lines(row["sdist_pre_lines"])),
        post=(row["sdist_post"], row["sdist_post_path"], _lines(row["sdist_post_fix_lines"])),
    )


def _lines(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text))


_MOST_FILES = 400
"""Source files of a commit around the named one that are scanned with it."""


def checkout(source: str, path: str, cache: Path, mirrors: Path | None) -> Path:
    """Return a folder with the files of a commit around one of them: `owner/name@commit`."""
    name, _, revision = source.partition("@")
    flat = name.replace("/", "+")
    folder = cache / f"{flat}@{revision.rstrip('^')[:12]}{'-before' if revision.endswith('^') else ''}"
    if (folder / path).is_file():
        return folder
    mirror = mirrors / flat / "repo" if mirrors else cache / f"{flat}.git"
    if not mirror.is_dir():
        url = f"https://github.com/{name}"
        subprocess.run(["git", "clone", "-q", "--bare", "--filter=blob:none", url, str(mirror)], check=True)
    git = ["git", "-C", str(mirror)]
    listed = subprocess.run([*git, "ls-tree", "-r", "--name-only", revision], capture_output=True, check=True)
    sources = [one for one in listed.stdout.decode().splitlines() if may_be_source(Path(one))]
    around: list[str] = [path]
    for parent in Path(path).parents:
        below = [one for one in sources if str(parent) == "." or one.startswith(f"{parent}/")]
        if len(below) > _MOST_FILES:
            break
        around = below
    folder.mkdir(exist_ok=True)
    archive = subprocess.run([*git, "archive", revision, "--", *around], capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def fetch(filename: str, cache: Path) -> Path:
    """Return the folder of an unpacked sdist, downloading it at need."""
    folder = cache / filename.removesuffix(".tar.gz").removesuffix(".zip")
    if folder.is_dir():
        return folder
    archive = cache / filename
    if not archive.exists():
        from pypi_simple import PyPISimple

        project = re.split(r"-\d", filename, maxsplit=1)[0]
        with PyPISimple() as client:
            page = client.get_project_page(project)
            wanted = _canonical(filename)
            package = next((p for p in page.packages if _canonical(p.filename) == wanted), None)
            if package is None:
                raise SystemExit(f"{filename}: the index has no such file")
            client.download_package(package, archive, verify=bool(package.digests))
    # A run that is killed here leaves no folder that the next run takes for the whole release.
    begun = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=cache))
    unpack(archive, begun)
    begun.rename(folder)
    return folder


def _canonical(filename: str) -> str:
    return filename.lower().replace("-", "_").replace(".", "_")


def scan_sdist(
    folder: Path, named: set[str], rules: tuple[SourceRule, ...], jobs: int | None, *, named_only: bool
) -> ScanResult:
    """Scan an unpacked sdist, and the named files in it whatever their role."""
    found = find_files([folder], trust_git=False, base=folder)
    files = {file.shown: file for file in found.files}
    for path in named:
        if (folder / path).is_file() and path not in files:
            files[path] = FoundFile(path=folder / path, shown=path, role=Role.OWN)
    if named_only:
        files = {path: file if path in named else replace(file, context_only=True) for path, file in files.items()}
    found = FoundFiles(files=tuple(files[path] for path in sorted(files)), skipped=found.skipped)
    return scan(found, rules=rules, target=parse_target("3.14t"), jobs=jobs)


def placed(finding: Finding) -> list[Finding]:
    """Return the finding once for each place that it names: its own and its sites."""
    places = dict.fromkeys((finding.location, *(site.location for site in finding.sites)))
    return [replace(finding, location=place) for place in places]


def at(findings: list[Finding], codes: frozenset[str], lines: tuple[int, ...], tolerance: int) -> list[Finding]:
    """Return the findings of the codes within the tolerance of a line; anywhere in the file if no line is given."""
    near = []
    for finding in findings:
        line = finding.location.line if finding.location else None
        wanted = finding.code in codes or "any" in codes
        if wanted and (not lines or any(line and abs(line - one) <= tolerance for one in lines)):
            near.append(finding)
    return near


def judge(case: Case, pre: list[Finding], post: list[Finding], tolerance: int, totals: Counter[tuple[str, str]]) -> str:
    """Count one case, and return its outcome."""
    rules = ">".join(filter(None, ("|".join(sorted(case.before)), "|".join(sorted(case.after)))))
    words = [f"{case.id:22}", f"{case.language:14}", f"{rules:24}"]
    still = at(post, case.before, case.post[2], tolerance)
    if case.lookalike:
        totals[case.language, "look-alikes"] += 1
        totals[case.language, "alarms"] += bool(still)
        words.append(f"FALSE ALARM, line {_line(still)}" if still else "quiet")
        return "  ".join(words)
    seen = at(pre, case.before, case.pre[2], tolerance)
    traded = not case.after or bool(at(post, case.after, (), 0))
    totals[case.language, "hard" if case.hard else "cases"] += 1
    totals[case.language, "hard seen" if case.hard else "seen"] += bool(seen)
    totals[case.language, "still"] += bool(still) or not traded
    totals[case.language, "all"] += 1
    words.append(f"{'hard  ' if case.hard else ''}{'seen' if seen else 'MISSED'}")
    if still:
        words.append(f"STILL FLAGGED after the fix, line {_line(still)}")
    if not traded:
        words.append("NOT TRADED after the fix")
    return "  ".join(words)


def _line(found: list[Finding]) -> int | str:
    return (found[0].location and found[0].location.line) or "?"


def main() -> int:
    """Run the judgment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="?", type=Path, default=Path(__file__).with_name("rule_cases.csv"))
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "ftaudit-judge")
    parser.add_argument("--mirrors", type=Path, help="folder of clones, for sources that are commits")
    parser.add_argument("--only", default="", help="cases whose id contains this")
    parser.add_argument("--language", default="", help="cases whose language contains this")
    parser.add_argument("--tolerance", type=int, default=6, help="lines between a finding and the flaw (default 6)")
    parser.add_argument("--rules", default="", help="only rules with these codes, comma-separated")
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--named-only", action="store_true", help="check the named files alone")
    parser.add_argument("--half", metavar="NOTE", help="judge the cases with that note: tune, held-out, second …")
    parser.add_argument("-v", "--verbose", action="store_true", help="print the findings of the files of each case")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    rules = tuple(r for r in load_rules().select() if isinstance(r, SourceRule))
    if any("any" in case.before for case in read_cases(options.cases)):
        rules = tuple(rule for rule in rules if not rule.info.asks_to_declare)
    if options.rules:
        rules = tuple(rule for rule in rules if rule.info.code in options.rules.split(","))
    cases = [c for c in read_cases(options.cases) if options.only in c.id and options.language in c.language]
    cases = [c for c in cases if options.half in (None, c.note)]
    if not cases:
        print("no case is left")
        return 2

    named: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        for sdist, path, _ in (case.pre, case.post):
            if sdist:
                named[sdist].add(path)
    results: dict[str, ScanResult] = {}
    for sdist in sorted(named):
        if "@" in sdist:
            folder = checkout(sdist, min(named[sdist]), options.cache, options.mirrors)
        else:
            folder = fetch(sdist, options.cache)
        results[sdist] = scan_sdist(folder, named[sdist], rules, options.jobs, named_only=options.named_only)
        print(f"scanned {sdist}", file=sys.stderr, flush=True)

    def findings(side: tuple[str, str, tuple[int, ...]]) -> list[Finding]:
        every = (place for finding in results[side[0]].findings for place in placed(finding))
        return [f for f in every if f.location and f.location.path == side[1]]

    totals: Counter[tuple[str, str]] = Counter()
    for case in sorted(cases, key=lambda case: (case.lookalike, case.language, case.id)):
        before = findings(case.pre) if case.pre[0] else []
        after = findings(case.post)
        print(judge(case, before, after, options.tolerance, totals))
        if options.verbose:
            for side, found in (("before", before), ("after", after)):
                for finding in found:
                    line = finding.location.line if finding.location else None
                    print(f"    {side:6} {finding.code} {line}: {finding.message[:110]}")
    _print_totals(totals)
    if not options.named_only:
        _print_volume(results)
    return 0


def _print_totals(totals: Counter[tuple[str, str]]) -> None:
    columns = ("seen", "cases", "hard seen", "hard", "still", "all", "alarms", "look-alikes")
    heads = ("seen", "cases", "hard seen", "hard", "still flagged", "of", "false alarms", "look-alikes")
    print("\n" + f"{'language':16}" + "".join(f"{head:>{len(head) + 3}}" for head in heads))
    languages = sorted({language for language, _ in totals})
    for language in [*languages, "all"]:
        chosen = languages if language == "all" else [language]
        numbers = [sum(totals[one, what] for one in chosen) for what in columns]
        cells = (f"{number:{len(head) + 3}}" for number, head in zip(numbers, heads, strict=True))
        print(f"{language:16}" + "".join(cells))


def _print_volume(results: dict[str, ScanResult]) -> None:
    print(f"\n{'sdist':40}{'lines':>9}{'error':>7}{'warning':>9}{'info':>6}{'/1,000 lines':>14}  skipped")
    for sdist, result in sorted(results.items()):
        by = Counter(finding.severity for finding in result.findings)
        rate = 1000 * len(result.findings) / max(result.lines, 1)
        print(
            f"{sdist:40}{result.lines:9,}{by[Severity.ERROR]:7}{by[Severity.WARNING]:9}{by[Severity.INFO]:6}"
            f"{rate:14.3f}  {len(result.skipped)}"
        )
    rules: Counter[str] = Counter(f"{f.code} {f.rule}" for result in results.values() for f in result.findings)
    print("\n" + "\n".join(f"{count:6}  {rule}" for rule, count in sorted(rules.items())))
    for result in results.values():
        for skip in result.skipped:
            if not skip.read_anyway:
                print(f"skipped {skip.path}:{skip.line or ''} {skip.reason}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
