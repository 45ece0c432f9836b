#!/usr/bin/env python3
"""Compare the rules for borrowed references with NumPy's own triage of its C code.

    scripts/judge_borrowed.py NUMPY-SDIST [-v]

NumPy marks every use of these functions in its sources: `// noqa: borrowed-ref OK` where a maintainer judged it safe,
`// noqa: borrowed-ref - manual fix needed` where not. The marks are read from the sdist's text and then ignored: the
rules are run without silencing comments. A grep for the same functions keeps all of both.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path, PurePosixPath

from ftaudit.model import Finding
from ftaudit.rule import Language
from ftaudit.source.base import Room, SourceFile, TreeContext
from ftaudit.source.c import READER
from ftaudit.source.languages import languages_of
from ftaudit.source.sdist import unpacked
from ftaudit.target import parse_target
from ftaudit_rules.c.borrowed_dict_item import BorrowedDictItem
from ftaudit_rules.c.borrowed_list_item import BorrowedListItem
from ftaudit_rules.c.dict_next_unlocked import DictNextUnlocked
from ftaudit_rules.c.sequence_fast_unlocked import SequenceFastUnlocked

RULES = (BorrowedDictItem(), BorrowedListItem(), DictNextUnlocked(), SequenceFastUnlocked())
MARK = re.compile(r"//\s*noqa:\s*borrowed-ref\s*(?P<verdict>OK|- manual fix needed)")


def main() -> None:
    """Print how many of the sites that need a fix are reported, and how many of the safe ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sdist", type=Path)
    parser.add_argument("-v", action="store_true", help="name each site that is judged otherwise than by NumPy")
    options = parser.parse_args()
    with unpacked(options.sdist) as (folder, _):
        sources = list(read_sources(folder))
    surveys = {source.path: found for source in sources if (found := READER.survey(source)) is not None}
    context = TreeContext(rooms={Room.C: READER.gather(dict(sorted(surveys.items())))})
    marked: dict[tuple[str, int], str] = {}
    reported: dict[tuple[str, int], Finding] = {}
    for source in sources:
        for number, line in enumerate(source.text.split("\n"), 1):
            if mark := MARK.search(line):
                marked[source.path, number] = "safe" if mark["verdict"] == "OK" else "real"
        unit = READER.parse(source, context)
        for rule in RULES:
            for finding in rule.check(unit):
                if finding.location is not None and finding.location.line is not None:
                    reported[source.path, finding.location.line] = finding
    judge(marked, reported, verbose=options.v)


def read_sources(folder: Path) -> list[SourceFile]:
    """Return the C and C++ files below a folder."""
    found: list[SourceFile] = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()):
        data = path.read_bytes()
        languages = languages_of(PurePosixPath(path.name), data) if path.suffix not in (".py", ".rst") else ()
        for language in languages:
            if language in (Language.C, Language.CPP):
                name = path.relative_to(folder).as_posix()
                text = data.decode("utf-8", "replace")
                found.append(SourceFile(path=name, language=language, text=text, target=parse_target("3.14t")))
    return found


def judge(marked: dict[tuple[str, int], str], reported: dict[tuple[str, int], Finding], *, verbose: bool) -> None:
    """Print the counts; a finding on the line before or after a mark counts, for calls that span lines."""
    counts = {"real": [0, 0], "safe": [0, 0]}
    for (path, line), verdict in sorted(marked.items()):
        finding = next((reported[path, n] for n in (line, line - 1, line + 1) if (path, n) in reported), None)
        counts[verdict][0] += finding is not None
        counts[verdict][1] += 1
        if verbose and (finding is not None) == (verdict == "safe"):
            print(
                f"{verdict} {'reported' if finding else 'MISSED'}: {path}:{line} {finding.message if finding else ''}"
            )
    near = {(path, line + step) for path, line in marked for step in (-1, 0, 1)}
    print(f"need a fix: {counts['real'][0]} of {counts['real'][1]} reported (at least 10 of 12 wanted; a grep: all)")
    print(f"safe: {counts['safe'][0]} of {counts['safe'][1]} reported (at most 20 of 71 wanted; a grep: all)")
    print(f"reported where NumPy has no mark: {sum(place not in near for place in reported)}")


if __name__ == "__main__":
    main()
