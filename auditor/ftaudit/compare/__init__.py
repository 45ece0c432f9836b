"""Two JSON reports of ftaudit compared: what got better, worse, came and went."""

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
