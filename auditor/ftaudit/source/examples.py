"""Run a source rule over one of its own examples."""

from __future__ import annotations

from typing import Final

from ftaudit.model import Finding
from ftaudit.rule import Language, SourceExample, SourceRule
from ftaudit.source.check import Skipped, check_texts
from ftaudit.target import parse_target

DEFAULT_PATHS: Final = {
    Language.PYTHON: "example.py",
    Language.C: "example.c",
    Language.CPP: "example.cpp",
    Language.CYTHON: "example.pyx",
    Language.RUST: "example.rs",
    Language.BUILD: "setup.py",
}
"""Where an example's code stands when it does not say; for a rule of several languages the first of these counts."""


def example_path(rule: SourceRule, example: SourceExample) -> str:
    """Return the path under which the example is looked at."""
    return example.path or next(path for language, path in DEFAULT_PATHS.items() if language in rule.languages)


def check_example(rule: SourceRule, example: SourceExample) -> tuple[tuple[Finding, ...], tuple[Skipped, ...]]:
    """Return what the rule finds in the example's own file, in order of lines, and the rows of what failed."""
    path = example_path(rule, example)
    files = {path: example.code, **dict(example.others)}
    companions = rule.companions
    checked = check_texts(files, [rule, *companions], parse_target(example.target))
    others = {companion.info.code for companion in companions}
    found = [f for f in checked.findings if f.code not in others]
    here = [f for f in found if f.location is not None and f.location.path == path]
    return tuple(sorted(here, key=lambda f: f.location.line or 0 if f.location else 0)), checked.skipped


def flagged_lines(rule: SourceRule, example: SourceExample) -> tuple[int, ...]:
    """Return the lines that the rule flags in the example's own file, sorted, each once; raise if anything failed."""
    findings, skipped = check_example(rule, example)
    if skipped:
        raise ValueError("; ".join(f"{row.path}:{row.line}: {row.reason}" for row in skipped))
    lines = {f.location.line for f in findings if f.location is not None and f.location.line is not None}
    return tuple(sorted(lines))
