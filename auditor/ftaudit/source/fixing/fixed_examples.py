"""Fix a rule's own examples, for the tests of rule packs."""

from __future__ import annotations

from pathlib import PurePosixPath

from ftaudit.model import Finding, Fix
from ftaudit.rule import SourceExample, SourceRule
from ftaudit.source.base import ROOM_OF, Room, SourceFile, Survey, TreeContext
from ftaudit.source.examples import check_example, example_path
from ftaudit.source.fixing.offer import FixRequest, fix_findings, select
from ftaudit.source.fixing.original import apply_edits
from ftaudit.source.languages import languages_of
from ftaudit.source.run_rules import gather, needed_rooms, survey_file
from ftaudit.target import parse_target


def fix_example(rule: SourceRule, example: SourceExample) -> tuple[str, tuple[Finding, ...], list[object]]:
    """Return an example's text with every fix that its rule offers, its findings, and what the rule offers for each."""
    findings, _ = check_example(rule, example)
    asked = FixRequest(
        rules=(rule,),
        target=parse_target(example.target),
        context=context_of(rule, example),
        declare=rule.info.asks_to_declare,
    )
    offered = select(fix_findings(example_path(rule, example), example.code.encode(), findings, asked))
    edits = tuple(edit for fix in offered if isinstance(fix, Fix) for edit in fix.edits)
    return apply_edits(example.code.encode(), edits, "utf-8").decode(), findings, list(offered)


def context_of(rule: SourceRule, example: SourceExample) -> TreeContext:
    """Return the first pass's result for an example's tree."""
    files = {example_path(rule, example): example.code, **dict(example.others)}
    surveys: dict[Room, dict[str, Survey]] = {}
    wanted = needed_rooms([rule])
    for path, text in files.items():
        for language in languages_of(PurePosixPath(path), text.encode()):
            source = SourceFile(path=path, language=language, text=text, target=parse_target(example.target))
            survey, _ = survey_file(source) if ROOM_OF[language] in wanted else (None, ())
            if survey is not None:
                surveys.setdefault(ROOM_OF[language], {})[path] = survey
    return gather(surveys, files)[0]
