"""Accepted known problems: the configuration's `accept` entries, and the baseline.

Nothing here changes a verdict or hides a finding. An accepted problem is shown with its reason, and does not count for
the exit code. A baseline never accepts what was not checked; an entry accepts it only if the entry says so.
"""

from __future__ import annotations

from ftaudit.accepting.accept_entries import AcceptEntry, parse_entries
from ftaudit.accepting.accepted_findings import accept_findings, keep_findings
from ftaudit.accepting.baseline import Baseline, parse_baseline, read_baseline, render_baseline
from ftaudit.accepting.packages import accept_packages, keep_packages

__all__ = [
    "AcceptEntry",
    "Baseline",
    "accept_findings",
    "accept_packages",
    "keep_findings",
    "keep_packages",
    "parse_baseline",
    "parse_entries",
    "read_baseline",
    "render_baseline",
]
