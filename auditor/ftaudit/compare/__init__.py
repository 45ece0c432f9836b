"""Compares two JSON reports of ftaudit, and a project with its last run: what improved, worsened, appeared, and
disappeared.
"""

from __future__ import annotations

from ftaudit.compare.documents import Document, parse_document, read_document
from ftaudit.compare.report_changes import Comparison, PackageState, ReportChange, ReportChangeKind, compare

__all__ = [
    "Comparison",
    "Document",
    "PackageState",
    "ReportChange",
    "ReportChangeKind",
    "compare",
    "parse_document",
    "read_document",
]
