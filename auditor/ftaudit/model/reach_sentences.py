"""The text for reachability results. No code parses it: decisions use the values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ftaudit.model.reachability import (
    MOST_SOURCE,
    BlockerReach,
    ComparedRun,
    Condition,
    ConditionKind,
    Difference,
    ImportSite,
    ModuleReach,
    OpenKind,
    OpenSite,
    ReachAnswer,
    ReachClass,
    ReachStep,
    RunKind,
    SeenLoad,
)

WORDS: Final = {
    ReachClass.START: "at start",
    ReachClass.START_IF: "at start, if …",
    ReachClass.RUN: "when a function runs",
    ReachClass.UNSURE: "cannot tell",
    ReachClass.NONE: "no path found",
}
LONGEST_WAY: Final = 7
"""Steps of an import chain to show: the first ones and the last ones."""
LISTED: Final = 3
"""Sites that a sentence lists."""
UNREAD: Final = "its files could not be read"
SHOWN: Final = 2
"""Modules of a package that are listed one by one; the others are counted."""


def class_words(reached: ReachClass) -> str:
    """Return the name of a class."""
    return WORDS[reached]


def reach_sentences(found: ModuleReach) -> Iterator[str]:
    """Yield the facts about one module: when it is loaded, through what, and what to change."""
    if found.seen is not None and found.seen.chain and not found.path and found.reached is not ReachClass.UNSURE:
        yield seen_sentence(found.module, found.seen)
        return
    match found.reached:
        case ReachClass.START:
            yield f"{found.module}: your code loads it at start, {_ways(found)}: {way(found.path, found.module)}"
        case ReachClass.START_IF:
            conditions = [condition for step in found.path for condition in step.conditions]
            text = " and ".join(dict.fromkeys(map(condition_phrase, conditions[:2])))
            when = f"loads it at start, if {text}" if text else "may load it at start"
            yield f"{found.module}: your code {when}: {way(found.path, found.module)}"
        case ReachClass.RUN:
            step = next((each for each in found.path if each.site.function), None)
            where = "a function" if step is None else function_name(step.site)
            yield f"{found.module}: your code loads it when {where} runs: {way(found.path, found.module)}"
        case ReachClass.UNSURE:
            sites = listed_sites(found.open_sites)
            yield f"{found.module}: ftaudit could not determine whether your code loads it: {sites}"
        case ReachClass.NONE:
            yield f"{found.module}: no import path found from your code"
    if found.cuts and found.reached is ReachClass.START:
        yield cut_sentence(found.module, found.cuts)
    if found.optional:
        yield (
            f"{found.module}: ImportError is handled wherever the package is imported at start, so your code starts "
            f"without the package"
        )
    if found.extras:
        extras = " or ".join(f"`{each.extra}` of {each.package}" for each in found.extras[:LISTED])
        yield f"{found.module}: without the extra {extras}, its package is not installed"
    if found.seen is not None:
        yield seen_sentence(found.module, found.seen)


def seen_sentence(module: str, seen: SeenLoad) -> str:
    """Return which run loaded a module, when, and through which imports."""
    when = " at start" if seen.at_start else ""
    line = f" ({seen.file}:{seen.line})" if seen.file else ""
    chain = f": {' → '.join(_shortened(seen.chain))}{line}" if seen.chain else ""
    return f"{module}: loaded{when} in {seen.run}{chain}"


def blocker_sentences(found: BlockerReach) -> Iterator[str]:
    """Yield when the modules of a package are loaded, the most urgent first."""
    if not found.modules:
        yield f"ftaudit could not determine when your code loads it: {UNREAD}"
    for each in found.modules[:SHOWN]:
        yield from reach_sentences(each)
    if len(found.modules) > SHOWN:
        yield f"all {len(found.modules)} modules that matter: {counts(found.modules)}"


def _ways(found: ModuleReach) -> str:
    return "through the only import path" if found.ways == 1 else f"through one of {found.ways} import paths"


def cut_sentence(module: str, cuts: Sequence[ImportSite]) -> str:
    """Return which of the user's lines to change so that start does not load a module."""
    places = ", ".join(f"{site.file}:{site.line}" for site in cuts[:LISTED])
    more = f" and {len(cuts) - LISTED} more" if len(cuts) > LISTED else ""
    what = "this import" if len(cuts) == 1 else f"these {len(cuts)} imports"
    return f"{module}: change {what} so that it is not loaded at start: {places}{more}"


