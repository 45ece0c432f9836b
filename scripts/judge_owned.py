#!/usr/bin/env python3
"""What the fixes of borrowed references make of the places that projects fixed themselves, next to their own fixes.

scripts/judge_owned.py [CASES.csv] [--cache FOLDER] [--only TEXT] [-v]

Each case of the table that expects FT310, FT311, FT313, FT314 or FT315 names the lines before a fix and after it. For
each borrowing call on the lines before, the fix is made on the file alone. `-v` prints our lines and the project's, for
judgement by hand: a fix is good if it is the project's, or does the same.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections import Counter
from pathlib import Path

from judge_rules import Case, checkout, fetch, read_cases

from ftaudit.model import Finding, Fix, NoFix
from ftaudit.rule import Language
from ftaudit.source.base import Room, SourceFile, TreeContext
from ftaudit.source.c import READER, CUnit
from ftaudit.source.c.owned_references import own_reference
from ftaudit.source.c.strong_calls import STRONG
from ftaudit.source.fixing.original import apply_edits
from ftaudit.target import parse_target
from ftaudit_rules.c.borrowed_dict_item import BorrowedDictItem

CODES = frozenset({"FT310", "FT311", "FT313", "FT314", "FT315"})
CASES = Path(__file__).with_name("rule_cases.csv")
_TOLERANCE = 1


def read(folder: Path, path: str) -> CUnit:
    """Return a file as the rules see it, without the rest of its tree."""
    text = (folder / path).read_text(encoding="utf-8", errors="replace")
    language = Language.C if path.endswith((".c", ".h")) else Language.CPP
    source = SourceFile(path=path, language=language, text=text, target=parse_target("3.14t"))
    survey = READER.survey(source)
    surveys = {} if survey is None else {path: survey}
    return READER.parse(source, TreeContext(rooms={Room.C: READER.gather(surveys)}))


def fixes_of(unit: CUnit, lines: tuple[int, ...]) -> dict[int, Fix | NoFix]:
    """Return the fix of each borrowing call on the lines, by line."""
    rule = BorrowedDictItem()
    found: dict[int, Fix | NoFix] = {}
    for call in unit.calls(*STRONG):
        line = unit.line_at(call.start)
        if any(abs(line - each) <= _TOLERANCE for each in lines):
            finding: Finding = rule.finding("", location=unit.place(call.start))
            found[line] = own_reference(unit, finding)
    return found


def folder_of(source: str, path: str, cache: Path) -> Path:
    """Return the folder of a release or a commit."""
    return checkout(source, path, cache, None) if "@" in source else fetch(source, cache)


def show(unit: CUnit, fix: Fix) -> None:
    """Print what a fix changes."""
    after = apply_edits(unit.data, fix.edits, "utf-8").decode()
    for line in difflib.unified_diff(unit.text.splitlines(), after.splitlines(), lineterm="", n=2):
        print(f"    {line}")


def judge(case: Case, cache: Path, *, verbose: bool) -> Counter[str]:
    """Print what is made of a case, and return the kinds of its fixes."""
    source, path, lines = case.pre
    unit = read(folder_of(source, path, cache), path)
    kinds: Counter[str] = Counter()
    for at, fix in fixes_of(unit, lines).items():
        kind = fix.applicability.value if isinstance(fix, Fix) else f"refused: {fix.obstacle}"
        kinds[kind] += 1
        print(f"{case.id} {path}:{at}: {kind}")
        if verbose and isinstance(fix, Fix):
            show(unit, fix)
    if not kinds:
        print(f"{case.id} {path}: no borrowing call on lines {' '.join(map(str, lines))}")
        kinds["no borrowing call"] += 1
    if verbose and any(not kind.startswith(("refused", "no ")) for kind in kinds):
        source, path, lines = case.post
        text = (folder_of(source, path, cache) / path).read_text(encoding="utf-8", errors="replace").split("\n")
        strong = "|".join({each.name for each in STRONG.values()} | {"Py_X?DECREF"})
        for number in lines or [at for at, line in enumerate(text, 1) if re.search(strong, line)][:20]:
            for line in text[max(0, number - 2) : number + 6]:
                print(f"    project {number}: {line}")
    return kinds


def main() -> None:
    """Print every case, and the sums."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path, nargs="?", default=CASES)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "ftaudit" / "cases")
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("-v", action="store_true", help="print the edits next to the project's lines")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    total: Counter[str] = Counter()
    for case in read_cases(options.cases):
        if case.before & CODES and not case.lookalike and case.pre[0] and options.only in case.id:
            try:
                total += judge(case, options.cache, verbose=options.v)
            except SystemExit as error:
                print(f"{case.id}: {error}")
    for kind, count in total.most_common():
        print(f"{count:4} {kind}")


if __name__ == "__main__":
    main()
