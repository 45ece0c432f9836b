#!/usr/bin/env python3
"""Time the scan of C and C++ beside a bare tree-sitter parse of the same files, in one process.

    scripts/bench_c_scan.py FOLDER

Both columns are processor time of this process, so that other work on the machine counts less. The scan is the whole
of it: first pass, masking, parse, models, every rule of the default profile; without cache and without reading files.
Generated files (Cython's and the like) are left out of both, as the scan does.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from ftaudit.registry import load_rules
from ftaudit.rule import Language
from ftaudit.source import CRule
from ftaudit.source.base import Role, Room, SourceFile, TreeContext
from ftaudit.source.c import READER
from ftaudit.source.check import check_file
from ftaudit.source.files import find_files
from ftaudit.source.languages import languages_of
from ftaudit.target import parse_target


def main() -> None:
    """Print megabytes, seconds and megabytes a second of both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    sources = read_sources(options.folder)
    size = sum(len(source.text) for source in sources) / 1e6
    rules = [rule for rule in load_rules().rules if isinstance(rule, CRule) and rule.info.default]
    print(f"{len(sources)} files, {size:.1f} MB, {len(rules)} rules")
    parsed = time_parse(sources)
    print(f"bare tree-sitter parse: {parsed:6.2f} s  {size / parsed:6.2f} MB/s")
    scanned, found = time_scan(sources, rules)
    print(f"scan:                   {scanned:6.2f} s  {size / scanned:6.2f} MB/s  {found} findings  (wanted: 4 MB/s)")


def read_sources(folder: Path) -> list[SourceFile]:
    """Return the C and C++ files that a scan of the folder would look at."""
    found: list[SourceFile] = []
    for file in find_files([folder], trust_git=False, base=folder).files:
        data = file.path.read_bytes()
        for language in languages_of(file.path, data):
            if language in (Language.C, Language.CPP) and file.role is not Role.GENERATED:
                text = data.decode("utf-8", "replace")
                found.append(SourceFile(path=file.shown, language=language, text=text, target=parse_target("3.14t")))
    return [source for source in found if "enerated by" not in source.text[:500]]


def time_parse(sources: list[SourceFile]) -> float:
    """Return the seconds that tree-sitter alone needs."""
    import tree_sitter
    import tree_sitter_c
    import tree_sitter_cpp

    parsers = {
        Language.C: tree_sitter.Parser(tree_sitter.Language(tree_sitter_c.language())),
        Language.CPP: tree_sitter.Parser(tree_sitter.Language(tree_sitter_cpp.language())),
    }
    texts = [(source.language, source.text.encode()) for source in sources]
    start = time.process_time()
    for language, text in texts:
        parsers[language].parse(text)
    return time.process_time() - start


def time_scan(sources: list[SourceFile], rules: list[CRule]) -> tuple[float, int]:
    """Return the seconds of both passes, and how much was found."""
    start = time.process_time()
    surveys = {source.path: found for source in sources if (found := READER.survey(source)) is not None}
    context = TreeContext(rooms={Room.C: READER.gather(dict(sorted(surveys.items())))})
    count = sum(len(check_file(source, context, rules)[0].findings) for source in sources)
    return time.process_time() - start, count


if __name__ == "__main__":
    main()
