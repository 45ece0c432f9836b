"""What a row reports about the modules that the user's own code loads."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ftaudit.judge.reach_exit import ORDER
from ftaudit.model import Report
from ftaudit.model.reach_sentences import blocker_sentences
from ftaudit.model.reachability import BlockerReach
from ftaudit.report.package.agreeing_rows import AgreeingRows


def reach_of_entry(entry: AgreeingRows, report: Report) -> tuple[BlockerReach, ...]:
    """Return when the modules of a package are loaded on each platform of its row, in the order of the platforms."""
    pin = entry.package.facts.pin
    name, version = str(pin.name), None if pin.version is None else str(pin.version)
    found = [each for each in report.package_reach if (each.name, each.version) == (name, version)]
    return tuple(sorted((each for each in found if each.platform in entry.platforms), key=_place(entry)))


def _place(entry: AgreeingRows) -> Callable[[BlockerReach], int]:
    return lambda found: entry.platforms.index(found.platform)


def reach_lines(entry: AgreeingRows, report: Report) -> Iterator[str]:
    """Yield when the modules of a package are loaded; platforms with one answer share its lines."""
    found = reach_of_entry(entry, report)
    groups: dict[tuple[str, ...], list[str]] = {}
    for each in found:
        groups.setdefault(tuple(blocker_sentences(each)), []).append(each.platform)
    for lines, platforms in groups.items():
        where = f"on {', '.join(platforms)}: " if len(groups) > 1 else ""
        yield from (f"{where}{line}" for line in lines)


def reach_order(entry: AgreeingRows, report: Report) -> int:
    """Return a sort key for rows: modules loaded at start come first."""
    return min((ORDER.index(each.reached) for each in reach_of_entry(entry, report)), default=len(ORDER))
