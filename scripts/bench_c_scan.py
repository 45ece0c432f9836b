#!/usr/bin/env python3
"""Time the scan of C, C++, Cython and Rust against a bare tree-sitter parse of the same files, in one process.

    scripts/bench_c_scan.py FOLDER [--runs N]

All figures are processor time of this process, the median of the runs, so that other work on the machine counts less.
The scan is the whole of it: first pass, masking, parse, models, every rule of the default profile; without cache and
without reading files. Generated files (Cython's and the like) are left out of both, as the scan does. Cython has no
grammar here: its rate has no comparison.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ftaudit.registry import load_rules
from ftaudit.rule import Language, SourceRule
from ftaudit.source.base import ROOM_OF, Role, Room, SourceFile, TreeContext
from ftaudit.source.languages import languages_of, reader_of
from ftaudit.source.run_rules import check_file, compose
from ftaudit.source.shared_state import races
from ftaudit.source.source_files import find_files
from ftaudit.target import parse_target

WANTED = {Language.C: 4.0, Language.CPP: 4.0}
"""Megabytes per second and core; the other languages have no target rate."""


def main() -> None:
    """Print megabytes, seconds and megabytes a second of both, for each language and for C and C++ together."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    # As the scan's workers do.
    gc.disable()
    sources = read_sources(options.folder)
    print(f"{'':12}{'files':>7}{'MB':>7}{'parse':>15}{'scan':>15}{'scan/parse':>12}{'findings':>10}")
    for name, languages in (
        ("C and C++", {Language.C, Language.CPP}),
        ("C", {Language.C}),
        ("C++", {Language.CPP}),
        ("Cython", {Language.CYTHON}),
        ("Rust", {Language.RUST}),
    ):
        some = [source for source in sources if source.language in languages]
        if some:
            print_row(name, some, options.runs)


def print_row(name: str, sources: list[SourceFile], runs: int) -> None:
    """Measure one set of files and print it."""
    size = sum(len(source.text) for source in sources) / 1e6
    parsed, _ = median(lambda: time_parse(sources), runs) if has_grammar(sources) else (0.0, 0)
    scanned, found = median(lambda: time_scan(sources), runs)
    bare = f"{parsed:6.2f} s {size / parsed:5.1f}/s" if parsed else ""
    ratio = f"{scanned / parsed:10.2f} x" if parsed else ""
    wanted = min((WANTED[source.language] for source in sources if source.language in WANTED), default=0.0)
    note = f"  (wanted: {wanted:g} MB/s)" if wanted else ""
    rate = f"{scanned:6.2f} s {size / scanned:5.1f}/s"
    print(f"{name:12}{len(sources):7}{size:7.1f}{bare:>15}{rate:>15}{ratio:>12}{found:10}{note}")


def median(work: Callable[[], tuple[float, int]], runs: int) -> tuple[float, int]:
    """Return the median of the seconds, and the count."""
    results = [work() for _ in range(runs)]
    return statistics.median(seconds for seconds, _ in results), results[0][1]


def has_grammar(sources: list[SourceFile]) -> bool:
    """Return whether tree-sitter reads the language of the files."""
    return sources[0].language is not Language.CYTHON


def read_sources(folder: Path) -> list[SourceFile]:
    """Return the files that a scan of the folder checks."""
    found: list[SourceFile] = []
    for file in find_files([folder], trust_git=False, base=folder).files:
        data = file.path.read_bytes()
        for language in languages_of(file.path, data):
            if language not in (Language.PYTHON, Language.BUILD) and file.role is not Role.GENERATED:
                text = data.decode("utf-8", "replace")
                found.append(SourceFile(path=file.shown, language=language, text=text, target=parse_target("3.14t")))
    return [source for source in found if "enerated by" not in source.text[:500]]


def time_parse(sources: list[SourceFile]) -> tuple[float, int]:
    """Return the seconds that only tree-sitter needs, and the number of files."""
    import tree_sitter
    import tree_sitter_c
    import tree_sitter_cpp
    import tree_sitter_rust

    grammars: dict[Language, Any] = {
        Language.C: tree_sitter_c,
        Language.CPP: tree_sitter_cpp,
        Language.RUST: tree_sitter_rust,
    }
    parsers = {
        language: tree_sitter.Parser(tree_sitter.Language(grammar.language())) for language, grammar in grammars.items()
    }
    texts = [(source.language, source.text.encode()) for source in sources]
    start = time.process_time()
    for language, text in texts:
        parsers[language].parse(text)
    return time.process_time() - start, len(texts)


def time_scan(sources: list[SourceFile]) -> tuple[float, int]:
    """Return the seconds of both passes, and how much was found."""
    languages = {source.language for source in sources}
    rules = [
        rule
        for rule in load_rules().select()
        if isinstance(rule, SourceRule) and rule.languages & languages and Language.BUILD not in rule.languages
    ]
    start = time.process_time()
    surveys: dict[Room, dict[str, Any]] = {}
    for source in sources:
        room = ROOM_OF[source.language]
        if (survey := reader_of(room).survey(source)) is not None:
            surveys.setdefault(room, {})[source.path] = survey
    context = TreeContext(
        rooms={room: reader_of(room).gather(dict(sorted(found.items()))) for room, found in surveys.items()}
    )
    count = 0
    summaries: dict[Room, dict[str, Any]] = {}
    for source in sources:
        checked, _ = check_file(source, context, rules)
        count += len(checked.findings)
        if checked.summary is not None:
            summaries.setdefault(ROOM_OF[source.language], {})[source.path] = checked.summary
    accesses, _ = compose(summaries, context)
    count += sum(len(races(some)) for some in accesses.values())
    return time.process_time() - start, count


if __name__ == "__main__":
    main()
