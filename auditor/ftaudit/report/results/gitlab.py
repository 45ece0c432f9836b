"""GitLab's code quality report, which merge requests show on the changed lines."""

from __future__ import annotations

import json
from typing import Any, Final

from ftaudit.model import Severity
from ftaudit.report.console import clean
from ftaudit.report.results.result_places import Places
from ftaudit.report.results.results import Result, Results

_SEVERITIES: Final = {
    Severity.ERROR: "critical",
    Severity.WARNING: "major",
    Severity.INFO: "info",
    Severity.PEDANTIC: "info",
}


def render(results: Results, *, places: Places) -> str:
    """Return a JSON array with an object for each result that counts, as GitLab's documentation specifies."""
    counted = [result for result in results.results if result.suppression is None]
    return json.dumps([_issue(result, places) for result in counted], indent=2, ensure_ascii=False) + "\n"


def _issue(result: Result, places: Places) -> dict[str, Any]:
    place = result.location
    return {
        "description": f"{result.subject}: {result.text}",
        "check_name": result.name if result.rule == result.name else f"{result.rule} {result.name}",
        "fingerprint": result.fingerprint,
        "severity": _SEVERITIES[result.severity],
        "location": {
            "path": "." if place is None else clean(places.shown(place.path)),
            "lines": {"begin": 1 if place is None or place.line is None else place.line},
        },
    }
