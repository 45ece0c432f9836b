"""The content of every package report, independent of the format: the answer, and rows of platforms that agree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ftaudit.model import BLOCKING, Acceptance, Finding, Gap, GapKind, Package, Report, Severity, Status, Verdict
from ftaudit.model.reasons import in_common
from ftaudit.model.sentences import THESE, listed, sentences, step_sentence, stress_sentence
from ftaudit.registry import info_of
from ftaudit.report.package.readiness import Readiness, count_ready

ORDER: Final = (Verdict.BROKEN, Verdict.REENABLES_GIL, Verdict.UNAVAILABLE, Verdict.SOURCE_ONLY)
"""The verdicts that block, the worst first."""
LISTED: Final = "listed in "
"""The label of the package's own place."""
NOTHING: Final = "NOTHING TO CHECK"
"""The answer if the inputs install no package."""
NAMED: Final = 3
"""How many platforms the answer names before it counts them."""
NEVER: Final = Gap(kind=GapKind.IMPORTS_NOTHING)
SEVERAL: Final = 3
"""The number of packages from which a shared reason is printed once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AgreeingRows:
    """The rows of one package with the same content, and their platforms."""

    package: Package
    platforms: tuple[str, ...]

    @property
    def title(self) -> str:
        """`lxml 6.1.3`."""
        pin = self.package.facts.pin
        return f"{pin.name} {pin.version}" if pin.version is not None else str(pin.name)

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons as sentences that are true for every platform of the entry."""
        return sentences(self.package.why, self.where)

    @property
    def next_step(self) -> str | None:
        """What to do next, as a sentence that is true for every platform of the entry."""
        return None if self.package.step is None else step_sentence(self.package.step, self.where)

    @property
    def where(self) -> str:
        """The platform, or a phrase for several."""
        places = dict.fromkeys(self.platforms)
        return next(iter(places)) if len(places) == 1 else THESE


@dataclass(frozen=True, kw_only=True, slots=True)
class Headline:
    """The answer."""

    word: str
    """`BLOCKED`, `NOT SURE`, `ACCEPTED` or `READY`."""
    sentence: str
    more: str | None = None
    """Additional information that a reader needs immediately, as a sentence."""


def entries(packages: Iterable[Package]) -> Iterator[AgreeingRows]:
    """Yield the packages with the platforms that agree, in their original order."""
    groups: dict[tuple[object, ...], list[Package]] = {}
    for package in packages:
        pin = package.facts.pin
        same = (pin.name, pin.version, package.verdict, package.accepted, package.why, package.step)
        groups.setdefault(same, []).append(package)
    for group in groups.values():
        yield AgreeingRows(package=group[0], platforms=tuple(package.facts.platform for package in group))


def number_of(found: Iterable[AgreeingRows]) -> int:
    """Return the number of packages in the entries: a package has several entries if platforms disagree."""
    return len({entry.package.facts.pin.name for entry in found})


def together(found: Sequence[AgreeingRows]) -> Iterator[tuple[AgreeingRows, ...]]:
    """Yield the entries, with one entry for several that could not be checked for the same reason.

    Without a network, every package has the same reason, and only the page or file differs.
    """
    groups: dict[object, list[AgreeingRows]] = {}
    for number, entry in enumerate(found):
        shared = entry.package.verdict is Verdict.UNKNOWN and not entry.package.findings
        groups.setdefault((*map(in_common, entry.package.why), entry.platforms) if shared else number, []).append(entry)
    for group in groups.values():
        yield from (tuple(group),) if len(group) >= SEVERAL else ((entry,) for entry in group)


def reason_of_many(entry: AgreeingRows) -> tuple[str, ...]:
    """Return the reasons in the form that other packages share: without the package's page and file."""
    return sentences(map(in_common, entry.package.why), entry.where)