def way(path: Sequence[ReachStep], module: str) -> str:
    """Return the steps of an import chain: file and line of each import, and the module at its end."""
    if not path:
        return f"{module} is the start point"
    return " → ".join([*_shortened([place(step.site) for step in path]), module])


def _shortened(steps: Sequence[str]) -> Sequence[str]:
    return [*steps[:3], f"({len(steps) - 6} more)", *steps[-3:]] if len(steps) > LONGEST_WAY else steps


def place(site: ImportSite) -> str:
    """Return `app/feed.py:3`, or the name of an extension module, which has no lines."""
    return f"{site.file}:{site.line}" if site.line else site.module


def function_name(site: ImportSite) -> str:
    """Return `app.export:12 in export_xlsx()`."""
    return f"{site.module}:{site.line} in {site.function}()"


def condition_phrase(condition: Condition) -> str:
    """Return a condition as text after `if`, with its place."""
    at = f"({condition.file}:{condition.line})"
    match condition.kind:
        case ConditionKind.BRANCH:
            return f"`{condition.text}` {at}"
        case ConditionKind.NOT_BRANCH:
            return f"not `{condition.text}` {at}"
        case ConditionKind.LOOP:
            return f"the loop over `{condition.text}` reaches it {at}"
        case ConditionKind.HANDLER:
            return f"`{condition.text or 'any exception'}` is handled {at}"
        case ConditionKind.BODY:
            return f"`{condition.text}` can be imported {at}"
        case ConditionKind.SEVERAL:
            return f"`{condition.text}` selects it {at}"
        case ConditionKind.NAMED:
            return f"{condition.text} imports the modules that its binary names"
        case ConditionKind.CALL:
            return f"the call of `{condition.text}` reaches it {at}"


def open_phrase(site: OpenSite) -> str:
    """Return what could not be followed, and where."""
    at = f"{site.file}:{site.line}" if site.line else site.file or site.module or site.package
    match site.kind:
        case OpenKind.COMPUTED:
            return f"the computed import `{site.prefix}…` ({at})" if site.prefix else f"a computed import ({at})"
        case OpenKind.EXECUTED:
            return f"text that is executed ({at})"
        case OpenKind.UNPARSED:
            return f"a file that could not be parsed ({at})"
        case OpenKind.TOO_LARGE:
            return f"a file of more than {MOST_SOURCE >> 20} MiB, which is too large to be parsed ({at})"
        case OpenKind.UNREAD:
            return f"{at} could not be read"
        case OpenKind.BINARY:
            return f"the binary of {site.module} could not be read"
        case OpenKind.BUDGET:
            return (
                f"the analysis reached its step limit for {at}"
                if site.module
                else "the analysis reached its step limit"
            )
        case OpenKind.MISSING:
            return f"the start point {site.module} was not found"
        case OpenKind.ERROR:
            return f"a statement that ftaudit failed to evaluate ({at})"


def listed_sites(sites: Sequence[OpenSite]) -> str:
    """Return the first sites, and the number of others."""
    text = ", ".join(dict.fromkeys(map(open_phrase, sites[:LISTED])))
    return text + (f" and {len(sites) - LISTED} more" if len(sites) > LISTED else "")


