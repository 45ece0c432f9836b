"""The effect of reachability on a package: which of its modules matter, when the first is loaded, and what fails.

It changes no verdict.
"""

from __future__ import annotations

from typing import Final

from packaging.utils import canonicalize_name

from ftaudit.judge.gil import Gil, gil_of
from ftaudit.model import Package, Report, StrEnum, Verdict
from ftaudit.model.reachability import BlockerReach, ModuleReach, OpenKind, ReachAnswer, ReachClass

ORDER: Final = (ReachClass.START, ReachClass.START_IF, ReachClass.RUN, ReachClass.UNSURE, ReachClass.NONE)
"""The most urgent class comes first."""


class FailOnReach(StrEnum):
    """Which packages that enable the GIL fail the command: how their modules must be reached."""

    START = "start"
    """When a start point is imported, with or without conditions."""
    RUN = "run"
    """When a start point is imported, or a function runs."""
    ANY = "any"
    """In any way, or if that is unknown."""


_COUNTS: Final = {
    FailOnReach.START: frozenset({ReachClass.START, ReachClass.START_IF}),
    FailOnReach.RUN: frozenset({ReachClass.START, ReachClass.START_IF, ReachClass.RUN}),
    FailOnReach.ANY: frozenset({ReachClass.START, ReachClass.START_IF, ReachClass.RUN, ReachClass.UNSURE}),
}


def relevant_modules(package: Package, reach: ReachAnswer | None) -> tuple[ModuleReach, ...]:
    """Return the facts about the modules that enable the GIL, crash, or are not judged, the most urgent first."""
    if reach is None:
        return ()
    by_name = {each.module: each for each in reach.modules}
    names = [module.name for module, gil in gil_of(package.facts) if gil is not Gil.OFF]
    return tuple(sorted((by_name[name] for name in names if name in by_name), key=urgency))


def urgency(found: ModuleReach) -> int:
    """Return a sort key for modules: the most urgent first."""
    return ORDER.index(found.reached)


def blocker_reach(package: Package, report: Report) -> BlockerReach | None:
    """Return when the modules of a package that blocks or is unknown are loaded; `None` if nothing is known."""
    facts = package.facts
    if not package.blocks and package.verdict is not Verdict.UNKNOWN:
        return None
    reach = report.reach_on(facts.platform)
    found = relevant_modules(package, reach)
    if reach is None or not (found or _is_unread(package, reach)):
        return None
    # Without files, the name that the code imports is known if it is the package's own.
    found = found or tuple(each for each in reach.modules if canonicalize_name(each.module) == facts.pin.name)
    version = None if facts.pin.version is None else str(facts.pin.version)
    return BlockerReach(name=str(facts.pin.name), version=version, platform=facts.platform, modules=found)


def reach_by_urgency(report: Report) -> tuple[BlockerReach, ...]:
    """Return when the packages that block or are unknown are loaded, the most urgent first."""
    found = [blocker_reach(package, report) for package in report.packages]
    return tuple(sorted(filter(None, found), key=lambda each: ORDER.index(each.reached)))


def exit_code_by_reach(report: Report, level: FailOnReach) -> int:
    """Return the exit code if packages that enable the GIL count only for the modules that the user's code loads.

    Every other verdict counts as usual. A module with an unknown result turns 0 into 3; so do a start point that does
    not exist, a package that could not be read, and a row without a known module.
    """
    unsure = bool(report.incomplete)
    for package in report.packages:
        if package.accepted is not None:
            continue
        if package.verdict is Verdict.UNKNOWN:
            unsure = True
        if not package.blocks:
            continue
        if package.verdict is not Verdict.REENABLES_GIL:
            return 1
        found = relevant_modules(package, report.reach_on(package.facts.platform))
        if not found or any(each.reached in _COUNTS[level] for each in found):
            return 1
        unsure = unsure or any(each.reached is ReachClass.UNSURE for each in found)
    if report.nonconforming:
        return 1
    return 3 if unsure or any(map(_is_incomplete, report.reach)) else 0


def _is_unread(package: Package, reach: ReachAnswer) -> bool:
    name = str(package.facts.pin.name)
    return any(site.kind is OpenKind.UNREAD and not site.file and site.package == name for site in reach.open_sites)


def _is_incomplete(reach: ReachAnswer) -> bool:
    return any(site.kind in (OpenKind.MISSING, OpenKind.UNREAD) and not site.file for site in reach.open_sites)
