"""JUnit XML for Jenkins and GitLab: a test case for each package and platform, or each finding of a scan."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree  # It writes; nothing is parsed.

from ftaudit.model import BLOCKING, Package, Report, Severity, Verdict
from ftaudit.report.console import clean
from ftaudit.report.package.agreeing_rows import AgreeingRows, chains, coverage, extra_findings
from ftaudit.report.results.results import of_scan, scan_sentence
from ftaudit.source.tree_scan import ScanResult


@dataclass(frozen=True, kw_only=True, slots=True)
class JunitCase:
    """One test case; `outcome` is `failure`, `error`, `skipped`, or empty for a pass."""

    classname: str
    name: str
    outcome: str | None = None
    kind: str = ""
    message: str = ""
    text: str = ""


_COUNTED: Final = ("failure", "error", "skipped")


def render(report: Report) -> str:
    """Return a suite for each platform: a blocker fails, a package that could not be checked is an error, an accepted
    one is skipped. Anything without a row is a separate case.
    """
    parts = (*report.notes, f"checked: {coverage(report)}")
    return _write("ftaudit check", _suites(report), parts)


def render_each(reports: Sequence[Report]) -> str:
    """Return the suites of several reports, one for each target, whose names begin with the target."""
    suites: dict[str, list[JunitCase]] = {}
    parts: list[str] = []
    for report in reports:
        suites |= _suites(report, f"{report.target} ")
        parts += (*report.notes, f"{report.target} checked: {coverage(report)}")
    return _write("ftaudit check", suites, dict.fromkeys(parts))


def _suites(report: Report, prefix: str = "") -> dict[str, list[JunitCase]]:
    suites: dict[str, list[JunitCase]] = {f"{prefix}{platform}": [] for platform in report.platforms}
    for package in report.packages:
        suite = f"{prefix}{package.facts.platform}"
        suites.setdefault(suite, []).append(_case(package, suite))
    if report.incomplete:
        suites[f"{prefix}not checked"] = [
            JunitCase(
                classname=f"{prefix}not checked",
                name=f"incomplete {number}",
                outcome="error",
                kind="incomplete",
                message=what,
                text=what,
            )
            for number, what in enumerate(report.incomplete, 1)
        ]
    return suites


def render_scan(scan: ScanResult, *, fail_on: Severity, exit_code: int) -> str:
    """Return a suite for each file with results: findings at or above `fail_on` fail, an unreadable file is an error,
    a silenced or accepted finding is skipped.
    """
    results = of_scan(scan, exit_code=exit_code)
    severities = list(Severity)
    suites: dict[str, list[JunitCase]] = defaultdict(list)
    for result in results.results:
        path = result.location.path if result.location is not None else "the project"
        line = f":{result.location.line}" if result.location is not None and result.location.line else ""
        column = f":{result.column}" if result.column is not None and line else ""
        fails = severities.index(result.severity) <= severities.index(fail_on)
        outcome = "failure" if fails else None
        message = result.lines[0]
        if result.suppression is not None:
            outcome, message = "skipped", result.suppression.reason or "accepted"
        suites[path].append(
            JunitCase(
                classname=path,
                name=f"{result.rule} {result.name}{line}{column}",
                outcome=outcome,
                kind=result.severity.value,
                message=message,
                text="\n".join((f"{path}{line}{column}: {result.severity}", *result.lines)),
            )
        )
    for skip in scan.skipped:
        outcome = None if skip.read_anyway else "error"
        suites[skip.path].append(
            JunitCase(
                classname=skip.path,
                name="not checked" if outcome else "read anyway",
                outcome=outcome,
                kind="skipped",
                message=skip.reason,
                text=skip.reason,
            )
        )
    ordered = {path: suites[path] for path in sorted(suites)}
    # A suite without a test case counts as a failure in some readers.
    ordered["the scan"] = [JunitCase(classname="the scan", name=f"{scan.files} files", text=scan_sentence(scan))]
    return _write("ftaudit scan", ordered, scan.notes)


def _case(package: Package, suite: str) -> JunitCase:
    entry = AgreeingRows(package=package, platforms=(package.facts.platform,))
    lines = [*package.reasons, *(f"{label}{text}" for label, text in chains(package))]
    lines += [f"{finding.code} {finding.rule}: {finding.message}" for finding in extra_findings(package)]
    lines += [f"next: {package.next_step}"] if package.next_step else []
    outcome = "failure" if package.verdict in BLOCKING else "error" if package.verdict is Verdict.UNKNOWN else None
    reason = f"{package.verdict}: {package.reasons[0]}"
    if package.accepted is not None:
        outcome, reason = "skipped", f"{package.accepted.by}: {package.accepted.reason} ({reason})"
    return JunitCase(
        classname=suite,
        name=entry.title,
        outcome=outcome,
        kind=package.verdict.value,
        message=reason,
        text="\n".join((str(package.verdict), *lines)),
    )


def _write(name: str, suites: dict[str, list[JunitCase]], told: Iterable[str]) -> str:
    root = ElementTree.Element("testsuites", _counts(name, [case for cases in suites.values() for case in cases]))
    for suite, cases in suites.items():
        element = ElementTree.SubElement(root, "testsuite", _counts(_text(suite), cases) | {"skipped": _of(cases, 2)})
        for case in cases:
            _add(element, case)
    last = next(reversed(root), None)
    if last is not None:
        ElementTree.SubElement(last, "system-out").text = "\n".join(map(_text, told))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _add(suite: ElementTree.Element, case: JunitCase) -> None:
    given = {"classname": _text(case.classname), "name": _text(case.name), "time": "0"}
    element = ElementTree.SubElement(suite, "testcase", given)
    text = "\n".join(map(_text, case.text.split("\n")))
    if case.outcome is None:
        ElementTree.SubElement(element, "system-out").text = text
        return
    reason = {"message": _text(case.message)} | ({} if case.outcome == "skipped" else {"type": case.kind})
    ElementTree.SubElement(element, case.outcome, reason).text = text


def _counts(name: str, cases: list[JunitCase]) -> dict[str, str]:
    """Return the attributes that `testsuites` and `testsuite` share."""
    return {"name": name, "tests": str(len(cases)), "failures": _of(cases, 0), "errors": _of(cases, 1), "time": "0"}


def _of(cases: list[JunitCase], which: int) -> str:
    return str(sum(case.outcome == _COUNTED[which] for case in cases))


def _text(text: str) -> str:
    """Return text without what XML 1.0 forbids (§2.2): control characters, surrogates, U+FFFE and U+FFFF."""
    return clean(text)