def reach_summary(reach: ReachAnswer) -> Iterator[str]:
    """Yield the facts that apply to all modules of a platform: the start points, and what could not be followed."""
    starts = ", ".join(start.label for start in reach.starts[:LISTED])
    more = f" and {len(reach.starts) - LISTED} more" if len(reach.starts) > LISTED else ""
    files = f"{reach.files} Python {'file was' if reach.files == 1 else 'files were'} followed"
    yield f"reach on {reach.platform}, from {starts}{more}: {files}"
    for kind, in_file, noun, problem in _OPEN:
        sites = [site for site in reach.open_sites if site.kind is kind and in_file in (None, bool(site.file))]
        if sites:
            packages = len({site.package for site in sites})
            number = f"{len(sites)} {noun if len(sites) == 1 else noun + 's'}"
            counts_packages = bool(sites[0].package) and noun != "package"
            where = f" in {packages} {'package' if packages == 1 else 'packages'}" if counts_packages else ""
            yield f"{number}{where} could not be {problem}: {_places(sites)}"
    for run in reach.runs:
        yield from run_sentences(run, [each for each in reach.differences if each.run == run])


def run_sentences(run: ComparedRun, differences: Sequence[Difference]) -> Iterator[str]:
    """Yield how a run differed from the analysis, and what could not be compared."""
    if run.other is not None:
        yield f"{run.run} was not compared: its runs are from {run.other}"
        return
    for start, error in run.failed:
        yield f"{start} could not be imported with {run.run}: {error}"
    inside = [each for each in differences if not each.outside]
    yield from map(difference_sentence, inside)
    if outside := [each.module for each in differences if each.outside]:
        more = f" and {len(outside) - LISTED} more" if len(outside) > LISTED else ""
        yield f"{run.run}: {', '.join(outside[:LISTED])}{more} loaded by code that no start point imports"
    if not inside and (run.completed or run.kind is RunKind.RECORDED):
        what = "importing the start points with" if run.kind is RunKind.SANDBOX else "the runs in"
        yield f"{what} {run.run} showed no difference"
    if run.kind is RunKind.RECORDED and not run.completed:
        yield f"{run.run}: no start point was imported, so modules that are loaded at start could not be confirmed"


_OPEN: Final = (
    (OpenKind.MISSING, None, "start point", "found"),
    (OpenKind.UNREAD, False, "package", "read"),
    (OpenKind.UNREAD, True, "file", "read"),
    (OpenKind.UNPARSED, None, "file", "parsed"),
    (OpenKind.TOO_LARGE, None, f"file of more than {MOST_SOURCE >> 20} MiB", "parsed"),
    (OpenKind.COMPUTED, None, "computed import", "followed"),
    (OpenKind.EXECUTED, None, "executed text", "followed"),
    (OpenKind.BINARY, None, "binary module", "read"),
    (OpenKind.BUDGET, None, "long call", "followed"),
    (OpenKind.ERROR, None, "statement", "evaluated because of an error in ftaudit"),
)
"""What could not be done, for each kind of site; `UNREAD` is a whole package if it names no file."""


def _places(sites: Sequence[OpenSite]) -> str:
    parts = [f"{site.file}:{site.line}" if site.line else site.file or site.module or site.package for site in sites]
    return ", ".join(parts[:LISTED]) + (f" and {len(parts) - LISTED} more" if len(parts) > LISTED else "")


def difference_sentence(difference: Difference) -> str:
    """Return where a run differed from the analysis."""
    text = WORDS[difference.predicted].removesuffix(" …")
    did = ("loaded it at start" if difference.at_start else "loaded it") if difference.loaded else "did not load it"
    what = "importing the start points with" if difference.run.kind is RunKind.SANDBOX else "a run in"
    return f"{difference.module}: the analysis says `{text}`; {what} {difference.run.run} {did}"


def counts(found: Iterable[ModuleReach]) -> str:
    """Return the number of modules for each load time."""
    tally: dict[ReachClass, int] = {}
    for each in found:
        tally[each.reached] = tally.get(each.reached, 0) + 1
    return ", ".join(f"{tally[kind]} {WORDS[kind].removesuffix(' …')}" for kind in ReachClass if kind in tally)