def headline(report: Report) -> Headline:
    """Return the answer in one sentence."""
    where = ", ".join(report.platforms) if len(report.platforms) <= NAMED else f"{len(report.platforms)} platforms"
    what = f"free-threaded CPython {report.target.rstrip('t')}" + (f" on {where}" if where else "")
    packages = counted(len({package.facts.pin.name for package in report.packages}), "package")
    counting = [package for package in report.packages if package.accepted is None]
    blocked = {package.facts.pin.name for package in counting if package.verdict in BLOCKING}
    unknown = {package.facts.pin.name for package in counting if package.verdict is Verdict.UNKNOWN} - blocked
    accepted = {package.facts.pin.name for package in report.packages if package.accepted is not None} - blocked
    stand = f"{counted(len(accepted), 'known problem')} {'is' if len(accepted) == 1 else 'are'} accepted."
    match report.exit_code:
        case 1 if not blocked and report.nonconforming:
            wheels = counted(len(report.nonconforming), "wheel")
            verb = "breaks" if len(report.nonconforming) == 1 else "break"
            return Headline(word="BLOCKED", sentence=f"{wheels} {verb} the stable ABI that the tags claim.", more=None)
        case 1 if not blocked:
            failing = {str(package.facts.pin.name) for package in report.failing}
            verb, them = ("fails", "it") if len(failing) == 1 else ("fail", "them")
            sentence = f"{len(failing)} of {packages} {verb} when several threads use {them} without the GIL."
            return Headline(word="BLOCKED", sentence=sentence, more=stand if accepted else None)
        case 1:
            verb = "keeps" if len(blocked) == 1 else "keep"
            parts = [f"{len(unknown)} more could not be checked."] if unknown else []
            if through := count_ready(report)[Readiness.NEEDS_BLOCKED]:
                parts.append(f"{through} more {'needs' if through == 1 else 'need'} a blocked package.")
            places = {package.facts.platform for package in counting if package.verdict in BLOCKING}
            unsure = {p.facts.platform for p in counting if p.verdict is Verdict.UNKNOWN} - places
            if places < set(report.platforms) and len(report.platforms) > NAMED:
                what = what.replace(f" on {where}", f" on {len(places)} of {where}")
                parts += [f"On {counted(len(unsure), 'platform')} not everything could be checked."] if unsure else []
            more = " ".join([*parts, *([stand] if accepted else [])]) or None
            return Headline(word="BLOCKED", sentence=f"{len(blocked)} of {packages} {verb} you from {what}.", more=more)
        case 3:
            sentence = f"found no blocker for {what}, but not everything could be checked."
            if unknown:
                sentence = f"found no blocker for {what}, but {len(unknown)} of {packages} could not be checked."
            return Headline(word="NOT SURE", sentence=sentence, more=stand if accepted else None)
        case _ if accepted:
            verb, stands = ("keeps", "is") if len(accepted) == 1 else ("keep", "are")
            sentence = (
                f"nothing new; {len(accepted)} of {packages} {verb} you from {what}, and {stands} known and accepted."
            )
            return Headline(word="ACCEPTED", sentence=sentence)
        case _ if not report.packages:
            return Headline(word=NOTHING, sentence=f"the input has no package for {what}.")
        case _:
            return Headline(word="READY", sentence=f"nothing blocks {what}: {packages} checked.")


def chains(package: Package) -> Iterator[tuple[str, str]]:
    """Yield the packages that pull it in and the places that list it, as pairs of a label and a text."""
    pin = package.facts.pin
    places = listed(map(str, pin.places))
    at = f" ({places})" if places else ""
    for number, chain in enumerate(pin.required_by[:3]):
        where = at if number == 0 else ""
        if len(chain) > 1:
            yield "pulled in by ", " → ".join(chain) + where
        elif where:
            yield LISTED, places
    if len(pin.required_by) > 3:
        yield "pulled in by ", f"{len(pin.required_by) - 3} more"
    if not pin.required_by and places:
        yield LISTED, places


def accepted_line(accepted: Acceptance) -> str:
    """Return who accepts it, why, and until when, in one line."""
    until = "" if accepted.expires is None else f", until {accepted.expires}"
    return f"{accepted.reason} ({accepted.source or accepted.by}{until})"


def restates_verdict(finding: Finding) -> bool:
    """Return whether the reasons of the package's verdict already cover the finding."""
    info = info_of(finding.code)
    return info is not None and info.restates_verdict


def is_about_package(finding: Finding) -> bool:
    """Return whether a finding in an sdist is about the whole package."""
    info = info_of(finding.code)
    return info is not None and info.about_package


def extra_findings(package: Package) -> Iterator[Finding]:
    """Yield the rule findings beyond the reasons: errors and warnings that the verdict does not already name."""
    scanned = set(package.facts.source.findings)
    for finding in package.findings:
        is_known = restates_verdict(finding) or (finding in scanned and not is_about_package(finding))
        is_known = is_known or finding.accepted is not None
        if finding.severity in (Severity.ERROR, Severity.WARNING) and not is_known:
            yield finding


def source_lines(package: Package) -> Iterator[str]:
    """Summarize the scan of the sdist: its findings do not fit into a row."""
    source, pin = package.facts.source, package.facts.pin
    errors = sum(finding.severity is Severity.ERROR for finding in source.findings)
    warnings = sum(finding.severity is Severity.WARNING for finding in source.findings)
    if errors or warnings:
        found = f"{counted(errors, 'error')} and {counted(warnings, 'warning')}"
        yield f"{found}: `ftaudit scan {pin.name}=={pin.version}` shows them"


def stress_lines(package: Package) -> Iterator[str]:
    """Summarize what many threads did to the package."""
    stress = package.facts.stress
    if stress.status is Status.DONE:
        yield stress_sentence(stress)


def not_imported(report: Report) -> Iterator[str]:
    """Yield the modules whose import ended before CPython reported their needs, from rows that are ready anyway."""
    for package in report.packages:
        if package.verdict is not Verdict.READY:
            continue
        for module in package.facts.modules:
            if module.runtime is not None and module.runtime.requires_gil is None:
                yield f"{module.name}: {module.runtime.error or module.runtime.outcome}; its binary was read"


def coverage(report: Report) -> str:
    """Return how much was checked: `50/50 index · 33/34 binaries · 358/358 imports`."""
    never = all(package.facts.runtime.reason == NEVER for package in report.packages)
    return " · ".join(
        f"{seen.done}/{seen.total} {tier}" for tier, seen in report.coverage if not (never and tier == "imports")
    )


def counted(number: int, noun: str) -> str:
    """Return `1 package`, `2 packages`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
