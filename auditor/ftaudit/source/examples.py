"""Run a rule over its own examples, and report each difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ftaudit.model import Finding
from ftaudit.rule import Language, PackageExample, PackageRule, Rule, SourceExample, SourceRule
from ftaudit.source.run_rules import Skipped, check_texts
from ftaudit.target import parse_target

DEFAULT_PATHS: Final = {
    Language.PYTHON: "example.py",
    Language.C: "example.c",
    Language.CPP: "example.cpp",
    Language.CYTHON: "example.pyx",
    Language.RUST: "example.rs",
    Language.BUILD: "setup.py",
}
"""The default path of an example's code; for a rule of several languages the first of these counts."""


def example_path(rule: SourceRule, example: SourceExample) -> str:
    """Return the path under which the example is checked."""
    return example.path or next(path for language, path in DEFAULT_PATHS.items() if language in rule.languages)


def check_example(rule: SourceRule, example: SourceExample) -> tuple[tuple[Finding, ...], tuple[Skipped, ...]]:
    """Return the rule's findings in the example's own file, in order of lines, and the rows of failures."""
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


def disagreements(rule: Rule) -> Iterator[str]:
    """Yield a sentence for each example that the rule disagrees with, and for each missing kind of example.

    A rule is silent on each of its `VALID` examples. On each of its `INVALID` examples it flags exactly the lines that
    the example names; a package rule finds exactly as many things as the example says. Tests of a pack assert that this
    yields nothing for each of its rules.
    """
    if not isinstance(rule, PackageRule | SourceRule):
        yield f"{rule.info.name} is neither a PackageRule nor a SourceRule"
        return
    kinds: dict[str, Sequence[PackageExample | SourceExample]] = {"VALID": rule.VALID, "INVALID": rule.INVALID}
    for kind, examples in kinds.items():
        if not examples:
            yield f"{rule.info.name} has no {kind} example"
        for number, example in enumerate(examples):
            wanted, found = _wanted(example), _found(rule, example)
            which = f"{rule.info.name} {kind}[{number}] expects {wanted or 'nothing'}"
            if bool(wanted) is (kind == "VALID"):
                yield which
            if found != wanted:
                yield f"{which}, and the rule finds {found or 'nothing'}"


def _wanted(example: PackageExample | SourceExample) -> tuple[int, ...] | int:
    return example.findings if isinstance(example, PackageExample) else example.lines


def _found(rule: PackageRule | SourceRule, example: PackageExample | SourceExample) -> tuple[int, ...] | int | str:
    """Return the lines that the rule flags, for a package rule the number of findings; or why it failed."""
    try:
        match rule, example:
            case PackageRule(), PackageExample():
                return len(list(rule.check(example.facts)))
            case SourceRule(), SourceExample():
                return flagged_lines(rule, example)
            case _:
                return "an example of another kind"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
