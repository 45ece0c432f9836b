"""The JSON report of a scan: a contract for other programs (`schema/scan-1.json` describes it)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, Final

from ftaudit.__about__ import __version__
from ftaudit.fingerprint import fingerprints
from ftaudit.model import Finding, Fix, NoFix, Severity
from ftaudit.report.package.check_json import accepted_as_dict
from ftaudit.report.scan import state_table
from ftaudit.report.scan.worklist import tasks
from ftaudit.source.tree_scan import ScanResult

SCHEMA_VERSION: Final = 1


def render(result: ScanResult, *, exit_code: int) -> str:
    """Return the result as JSON text, with a final newline."""
    return json.dumps(as_dict(result, exit_code=exit_code), indent=2, ensure_ascii=False) + "\n"


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) that every rendered scan obeys."""
    text = resources.files("ftaudit.report").joinpath("schema/scan-1.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def as_dict(result: ScanResult, *, exit_code: int) -> dict[str, Any]:
    """Return the result as plain JSON values."""
    severities = Counter(finding.severity for finding in result.findings)
    marks = _marks(result)
    rules = Counter(finding.rule for finding in result.findings)
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "ftaudit", "version": __version__},
        "target": result.target,
        "exit_code": exit_code,
        "findings": _findings(result.findings, marks),
        "accepted": _findings(result.accepted, marks),
        "order": [
            {"step": task.step.name.lower(), "findings": task.findings, "titles": list(task.titles)}
            for task in tasks(result)
        ],
        "states": [state_table.as_dict(row) for row in result.states],
        "notes": list(result.notes),
        "skipped": [
            {"path": skip.path, "reason": skip.reason, "line": skip.line, "read_anyway": skip.read_anyway}
            for skip in result.skipped
        ],
        "summary": {
            "files": result.files,
            "lines": result.lines,
            "languages": dict(result.lines_by_language),
            "left_out": dict(sorted(result.left_out.items())),
            "silenced": len(result.silenced),
            "accepted": len(result.accepted),
            "skipped": sum(not skip.read_anyway for skip in result.skipped),
            "severities": {severity.value: severities.get(severity, 0) for severity in Severity},
            "rules": dict(sorted(rules.items())),
        },
    }


def _findings(findings: Sequence[Finding], marks: Mapping[int, str]) -> list[dict[str, Any]]:
    return [_finding(finding) | {"fingerprint": marks[id(finding)]} for finding in findings]


def _marks(result: ScanResult) -> dict[int, str]:
    """Return each finding's fingerprint, which does not depend on whether it is accepted."""
    every = (*result.findings, *result.accepted)
    return dict(zip(map(id, every), fingerprints(every, result.frames), strict=True))


def _finding(finding: Finding) -> dict[str, Any]:
    place = finding.location
    return {
        "rule": finding.rule,
        "code": finding.code,
        "severity": finding.severity.value,
        "confidence": finding.confidence.value,
        "message": finding.message,
        "targets": list(finding.targets),
        "path": None if place is None else place.path,
        "line": None if place is None else place.line,
        "column": None if place is None else place.column,
        "remedy": finding.remedy,
        "interleaving": list(finding.interleaving),
        "sites": [
            {
                "path": site.location.path,
                "line": site.location.line,
                "column": site.location.column,
                "access": site.access,
                "entry_point": site.entry_point,
                "locks": list(site.locks),
                "state": site.state,
            }
            for site in finding.sites
        ],
        "accepted": accepted_as_dict(finding.accepted),
        "fix": _fix(finding.fix),
    }


def _fix(fix: Fix | NoFix | None) -> dict[str, Any] | None:
    match fix:
        case None:
            return None
        case NoFix(obstacle=obstacle):
            return {"applicability": None, "obstacle": obstacle.value, "edits": []}
        case Fix(applicability=applicability, edits=edits):
            rows = [
                {
                    "path": edit.path,
                    "start": edit.start,
                    "end": edit.end,
                    "replaced": edit.replaced,
                    "replacement": edit.replacement,
                }
                for edit in edits
            ]
            return {"applicability": applicability.value, "obstacle": None, "edits": rows}
