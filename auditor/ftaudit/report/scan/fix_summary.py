"""What a scan reports about fixes: the diff, the number of findings with a fix, and why others have none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from ftaudit.engine.earned_declaration import EarnedDeclaration, StressedWheel, not_examined
from ftaudit.model import Applicability, Finding, Fix, NoFix, Obstacle, Verdict
from ftaudit.model.sentences import failure_sentence, gap_phrase, stress_sentence
from ftaudit.report.package.agreeing_rows import counted
from ftaudit.report.results.result_places import find_places
from ftaudit.source.fixing.patch import unified_diff
from ftaudit.source.tree_scan import ScanResult

_MOST_SKIPPED: Final = 20


def render_diff(scan: ScanResult, folder: Path) -> bytes:
    """Return the diff of every fix, for `git apply` at the top of the folder's repository."""
    places = find_places(folder)
    return unified_diff(scan.edited, scan.findings, lambda path: places.relative(path) or path)


def count_fixes(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return the number of findings with a fix, and one line for each reason why others have no fix."""
    return tuple(_lines(findings))


def skipped_lines(scan: ScanResult) -> Iterator[str]:
    """Yield one line for each place that the scan could not read, because a diff has no room for them."""
    for skip in scan.skipped[:_MOST_SKIPPED]:
        yield f"{skip.path}{'' if skip.line is None else f':{skip.line}'}: {skip.reason}"
    if len(scan.skipped) > _MOST_SKIPPED:
        yield f"not read, or only in part: {len(scan.skipped) - _MOST_SKIPPED} more; run `ftaudit scan --format json`"


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    fixes = [finding.fix for finding in findings]
    counts = Counter(fix.applicability for fix in fixes if isinstance(fix, Fix))
    safe, suggested = counts[Applicability.SAFE], counts[Applicability.SUGGESTED]
    unknown = sum(fix is None for fix in fixes)
    yield (
        f"{counted(len(fixes), 'finding')}: {safe} with a safe fix, {suggested} with a suggested one, "
        f"{len(fixes) - safe - suggested - unknown} refused, {unknown} from rules without fixes"
    )
    refused: dict[Obstacle, list[Finding]] = {}
    for finding in findings:
        if isinstance(finding.fix, NoFix):
            refused.setdefault(finding.fix.obstacle, []).append(finding)
    for obstacle, some in sorted(refused.items(), key=lambda each: each[0].value):
        first = some[0]
        more = f" and {len(some) - 1} more" if len(some) > 1 else ""
        yield f"no fix at {first.location} ({first.code}){more}: {obstacle_phrase(obstacle)}"


def declaration_lines(earned: EarnedDeclaration, result: ScanResult) -> Iterator[str]:
    """Yield the basis of a declaration: the objections, the declaration, what was not examined, and the next step."""
    if earned.standing:
        first = earned.standing[0]
        yield (
            f"no declaration: {counted(len(earned.standing), 'finding')} of severity error or warning, the first at "
            f"{first.location} ({first.code}); run `ftaudit scan` for all"
        )
    if earned.unread:
        yield f"no declaration: {counted(earned.unread, 'file')} could not be read"
    if not earned.whole:
        yield "no declaration: some rules could not be loaded"
    if earned.stressed is not None:
        yield from _stress_lines(earned.stressed)
    if earned.is_refused:
        return
    if not earned.silent:
        yield "nothing to declare: the scan found no module that lacks the declaration"
    for finding in earned.without_edit:
        obstacle = finding.fix.obstacle if isinstance(finding.fix, NoFix) else Obstacle.UNKNOWN_FORM
        yield f"no edit at {finding.location} ({finding.code}): {obstacle_phrase(obstacle)}"
    edited = sum(isinstance(finding.fix, Fix) for finding in earned.silent)
    if edited:
        yield (
            f"{counted(edited, 'edit')}: each one declares that a module is "
            f"safe without the GIL. ftaudit did not examine:"
        )
        yield from (f"  - {each}" for each in not_examined(result, earned.stressed))
        yield "Next steps:"
        yield from (f"  {number}. {step}" for number, step in enumerate(_next_steps(earned), 1))


def _next_steps(earned: EarnedDeclaration) -> Iterator[str]:
    for path in earned.outdated:
        yield f"Generate {path} again with Cython 3.1 or later: a build that compiles this file has no declaration."
    if earned.stressed is None:
        yield "Build the edited tree with a free-threaded Python, and add `--stress WHEEL` to this command."
    else:
        yield "Run `ftaudit wheel` on the wheel."
    yield "Run the project's tests in threads, with pytest-run-parallel and PYTHON_GIL=0."
    yield "Use shared objects from many threads at once, under ThreadSanitizer if you can."


def _stress_lines(stressed: StressedWheel) -> Iterator[str]:
    facts = stressed.facts
    if facts.failures:
        yield f"no declaration: {stressed.wheel}: {stress_sentence(facts)}"
        yield from (f"  - {failure_sentence(failure)}" for failure in facts.failures)
        yield f"`ftaudit stress {stressed.wheel} --report FOLDER` writes a script for each failure"
    elif not stressed.is_through:
        why = "stress did not run" if facts.reason is None else gap_phrase(facts.reason)
        if stressed.row.verdict is not Verdict.READY:
            why = "it does not leave the GIL off, so it was not built from the edited tree"
        yield f"no declaration: {stressed.wheel} was not stressed: {why}"
    else:
        yield f"{stressed.wheel}: {stress_sentence(facts)}"


def without_fixes(result: ScanResult) -> ScanResult:
    """Return a scan whose fixes are not applied."""
    return replace(result, findings=tuple(replace(finding, fix=None) for finding in result.findings), edited=())


def obstacle_phrase(obstacle: Obstacle) -> str:
    """Return why a finding has no fix, as the end of a sentence."""
    match obstacle:
        case Obstacle.IN_MACRO:
            return "the place is in a macro, or before a macro that can return from the function"
        case Obstacle.IN_HEADER:
            return "the place is in a header"
        case Obstacle.IN_ARGUMENT:
            return "the call is an argument of another call or part of a condition; assign its result first"
        case Obstacle.CONDITIONAL:
            return "preprocessor conditions divide the code"
        case Obstacle.GENERATED:
            return "the file is generated; fix its source"
        case Obstacle.READ_ONLY:
            return "the file cannot be edited"
        case Obstacle.RETURNED:
            return "the function returns the borrowed reference, so each caller must change"
        case Obstacle.KEPT:
            return "the value, or what it keeps alive, is stored or passed on, or its variable is reused"
        case Obstacle.NO_ERROR_PATH:
            return "the replacement can fail, and the code has no way to report a failure"
        case Obstacle.NOT_MECHANICAL:
            return "you have to decide how to fix it, for example with a lock; see the remedy"
        case Obstacle.UNKNOWN_FORM:
            return "the code has a form that the fix does not cover"
        case Obstacle.OVERLAPS:
            return "another fix edits the same place; apply that one, and scan again"
        case Obstacle.NEEDS_DECLARE:
            return "the edit declares that the module does not need the GIL; see `ftaudit scan --declare`"
        case Obstacle.AUTHOR_SAYS_USED:
            return "the project declares that the module needs the GIL"
        case Obstacle.FAILED:
            return "the fix failed, or its result cannot be parsed"
