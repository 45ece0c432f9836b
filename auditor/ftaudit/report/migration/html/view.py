"""What the page shows and in which order: everything is computed before the templates print it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final, TypeAlias, TypeVar

from packaging.version import Version

from ftaudit.model import BLOCKING, Package, Report, Verdict
from ftaudit.model.plans import Candidate, ProofStatus, WayOut
from ftaudit.model.reach_sentences import reach_summary
from ftaudit.model.sentences import candidate_phrase, names_platform, sentence, step_names_platform, step_sentence
from ftaudit.planning import plan_sentences
from ftaudit.report.migration.html.hazards import RuleHazards, by_rule, unscanned
from ftaudit.report.migration.html.pictures import Segment, TreePicture, bar, chains_of, tree
from ftaudit.report.migration.migration_contents import READY, Migration, sums
from ftaudit.report.package.agreeing_rows import ORDER, AgreeingRows, Headline, counted, entries, headline, not_imported
from ftaudit.report.package.package_links import PackageLink, package_links
from ftaudit.report.package.reach_lines import reach_lines, reach_order
from ftaudit.report.package.readiness import Readiness, readiness
from ftaudit.report.scan.state_table import by_type
from ftaudit.source.shared_state import StateRow

MOST_STATES: Final = 500
"""Rows of the state table that the page shows; `ftaudit scan --state` has them all."""
WORST_FIRST: Final = (*ORDER, Verdict.UNKNOWN, Verdict.FALLBACK, Verdict.READY, Verdict.PURE)
OF_THE_BAR: Final = (Verdict.READY, Verdict.PURE, Verdict.FALLBACK, Verdict.UNKNOWN, *reversed(ORDER))
"""From the best to the worst."""
_STATES: Final[tuple[Verdict | Readiness, ...]] = (*OF_THE_BAR[:3], Readiness.NEEDS_BLOCKED, *OF_THE_BAR[3:])
MEANINGS: Final[Mapping[Verdict | Readiness, str]] = {
    Readiness.NEEDS_BLOCKED: "works, but needs a package that is blocked",
    Verdict.READY: "compiled code that leaves the GIL off",
    Verdict.PURE: "no compiled code",
    Verdict.FALLBACK: "works without its compiled code, but slower",
    Verdict.REENABLES_GIL: "installs, but turns the GIL back on",
    Verdict.SOURCE_ONLY: "no wheel to install, but an sdist to build",
    Verdict.UNAVAILABLE: "neither wheel nor sdist",
    Verdict.BROKEN: "installs, but fails on import",
    Verdict.UNKNOWN: "could not be checked",
}
T = TypeVar("T")
_PLATFORM: Final = "\0"
"""Replaces a platform's name in a sentence that several platforms can share."""
Sentence: TypeAlias = tuple[str, str, tuple[str, ...]]
"""A text, the platform that it can name, and the platforms for which it is true."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A sentence, and the platforms for which it is true; empty if it is true for all, or names them."""

    text: str
    platforms: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictRow:
    """One verdict for one package, for the table of all packages."""

    number: int
    entries: tuple[AgreeingRows, ...]
    """The rows with this verdict; platforms that agree are merged."""
    platforms: tuple[str, ...]
    rank: int
    """Its verdict's place in `WORST_FIRST`."""
    reasons: tuple[Said, ...]
    steps: tuple[Said, ...]
    needed_by: tuple[str, ...]
    """The packages that pull it in, nearest last; empty if it is listed."""
    blocker: int | None
    """The number of its section among the blockers."""
    links: tuple[PackageLink, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Releases:
    """The later releases that were skipped, and the good ones, on platforms that agree."""

    platforms: tuple[str, ...]
    passed_over: tuple[tuple[Candidate, str], ...]
    """Each with its reason, which names the platforms."""
    first_good: Version | None
    newest_good: Version | None


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockedVersion:
    """One blocked version, with all known facts and the ways out."""

    number: int
    title: str
    name: str
    version: str
    verdict: Verdict
    entries: tuple[AgreeingRows, ...]
    """The blocked rows; platforms that agree are merged."""
    verdicts: tuple[tuple[Verdict, tuple[str, ...]], ...]
    """Each verdict with its platforms, if there is more than one platform."""
    reasons: tuple[Said, ...]
    steps: tuple[Said, ...]
    """The way out as a sentence, from the plan or else from the row."""
    ways: tuple[WayOut, ...]
    """The plan's ways out, one for each platform."""
    releases: tuple[Releases, ...]
    drags: tuple[str, ...]
    """Packages that are blocked because of it."""
    reach: tuple[str, ...]
    """When the user's code loads its modules."""
    links: tuple[PackageLink, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class MatrixRow:
    """One package's verdicts, in the order of the platforms; `None` if the platform does not need it."""

    title: str
    verdicts: tuple[Verdict | None, ...]
    fine: bool
    """Ready or pure on every platform that needs it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GapSection:
    """Unchecked items of one kind."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """The page."""

    title: str
    inputs: str
    """The name of the project, if the inputs belong to one, and the names of the input files."""
    headline: Headline
    lede: tuple[str, ...]
    counts: Mapping[Verdict, int]
    """The number of packages for each verdict; one with several platforms counts with its worst verdict."""
    bar: tuple[Segment, ...]
    """The number of packages in each state: *ready* means the same as in the headline."""
    blocked_tree: TreePicture | None
    whole_tree: TreePicture
    blockers: tuple[BlockedVersion, ...]
    rows: tuple[VerdictRow, ...]
    matrix: tuple[MatrixRow, ...]
    rules: tuple[RuleHazards, ...]
    states: tuple[tuple[str, tuple[StateRow, ...]], ...]
    """The shared state of the project's own source, by type; the first `MOST_STATES` rows."""
    gaps: tuple[GapSection, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """The part of a page for several targets that belongs to one target."""

    migration: Migration
    report: Report
    view: View
    at: str
    """The prefix of its element ids."""


def look(migration: Migration) -> View:
    """Build the page."""
    report = migration.report
    ordered = sorted(
        entries(report.packages),
        key=lambda entry: (
            entry.package.verdict not in BLOCKING,
            reach_order(entry, report),
            WORST_FIRST.index(entry.package.verdict),
            entry.title,
        ),
    )
    worst = _worst(report.packages)
    tally = Counter(worst.values())
    counts = {verdict: tally[verdict] for verdict in OF_THE_BAR}
    ready = readiness(report)
    states = Counter(_state(ready[name], verdict) for name, verdict in worst.items())
    blockers = tuple(_blockers(ordered, migration))
    blocked = [entry.package for entry in ordered if entry.package.verdict in BLOCKING]
    root = PurePath(report.inputs[0]).name if len(report.inputs) == 1 else counted(len(report.inputs), "input")
    files = ", ".join(PurePath(path).name for path in report.inputs)
    inputs = " · ".join(filter(None, (migration.project, files)))
    return View(
        title=f"Free-threading report: {inputs or report.target}",
        inputs=inputs,
        headline=headline(report),
        lede=tuple(sums(migration)),
        counts=counts,
        bar=bar({state: states[state] for state in _STATES}),
        blocked_tree=tree(root, chains_of(blocked, 3), worst) if blocked else None,
        whole_tree=tree(root, sorted(chains_of(report.packages, 1)), worst),
        blockers=blockers,
        rows=tuple(_rows(ordered, blockers, report)),
        matrix=tuple(_matrix(report)) if len(report.platforms) > 1 else (),
        rules=tuple(by_rule(migration.scan)) if migration.scan else (),
        states=tuple(by_type(migration.scan.states[:MOST_STATES])) if migration.scan else (),
        gaps=tuple(gap for gap in _gaps(migration) if gap.lines),
    )


def _state(ready: Readiness, verdict: Verdict) -> Verdict | Readiness:
    return ready if ready is Readiness.NEEDS_BLOCKED else verdict


def _worst(packages: Iterable[Package]) -> dict[str, Verdict]:
    worst: dict[str, Verdict] = {}
    for package in packages:
        name = str(package.facts.pin.name)
        worst[name] = min(worst.get(name, package.verdict), package.verdict, key=WORST_FIRST.index)
    return worst


def _blockers(ordered: Iterable[AgreeingRows], migration: Migration) -> Iterator[BlockedVersion]:
    plan = migration.plan
    groups: dict[str, list[AgreeingRows]] = {}
    drags: dict[str, dict[str, None]] = {}
    for entry in ordered:
        if entry.package.verdict in BLOCKING:
            groups.setdefault(entry.title, []).append(entry)
        for name in entry.package.blocked_by:
            drags.setdefault(name, {})[entry.title] = None
    for number, (title, found) in enumerate(groups.items(), 1):
        first = found[0].package
        ways = tuple(way for way in plan.ways if _is_of(way, first)) if plan is not None else ()
        planned: list[Sentence] = [
            (plan_sentences.way_out(way, way.platform), way.platform, (way.platform,)) for way in ways
        ]
        verdicts: dict[Verdict, tuple[str, ...]] = {}
        for entry in found:
            verdicts[entry.package.verdict] = (*verdicts.get(entry.package.verdict, ()), *entry.platforms)
        yield BlockedVersion(
            number=number,
            title=title,
            name=str(first.facts.pin.name),
            version=str(first.facts.pin.version or ""),
            verdict=first.verdict,
            entries=tuple(found),
            verdicts=tuple(verdicts.items()),
            reasons=tuple(_reasons_once(found)),
            steps=tuple(_told_once(planned) if planned else _steps_once(found)),
            ways=ways,
            releases=tuple(_releases(ways)),
            drags=tuple(drags.get(str(first.facts.pin.name), ())),
            reach=tuple(dict.fromkeys(line for entry in found for line in reach_lines(entry, migration.report))),
            links=package_links(first.facts.pin, migration.report),
        )


def _is_of(way: WayOut, package: Package) -> bool:
    return (way.name, way.current) == (package.facts.pin.name, package.facts.pin.version)


def _told_once(sentences: Iterable[Sentence]) -> Iterator[Said]:
    """Yield the sentences, each with the platform that it can name and those for which it is true; equal ones are
    merged.
    """
    found: dict[str, tuple[str, ...]] = {}
    every: dict[str, None] = {}
    for text, named, platforms in sentences:
        worded = text.replace(named, _PLATFORM)
        found[worded] = (*found.get(worded, ()), *platforms)
        every |= dict.fromkeys(platforms)
    for worded, platforms in found.items():
        names_them = _PLATFORM in worded
        told_of_all = names_them or len(platforms) == len(every)
        yield Said(text=worded.replace(_PLATFORM, _listed(platforms)), platforms=() if told_of_all else platforms)


def _reasons_once(found: Sequence[AgreeingRows]) -> Iterator[Said]:
    """Yield each reason once, with the platforms for which it is true."""
    reasons = ((reason, entry.platforms) for entry in found for reason in entry.package.why)
    for reason, platforms, of_all in _by_value(reasons):
        yield _said(sentence(reason, _listed(platforms)), platforms, named=of_all or names_platform(reason))


def _steps_once(found: Sequence[AgreeingRows]) -> Iterator[Said]:
    """Yield each next step once, with the platforms for which it is true."""
    steps = ((entry.package.step, entry.platforms) for entry in found if entry.package.step is not None)
    for step, platforms, of_all in _by_value(steps):
        yield _said(step_sentence(step, _listed(platforms)), platforms, named=of_all or step_names_platform(step))


def _said(text: str, platforms: tuple[str, ...], *, named: bool) -> Said:
    return Said(text=text, platforms=() if named else platforms)


def _by_value(said: Iterable[tuple[T, tuple[str, ...]]]) -> Iterator[tuple[T, tuple[str, ...], bool]]:
    """Yield each value once, with its platforms, and whether those are all platforms."""
    found: dict[T, tuple[str, ...]] = {}
    every: dict[str, None] = {}
    for value, platforms in said:
        found[value] = (*found.get(value, ()), *platforms)
        every |= dict.fromkeys(platforms)
    yield from ((value, platforms, len(platforms) == len(every)) for value, platforms in found.items())


def _releases(ways: Iterable[WayOut]) -> Iterator[Releases]:
    groups: dict[object, list[WayOut]] = {}
    for way in ways:
        fates = tuple((candidate.version, candidate.fate) for candidate in way.passed_over)
        groups.setdefault((fates, way.first_good, way.newest_good), []).append(way)
    for found in groups.values():
        first, platforms = found[0], tuple(way.platform for way in found)
        reasons = [candidate_phrase(candidate, _listed(platforms)) for candidate in first.passed_over]
        if first.passed_over:
            yield Releases(
                platforms=platforms,
                passed_over=tuple(zip(first.passed_over, reasons, strict=True)),
                first_good=first.first_good,
                newest_good=first.newest_good,
            )


def _listed(platforms: Sequence[str]) -> str:
    return ", ".join(platforms) if len(platforms) <= 3 else counted(len(platforms), "platform")


def _rows(ordered: Iterable[AgreeingRows], blockers: Iterable[BlockedVersion], report: Report) -> Iterator[VerdictRow]:
    numbers = {blocker.title: blocker.number for blocker in blockers}
    groups: dict[tuple[str, Verdict], list[AgreeingRows]] = {}
    for entry in ordered:
        groups.setdefault((entry.title, entry.package.verdict), []).append(entry)
    for number, ((title, verdict), found) in enumerate(groups.items(), 1):
        chains = found[0].package.facts.pin.required_by
        yield VerdictRow(
            number=number,
            entries=tuple(found),
            platforms=tuple(platform for entry in found for platform in entry.platforms),
            rank=WORST_FIRST.index(verdict),
            reasons=tuple(_reasons_once(found)),
            steps=tuple(_steps_once(found)),
            needed_by=chains[0][:-1] if chains else (),
            blocker=numbers.get(title) if verdict in BLOCKING else None,
            links=package_links(found[0].package.facts.pin, report),
        )


def _matrix(report: Report) -> Iterator[MatrixRow]:
    found: dict[str, dict[str, Verdict]] = {}
    for package in report.packages:
        title = AgreeingRows(package=package, platforms=()).title
        found.setdefault(title, {})[package.facts.platform] = package.verdict
    rows = [
        MatrixRow(
            title=title,
            verdicts=tuple(verdicts.get(platform) for platform in report.platforms),
            fine=READY.issuperset(verdicts.values()),
        )
        for title, verdicts in found.items()
    ]
    return iter(
        sorted(rows, key=lambda row: (min(WORST_FIRST.index(each) for each in row.verdicts if each), row.title))
    )


def _gaps(migration: Migration) -> Iterator[GapSection]:
    report, plan, scan = migration.report, migration.plan, migration.scan
    unknown = [entry for entry in entries(report.packages) if entry.package.verdict is Verdict.UNKNOWN]
    yield GapSection(
        title="Packages without a verdict",
        lines=tuple(f"{entry.title} ({', '.join(entry.platforms)}): {entry.reasons[0]}" for entry in unknown),
    )
    yield GapSection(title="Not checked", lines=(*report.incomplete, *migration.incomplete))
    yield GapSection(title="Modules that were read, but could not be imported", lines=tuple(not_imported(report)))
    yield GapSection(title="Notes", lines=report.notes)
    parts = tuple(line for reach in report.reach for line in reach_summary(reach))
    yield GapSection(title="What your own code loads", lines=parts)
    if plan is not None:
        proofs = [
            f"{proof.input} on {proof.platform}: {proof.reason or 'not resolved'}"
            for proof in plan.proofs
            if proof.status in (ProofStatus.UNRESOLVED, ProofStatus.NOT_ASKED)
        ]
        limits = (text for proof in plan.proofs for text in proof.not_proven)
        yield GapSection(title="Of the plan", lines=tuple(dict.fromkeys((*plan.incomplete, *proofs, *limits))))
    left = [text for text in (migration.no_plan, migration.no_scan) if text]
    yield GapSection(title="Left out of this report", lines=tuple(left))
    if scan is not None:
        yield GapSection(title="Of the project's own source", lines=tuple(unscanned(scan)))
