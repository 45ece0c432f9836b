"""The report for a terminal: the answer first, then blockers, what could not be checked, and the rest in sums."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ftaudit.model import BLOCKING, Finding, Package, Report, Severity, Verdict
from ftaudit.report.console import DEFAULT_WIDTH, clean, draw

if TYPE_CHECKING:
    from rich.console import Console


CONTRADICTED: Final = "FT304"
"""The one finding of a scan that is about the package as a whole."""

_ORDER: Final = (Verdict.BROKEN, Verdict.REENABLES_GIL, Verdict.UNAVAILABLE, Verdict.SOURCE_ONLY)
_STYLES: Final = {
    Verdict.READY: "green",
    Verdict.PURE: "green",
    Verdict.FALLBACK: "yellow",
    Verdict.UNKNOWN: "yellow",
}
_SAID_BY_VERDICT: Final = frozenset({"FT101", "FT102", "FT201", "FT202", "FT209", "FT601", "FT602"})
"""Rules whose message the row's reasons already give."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """The rows of one package that say the same, with the platforms of which they say it."""

    package: Package
    platforms: tuple[str, ...]

    @property
    def title(self) -> str:
        """`lxml 6.1.3`."""
        pin = self.package.facts.pin
        return f"{pin.name} {pin.version}" if pin.version is not None else str(pin.name)


def render(report: Report, *, width: int = DEFAULT_WIDTH, color: bool = False) -> str:
    """Return the report as text that is `width` columns wide, with ANSI colours if `color`."""

    def write(console: Console) -> None:
        entries = tuple(_entries(report.packages))
        _headline(console, report)
        for title, verdicts in (
            ("Blocks", _ORDER),
            ("Not checked", (Verdict.UNKNOWN,)),
            ("Works, slower", (Verdict.FALLBACK,)),
        ):
            _section(
                console,
                report,
                title,
                [entry for verdict in verdicts for entry in entries if entry.package.verdict is verdict],
            )
        for verdict in (Verdict.READY, Verdict.PURE):
            _sum(console, report, verdict, [entry for entry in entries if entry.package.verdict is verdict])
        _notes(console, report)
        _coverage(console, report)

    return draw(write, width=width, color=color)


def _entries(packages: Iterable[Package]) -> Iterator[Entry]:
    groups: dict[tuple[object, ...], list[Package]] = {}
    for package in packages:
        pin = package.facts.pin
        same = (pin.name, pin.version, package.verdict, _without_platform(package))
        groups.setdefault(same, []).append(package)
    for group in groups.values():
        yield Entry(package=group[0], platforms=tuple(package.facts.platform for package in group))


def _without_platform(package: Package) -> tuple[str, ...]:
    said = (*package.reasons, package.next_step or "")
    return tuple(text.replace(package.facts.platform, "{platform}") for text in said)


def _headline(console: Console, report: Report) -> None:
    from rich.text import Text

    where = ", ".join(report.platforms) if len(report.platforms) <= 3 else f"{len(report.platforms)} platforms"
    what = f"free-threaded CPython {report.target.rstrip('t')}" + (f" on {where}" if where else "")
    total = len({package.facts.pin.name for package in report.packages})
    packages = f"{total} package" + ("s" if total != 1 else "")
    blocked = {package.facts.pin.name for package in report.packages if package.verdict in BLOCKING}
    unknown = {package.facts.pin.name for package in report.packages if package.verdict is Verdict.UNKNOWN} - blocked
    match report.exit_code:
        case 1:
            style, word = "bold red", "BLOCKED"
            verb = "keeps" if len(blocked) == 1 else "keep"
            tail = f"{len(blocked)} of {packages} {verb} you from {what}."
        case 3:
            style, word = "bold yellow", "NOT SURE"
            tail = f"nothing found to block {what}, but not everything could be checked."
            if unknown:
                tail = f"nothing found to block {what}, but {len(unknown)} of {packages} could not be checked."
        case _:
            style, word = "bold green", "READY"
            tail = f"nothing blocks {what}: {packages} checked."
    console.print(Text.assemble((word, style), ": ", clean(tail)))
    if report.exit_code == 1 and unknown:
        console.print(f"{len(unknown)} more could not be checked.")
    if report.inputs:
        console.print(Text(clean("read: " + ", ".join(report.inputs)), style="dim"))


def _section(console: Console, report: Report, title: str, entries: list[Entry]) -> None:
    from rich.text import Text

    if not entries:
        return
    console.print()
    console.print(Text(f"{title} ({len(entries)})", style="bold"))
    for entry in entries:
        _entry(console, report, entry)


