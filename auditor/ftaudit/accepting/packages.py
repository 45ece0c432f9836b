"""A report of packages with accepted packages marked, and the baseline from that report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date

from ftaudit.accepting.accept_entries import AcceptEntry
from ftaudit.accepting.baseline import Baseline, PackageKey
from ftaudit.accepting.notes import entry_notes, named
from ftaudit.judge.table import rank
from ftaudit.model import Acceptance, AcceptedBy, Finding, Location, Package, Report, Verdict


def accept_packages(
    report: Report, entries: Sequence[AcceptEntry], baseline: Baseline | None, *, today: date
) -> Report:
    """Return the report with accepted rows and findings marked, and notes on entries that accept nothing.

    An entry takes precedence over the baseline. Only an entry whose `verdicts` include `unknown` accepts rows that
    could not be checked.
    """
    counting = [entry for entry in entries if not entry.expired(today)]
    used: list[AcceptEntry] = []
    rows = []
    for row in report.packages:
        pin = row.facts.pin
        mine = [entry for entry in counting if entry.covers(pin.name, pin.version, row.facts.platform)]
        whole = next((entry for entry in mine if entry.rule is None and row.verdict in entry.verdicts), None)
        if whole is not None:
            used.append(whole)
            row = replace(row, accepted=whole.acceptance)
        rows.append(_with_findings(row, [entry for entry in mine if entry.rule is not None], used))
    notes = list(entry_notes(_about(entries, report), used=used, today=today))
    report = replace(report, packages=tuple(rows), notes=(*report.notes, *notes))
    return report if baseline is None else _stand(report, baseline)


def keep_packages(report: Report, baseline: Baseline) -> Baseline:
    """Return the baseline with everything that blocks now and that no entry of the configuration accepts.

    Known problems of other platforms and targets, and of packages that could not be checked now, stay.
    """
    audited = {(platform, report.target) for platform in report.platforms}
    unsure = _unsure(report, baseline)
    kept = {
        key: verdict
        for key, verdict in baseline.packages.items()
        if (key.platform, key.target) not in audited or key in unsure
    }
    for row in report.packages:
        if row.blocks and (row.accepted is None or row.accepted.by is AcceptedBy.BASELINE):
            key = _key(row)
            kept[key] = max(row.verdict, kept[key], key=rank) if key in kept else row.verdict
    return replace(baseline, packages=kept)


def _with_findings(row: Package, entries: Sequence[AcceptEntry], used: list[AcceptEntry]) -> Package:
    if not entries or not row.findings:
        return row

    def marked(finding: Finding) -> Finding:
        entry = next((entry for entry in entries if entry.path is None and entry.means(finding)), None)
        if entry is None:
            return finding
        used.append(entry)
        return replace(finding, accepted=entry.acceptance)

    source = replace(row.facts.source, findings=tuple(map(marked, row.facts.source.findings)))
    return replace(row, findings=tuple(map(marked, row.findings)), facts=replace(row.facts, source=source))


def _about(entries: Iterable[AcceptEntry], report: Report) -> list[AcceptEntry]:
    """Return the entries for packages on the report's platforms: only these can be reported as unused."""
    return [
        entry
        for entry in entries
        if entry.path is None
        and entry.package is not None
        and (entry.platform is None or entry.platform in report.platforms)
    ]


def _stand(report: Report, baseline: Baseline) -> Report:
    """Mark the rows in the baseline, and report which of its problems are gone."""
    source = Location(path=str(baseline.path))
    rows = []
    for row in report.packages:
        known = baseline.packages.get(_key(row))
        if row.accepted is None and row.blocks and known is not None and rank(row.verdict) <= rank(known):
            reason = "recorded in the baseline"
            if known is not row.verdict:
                reason = f"improved since the baseline, where it is {known}"
            row = replace(row, accepted=Acceptance(by=AcceptedBy.BASELINE, reason=reason, source=source))
        rows.append(row)
    blocked = {_key(row) for row in rows if row.blocks}
    mine = [
        key for key in sorted(baseline.packages) if key.target == report.target and key.platform in report.platforms
    ]
    unsure = _unsure(report, baseline)
    gone = [key for key in mine if key not in blocked and key not in unsure]
    notes = []
    if gone:
        text = named(f"{key.package} on {key.platform}" if len(report.platforms) > 1 else key.package for key in gone)
        one = len(gone) == 1
        problems = (
            "1 problem in the baseline no longer occurs"
            if one
            else f"{len(gone)} problems in the baseline no longer occur"
        )
        notes.append(f"{problems} ({text}); --update-baseline removes {'it' if one else 'them'}")
    if unsure:
        text = named(dict.fromkeys(key.package for key in sorted(unsure)))
        notes.append(f"recorded in the baseline, but not checked in this run: {text}")
    return replace(report, packages=tuple(rows), notes=(*report.notes, *notes))


def _unsure(report: Report, baseline: Baseline) -> set[PackageKey]:
    """Return the baseline problems that this report cannot decide: they are neither present nor gone."""
    unknown = {_key(row) for row in report.packages if row.verdict is Verdict.UNKNOWN}
    seen = {_key(row) for row in report.packages}
    return {
        key
        for key in baseline.packages
        if key in unknown
        or (report.incomplete and key.target == report.target and key.platform in report.platforms and key not in seen)
    }


def _key(row: Package) -> PackageKey:
    return PackageKey(package=str(row.facts.pin.name), platform=row.facts.platform, target=row.facts.target)
