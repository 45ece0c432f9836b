"""CSV (RFC 4180) with a stable header: a row for each package and platform, or for each finding of a scan."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ftaudit.judge.gil import guilty_modules
from ftaudit.model import Finding, Package, Report
from ftaudit.report.console import clean
from ftaudit.report.results.results import of_scan
from ftaudit.source.tree_scan import ScanResult

REPORT_HEADER: Final = (
    *("kind", "name", "version", "platform", "target", "verdict", "blocks", "accepted", "reasons", "next_step"),
    *("required_by", "blocked_by", "path", "line", "wheel", "modules", "modules_with_gil", "findings"),
)
SCAN_HEADER: Final = (
    *("kind", "path", "line", "column", "severity", "confidence", "code", "rule", "message", "fingerprint"),
)
_FORMULA: Final = tuple("=+-@\t\r＝＋－＠")
"""Characters that start a formula in spreadsheets (OWASP, "CSV Injection"), including full-width ones."""


def render(report: Report) -> str:
    """Return `package` rows, then an `incomplete` row for each unchecked thing that has no package."""
    return render_each((report,))


def render_each(reports: Iterable[Report]) -> str:
    """Return the rows of several reports, one for each target, under one header."""
    return _write(REPORT_HEADER, (row for report in reports for row in _rows(report)))


def _rows(report: Report) -> Iterator[Sequence[object]]:
    yield from map(_package, report.packages)
    for what in report.incomplete:
        row = ["incomplete", *[""] * (len(REPORT_HEADER) - 1)]
        row[REPORT_HEADER.index("target")] = report.target
        row[REPORT_HEADER.index("reasons")] = what
        yield row


def render_scan(scan: ScanResult, *, exit_code: int) -> str:
    """Return `finding` rows with the `accepted` and `silenced` ones, then a `skipped` row for each unchecked file
    (`noted` if the file was read anyway)."""
    return _write(SCAN_HEADER, (*_findings(scan, exit_code), *_skipped(scan)))


def _findings(scan: ScanResult, exit_code: int) -> Iterator[Sequence[object]]:
    for result in of_scan(scan, exit_code=exit_code).results:
        kind = "finding"
        if result.suppression is not None:
            kind = "silenced" if result.suppression.in_source else "accepted"
        path, line = (result.location.path, result.location.line) if result.location is not None else ("", None)
        yield (
            *(kind, path, line, result.column, result.severity, result.confidence),
            *(result.rule, result.name, result.text, result.fingerprint),
        )


def _skipped(scan: ScanResult) -> Iterator[Sequence[object]]:
    for skip in scan.skipped:
        kind = "noted" if skip.read_anyway else "skipped"
        yield (kind, skip.path, skip.line, "", "", "", "", "", skip.reason, "")


def _package(package: Package) -> Sequence[object]:
    facts = package.facts
    pin = facts.pin
    place = pin.source
    on = guilty_modules(facts)
    return (
        "package",
        pin.name,
        pin.version,
        facts.platform,
        facts.target,
        package.verdict,
        "yes" if package.blocks else "no",
        "" if package.accepted is None else f"{package.accepted.by}: {package.accepted.reason}",
        "; ".join(package.reasons),
        package.next_step,
        "; ".join(" > ".join(chain) for chain in pin.required_by),
        " ".join(package.blocked_by),
        "" if place is None else place.path,
        None if place is None else place.line,
        "" if facts.index.wheel is None else facts.index.wheel.filename,
        len(facts.modules),
        len(on),
        " ".join(_codes(package.findings)),
    )


def _codes(findings: Iterable[Finding]) -> list[str]:
    return sorted({finding.code for finding in findings})


def _write(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return buffer.getvalue()


def _cell(value: object) -> str:
    """Return a cell on one line; a cell that a spreadsheet would compute gets a leading apostrophe, and stays text."""
    text = "" if value is None else str(value)
    marked = text.startswith(_FORMULA)
    text = clean(text)
    return f"'{text}" if marked or text.startswith(_FORMULA) else text
