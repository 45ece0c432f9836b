"""One line for each result, in the format of compilers: for hooks, editors, and logs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from ftaudit.model import Severity
from ftaudit.report.console import clean
from ftaudit.report.package.agreeing_rows import counted
from ftaudit.report.results.results import Result, Results

_LISTED: Final = 5
"""How many packages a line names before it only counts the rest."""


def render(results: Results) -> str:
    """Return `PATH:LINE:COLUMN: SEVERITY: …` lines, sums of the omitted results by reason, and the answer last."""
    found = [each for each in results.results if each.suppression is None and not each.unknown]
    lines = [_line(each) for each in found if each.severity is not Severity.INFO or results.command == "scan"]
    lines += _left_out([each for each in results.results if each.suppression is None and each.unknown])
    unknown = {f"{each.subject}: {each.text}" for each in results.results}
    missed = [each for each in results.unchecked if each.matters and each.message not in unknown]
    lines += [f"not checked: {each.message}" for each in missed[:_LISTED]]
    lines += [f"not checked: {len(missed) - _LISTED} more"] if len(missed) > _LISTED else []
    return "\n".join((*lines, f"ftaudit: {results.sentence}")) + "\n"


def _line(result: Result) -> str:
    place = ""
    if result.location is not None:
        column = "" if result.column is None else f":{result.column}"
        place = f"{result.location}{column}: "
    name = result.name if result.name == result.rule else f"{result.rule} {result.name}"
    subject = "" if result.subject == result.name else f"{result.subject} "
    return f"{clean(place)}{result.severity}: {subject}{name}: {'; '.join(result.lines)}"


def _left_out(unknown: list[Result]) -> Iterator[str]:
    """Summarize what could not be checked: without a network, half of a lock file has the same sentence."""
    groups: dict[str, list[str]] = defaultdict(list)
    for result in unknown:
        groups[result.shared].append(result.subject)
    for reason, subjects in groups.items():
        names = list(dict.fromkeys(subjects))  # One that several files list has a result in each.
        shown = ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
        yield f"left out: {counted(len(names), 'package')} ({shown}): {reason}"