def _entry(console: Console, report: Report, entry: Entry) -> None:
    from rich.padding import Padding
    from rich.text import Text

    package = entry.package
    style = _STYLES.get(package.verdict, "red")
    head = Text.assemble("  ", (clean(entry.title), "bold"), "  ", (str(package.verdict), style))
    if len(report.platforms) > 1:
        head.append(f"  ({', '.join(entry.platforms)})", style="dim")
    console.print(head)
    lines = [("", reason) for reason in package.reasons]
    lines += _chains(package)
    lines += [(f"{finding.code} ", _said(finding)) for finding in _extra_findings(package)]
    lines += [("source: ", told) for told in _source(package)]
    if package.next_step:
        lines.append(("next: ", package.next_step))
    for label, text in lines:
        console.print(Padding(Text.assemble((label, "dim"), clean(text)), (0, 0, 0, 6)))


def _chains(package: Package) -> Iterator[tuple[str, str]]:
    pin = package.facts.pin
    at = f" ({pin.source})" if pin.source else ""
    for number, chain in enumerate(pin.required_by[:3]):
        where = at if number == 0 else ""
        if len(chain) > 1:
            yield "pulled in by ", " → ".join(chain) + where
        elif where:
            yield "listed in ", str(pin.source)
    if len(pin.required_by) > 3:
        yield "pulled in by ", f"{len(pin.required_by) - 3} more"
    if not pin.required_by and pin.source:
        yield "listed in ", str(pin.source)


def _extra_findings(package: Package) -> Iterator[Finding]:
    """Yield what the rules say beyond the reasons: errors and warnings that the verdict does not already name."""
    scanned = set(package.facts.source.findings)
    for finding in package.findings:
        told = finding.code in _SAID_BY_VERDICT or (finding in scanned and finding.code != CONTRADICTED)
        if finding.severity in (Severity.ERROR, Severity.WARNING) and not told:
            yield finding


def _source(package: Package) -> Iterator[str]:
    """Sum up the scan of the sdist: its findings are too many for a row."""
    source, pin = package.facts.source, package.facts.pin
    errors = sum(finding.severity is Severity.ERROR for finding in source.findings)
    warnings = sum(finding.severity is Severity.WARNING for finding in source.findings)
    if errors or warnings:
        counted = f"{_counted(errors, 'error')} and {_counted(warnings, 'warning')}"
        yield f"{counted}: `ftaudit scan {pin.name}=={pin.version}` shows them"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _said(finding: Finding) -> str:
    return f"{finding.rule}: {finding.message}"


def _sum(console: Console, report: Report, verdict: Verdict, entries: list[Entry]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    if not entries:
        return
    console.print()
    console.print(Text.assemble((f"{verdict} ", "bold green"), (f"({len(entries)})", "bold")))
    told = [
        f"{clean(entry.title)} ({', '.join(entry.platforms)})"
        if len(entry.platforms) < len(report.platforms)
        else clean(entry.title)
        for entry in entries
    ]
    console.print(Padding(Text(", ".join(told)), (0, 0, 0, 2)))
    for entry in entries:
        for line in _source(entry.package):
            console.print(Padding(Text(clean(f"{entry.title}: {line}"), style="yellow"), (0, 0, 0, 2)))
    through = [entry for entry in entries if entry.package.blocked_by]
    for entry in through:
        needs = ", ".join(entry.package.blocked_by)
        console.print(Padding(Text(clean(f"{entry.title} is blocked through {needs}"), style="red"), (0, 0, 0, 2)))


def _notes(console: Console, report: Report) -> None:
    from rich.text import Text

    told = [f"not looked at: {what}" for what in report.incomplete]
    told += [f"not imported: {what}" for what in _not_imported(report)]
    told += [f"note: {note}" for note in report.notes]
    if told:
        console.print()
    for line in told:
        console.print(Text(clean(line), style="yellow"))


def _not_imported(report: Report) -> Iterator[str]:
    """Yield the modules whose import ended before CPython could say what they need, of rows that stand all the same."""
    for package in report.packages:
        if package.verdict is not Verdict.READY:
            continue
        for module in package.facts.modules:
            if module.runtime is not None and module.runtime.requires_gil is None:
                yield f"{module.name}: {module.runtime.error or module.runtime.outcome}; its binary was read"


def _coverage(console: Console, report: Report) -> None:
    console.print()
    console.print("checked: " + " · ".join(f"{seen.done}/{seen.total} {tier}" for tier, seen in report.coverage))
