"""The lines of a row about the modules that the user's own code loads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ftaudit.judge.reach_exit import ORDER, class_of_package, relevant_modules
from ftaudit.model import Package, Report
from ftaudit.model.reach_sentences import counts, reach_sentences

SHOWN: Final = 2
"""Modules of a package that are listed one by one; the others are counted."""


def reach_lines(package: Package, report: Report) -> Iterator[str]:
    """Yield when the relevant modules of a package are loaded, the most urgent first."""
    if not package.blocks:
        return
    found = relevant_modules(package, report.reach_on(package.facts.platform))
    for each in found[:SHOWN]:
        yield from reach_sentences(each)
    if len(found) > SHOWN:
        yield f"all {len(found)} modules that matter: {counts(found)}"


def reach_order(package: Package, report: Report) -> int:
    """Return a sort key for rows: modules loaded at start come first."""
    found = class_of_package(package, report.reach_on(package.facts.platform))
    return len(ORDER) if found is None else ORDER.index(found)
