"""A badge for a README: one SVG file without external requests, readable by screen readers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from ftaudit.model import Report
from ftaudit.report.console import clean
from ftaudit.report.package.readiness import Readiness, count_ready

LABEL: Final = "free-threading"
_GREEN, _RED, _YELLOW, _GREY = "#2e7d32", "#b3261e", "#8a6100", "#5f6368"
"""White text on each color has a contrast of 5:1 or more (WCAG 2.2, 1.4.3)."""
_WORST_FIRST: Final = (_RED, _YELLOW, _GREY, _GREEN)
_WIDTHS: Final = dict(
    zip(" -/adefghinorty", (352, 454, 454, 601, 623, 596, 352, 623, 633, 274, 633, 607, 427, 394, 592), strict=True)
)
_DIGIT: Final = 636
"""Widths of Verdana's characters, in thousandths of the font size."""


def render(report: Report) -> str:
    """Return `free-threading | 47/50 ready`: green if nothing blocks, red if something does, yellow if unsure."""
    ready, total = _ready_of(report)
    text = f"{ready}/{total} ready" if total else "nothing checked"
    return _svg(LABEL, text, _color(report), clean(_title(report, text)))


def render_each(reports: Sequence[Report]) -> str:
    """Return one badge for several targets, `free-threading | 3.14t 47/50, 3.15t 45/50 ready`, in the worst color."""
    counts = [_ready_of(report) for report in reports]
    parts = (f"{report.target} {ready}/{total}" for report, (ready, total) in zip(reports, counts, strict=True))
    text = f"{', '.join(parts)} ready" if any(total for _, total in counts) else "nothing checked"
    color = min(map(_color, reports), key=_WORST_FIRST.index)
    titles = (
        _title(report, f"{ready}/{total} ready" if total else "nothing checked")
        for report, (ready, total) in zip(reports, counts, strict=True)
    )
    return _svg(LABEL, text, color, clean("; ".join(titles)))


def _ready_of(report: Report) -> tuple[int, int]:
    counts = count_ready(report)
    return counts[Readiness.READY], sum(counts.values())


def _title(report: Report, text: str) -> str:
    where = f" on {', '.join(report.platforms)}" if report.platforms else ""
    return f"{LABEL}: {text} for CPython {report.target}{where}"


def _color(report: Report) -> str:
    counts = count_ready(report)
    known = not counts[Readiness.UNKNOWN] and not report.incomplete
    match (sum(counts.values()), counts[Readiness.BLOCKED] > 0, known):
        case (0, _, _):
            return _GREY
        case (_, True, _):
            return _RED
        case (_, False, False):
            return _YELLOW
        case _:
            return _GREEN


def _svg(label: str, text: str, color: str, title: str) -> str:
    left, right = _width(label) + 12, _width(text) + 12
    width = left + right
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label={quoteattr(title)}>
  <title>{escape(title)}</title>
  <clipPath id="r"><rect width="{width}" height="20" rx="3" fill="#fff"/></clipPath>
  <g clip-path="url(#r)">
    <rect width="{left}" height="20" fill="#444"/>
    <rect x="{left}" width="{right}" height="20" fill="{color}"/>
  </g>
  <g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,Geneva,sans-serif" font-size="11">
    <text x="{left / 2:g}" y="14" textLength="{left - 12}">{escape(label)}</text>
    <text x="{left + right / 2:g}" y="14" textLength="{right - 12}">{escape(text)}</text>
  </g>
</svg>
"""


def _width(text: str) -> int:
    """Return the approximate width of a text in pixels; `textLength` makes it exact for any font."""
    return round(sum(_WIDTHS.get(char, _DIGIT) for char in text) * 11 / 1000)
